// Runs one judge (or `all`, one after the other, on one server).
#include "harness.h"

static const struct {
    const char *name;
    void (*run)(void);
} judges[] = {
    {"every_op", judge_every_op},
    {"async_ops", judge_async_ops},
    {"acls_and_auth", judge_acls_and_auth},
    {"transactions", judge_transactions},
    {"watches", judge_watches},
    {"removed_watches", judge_removed_watches},
    {"restart_in_mid_session", judge_restart_in_mid_session},
    {"kill_in_mid_session", judge_kill_in_mid_session},
    {"watches_catch_up", judge_watches_catch_up},
    {"saved_session", judge_saved_session},
    {"expiry", judge_expiry},
    {"guarantees_through_kills", judge_guarantees_through_kills},
};

int main(int argc, char **argv) {
    size_t count = sizeof judges / sizeof *judges, ran = 0;
    if (argc != 4) return 2;
    alarm(280);
    hosts = argv[3];
    if (strcmp(argv[2], "stress_worker") == 0) return stress_worker(), 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(argv[2], "all") != 0 && strcmp(argv[2], judges[i].name) != 0) continue;
        int64_t began = now_ms();
        judges[i].run();
        ran++;
        printf("%s: passed in %lld ms\n", judges[i].name, (long long)(now_ms() - began));
        fflush(stdout);
        alarm(280);
    }
    return ran ? 0 : 2;
}
