// Runs one judge (or `all`, one after the other, on one server).
"use strict";

const { judges, setHosts } = require("./harness");
require("./ops");
require("./sessions");
require("./native");
const { stressWorker } = require("./stress");

const [name, hosts] = process.argv.slice(2);
setHosts(hosts);
setTimeout(() => {
    console.log("not done after 280 s");
    process.exit(1);
}, 280e3);

async function main() {
    if (name === "stress_worker") return stressWorker();
    const chosen = [...judges].filter(([each]) => name === "all" || each === name);
    if (chosen.length === 0) throw new Error(`no judge of the name ${name}`);
    for (const [each, run] of chosen) {
        const began = Date.now();
        await run();
        console.log(`${each}: passed in ${Date.now() - began} ms`);
    }
}

process.on("unhandledRejection", (error) => {
    console.log(error);
    process.exit(1);
});
main().then(
    () => process.exit(0),
    (error) => {
        console.log(error);
        process.exit(1);
    },
);
