// Every request of the C client, its answers, its stats and its refusals.
#include "harness.h"

static void creates(zhandle_t *zh) {
    char path[128];
    struct Stat stat;
    ok(zoo_create(zh, "/c", "one", 3, OPEN, ZOO_PERSISTENT, path, sizeof path));
    eq_str(path, "/c", "the created path");
    ok(zoo_create2(zh, "/c/two", "22", 2, OPEN, ZOO_PERSISTENT, path, sizeof path, &stat));
    eq_str(path, "/c/two", "create2's path");
    eq(stat.dataLength, 2, "create2's dataLength");
    eq(stat.czxid == stat.mzxid && stat.czxid == stat.pzxid && stat.ctime == stat.mtime, true, "zxids and times of a new znode");
    ok(zoo_create(zh, "/c/s-", NULL, -1, OPEN, ZOO_PERSISTENT_SEQUENTIAL, path, sizeof path));
    eq_str(path, "/c/s-0000000001", "the sequential name");
    ok(zoo_create2(zh, "/c/e", "", 0, OPEN, ZOO_EPHEMERAL, path, sizeof path, &stat));
    eq(stat.ephemeralOwner, zoo_client_id(zh)->client_id, "the ephemeral's owner");
    ok(zoo_create(zh, "/c/es-", "", 0, OPEN, ZOO_EPHEMERAL_SEQUENTIAL, path, sizeof path));
    eq_str(path, "/c/es-0000000003", "the ephemeral sequential name");
    ok(zoo_create2(zh, "/c/box", "", 0, OPEN, ZOO_CONTAINER, path, sizeof path, &stat));
    eq(stat.ephemeralOwner, 0, "a container's owner, as shown");
    ok(zoo_create_ttl(zh, "/c/ttl", "", 0, OPEN, ZOO_PERSISTENT_WITH_TTL, 9000, path, sizeof path));
    ok(zoo_create2_ttl(zh, "/c/ts-", "", 0, OPEN, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 600000, path, sizeof path, &stat));
    eq_str(path, "/c/ts-0000000006", "the sequential TTL name");
    eq(stat.ephemeralOwner, 0, "a TTL znode's owner, as shown");
    eq(zoo_create(zh, "/c", "", 0, OPEN, 0, NULL, 0), ZNODEEXISTS, "create of what is there");
    eq(zoo_create(zh, "/no/parent", "", 0, OPEN, 0, NULL, 0), ZNONODE, "create without a parent");
    eq(zoo_create(zh, "/c/e/x", "", 0, OPEN, 0, NULL, 0), ZNOCHILDRENFOREPHEMERALS, "a child of an ephemeral");
    eq(zoo_create(zh, "no-slash", "", 0, OPEN, 0, NULL, 0), ZBADARGUMENTS, "a path without a slash");
    eq(zoo_create(zh, "/c/\x01", "", 0, OPEN, 0, NULL, 0), ZBADARGUMENTS, "a path with a control character");
}

static void reads(zhandle_t *zh) {
    char data[64];
    int len = sizeof data;
    struct Stat stat, second;
    ok(zoo_get(zh, "/c", 0, data, &len, &stat));
    eq(len == 3 && memcmp(data, "one", 3) == 0, true, "getData");
    eq(stat.numChildren, 7, "numChildren");
    eq(stat.cversion, 7, "cversion");
    ok(zoo_exists(zh, "/c", 0, &second));
    eq(same_stat(&stat, &second), true, "exists and getData give one stat");
    len = sizeof data;
    ok(zoo_get(zh, "/c/s-0000000001", 0, data, &len, &stat));
    eq(len, -1, "the length of null data");
    len = sizeof data;
    ok(zoo_get(zh, "/c/e", 0, data, &len, &stat));
    eq(len, 0, "the length of empty data");
    struct String_vector names, again;
    ok(zoo_get_children(zh, "/c", 0, &names));
    ok(zoo_get_children2(zh, "/c", 0, &again, &stat));
    eq(names.count, 7, "getChildren");
    eq(again.count == 7 && stat.pzxid == second.pzxid, true, "getChildren2");
    deallocate_String_vector(&names);
    deallocate_String_vector(&again);
    eq(zoo_exists(zh, "/none", 0, &stat), ZNONODE, "exists of nothing");
    len = sizeof data;
    eq(zoo_get(zh, "/none", 0, data, &len, &stat), ZNONODE, "getData of nothing");
    eq(zoo_get_children(zh, "/none", 0, &names), ZNONODE, "getChildren of nothing");
    len = sizeof data;
    ok(zoo_getconfig(zh, 0, data, &len, &stat));
    eq(zoo_reconfig(zh, "server.9=127.0.0.1:1:2;3", NULL, NULL, -1, NULL, &len, &stat), ZRECONFIGDISABLED, "reconfig");
}

