// Handles, events and the words to the harness.
#include "harness.h"

const char *hosts;

int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void ask(const char *action) {
    char answer[16] = "";
    printf("@%s\n", action);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) fail("the harness went away");
    eq_str(answer, "ok\n", "the harness's answer");
}

static void session_event(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)path;
    struct session *session = context;
    if (type != ZOO_SESSION_EVENT || session == NULL) return;
    session->state = state;
    if (state == ZOO_EXPIRED_SESSION_STATE) session->lost_count++;
}

static zhandle_t *open_at(const char *address, int timeout_ms, const clientid_t *id, struct session *session) {
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zoo_set_log_stream(fopen("/dev/null", "w"));
    zhandle_t *zh = zookeeper_init2(address, session_event, timeout_ms, id, session, ZOO_NO_LOG_CLIENTENV, NULL);
    if (!zh) fail("zookeeper_init2 gave no handle");
    eventually(zoo_state(zh) == ZOO_CONNECTED_STATE);
    return zh;
}

zhandle_t *open_handle(int timeout_ms, const clientid_t *id, struct session *session) {
    return open_at(hosts, timeout_ms, id, session);
}

zhandle_t *open_cuttable(int timeout_ms, struct session *session) { return open_at(open_link(), timeout_ms, NULL, session); }

zhandle_t *open_plain(void) { return open_handle(30000, NULL, NULL); }

void note_event(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)state;
    struct events *events = context;
    if (type == ZOO_SESSION_EVENT) return;
    pthread_mutex_lock(&events->lock);
    if (events->count < 2048) {
        events->type[events->count] = type;
        snprintf(events->path[events->count], sizeof events->path[0], "%s", path);
        events->count++;
    }
    pthread_mutex_unlock(&events->lock);
}

void expect_event(struct events *events, int type, const char *path) {
    eventually(events->count > 0);
    pthread_mutex_lock(&events->lock);
    if (events->type[0] != type || strcmp(events->path[0], path) != 0)
        fail("event %d of %s, expected %d of %s", events->type[0], events->path[0], type, path);
    events->count--;
    memmove(events->type, events->type + 1, sizeof events->type - sizeof events->type[0]);
    memmove(events->path, events->path + 1, sizeof events->path - sizeof events->path[0]);
    pthread_mutex_unlock(&events->lock);
}

struct done {
    volatile int count;
};

static void sync_done(int rc, const char *value, const void *data) {
    (void)rc, (void)value;
    ((struct done *)data)->count++;
}

void expect_none(zhandle_t *zh, struct events *events) {
    struct done done = {0};
    ok(zoo_async(zh, "/", sync_done, &done));
    eventually(done.count == 1);
    if (events->count) fail("event %d of %s, expected none", events->type[0], events->path[0]);
}

void cut(zhandle_t *zh) {
    cut_link();
    eventually(zoo_state(zh) != ZOO_CONNECTED_STATE);
}

bool same_stat(const struct Stat *one, const struct Stat *two) {
    return one->czxid == two->czxid && one->mzxid == two->mzxid && one->pzxid == two->pzxid && one->ctime == two->ctime &&
           one->mtime == two->mtime && one->version == two->version && one->cversion == two->cversion &&
           one->aversion == two->aversion && one->ephemeralOwner == two->ephemeralOwner &&
           one->dataLength == two->dataLength && one->numChildren == two->numChildren;
}
