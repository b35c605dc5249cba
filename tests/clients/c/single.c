// The single-threaded C client, driven by its own poll loop: a session, its requests, its watches, a restart of the server.
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define fail(...) (printf(__VA_ARGS__), printf("\n"), fflush(stdout), _exit(1))

static int answers, last_rc, events, last_event;
static char last_text[128];

static void on_watch(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)state, (void)path, (void)context;
    if (type == ZOO_SESSION_EVENT) return;
    events++;
    last_event = type;
}

static void on_void(int rc, const void *data) {
    (void)data;
    answers++;
    last_rc = rc;
}

static void on_string(int rc, const char *value, const void *data) {
    if (rc == ZOK) snprintf(last_text, sizeof last_text, "%s", value);
    on_void(rc, data);
}

static void on_stat(int rc, const struct Stat *stat, const void *data) {
    (void)stat;
    on_void(rc, data);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    (void)stat;
    if (rc == ZOK) snprintf(last_text, sizeof last_text, "%.*s", len, value);
    on_void(rc, data);
}

static void turn(zhandle_t *zh) {
    int fd, interest, happened = 0;
    struct timeval wait;
    zookeeper_interest(zh, &fd, &interest, &wait);
    struct pollfd it = {fd, (interest & ZOOKEEPER_READ ? POLLIN : 0) | (interest & ZOOKEEPER_WRITE ? POLLOUT : 0), 0};
    int ms = (int)(wait.tv_sec * 1000 + wait.tv_usec / 1000);
    if (fd == -1) usleep(20000);
    else if (0 < poll(&it, 1, ms < 100 ? ms : 100)) {
        if (it.revents & (POLLIN | POLLERR | POLLHUP)) happened |= ZOOKEEPER_READ;
        if (it.revents & POLLOUT) happened |= ZOOKEEPER_WRITE;
    }
    zookeeper_process(zh, happened);
}

static void until_connected(zhandle_t *zh) {
    for (int turns = 0; zoo_state(zh) != ZOO_CONNECTED_STATE; turns++) {
        if (turns > 2000) fail("not connected");
        turn(zh);
    }
}

static void expect(zhandle_t *zh, int rc, const char *what) {
    for (int turns = 0, before = answers; answers == before; turns++) {
        if (turns > 2000) fail("no answer to %s", what);
        turn(zh);
    }
    if (last_rc != rc) fail("%s: answered %d, expected %d", what, last_rc, rc);
}

static void expect_event(zhandle_t *zh, int type) {
    for (int turns = 0; events == 0; turns++) {
        if (turns > 2000) fail("no event");
        turn(zh);
    }
    if (last_event != type) fail("event %d, expected %d", last_event, type);
    events = 0;
}

static void ask(const char *action) {
    char answer[16];
    printf("@%s\n", action);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin) || strcmp(answer, "ok\n") != 0) fail("no ok from the harness");
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    alarm(280);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init2(argv[1], on_watch, 30000, NULL, NULL, ZOO_NO_LOG_CLIENTENV, NULL);
    until_connected(zh);
    zoo_acreate(zh, "/one", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, NULL);
    expect(zh, ZOK, "create");
    zoo_acreate(zh, "/one/e-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, on_string, NULL);
    expect(zh, ZOK, "create of an ephemeral");
    if (strcmp(last_text, "/one/e-0000000000") != 0) fail("created %s", last_text);
    zoo_awget(zh, "/one", on_watch, NULL, on_data, NULL);
    expect(zh, ZOK, "getData");
    ask("kill");
    ask("start");
    do turn(zh);
    while (zoo_state(zh) == ZOO_CONNECTED_STATE);
    until_connected(zh);
    zoo_aexists(zh, "/one/e-0000000000", 0, on_stat, NULL);
    expect(zh, ZOK, "exists after the restart");
    zoo_aset(zh, "/one", "2", 1, 0, on_stat, NULL);
    expect(zh, ZOK, "setData");
    expect_event(zh, ZOO_CHANGED_EVENT);
    zoo_aget(zh, "/one", 0, on_data, NULL);
    expect(zh, ZOK, "getData");
    if (strcmp(last_text, "2") != 0) fail("read %s", last_text);
    zoo_adelete(zh, "/one", -1, on_void, NULL);
    expect(zh, ZNOTEMPTY, "delete with children");
    zookeeper_close(zh);
    printf("single_threaded: passed\n");
    return 0;
}
