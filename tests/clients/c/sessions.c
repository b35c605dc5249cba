// Sessions of the C client: through restarts and cuts, opened again from a saved id, refused, expired.
#include "harness.h"

static struct events data = {.lock = PTHREAD_MUTEX_INITIALIZER}, child = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct events exist = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void watch_all(zhandle_t *zh) {
    struct String_vector names;
    struct Stat stat;
    int len = 0;
    ok(zoo_wget(zh, "/s", note_event, &data, NULL, &len, &stat));
    ok(zoo_wget_children(zh, "/s", note_event, &child, &names));
    deallocate_String_vector(&names);
    eq(zoo_wexists(zh, "/later", note_event, &exist, &stat), ZNONODE, "exists of what comes later");
}

static void outlives(const char *const *ends) {
    struct session session = {0, 0}, second = {0, 0};
    zhandle_t *zh = open_handle(20000, NULL, &session), *other = open_handle(20000, NULL, &second);
    clientid_t id = *zoo_client_id(zh);
    struct Stat before, after;
    char path[64];
    ok(zoo_create(zh, "/s", "kept", 4, OPEN, 0, NULL, 0));
    ok(zoo_create(zh, "/s/mine", "", 0, OPEN, ZOO_EPHEMERAL, NULL, 0));
    for (int i = 0; i < 100; i++) ok(zoo_create(zh, "/s/n-", "x", 1, OPEN, ZOO_PERSISTENT_SEQUENTIAL, path, sizeof path));
    ok(zoo_exists(zh, "/s", 0, &before));
    watch_all(zh);
    for (; *ends; ends++) {
        ask(*ends);
        eventually(zoo_state(zh) != ZOO_CONNECTED_STATE && zoo_state(other) != ZOO_CONNECTED_STATE);
        ask("start");
        eventually(zoo_state(zh) == ZOO_CONNECTED_STATE && zoo_state(other) == ZOO_CONNECTED_STATE);
    }
    ok(zoo_exists(zh, "/s", 0, &after));
    eq(same_stat(&before, &after), true, "the stat after the restart");
    eq(memcmp(&id, zoo_client_id(zh), sizeof id), 0, "the session's id and password");
    ok(zoo_exists(zh, "/s/mine", 0, &after));
    eq(after.ephemeralOwner, id.client_id, "the ephemeral's owner");
    expect_none(zh, &data);
    expect_none(zh, &child);
    expect_none(zh, &exist);
    ok(zoo_set(other, "/s", "new", 3, -1));
    expect_event(&data, ZOO_CHANGED_EVENT, "/s");
    ok(zoo_create(other, "/s/n-", "", 0, OPEN, ZOO_PERSISTENT_SEQUENTIAL, path, sizeof path));
    eq_str(path, "/s/n-0000000101", "the next sequential name");
    expect_event(&child, ZOO_CHILD_EVENT, "/s");
    ok(zoo_create(other, "/later", "", 0, OPEN, 0, NULL, 0));
    expect_event(&exist, ZOO_CREATED_EVENT, "/later");
    eq(session.lost_count, 0, "sessions lost");
    ok(zookeeper_close(zh));
    eventually(zoo_exists(other, "/s/mine", 0, NULL) == ZNONODE);
    ok(zookeeper_close(other));
}

void judge_restart_in_mid_session(void) { outlives((const char *const[]){"stop", NULL}); }

void judge_kill_in_mid_session(void) { outlives((const char *const[]){"kill", "kill", NULL}); }

