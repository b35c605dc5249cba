// What every judge here uses: clients with promises, assertions that say what was expected, and the words to the harness.
"use strict";

const assert = require("node:assert/strict");
const readline = require("node:readline");
const zookeeper = require("node-zookeeper-client");

// Milliseconds that anything may take that is waited for: it costs nothing where all is well.
const PATIENCE = 60e3;

const judges = new Map();
let hosts;

// Registers a judge; its name stands at the start of a line, where `judge list` looks for it.
function judge(name, run) {
    judges.set(name, run);
}

const answers = [];
const waiting = [];
readline.createInterface({ input: process.stdin }).on("line", (line) => {
    if (waiting.length) waiting.shift()(line);
    else answers.push(line);
});

// Asks the harness for restart, kill, stop or start; resolves when done.
async function ask(action) {
    process.stdout.write(`@${action}\n`);
    const answer = answers.length ? answers.shift() : await new Promise((resolve) => waiting.push(resolve));
    assert.equal(answer, "ok", `the harness's answer to @${action}`);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits until the condition, which may be asynchronous, gives something true, and gives that.
async function eventually(what, condition) {
    const end = Date.now() + PATIENCE;
    for (;;) {
        const value = await condition();
        if (value) return value;
        if (end < Date.now()) assert.fail(`not within ${PATIENCE} ms: ${what}`);
        await sleep(10);
    }
}

// Milliseconds by which a session may outlive its timeout: it ends with a tick of the server's clock, which is half a second here.
const TICKS = 1600;

// Waits until the condition holds, which must come within so many milliseconds of `began`. What the machine is late is not counted: twice the
// longest turn of a write and a look, which is nothing where all is well. Gives how long it took.
async function atLast(what, client, began, ms, condition) {
    for (let longest = 0, turn = Date.now(); ; ) {
        await client.call("setData", "/", Buffer.from(""));
        const [done, now] = [condition(), Date.now()];
        longest = Math.max(longest, now - turn);
        turn = now;
        const took = now - began;
        assert.ok(took <= ms + 2 * longest, `${what}: after ${took} ms, not ${ms}; turns took up to ${longest} ms`);
        if (done) return took;
        await sleep(20);
    }
}

// The promise must be rejected with this ZooKeeper code.
async function refused(promise, code, what) {
    let found;
    try {
        found = await promise;
    } catch (error) {
        assert.equal(error.code, code, `${what}: ${error}`);
        return;
    }
    assert.fail(`${what}: answered ${JSON.stringify(found)}, expected code ${code}`);
}

// A client of node-zookeeper-client: its calls as promises, its states, and a way to cut it.
class Client {
    constructor(sessionTimeout, options) {
        this.zk = zookeeper.createClient(hosts, { sessionTimeout, spinDelay: 50, retries: 0, ...options });
        this.states = [];
        this.zk.on("state", (state) => this.states.push(state.getName()));
        if (process.env.JUDGE_SERVER === "reference") this.nudge();
    }

    // A connection that reaches the reference while it starts may stay open without an answer, and this client then waits for ever.
    nudge() {
        let last;
        setInterval(() => {
            const { socket, state } = this.zk.connectionManager;
            if (state === 1 && socket === last) socket?.destroy();
            last = state === 1 ? socket : undefined;
        }, 1500).unref();
    }

    static async open(sessionTimeout = 30e3, options = {}) {
        const client = new Client(sessionTimeout, options);
        client.zk.connect();
        await client.back();
        return client;
    }

    // Calls a method of the client with a callback; several results come as an array.
    call(method, ...args) {
        return new Promise((resolve, reject) => {
            this.zk[method](...args, (error, ...results) => {
                if (error) reject(error);
                else resolve(results.length > 1 ? results : results[0]);
            });
        });
    }

    create(path, data = "", mode = zookeeper.CreateMode.PERSISTENT) {
        return this.call("create", path, Buffer.from(data), mode);
    }

    // The stat, or null.
    exists(path, watcher = null) {
        return this.call("exists", path, watcher);
    }

    commit(transaction) {
        return new Promise((resolve, reject) => {
            transaction.commit((error, results) => (error ? reject(Object.assign(error, { results })) : resolve(results)));
        });
    }

    id() {
        return this.zk.getSessionId().toString("hex");
    }

    connected() {
        return this.zk.getState() === zookeeper.State.SYNC_CONNECTED;
    }

    back() {
        return eventually("a session", () => this.connected());
    }

    noticed() {
        return eventually("the end of the server is noticed", () => !this.connected());
    }

    async cut() {
        const manager = this.zk.connectionManager;
        this.servers = manager.servers;
        manager.servers = [{ host: "127.0.0.1", port: 1 }];
        manager.socket.destroy();
        await eventually("the cut is noticed", () => !this.connected());
    }

    mend() {
        this.zk.connectionManager.servers = this.servers;
    }

    close() {
        this.zk.close();
    }
}

// A number that the client gives as eight bytes.
const long = (bytes) => bytes.readBigInt64BE(0);

// Watch events as `TYPE path`.
class Events {
    seen = [];
    watch = (event) => this.seen.push(`${event.getName()} ${event.getPath()}`);

    // Exactly these have come; they are forgotten.
    async expect(...wanted) {
        await eventually(`events ${wanted}`, () => this.seen.length >= wanted.length);
        assert.deepEqual(this.seen, wanted);
        this.seen = [];
    }

    // A write and a read later there is still none.
    async expectNone(client) {
        await client.call("setData", "/", Buffer.from(""));
        await client.exists("/");
        assert.deepEqual(this.seen, []);
    }
}

module.exports = { judge, judges, ask, sleep, eventually, atLast, TICKS, refused, Client, Events, long, zookeeper };
module.exports.setHosts = (value) => (hosts = value);
module.exports.hosts = () => hosts;
