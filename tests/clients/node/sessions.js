// Sessions of node-zookeeper-client, which greets as clients before 3.4 do: through restarts and cuts, refused, expired.
"use strict";

const assert = require("node:assert/strict");
const { judge, ask, sleep, eventually, atLast, TICKS, Client, Events, zookeeper } = require("./harness");
const { CreateMode } = zookeeper;

// Makes /d, /gone, /k, /same; gives the events of watches on them and on /new, which is not there.
async function watched(it) {
    const events = {};
    for (const path of ["/d", "/gone", "/k", "/same", "/new"]) {
        events[path] = new Events();
        if (path !== "/new") await it.create(path);
        if (path === "/k") await it.call("getChildren", path, events[path].watch);
        else await it.exists(path, events[path].watch);
    }
    return events;
}

async function changeAll(other, events, between) {
    await other.call("setData", "/d", Buffer.from("x"));
    await other.call("remove", "/gone");
    await other.create("/k/x");
    await other.create("/new");
    await between();
    await events["/d"].expect("NODE_DATA_CHANGED /d");
    await events["/gone"].expect("NODE_DELETED /gone");
    await events["/k"].expect("NODE_CHILDREN_CHANGED /k");
    await events["/new"].expect("NODE_CREATED /new");
}

judge("watches_catch_up", async () => {
    const [it, other] = [await Client.open(), await Client.open()];
    const events = await watched(it);
    await it.cut();
    await changeAll(other, events, async () => {
        it.mend();
        await it.back();
    });
    await events["/same"].expectNone(it);
    await other.call("setData", "/same", Buffer.from("x"));
    await events["/same"].expect("NODE_DATA_CHANGED /same");
    it.close();
    other.close();
});

async function outlives(...ends) {
    const [it, other] = [await Client.open(20e3), await Client.open(20e3)];
    const id = it.id();
    await it.create("/s", "kept");
    await it.create("/s/mine", "", CreateMode.EPHEMERAL);
    await Promise.all(Array.from({ length: 100 }, () => it.create("/s/n-", "x", CreateMode.PERSISTENT_SEQUENTIAL)));
    const events = await watched(it);
    const before = await it.exists("/s");
    for (const end of ends) {
        await ask(end);
        await it.noticed();
        await other.noticed();
        await ask("start");
        await it.back();
        await other.back();
    }
    const [data, after] = await it.call("getData", "/s");
    assert.equal(data.toString(), "kept");
    assert.deepEqual(after, before, "the stat after the restart");
    assert.equal(it.id(), id, "the session");
    assert.ok(!it.states.includes("EXPIRED"), "expired on the way");
    assert.equal((await it.exists("/s/mine")).ephemeralOwner.toString("hex"), id, "the ephemeral's owner");
    for (const each of Object.values(events)) await each.expectNone(it);
    await changeAll(other, events, async () => {});
    assert.equal(await other.create("/s/n-", "", CreateMode.PERSISTENT_SEQUENTIAL), "/s/n-0000000101");
    it.close();
    await eventually("the ephemeral is gone", async () => (await other.exists("/s/mine")) === null);
    other.close();
}

judge("restart_in_mid_session", () => outlives("stop"));

judge("kill_in_mid_session", () => outlives("kill", "kill"));

judge("saved_session", async () => {
    const [it, other] = [await Client.open(), await Client.open()];
    await it.create("/saved", "", CreateMode.EPHEMERAL);
    const saved = { sessionId: it.zk.getSessionId(), sessionPassword: it.zk.getSessionPassword() };
    await it.cut();
    const wrong = new Client(30e3, { ...saved, sessionPassword: Buffer.alloc(16, 7) });
    wrong.zk.connect();
    await eventually("a wrong password is refused", () => wrong.states.includes("EXPIRED"));
    assert.ok(await other.exists("/saved"), "the session after a wrong password");
    const again = await Client.open(30e3, saved);
    assert.equal(again.id(), it.id());
    assert.equal((await again.exists("/saved")).ephemeralOwner.toString("hex"), it.id());
    again.close();
    await eventually("the ephemeral is gone", async () => (await other.exists("/saved")) === null);
    it.mend();
    await eventually("the first is told", () => it.states.includes("EXPIRED"));
    other.close();
});

judge("expiry", async () => {
    const [it, other, events] = [await Client.open(4000), await Client.open(), new Events()];
    assert.equal(it.zk.getSessionTimeout(), 4000);
    await it.create("/held", "", CreateMode.EPHEMERAL);
    await sleep(7000);
    assert.ok(await other.exists("/held", events.watch), "the ephemeral while its client pings");
    const began = Date.now();
    await it.exists("/held");
    await it.cut();
    // Until the cut it may have been heard of.
    await atLast("the ephemeral is gone", other, Date.now(), 4000 + TICKS, () => events.seen.length > 0);
    const took = Date.now() - began;
    await events.expect("NODE_DELETED /held");
    console.log(`timeout 4000 ms, gone ${took} ms after a last sign of life`);
    assert.ok(3900 <= took, `expired ${took} ms after a sign of life, expected 4000 at least`);
    it.mend();
    await eventually("the client is told", () => it.states.includes("EXPIRED"));
    other.close();
});