static void writes(zhandle_t *zh) {
    struct Stat before, stat;
    ok(zoo_exists(zh, "/c", 0, &before));
    ok(zoo_set2(zh, "/c", "three", 5, 0, &stat));
    eq(stat.version, 1, "setData's version");
    eq(before.mzxid < stat.mzxid && stat.czxid == before.czxid, true, "setData moves mzxid only");
    ok(zoo_set(zh, "/c", NULL, -1, -1));
    eq(zoo_set(zh, "/c", "", 0, 1), ZBADVERSION, "setData at an old version");
    eq(zoo_set(zh, "/none", "", 0, -1), ZNONODE, "setData of nothing");
    int size = 1000000, len = size;
    char *big = malloc(size), *back = malloc(size);
    for (int i = 0; i < size; i++) big[i] = (char)(i * 31);
    ok(zoo_set(zh, "/c", big, size, -1));
    ok(zoo_get(zh, "/c", 0, back, &len, &stat));
    eq(len == size && memcmp(big, back, size) == 0, true, "a megabyte comes back");
    free(big);
    free(back);
    eq(zoo_delete(zh, "/c", -1), ZNOTEMPTY, "delete with children");
    eq(zoo_delete(zh, "/c/two", 5), ZBADVERSION, "delete at a wrong version");
    ok(zoo_delete(zh, "/c/two", 0));
    eq(zoo_delete(zh, "/c/two", -1), ZNONODE, "delete of nothing");
    eq(zoo_delete(zh, "/zookeeper", -1), ZBADARGUMENTS, "delete of /zookeeper");
}

// Container and TTL znodes are reaped once they are empty and due; the harness's server looks every 500 ms.
static void reaped(zhandle_t *zh) {
    ok(zoo_create(zh, "/c/box/x", "", 0, OPEN, 0, NULL, 0));
    ok(zoo_delete(zh, "/c/box/x", -1));
    eventually(zoo_exists(zh, "/c/box", 0, NULL) == ZNONODE);
    eventually(zoo_exists(zh, "/c/ttl", 0, NULL) == ZNONODE);
    ok(zoo_exists(zh, "/c/ts-0000000006", 0, NULL));
}

void judge_every_op(void) {
    zhandle_t *zh = open_plain();
    creates(zh);
    reads(zh);
    writes(zh);
    reaped(zh);
    ok(zookeeper_close(zh));
}

struct answer {
    volatile int done;
    int rc, len, count;
    char text[128];
    struct Stat stat;
};

static void on_void(int rc, const void *to) {
    struct answer *it = (struct answer *)to;
    it->rc = rc;
    it->done = 1;
}

static void on_string(int rc, const char *value, const void *to) {
    struct answer *it = (struct answer *)to;
    if (rc == ZOK) snprintf(it->text, sizeof it->text, "%s", value);
    on_void(rc, to);
}

static void on_stat(int rc, const struct Stat *stat, const void *to) {
    if (rc == ZOK) ((struct answer *)to)->stat = *stat;
    on_void(rc, to);
}

static void on_string_stat(int rc, const char *value, const struct Stat *stat, const void *to) {
    if (rc == ZOK) ((struct answer *)to)->stat = *stat;
    on_string(rc, value, to);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *to) {
    struct answer *it = (struct answer *)to;
    it->len = len;
    if (rc == ZOK && 0 < len) snprintf(it->text, sizeof it->text, "%.*s", len, value);
    on_stat(rc, stat, to);
}

static void on_strings(int rc, const struct String_vector *strings, const void *to) {
    if (rc == ZOK) ((struct answer *)to)->count = strings->count;
    on_void(rc, to);
}

static void on_strings_stat(int rc, const struct String_vector *strings, const struct Stat *stat, const void *to) {
    if (rc == ZOK) ((struct answer *)to)->stat = *stat;
    on_strings(rc, strings, to);
}

