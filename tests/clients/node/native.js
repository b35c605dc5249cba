// The binding of the C client: the ops it has, its watches, a restart in the middle of a session.
"use strict";

const assert = require("node:assert/strict");
const { judge, ask, eventually, hosts } = require("./harness");
const ZooKeeper = require("zookeeper").Promise;

async function open(timeout = 30000) {
    const client = new ZooKeeper({ connect: hosts(), timeout, debug_level: ZooKeeper.ZOO_LOG_LEVEL_ERROR, host_order_deterministic: false });
    client.init({});
    await eventually("a session", () => client.state === ZooKeeper.constants.ZOO_CONNECTED_STATE);
    return client;
}

// The promise must be rejected with this code.
async function refused(promise, code, what) {
    const outcome = await promise.then((found) => `answered ${found}`, (error) => error.message);
    assert.ok(outcome.startsWith(`${code} `), `${what}: ${outcome}, expected ${code}`);
}

judge("native_every_op", async () => {
    const zk = await open();
    const { ZOO_EPHEMERAL, ZOO_SEQUENCE, ZNODEEXISTS, ZNONODE, ZNOTEMPTY, ZBADVERSION } = ZooKeeper.constants;
    assert.equal(await zk.create("/n", "one", 0), "/n");
    assert.equal(await zk.create("/n/s-", "", ZOO_SEQUENCE), "/n/s-0000000000");
    assert.equal(await zk.create("/n/es-", "", ZOO_SEQUENCE | ZOO_EPHEMERAL), "/n/es-0000000001");
    await refused(zk.create("/n", "", 0), ZNODEEXISTS, "create of what is there");
    await refused(zk.create("/no/parent", "", 0), ZNONODE, "create without a parent");
    const [stat, data] = await zk.get("/n", false);
    assert.equal(data.toString(), "one");
    assert.equal(stat.numChildren, 2);
    assert.deepEqual((await zk.get_children("/n", false)).sort(), ["es-0000000001", "s-0000000000"]);
    const [names, same] = await zk.get_children2("/n", false);
    assert.equal(names.length, 2);
    assert.equal(same.version, stat.version);
    assert.equal((await zk.set("/n", "two", 0)).version, 1);
    await refused(zk.set("/n", "two", 0), ZBADVERSION, "setData at an old version");
    await refused(zk.delete_("/n", -1), ZNOTEMPTY, "delete with children");
    assert.equal((await zk.get_acl("/n"))[0][0].scheme, "world");
    await zk.set_acl("/n", -1, [{ perms: ZooKeeper.constants.ZOO_PERM_READ, scheme: "world", auth: "anyone" }]);
    await refused(zk.set("/n", "three", -1), ZooKeeper.constants.ZNOAUTH, "setData on what is read-only");
    assert.equal(await zk.pathExists("/n", false), true);
    assert.equal(await zk.pathExists("/none", false), false);
    zk.close();
});

judge("native_watches_and_restart", async () => {
    const [zk, other] = [await open(), await open()];
    const { ZOO_EPHEMERAL, ZOO_CHANGED_EVENT, ZOO_CREATED_EVENT, ZOO_CHILD_EVENT } = ZooKeeper.constants;
    const id = zk.client_id;
    const events = [];
    const note = (type, state, path) => events.push(`${type} ${path}`);
    await zk.create("/r", "", 0);
    await zk.create("/r/mine", "", ZOO_EPHEMERAL);
    await zk.w_get("/r", note);
    await zk.w_get_children("/r", note);
    await zk.w_pathExists("/later", note);
    await ask("kill");
    await eventually("both notice", () => [zk, other].every((it) => it.state !== ZooKeeper.constants.ZOO_CONNECTED_STATE));
    await ask("start");
    await eventually("both are back", async () => {
        const up = (client) => client.state === ZooKeeper.constants.ZOO_CONNECTED_STATE;
        return up(zk) && up(other) && (await zk.exists("/r", false).catch(() => false)) && (await other.exists("/r", false).catch(() => false));
    });
    assert.equal(zk.client_id, id);
    assert.ok(await other.exists("/r/mine", false), "the ephemeral");
    await other.set("/r", "x", -1);
    await other.create("/later", "", 0);
    await other.create("/r/x", "", 0);
    const changes = () => events.filter((it) => !it.startsWith(`${ZooKeeper.constants.ZOO_SESSION_EVENT} `));
    await eventually("three events", () => changes().length === 3);
    assert.deepEqual(changes(), [`${ZOO_CHANGED_EVENT} /r`, `${ZOO_CREATED_EVENT} /later`, `${ZOO_CHILD_EVENT} /r`]);
    zk.close();
    await eventually("the ephemeral is gone", async () => !(await other.pathExists("/r/mine", false)));
    other.close();
});
