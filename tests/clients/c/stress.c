// What a session may rely on, under a random load and through kills: the same rules as the other languages' judges check.
#include "harness.h"

enum { WORKERS = 4 };

struct worker {
    pthread_t thread;
    zhandle_t *zh;
    struct session session;
    int64_t shared_zxid, sequence;
    long long written_min, written_max, ops;  // what the own znode may hold; a range after a lost connection
    unsigned seed;
    char own[64];
    struct {
        volatile int fired;
        int64_t zxid;
    } watch;
};

// Whether the load ends: told by the judge, or by a file that is there.
static volatile bool told_to_end;
static const char *end_file;

static bool is_over(void) { return end_file ? access(end_file, F_OK) == 0 : told_to_end; }

static void on_shared(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)state, (void)path;
    if (type != ZOO_SESSION_EVENT) ((struct worker *)context)->watch.fired = 1;
}

// True if the answer is there; false if the connection was lost, and the outcome with it.
static bool answered(int rc) {
    if (rc == ZCONNECTIONLOSS || rc == ZOPERATIONTIMEOUT) {
        usleep(50000);
        return false;
    }
    return true;
}

static void write_own(struct worker *it) {
    char value[32];
    snprintf(value, sizeof value, "%lld", ++it->written_max);
    int rc = zoo_set(it->zh, it->own, value, strlen(value), -1);
    if (!answered(rc)) return;
    ok(rc);
    it->written_min = it->written_max;
}

static void read_own(struct worker *it, zhandle_t *zh) {
    char value[32] = "";
    int len = sizeof value - 1, rc = zoo_get(zh, it->own, 0, value, &len, NULL);
    if (!answered(rc)) return;
    ok(rc);
    value[len] = 0;
    long long found = atoll(value);
    if (found < it->written_min || it->written_max < found)
        fail("%s holds %lld, expected %lld to %lld", it->own, found, it->written_min, it->written_max);
}

static void shared(struct worker *it) {
    struct Stat stat;
    int rc = ZOK, len = 0;
    if (rand_r(&it->seed) % 2 && !answered(rc = zoo_set(it->zh, "/stress/shared", "c", 1, -1))) return;
    ok(rc);
    bool arm = it->watch.zxid == 0;
    if (arm) it->watch.fired = 0;
    rc = zoo_wget(it->zh, "/stress/shared", arm ? on_shared : NULL, it, NULL, &len, &stat);
    if (!answered(rc)) return;
    ok(rc);
    if (stat.mzxid < it->shared_zxid) fail("mzxid went from %llx back to %llx", (long long)it->shared_zxid, (long long)stat.mzxid);
    it->shared_zxid = stat.mzxid;
    if (arm) {
        it->watch.zxid = stat.mzxid;
    } else if (it->watch.zxid != stat.mzxid) {
        eventually(it->watch.fired);
        it->watch.zxid = 0;
    }
}

static void sequence(struct worker *it) {
    char path[128];
    int rc = zoo_create(it->zh, "/stress/seq/c-", "", 0, OPEN, ZOO_EPHEMERAL_SEQUENTIAL, path, sizeof path);
    if (!answered(rc)) return;
    ok(rc);
    long long number = atoll(path + strlen(path) - 10);
    if (number <= it->sequence) fail("sequence %lld after %lld", number, (long long)it->sequence);
    it->sequence = number;
    answered(zoo_delete(it->zh, path, -1));
}

// Two znodes that are always made and removed together.
static void pair(struct worker *it) {
    char one[80], two[80];
    snprintf(one, sizeof one, "%s/one", it->own);
    snprintf(two, sizeof two, "%s/two", it->own);
    int first = zoo_exists(it->zh, one, 0, NULL), second = zoo_exists(it->zh, two, 0, NULL), rc;
    if (!answered(first) || !answered(second)) return;
    eq(first, second, "both halves of a transaction");
    zoo_op_t ops[2];
    zoo_op_result_t results[2];
    for (int i = 0; i < 2; i++) {
        if (first == ZOK) zoo_delete_op_init(&ops[i], i ? two : one, -1);
        else zoo_create_op_init(&ops[i], i ? two : one, "", 0, OPEN, 0, NULL, 0);
    }
    rc = zoo_multi(it->zh, 2, ops, results);
    if (answered(rc)) ok(rc);
}

static void *work(void *context) {
    struct worker *it = context;
    while (!is_over()) {
        switch (rand_r(&it->seed) % 8) {
            case 0: case 1: write_own(it); break;
            case 2: case 3: read_own(it, it->zh); break;
            case 4: case 5: shared(it); break;
            case 6: sequence(it); break;
            default: pair(it); break;
        }
        it->ops++;
    }
    return NULL;
}

static void prepare(zhandle_t *root) {
    const char *paths[] = {"/stress", "/stress/shared", "/stress/seq", "/stress/own", "/stress/eph"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int rc = zoo_create(root, paths[i], "", 0, OPEN, 0, NULL, 0);
        if (rc != ZNODEEXISTS) ok(rc);
    }
}

static struct worker workers[WORKERS];

static void begin(zhandle_t *root) {
    prepare(root);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *it = &workers[i];
        *it = (struct worker){.seed = i, .sequence = -1};
        it->zh = open_handle(20000, NULL, &it->session);
        snprintf(it->own, sizeof it->own, "/stress/own/c-%d-%d", getpid(), i);
        ok(zoo_create(it->zh, it->own, "0", 1, OPEN, 0, NULL, 0));
        char held[80];
        snprintf(held, sizeof held, "/stress/eph/c-%d-%d", getpid(), i);
        ok(zoo_create(it->zh, held, "", 0, OPEN, ZOO_EPHEMERAL, NULL, 0));
        pthread_create(&it->thread, NULL, work, it);
    }
}

static void finish(zhandle_t *root) {
    long long ops = 0;
    for (int i = 0; i < WORKERS; i++) {
        struct worker *it = &workers[i];
        char held[80];
        struct Stat stat;
        snprintf(held, sizeof held, "/stress/eph/c-%d-%d", getpid(), i);
        pthread_join(it->thread, NULL);
        eventually(zoo_state(root) == ZOO_CONNECTED_STATE && zoo_state(it->zh) == ZOO_CONNECTED_STATE);
        eq(it->session.lost_count, 0, "sessions lost");
        read_own(it, root);
        ok(zoo_exists(root, held, 0, &stat));
        eq(stat.ephemeralOwner, zoo_client_id(it->zh)->client_id, "the owner of what the session holds");
        ok(zookeeper_close(it->zh));
        eventually(zoo_exists(root, held, 0, NULL) == ZNONODE);
        ops += it->ops;
    }
    printf("%lld operations\n", ops);
    ok(zookeeper_close(root));
}

void judge_guarantees_through_kills(void) {
    zhandle_t *root = open_plain();
    begin(root);
    for (int i = 0; i < 2; i++) {
        sleep(4);
        ask("kill");
        ask("start");
    }
    sleep(4);
    told_to_end = true;
    finish(root);
}

void stress_worker(void) {
    end_file = getenv("STRESS_UNTIL");
    zhandle_t *root = open_plain();
    begin(root);
    printf("loaded\n");
    fflush(stdout);
    finish(root);
}
