// What every judge here uses: handles, assertions that say what was expected, events, and the words to the harness.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define OPEN (&ZOO_OPEN_ACL_UNSAFE)

#define fail(...)                                            \
    do {                                                     \
        printf("%s:%d: ", __FILE__, __LINE__);               \
        printf(__VA_ARGS__);                                 \
        printf("\n");                                        \
        fflush(stdout);                                      \
        _exit(1);                                            \
    } while (0)

// Both are evaluated once; integers of any width.
#define eq(found, expected, what)                                                                      \
    do {                                                                                               \
        long long found_ = (long long)(found), expected_ = (long long)(expected);                      \
        if (found_ != expected_) fail("%s: found %lld, expected %lld", what, found_, expected_);       \
    } while (0)

#define eq_str(found, expected, what)                                                                  \
    do {                                                                                               \
        const char *found_ = (found), *expected_ = (expected);                                         \
        if (strcmp(found_, expected_) != 0) fail("%s: found \"%s\", expected \"%s\"", what, found_, expected_); \
    } while (0)

// The call succeeds.
#define ok(call) eq(call, ZOK, #call)

// Seconds that anything may take that is waited for: it costs nothing where all is well.
#define PATIENCE 60

// Waits for the condition.
#define eventually(condition)                                                  \
    do {                                                                       \
        int64_t end_ = now_ms() + PATIENCE * 1000LL;                           \
        while (!(condition)) {                                                 \
            if (end_ < now_ms()) fail("not within %d s: %s", PATIENCE, #condition); \
            usleep(10000);                                                     \
        }                                                                      \
    } while (0)

// The events of some watches, session events left out.
struct events {
    pthread_mutex_t lock;
    int count;
    int type[2048];
    char path[2048][64];
};

// What became of a handle's session: set by its session watcher.
struct session {
    volatile int state;
    volatile int lost_count;
};

extern const char *hosts;

int64_t now_ms(void);
// Milliseconds by which a session may outlive its timeout: it ends with a tick of the server's clock, which is half a second here.
#define TICKS_MS 1600

// Waits for the condition, which must come within so many milliseconds of `began`. What the machine is late is not counted: twice the
// longest turn of a write and a look, which is nothing where all is well. Gives how long it took.
#define at_last(zh, began, ms, condition)                                                                             \
    ({                                                                                                                \
        int64_t began_ = (began), longest_ = 0, turn_ = now_ms(), took_;                                                                \
        for (bool done_ = false; !done_; usleep(20000)) {                                                             \
            ok(zoo_set(zh, "/", "", 0, -1));                                                                          \
            done_ = (condition);                                                                                      \
            int64_t now_ = now_ms();                                                                                  \
            if (longest_ < now_ - turn_) longest_ = now_ - turn_;                                                     \
            turn_ = now_, took_ = now_ - began_;                                                                     \
            if ((ms) + 2 * longest_ < took_)                                                                          \
                fail("after %lld ms, not %d: %s; turns took up to %lld ms", (long long)took_, (int)(ms), #condition,  \
                     (long long)longest_);                                                                            \
        }                                                                                                             \
        took_;                                                                                                        \
    })

// Asks the harness for restart, kill, stop or start; returns when done.
void ask(const char *action);
// A connected handle; `id` may be NULL. `session` must outlive it.
zhandle_t *open_handle(int timeout_ms, const clientid_t *id, struct session *session);
// A connected handle with a session that nobody asks about.
zhandle_t *open_plain(void);
void note_event(zhandle_t *zh, int type, int state, const char *path, void *events);
// Waits for the next event, which must be this one, and takes it.
void expect_event(struct events *events, int type, const char *path);
// There is no event, and after a sync there is still none.
void expect_none(zhandle_t *zh, struct events *events);
// A connected handle whose way to the server can be cut and mended; one at a time has it.
zhandle_t *open_cuttable(int timeout_ms, struct session *session);
// As for the session: the way is cut, and the handle has noticed.
void cut(zhandle_t *zh);
// The address of the link that `cut_link` cuts: see link.c.
const char *open_link(void);
void cut_link(void);
void mend_link(void);
// Field by field: the struct has padding.
bool same_stat(const struct Stat *one, const struct Stat *two);

void judge_every_op(void);
void judge_async_ops(void);
void judge_acls_and_auth(void);
void judge_transactions(void);
void judge_watches(void);
void judge_removed_watches(void);
void judge_restart_in_mid_session(void);
void judge_kill_in_mid_session(void);
void judge_watches_catch_up(void);
void judge_saved_session(void);
void judge_expiry(void);
void judge_guarantees_through_kills(void);
void stress_worker(void);
