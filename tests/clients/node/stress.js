// What a session may rely on, under a random load and through kills: the same rules as the other languages' judges check.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { judge, ask, sleep, eventually, Client, long, zookeeper } = require("./harness");
const { CreateMode, Exception } = zookeeper;

const WORKERS = 4;

// The value, or undefined where the connection, and the outcome with it, was lost.
async function answered(promise) {
    try {
        return await promise;
    } catch (error) {
        if (error.code !== Exception.CONNECTION_LOSS) throw error;
        await sleep(50);
        return undefined;
    }
}

class Worker {
    written = [0, 0]; // the least and the most that the own znode may hold
    sharedZxid = 0n;
    sequence = -1;
    ops = 0;
    watch = null;

    async open(index) {
        this.client = await Client.open(20e3);
        const name = `node-${process.pid}-${index}`;
        this.own = `/stress/own/${name}`;
        this.held = `/stress/eph/${name}`;
        await this.client.create(this.own, "0");
        await this.client.create(this.held, "", CreateMode.EPHEMERAL);
        return this;
    }

    async work(isOver) {
        const steps = ["write", "write", "read", "read", "shared", "shared", "sequential", "pair"];
        for (; !isOver(); this.ops++) await this[steps[Math.floor(Math.random() * steps.length)]]();
    }

    async write() {
        const value = ++this.written[1];
        if (await answered(this.client.call("setData", this.own, Buffer.from(`${value}`)))) this.written[0] = value;
    }

    async read(by = this.client) {
        const found = await answered(by.call("getData", this.own));
        if (!found) return;
        const value = Number(found[0].toString());
        assert.ok(this.written[0] <= value && value <= this.written[1], `${this.own} holds ${value}, expected ${this.written}`);
    }

    async shared() {
        if (Math.random() < 0.5) await answered(this.client.call("setData", "/stress/shared", Buffer.from("node")));
        const watch = this.watch ?? { fired: false };
        const setting = this.watch === null ? [() => (watch.fired = true)] : [];
        const found = await answered(this.client.call("getData", "/stress/shared", ...setting));
        if (!found) return;
        const zxid = long(found[1].mzxid);
        assert.ok(this.sharedZxid <= zxid, `mzxid of the shared znode went from ${this.sharedZxid} back to ${zxid}`);
        this.sharedZxid = zxid;
        if (this.watch === null) {
            this.watch = watch;
            watch.zxid = zxid;
        } else if (watch.zxid !== zxid) {
            await eventually("the shared znode has changed: its watch fires", () => watch.fired);
            this.watch = null;
        }
    }

    async sequential() {
        const path = await answered(this.client.create("/stress/seq/node-", "", CreateMode.EPHEMERAL_SEQUENTIAL));
        if (!path) return;
        const number = Number(path.slice(-10));
        assert.ok(this.sequence < number, `sequence ${number} after ${this.sequence}`);
        this.sequence = number;
        await answered(this.client.call("remove", path));
    }

    // Two znodes that are always made and removed together.
    async pair() {
        const paths = [`${this.own}/one`, `${this.own}/two`];
        const there = [];
        for (const path of paths) there.push(await answered(this.client.exists(path)));
        if (there.includes(undefined)) return;
        assert.equal(there[0] === null, there[1] === null, "both halves of a transaction");
        const transaction = this.client.zk.transaction();
        for (const path of paths) there[0] === null ? transaction.create(path) : transaction.remove(path);
        await answered(this.client.commit(transaction));
    }
}

async function stress(loaded, isOver) {
    const root = await Client.open(20e3);
    for (const path of ["/stress", "/stress/shared", "/stress/seq", "/stress/own", "/stress/eph"]) await root.call("mkdirp", path);
    const crew = [];
    for (let i = 0; i < WORKERS; i++) crew.push(await new Worker().open(i));
    loaded();
    await Promise.all(crew.map((each) => each.work(isOver)));
    await root.back();
    let ops = 0;
    for (const each of crew) {
        await each.client.back();
        assert.ok(!each.client.states.includes("EXPIRED"), "a session lost on the way");
        await each.read(root);
        assert.equal((await root.exists(each.held)).ephemeralOwner.toString("hex"), each.client.id(), "the owner");
        each.client.close();
        await eventually("its ephemeral is gone", async () => (await root.exists(each.held)) === null);
        ops += each.ops;
    }
    console.log(`${ops} operations`);
    root.close();
}

judge("guarantees_through_kills", async () => {
    let [isLoaded, isOver] = [false, false];
    const load = stress(() => (isLoaded = true), () => isOver);
    await Promise.race([eventually("the load flows", () => isLoaded), load]);
    for (let i = 0; i < 2; i++) {
        await sleep(4000);
        await ask("kill");
        await ask("start");
    }
    await sleep(4000);
    isOver = true;
    await load;
});

module.exports.stressWorker = () => stress(() => console.log("loaded"), () => fs.existsSync(process.env.STRESS_UNTIL));
