// Every request of node-zookeeper-client, its answers, its stats and its refusals.
"use strict";

const assert = require("node:assert/strict");
const { judge, eventually, refused, Client, Events, long, zookeeper } = require("./harness");
const { ACL, CreateMode, Exception, Id, Permission } = zookeeper;

async function creates(it) {
    assert.equal(await it.create("/c", "one"), "/c");
    assert.equal(await it.create("/c/s-", "", CreateMode.PERSISTENT_SEQUENTIAL), "/c/s-0000000000");
    assert.equal(await it.create("/c/e", "", CreateMode.EPHEMERAL), "/c/e");
    assert.equal(await it.create("/c/es-", "", CreateMode.EPHEMERAL_SEQUENTIAL), "/c/es-0000000002");
    assert.equal(await it.call("mkdirp", "/deep/er"), "/deep/er");
    await refused(it.create("/c"), Exception.NODE_EXISTS, "create of what is there");
    await refused(it.create("/no/parent"), Exception.NO_NODE, "create without a parent");
    await refused(it.create("/c/e/x"), Exception.NO_CHILDREN_FOR_EPHEMERALS, "a child of an ephemeral");
    await it.call("create", "/c/null", null);
    assert.equal((await it.call("getData", "/c/null"))[0], undefined, "null data");
}

async function reads(it) {
    const [data, stat] = await it.call("getData", "/c");
    assert.equal(data.toString(), "one");
    assert.deepEqual([stat.version, stat.cversion, stat.aversion, stat.dataLength, stat.numChildren], [0, 4, 0, 3, 4]);
    assert.equal(long(stat.czxid), long(stat.mzxid));
    assert.deepEqual(await it.exists("/c"), stat);
    const [names, same] = await it.call("getChildren", "/c");
    assert.deepEqual(names.sort(), ["e", "es-0000000002", "null", "s-0000000000"]);
    assert.deepEqual(same, stat);
    assert.equal((await it.exists("/c/e")).ephemeralOwner.toString("hex"), it.id(), "the ephemeral's owner");
    assert.equal(await it.exists("/none"), null);
    await refused(it.call("getData", "/none"), Exception.NO_NODE, "getData of nothing");
    await refused(it.call("getChildren", "/none"), Exception.NO_NODE, "getChildren of nothing");
    // only one level: with today's `async` the client's own recursion goes no deeper
    assert.deepEqual(await it.call("listSubTreeBFS", "/deep"), ["/deep", "/deep/er"]);
}

async function writes(it) {
    const stat = await it.call("setData", "/c", Buffer.from("three"), 0);
    assert.deepEqual([stat.version, stat.dataLength], [1, 5]);
    assert.ok(long(stat.czxid) < long(stat.mzxid));
    await refused(it.call("setData", "/c", Buffer.from(""), 0), Exception.BAD_VERSION, "setData at an old version");
    await refused(it.call("setData", "/none", Buffer.from("")), Exception.NO_NODE, "setData of nothing");
    const big = Buffer.alloc(1e6, "0123456789");
    await it.call("setData", "/c", big);
    assert.ok(big.equals((await it.call("getData", "/c"))[0]), "a megabyte comes back");
    await refused(it.call("remove", "/c", -1), Exception.NOT_EMPTY, "delete with children");
    await refused(it.call("remove", "/c/e", 4), Exception.BAD_VERSION, "delete at a wrong version");
    await it.call("remove", "/c/e", 0);
    await refused(it.call("remove", "/c/e"), Exception.NO_NODE, "delete of nothing");
    await refused(it.call("remove", "/zookeeper"), Exception.BAD_ARGUMENTS, "delete of /zookeeper");
    await it.call("removeRecursive", "/deep", -1);
    assert.equal(await it.exists("/deep"), null);
    const all = await Promise.all(Array.from({ length: 500 }, (_, i) => it.call("setData", "/c/null", Buffer.from(`${i}`))));
    assert.deepEqual(all.map((each) => each.version), all.map((_, i) => i + 1), "versions of 500 writes in flight");
}

judge("every_op", async () => {
    const it = await Client.open();
    await creates(it);
    await reads(it);
    await writes(it);
    it.close();
});