void judge_watches_catch_up(void) {
    zhandle_t *zh = open_cuttable(30000, NULL), *other = open_plain();
    struct Stat stat;
    ok(zoo_create(zh, "/s", "", 0, OPEN, 0, NULL, 0));
    ok(zoo_create(zh, "/same", "", 0, OPEN, 0, NULL, 0));
    ok(zoo_create(zh, "/gone", "", 0, OPEN, 0, NULL, 0));
    watch_all(zh);
    static struct events gone = {.lock = PTHREAD_MUTEX_INITIALIZER}, same = {.lock = PTHREAD_MUTEX_INITIALIZER};
    ok(zoo_wexists(zh, "/gone", note_event, &gone, &stat));
    ok(zoo_wexists(zh, "/same", note_event, &same, &stat));
    cut(zh);
    ok(zoo_set(other, "/s", "1", 1, -1));
    ok(zoo_create(other, "/s/x", "", 0, OPEN, 0, NULL, 0));
    ok(zoo_create(other, "/later", "", 0, OPEN, 0, NULL, 0));
    ok(zoo_delete(other, "/gone", -1));
    mend_link();
    expect_event(&data, ZOO_CHANGED_EVENT, "/s");
    expect_event(&child, ZOO_CHILD_EVENT, "/s");
    expect_event(&exist, ZOO_CREATED_EVENT, "/later");
    expect_event(&gone, ZOO_DELETED_EVENT, "/gone");
    expect_none(zh, &same);
    ok(zoo_set(other, "/same", "1", 1, -1));
    expect_event(&same, ZOO_CHANGED_EVENT, "/same");
    ok(zookeeper_close(other));
    ok(zookeeper_close(zh));
}

// A session id saved by one handle opens the session in another; with a wrong password it opens nothing.
void judge_saved_session(void) {
    struct session first = {0, 0}, moved = {0, 0}, thief = {0, 0};
    zhandle_t *zh = open_cuttable(15000, &first), *watcher = open_plain();
    eq(zoo_recv_timeout(zh), 15000, "the negotiated timeout");
    clientid_t id = *zoo_client_id(zh);
    ok(zoo_create(zh, "/saved", "", 0, OPEN, ZOO_EPHEMERAL, NULL, 0));
    cut(zh);

    clientid_t wrong = id;
    wrong.passwd[3] ^= 1;
    zhandle_t *stranger = zookeeper_init2(hosts, NULL, 15000, &wrong, &thief, ZOO_NO_LOG_CLIENTENV, NULL);
    eventually(zoo_state(stranger) == ZOO_EXPIRED_SESSION_STATE);
    zookeeper_close(stranger);
    ok(zoo_exists(watcher, "/saved", 0, NULL));

    zhandle_t *again = open_handle(15000, &id, &moved);
    eq(memcmp(&id, zoo_client_id(again), sizeof id), 0, "the session opened again");
    ok(zoo_set(again, "/saved", "here", 4, 0));
    ok(zookeeper_close(again));
    eventually(zoo_exists(watcher, "/saved", 0, NULL) == ZNONODE);
    mend_link();
    eventually(first.lost_count == 1 && zoo_state(zh) == ZOO_EXPIRED_SESSION_STATE);
    zookeeper_close(zh);

    clientid_t unknown = {0x1234567890LL, "nobody's-secret"};
    stranger = zookeeper_init2(hosts, NULL, 15000, &unknown, &thief, ZOO_NO_LOG_CLIENTENV, NULL);
    eventually(zoo_state(stranger) == ZOO_EXPIRED_SESSION_STATE);
    zookeeper_close(stranger);
    ok(zookeeper_close(watcher));
}

void judge_expiry(void) {
    struct session session = {0, 0};
    zhandle_t *zh = open_cuttable(4000, &session), *other = open_plain(), *shortest = open_handle(600, NULL, NULL);
    eq(zoo_recv_timeout(shortest), 1000, "the shortest timeout: two ticks");
    ok(zookeeper_close(shortest));
    ok(zoo_create(zh, "/held", "", 0, OPEN, ZOO_EPHEMERAL, NULL, 0));
    ok(zoo_wexists(other, "/held", note_event, &exist, NULL));
    sleep(7);
    ok(zoo_exists(other, "/held", 0, NULL));
    int64_t silent = now_ms();
    ok(zoo_exists(zh, "/held", 0, NULL));
    cut(zh);
    // Until the cut it may have been heard of.
    at_last(other, now_ms(), 4000 + TICKS_MS, exist.count > 0);
    int64_t took = now_ms() - silent;
    expect_event(&exist, ZOO_DELETED_EVENT, "/held");
    printf("timeout 4000 ms, gone %lld ms after a last sign of life\n", (long long)took);
    if (took < 3900) fail("expired %lld ms after a sign of life, expected 4000 at least", (long long)took);
    mend_link();
    eventually(session.lost_count == 1);
    eq(zoo_set(zh, "/held", "", 0, -1), ZINVALIDSTATE, "a request on an expired session");
    zookeeper_close(zh);
    ok(zookeeper_close(other));
}