static void on_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *to) {
    if (rc == ZOK) ((struct answer *)to)->count = acl->count;
    on_stat(rc, stat, to);
}

static void wait_for(struct answer *it, int rc, const char *what) {
    eventually(it->done);
    eq(it->rc, rc, what);
}

void judge_async_ops(void) {
    zhandle_t *zh = open_plain();
    static struct answer a[17];
    // all in flight at once: the answers come in this order, and each sees what was sent before it
    ok(zoo_acreate(zh, "/a", "1", 1, OPEN, 0, on_string, &a[0]));
    ok(zoo_acreate2(zh, "/a/b", "22", 2, OPEN, ZOO_EPHEMERAL, on_string_stat, &a[1]));
    ok(zoo_aexists(zh, "/a", 0, on_stat, &a[2]));
    ok(zoo_aget(zh, "/a/b", 0, on_data, &a[3]));
    ok(zoo_aset(zh, "/a", "two", 3, 0, on_stat, &a[4]));
    ok(zoo_aget(zh, "/a", 0, on_data, &a[5]));
    ok(zoo_aget_children(zh, "/a", 0, on_strings, &a[6]));
    ok(zoo_aget_children2(zh, "/a", 0, on_strings_stat, &a[7]));
    ok(zoo_async(zh, "/a", on_string, &a[8]));
    ok(zoo_aget_acl(zh, "/a", on_acl, &a[9]));
    ok(zoo_aset_acl(zh, "/a", 0, &ZOO_READ_ACL_UNSAFE, on_void, &a[10]));
    wait_for(&a[10], ZOK, "setACL");  // the reference judges writes behind a setACL in flight by the old list
    ok(zoo_aset(zh, "/a", "no", 2, -1, on_stat, &a[11]));
    ok(zoo_adelete(zh, "/a/b", 0, on_void, &a[12]));
    ok(zoo_acreate_ttl(zh, "/t", "", 0, OPEN, ZOO_PERSISTENT_WITH_TTL, 600000, on_string, &a[13]));
    ok(zoo_acreate2_ttl(zh, "/t2", "", 0, OPEN, ZOO_PERSISTENT_WITH_TTL, 600000, on_string_stat, &a[14]));
    ok(zoo_agetconfig(zh, 0, on_data, &a[15]));
    ok(zoo_areconfig(zh, NULL, "1", NULL, -1, on_data, &a[16]));
    for (int i = 0; i < 17; i++) {
        char what[32];
        snprintf(what, sizeof what, "answer %d", i);
        wait_for(&a[i], i == 11 || i == 12 ? ZNOAUTH : i == 16 ? ZRECONFIGDISABLED : ZOK, what);
    }
    eq_str(a[1].text, "/a/b", "create2");
    eq(a[2].stat.numChildren, 1, "exists");
    eq_str(a[3].text, "22", "getData");
    eq(a[4].stat.version, 1, "setData");
    eq_str(a[5].text, "two", "getData after setData");
    eq(a[6].count == 1 && a[7].count == 1 && a[7].stat.version == 1, true, "getChildren, getChildren2");
    eq_str(a[8].text, "/a", "sync");
    eq(a[9].count, 1, "getACL");
    ok(zookeeper_close(zh));
}