judge("acls_and_auth", async () => {
    const [it, other] = [await Client.open(), await Client.open()];
    it.zk.addAuthInfo("digest", Buffer.from("ann:secret"));
    await it.call("create", "/p", Buffer.from("mine"), ACL.CREATOR_ALL_ACL);
    const [acls, stat] = await it.call("getACL", "/p");
    assert.equal(acls.length, 1);
    assert.deepEqual([acls[0].permission, acls[0].id.scheme, acls[0].id.id.split(":")[0], stat.aversion], [31, "digest", "ann", 0]);
    await refused(other.call("getData", "/p"), Exception.NO_AUTH, "getData without permission");
    await refused(other.call("setData", "/p", Buffer.from("")), Exception.NO_AUTH, "setData without permission");
    await refused(other.call("getACL", "/p"), Exception.NO_AUTH, "getACL without permission");
    await refused(other.call("setACL", "/p", ACL.OPEN_ACL_UNSAFE, -1), Exception.NO_AUTH, "setACL without permission");
    await refused(other.exists("/p"), Exception.NO_AUTH, "exists without permission");
    const readable = [new ACL(Permission.READ, new Id("world", "anyone")), ...acls];
    assert.equal((await it.call("setACL", "/p", readable, 0)).aversion, 1);
    await refused(it.call("setACL", "/p", readable, 0), Exception.BAD_VERSION, "setACL at an old version");
    assert.equal((await other.call("getACL", "/p"))[0][1].id.id, "ann:x", "a masked digest");
    await it.cut();
    it.mend();
    await it.back();
    await it.call("setData", "/p", Buffer.from("authenticated again after a reconnect"));
    const bad = [new ACL(Permission.ALL, new Id("nosuch", "x"))];
    await refused(other.call("create", "/bad", Buffer.from(""), bad), Exception.INVALID_ACL, "an unknown scheme");
    await refused(other.call("create", "/bad", Buffer.from(""), ACL.CREATOR_ALL_ACL), Exception.INVALID_ACL, "nobody's creator");
    other.zk.addAuthInfo("nosuch", Buffer.from("x"));
    await eventually("a failed authentication", () => other.states.includes("AUTH_FAILED"));
    it.close();
});

judge("transactions", async () => {
    const it = await Client.open();
    let results = await it.commit(
        it.zk
            .transaction()
            .create("/t", Buffer.from("0"))
            .create("/t/s-", CreateMode.EPHEMERAL_SEQUENTIAL)
            .setData("/t", Buffer.from("1"), 0)
            .check("/t", 1)
            .create("/t/x")
            .remove("/t/x"),
    );
    assert.equal(results.length, 6);
    assert.equal(results[1].path, "/t/s-0000000000");
    assert.equal(results[2].stat.version, 1);
    const stat = await it.exists("/t");
    assert.deepEqual([long(stat.mzxid), long(stat.pzxid)], [long(stat.czxid), long(stat.czxid)], "one zxid for all");
    const failing = it.zk.transaction().setData("/t", Buffer.from("2")).check("/t", 9).remove("/t");
    const failure = await it.commit(failing).catch((error) => error);
    assert.equal(failure.code, Exception.BAD_VERSION);
    assert.deepEqual(failure.results.map((each) => each.err), [0, Exception.BAD_VERSION, Exception.RUNTIME_INCONSISTENCY]);
    assert.deepEqual(await it.exists("/t"), stat, "the stat after a failed transaction");
    assert.deepEqual(await it.commit(it.zk.transaction()), []);
    it.close();
});

judge("watches", async () => {
    const [it, other, events] = [await Client.open(), await Client.open(), new Events()];
    assert.equal(await it.exists("/w", events.watch), null);
    await other.create("/w");
    await events.expect("NODE_CREATED /w");
    await it.call("getData", "/w", events.watch);
    await other.call("setData", "/w", Buffer.from("1"));
    await events.expect("NODE_DATA_CHANGED /w");
    await it.call("getChildren", "/w", events.watch);
    await other.call("setData", "/w", Buffer.from("2"));
    await events.expectNone(it);
    await other.create("/w/a");
    await events.expect("NODE_CHILDREN_CHANGED /w");
    await it.call("getChildren", "/w", events.watch);
    await other.call("remove", "/w/a");
    await events.expect("NODE_CHILDREN_CHANGED /w");
    const child = new Events();
    await it.exists("/w", events.watch);
    await it.call("getChildren", "/w", child.watch);
    await other.call("remove", "/w");
    await events.expect("NODE_DELETED /w");
    await child.expect("NODE_DELETED /w");
    it.close();
    other.close();
});
