// Watches of the C client: what fires, once each, in order; those that are removed do not.
#include "harness.h"

static struct events events = {.lock = PTHREAD_MUTEX_INITIALIZER}, child = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void global(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)context;
    note_event(zh, type, state, path, &child);
}

void judge_watches(void) {
    zhandle_t *zh = open_plain(), *other = open_plain();
    struct Stat stat;
    struct String_vector names;
    int len = 0;
    eq(zoo_wexists(zh, "/w", note_event, &events, &stat), ZNONODE, "exists before the create");
    ok(zoo_create(other, "/w", "", 0, OPEN, 0, NULL, 0));
    expect_event(&events, ZOO_CREATED_EVENT, "/w");
    ok(zoo_wget(zh, "/w", note_event, &events, NULL, &len, &stat));
    ok(zoo_set(other, "/w", "1", 1, -1));
    expect_event(&events, ZOO_CHANGED_EVENT, "/w");
    ok(zoo_set(other, "/w", "2", 1, -1));
    ok(zoo_wget_children(zh, "/w", note_event, &events, &names));
    deallocate_String_vector(&names);
    ok(zoo_create(other, "/w/a", "", 0, OPEN, 0, NULL, 0));
    expect_event(&events, ZOO_CHILD_EVENT, "/w");
    ok(zoo_wget_children2(zh, "/w", note_event, &events, &names, &stat));
    deallocate_String_vector(&names);
    ok(zoo_set(other, "/w/a", "", 0, -1));
    expect_none(zh, &events);
    ok(zoo_delete(other, "/w/a", -1));
    expect_event(&events, ZOO_CHILD_EVENT, "/w");
    ok(zoo_wexists(zh, "/w", note_event, &events, &stat));
    ok(zoo_wget_children(zh, "/w", note_event, &child, &names));
    deallocate_String_vector(&names);
    ok(zoo_delete(other, "/w", -1));
    expect_event(&events, ZOO_DELETED_EVENT, "/w");
    expect_event(&child, ZOO_DELETED_EVENT, "/w");
    len = 0;
    eq(zoo_wget(zh, "/w", note_event, &events, NULL, &len, &stat), ZNONODE, "getData of nothing leaves no watch");
    ok(zoo_create(other, "/w", "", 0, OPEN, 0, NULL, 0));
    expect_none(zh, &events);

    // the older style: a flag, and one watcher for the whole handle
    zoo_set_watcher(zh, global);
    ok(zoo_exists(zh, "/w", 1, &stat));
    len = 0;
    ok(zoo_wgetconfig(zh, note_event, &events, NULL, &len, &stat));
    ok(zoo_set(other, "/w", "3", 1, -1));
    expect_event(&child, ZOO_CHANGED_EVENT, "/w");
    expect_none(zh, &events);

    // a thousand in one go
    char path[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof path, "/w/%d", i);
        ok(zoo_create(other, path, "", 0, OPEN, 0, NULL, 0));
        ok(zoo_wexists(zh, path, note_event, &events, &stat));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof path, "/w/%d", i);
        ok(zoo_delete(other, path, -1));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof path, "/w/%d", i);
        expect_event(&events, ZOO_DELETED_EVENT, path);
    }
    ok(zookeeper_close(other));
    ok(zookeeper_close(zh));
}

void judge_removed_watches(void) {
    zhandle_t *zh = open_plain(), *other = open_plain();
    struct Stat stat;
    struct String_vector names;
    ok(zoo_create(zh, "/r", "", 0, OPEN, 0, NULL, 0));
    ok(zoo_wexists(zh, "/r", note_event, &events, &stat));
    ok(zoo_wget_children(zh, "/r", note_event, &child, &names));
    deallocate_String_vector(&names);
    eq(zoo_remove_watches(zh, "/other", ZWATCHTYPE_DATA, note_event, &events, 0), ZNOWATCHER, "removing what is not there");
    ok(zoo_remove_watches(zh, "/r", ZWATCHTYPE_DATA, note_event, &events, 0));
    ok(zoo_set(other, "/r", "1", 1, -1));
    expect_none(zh, &events);
    ok(zoo_create(other, "/r/a", "", 0, OPEN, 0, NULL, 0));
    expect_event(&child, ZOO_CHILD_EVENT, "/r");
    ok(zoo_wexists(zh, "/r", note_event, &events, &stat));
    ok(zoo_wget_children(zh, "/r", note_event, &child, &names));
    deallocate_String_vector(&names);
    ok(zoo_remove_all_watches(zh, "/r", ZWATCHTYPE_ANY, 0));
    ok(zoo_set(other, "/r", "2", 1, -1));
    ok(zoo_delete(other, "/r/a", -1));
    expect_none(zh, &events);
    expect_none(zh, &child);
    ok(zookeeper_close(other));
    ok(zookeeper_close(zh));
}