void judge_acls_and_auth(void) {
    zhandle_t *zh = open_plain(), *other = open_plain();
    static struct answer auth;
    ok(zoo_add_auth(zh, "digest", "ann:secret", 10, on_void, &auth));
    wait_for(&auth, ZOK, "digest authentication");
    ok(zoo_create(zh, "/p", "mine", 4, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    struct ACL_vector acl;
    struct Stat stat;
    ok(zoo_get_acl(zh, "/p", &acl, &stat));
    eq(acl.count == 1 && acl.data[0].perms == ZOO_PERM_ALL, true, "the creator's ACL");
    eq_str(acl.data[0].id.scheme, "digest", "its scheme");
    eq(strncmp(acl.data[0].id.id, "ann:", 4), 0, "its id");
    deallocate_ACL_vector(&acl);
    int len = 0;
    eq(zoo_get(other, "/p", 0, NULL, &len, NULL), ZNOAUTH, "getData without permission");
    eq(zoo_set(other, "/p", "", 0, -1), ZNOAUTH, "setData without permission");
    eq(zoo_create(other, "/p/x", "", 0, OPEN, 0, NULL, 0), ZNOAUTH, "create without permission");
    eq(zoo_set_acl(other, "/p", -1, OPEN), ZNOAUTH, "setACL without permission");
    eq(zoo_get_acl(other, "/p", &acl, &stat), ZNOAUTH, "getACL without permission");
    eq(zoo_exists(other, "/p", 0, &stat), ZNOAUTH, "exists without permission");
    ok(zoo_set_acl(zh, "/p", 0, &ZOO_READ_ACL_UNSAFE));
    eq(zoo_set_acl(zh, "/p", 0, OPEN), ZNOAUTH, "setACL on what is read-only now");
    ok(zoo_exists(other, "/p", 0, &stat));
    eq(stat.aversion, 1, "aversion");
    struct ACL bad = {ZOO_PERM_ALL, {"nosuch", "x"}};
    struct ACL_vector bad_acl = {1, &bad};
    eq(zoo_create(zh, "/bad", "", 0, &bad_acl, 0, NULL, 0), ZINVALIDACL, "an unknown scheme in an ACL");
    eq(zoo_create(other, "/bad", "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZINVALIDACL, "scheme auth without authentication");
    static struct answer refused;
    struct session session = {0, 0};
    zhandle_t *third = open_handle(30000, NULL, &session);
    ok(zoo_add_auth(third, "nosuch", "x", 1, on_void, &refused));
    wait_for(&refused, ZAUTHFAILED, "authentication by an unknown scheme");
    eventually(zoo_state(third) == ZOO_AUTH_FAILED_STATE);
    zookeeper_close(third);
    ok(zookeeper_close(other));
    ok(zookeeper_close(zh));
}

void judge_transactions(void) {
    zhandle_t *zh = open_plain();
    char first[64], second[64], third[64];
    struct Stat stat, one, two;
    zoo_op_t ops[6];
    zoo_op_result_t results[6];
    zoo_create_op_init(&ops[0], "/t", "0", 1, OPEN, 0, first, sizeof first);
    zoo_create_op_init(&ops[1], "/t/e-", "", 0, OPEN, ZOO_EPHEMERAL_SEQUENTIAL, second, sizeof second);
    zoo_create_op_init(&ops[2], "/t/x", NULL, -1, OPEN, 0, third, sizeof third);
    zoo_set_op_init(&ops[3], "/t", "1", 1, 0, &stat);
    zoo_check_op_init(&ops[4], "/t", 1);
    zoo_delete_op_init(&ops[5], "/t/x", 0);
    ok(zoo_multi(zh, 6, ops, results));
    eq_str(second, "/t/e-0000000000", "the name made in a transaction");
    eq(stat.version, 1, "setData's version in a transaction");
    ok(zoo_exists(zh, "/t", 0, &one));
    ok(zoo_exists(zh, second, 0, &two));
    eq(one.czxid == two.czxid && one.mzxid == two.mzxid && one.pzxid == two.czxid, true, "one zxid for all");
    eq(two.ephemeralOwner, zoo_client_id(zh)->client_id, "the owner");

    zoo_set_op_init(&ops[0], "/t", "2", 1, -1, &stat);
    zoo_check_op_init(&ops[1], "/t", 9);
    zoo_delete_op_init(&ops[2], "/t", -1);
    eq(zoo_multi(zh, 3, ops, results), ZBADVERSION, "a failing transaction");
    eq(results[0].err, ZOK, "the op before the failing one");
    eq(results[1].err, ZBADVERSION, "the failing op");
    eq(results[2].err, ZRUNTIMEINCONSISTENCY, "the op after it");
    ok(zoo_exists(zh, "/t", 0, &two));
    eq(same_stat(&one, &two), true, "the stat after a failed transaction");

    static struct answer async;
    zoo_delete_op_init(&ops[0], second, 0);
    zoo_delete_op_init(&ops[1], "/t", 1);
    ok(zoo_amulti(zh, 2, ops, results, on_void, &async));
    wait_for(&async, ZOK, "zoo_amulti");
    eq(zoo_exists(zh, "/t", 0, &two), ZNONODE, "what a transaction removed");
    ok(zookeeper_close(zh));
}
