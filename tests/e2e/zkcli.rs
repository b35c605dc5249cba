//! Stories told to real shells of 3.9.5 through their standard input, line by line.
//!
//! The first is the master and its workers, in four shells; the second walks through the commands of one.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::trial;
use crate::process::{PATIENCE, Patience, Process, Talk};
use crate::server::{FOR_JUDGES, Server, tests_dir};

/// The stories.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        told("zkcli_master_and_workers", master_and_workers),
        told("zkcli_walks_through_its_commands", commands),
    ]
}

fn told(name: &str, story: fn(&Server) -> anyhow::Result<()>) -> Trial {
    trial(name, move || story(&Server::start(FOR_JUDGES)?))
}

/// One shell, and what it has said.
pub(crate) struct Shell {
    name: &'static str,
    process: Process,
    stdin: Option<ChildStdin>,
    said: Arc<Mutex<String>>,
    /// How much of `said` was waited for already.
    heard: usize,
    /// The number in the prompt that follows the next answer.
    prompt: u32,
}

impl Shell {
    pub(crate) fn open(
        name: &'static str,
        address: SocketAddr,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        // What it says of a change comes on standard error, the rest on standard output: one ear for both.
        let mut command = Command::new("bash");
        command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(tests_dir().join("reference/zkcli"));
        // Or its first prompt may come before its connection, and there is no other.
        command.args(["-waitforconnection", "-server", &address.to_string()]);
        command.env("JVMFLAGS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC");
        let log = dir.join("zkcli.log");
        let mut process = Process::spawn(&command, Talk::Pipes, &log)?;
        let (stdin, mut stdout) = process.pipes();
        let said = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]);
                sink.lock().expect("nobody panics with it").push_str(&text);
            }
        });
        let stdin = Some(stdin);
        let mut shell = Self { name, process, stdin, said, heard: 0, prompt: 0 };
        shell.hear("state:SyncConnected type:None")?;
        shell.hear("(CONNECTED) 0] ")?;
        Ok(shell)
    }

    /// Types a line and returns what the shell says up to its next prompt.
    fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        self.type_in(line)?;
        self.prompt += 1;
        self.hear(&format!("(CONNECTED) {}] ", self.prompt))
    }

    /// As [`Self::ask`]; the answer must contain `expected`.
    pub(crate) fn expect(&mut self, line: &str, expected: &str) -> anyhow::Result<()> {
        let answer = self.ask(line)?;
        let name = self.name;
        ensure!(answer.contains(expected), "{name}> {line}\nno `{expected}` in\n{answer}");
        Ok(())
    }

    /// Waits for an event of this type and path.
    pub(crate) fn event(&mut self, event: &str, path: &str) -> anyhow::Result<()> {
        self.hear(&format!("WatchedEvent state:SyncConnected type:{event} path:{path} zxid: "))?;
        Ok(())
    }

    /// Types `quit`, which closes the session, and waits for the end.
    pub(crate) fn quit(&mut self) -> anyhow::Result<()> {
        self.type_in("quit")?;
        self.stdin = None;
        let status = self.process.wait(PATIENCE)?;
        ensure!(status.is_some_and(|it| it.success()), "{} quits with {status:?}", self.name);
        Ok(())
    }

    fn type_in(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("the shell has quit")?;
        writeln!(stdin, "{line}").with_context(|| format!("{} does not listen", self.name))
    }

    /// Waits until `expected` is said, beyond what was heard already, and returns all up to there.
    fn hear(&mut self, expected: &str) -> anyhow::Result<String> {
        let patience = Patience::begin();
        loop {
            let said = self.said.lock().expect("nobody panics with it");
            if let Some(found) = said[self.heard..].find(expected) {
                let until = self.heard + found + expected.len();
                let heard = said[self.heard..until].to_owned();
                self.heard = until;
                return Ok(heard);
            }
            let (name, new) = (self.name, &said[self.heard..]);
            ensure!(!patience.is_over(), "{name} does not say `{expected}` but\n{new}");
            drop(said);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn master_and_workers(server: &Server) -> anyhow::Result<()> {
    let open = |name| Shell::open(name, server.address(), server.dir());
    let (mut first, mut second) = (open("first")?, open("second")?);

    // Who is master? Whoever creates /master; the other watches.
    first.expect("create -e /master \"master1.example.com:2223\"", "Created /master")?;
    first.expect("ls /", "[master, zookeeper]")?;
    first.expect("get /master", "master1.example.com:2223")?;
    second
        .expect("create -e /master \"master2.example.com:2223\"", "Node already exists: /master")?;
    second.expect("stat -w /master", "ephemeralOwner = 0x1")?;
    first.quit()?;
    second.event("NodeDeleted", "/master")?;
    second.expect("ls /", "[zookeeper]")?;
    second.expect("create -e /master \"master2.example.com:2223\"", "Created /master")?;
    for parent in ["/workers", "/tasks", "/assign"] {
        second.expect(&format!("create {parent} \"\""), &format!("Created {parent}"))?;
    }
    second.expect("ls /", "[assign, master, tasks, workers, zookeeper]")?;
    second.expect("ls -w /workers", "[]")?;
    second.expect("ls -w /tasks", "[]")?;

    // A worker comes, makes room for its assignments and watches it.
    let mut worker = open("worker")?;
    let me = "worker1.example.com";
    let created = format!("Created /workers/{me}");
    worker.expect(&format!("create -e /workers/{me} \"{me}:2224\""), &created)?;
    second.event("NodeChildrenChanged", "/workers")?;
    second.expect("ls -w /workers", &format!("[{me}]"))?;
    worker.expect(&format!("create /assign/{me} \"\""), &format!("Created /assign/{me}"))?;
    worker.expect(&format!("ls -w /assign/{me}"), "[]")?;

    // A client asks for something and watches for its status.
    let mut client = open("client")?;
    client.expect("create -s /tasks/task- \"cmd\"", "Created /tasks/task-0000000000")?;
    client.expect("ls -w /tasks/task-0000000000", "[]")?;

    // The master assigns, the worker works and reports, the client reads.
    second.event("NodeChildrenChanged", "/tasks")?;
    second.expect("ls -w /tasks", "[task-0000000000]")?;
    second.expect("ls /workers", &format!("[{me}]"))?;
    let assigned = format!("/assign/{me}/task-0000000000");
    second.expect(&format!("create {assigned} \"\""), &format!("Created {assigned}"))?;
    worker.event("NodeChildrenChanged", &format!("/assign/{me}"))?;
    worker.expect(&format!("ls /assign/{me}"), "[task-0000000000]")?;
    worker.expect("get /tasks/task-0000000000", "cmd")?;
    let status = "/tasks/task-0000000000/status";
    worker.expect(&format!("create {status} \"done\""), &format!("Created {status}"))?;
    client.event("NodeChildrenChanged", "/tasks/task-0000000000")?;
    client.expect("get /tasks/task-0000000000", "cmd")?;
    client.expect(&format!("get {status}"), "done")?;
    client.expect("create -s /tasks/task- \"next\"", "Created /tasks/task-0000000001")?;
    second.event("NodeChildrenChanged", "/tasks")?;

    // The worker leaves; the master sees it.
    worker.quit()?;
    second.event("NodeChildrenChanged", "/workers")?;
    second.expect("ls /workers", "[]")?;
    client.quit()?;
    second.quit()
}

fn commands(server: &Server) -> anyhow::Result<()> {
    let mut shell = Shell::open("shell", server.address(), server.dir())?;
    let lines: [(&str, &str); 56] = [
        ("version", "ZooKeeper CLI version: 3.9.5"),
        ("whoami", "ip: 127.0.0.1"),
        ("create /a one", "Created /a"),
        ("create /a two", "Node already exists: /a"),
        ("create /none/b", "Node does not exist: /none/b"),
        ("create /a/", "Path must not end with / character"),
        ("create -c /a/c", "Created /a/c"),
        ("create -t 3600000 /a/t soon", "Created /a/t"),
        ("create -s -e /a/e- x", "Created /a/e-0000000002"),
        ("create /a/e-0000000002/no", "Ephemerals cannot have children: /a/e-0000000002/no"),
        ("ls /a", "[c, e-0000000002, t]"),
        ("ls -R /a", "/a\n/a/c\n/a/e-0000000002\n/a/t"),
        ("ls -s /a", "cversion = 3"),
        ("ls /none", "Node does not exist: /none"),
        ("get /a", "one"),
        ("get -s /a", "dataVersion = 0"),
        ("set -s /a three", "dataVersion = 1"),
        ("set -v 0 /a four", "version No is not valid : /a"),
        ("set -v 1 /a four", ""),
        ("get -s /a", "dataLength = 4"),
        ("get /none", "Node does not exist: /none"),
        ("stat /a", "numChildren = 3"),
        ("stat /none", "Node does not exist: /none"),
        ("getAcl /a", "'world,'anyone\n: cdrwa"),
        ("setAcl -s /a world:anyone:cdrwa", "aclVersion = 1"),
        ("setAcl -v 0 /a world:anyone:r", "version No is not valid : /a"),
        ("getEphemerals", "[/a/e-0000000002]"),
        ("getAllChildrenNumber /a", "3"),
        ("sync /a", "Sync is OK"),
        ("config", ""),
        ("setquota -n 5 /a", ""),
        ("listquota /a", "Output quota for /a count=5,bytes=-1"),
        ("listquota /a", "Output stat for /a count=4,bytes="),
        ("delquota /a", ""),
        ("listquota /a", "quota for /a does not exist."),
        ("addWatch -m PERSISTENT_RECURSIVE /a", ""),
        ("create /a/new", "Created /a/new"),
        ("set /a/new x", ""),
        ("delete -v 7 /a/new", "version No is not valid : /a/new"),
        ("delete -v 1 /a/new", ""),
        ("removewatches /a", ""),
        ("removewatches /a", "No such watcher"),
        ("delete /a", "Node not empty: /a"),
        ("delete /none", "Node does not exist: /none"),
        ("addauth digest judge:secret", ""),
        ("whoami", "digest: judge"),
        ("create /b", "Created /b"),
        ("setAcl /b auth::r", ""),
        ("set /b x", "Insufficient permission : /b"),
        ("getAcl /b", "'digest,'judge:x\n: r"),
        ("create /b/kid", "Insufficient permission : /b/kid"),
        ("deleteall /a", ""),
        ("ls /", "[b, zookeeper]"),
        ("reconfig -remove 1", "Reconfig is disabled"),
        ("delete /zookeeper/quota", "Arguments are not valid : /zookeeper/quota"),
        ("history", "55 - history"),
    ];
    for (line, expected) in lines {
        shell.expect(line, expected)?;
    }
    shell.quit()
}
