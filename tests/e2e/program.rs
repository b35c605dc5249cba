//! The program as an operator meets it: what it says, how it refuses, how it stops. Ours only.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::trial;
use crate::process::{PATIENCE, Process, Talk, tail, until, until_some};
use crate::server::{Kind, Server, binary, four_letters, free_port};
use crate::wire::{Body, Client, op};

/// A quota would be exceeded.
const QUOTA_EXCEEDED: i32 = -125;

type Story = fn() -> anyhow::Result<()>;

/// Nothing of the reference server is judged by these.
pub(crate) fn trials() -> Vec<Trial> {
    let stories: [(&str, Story); 12] = [
        ("a_port_in_use_is_named", port_in_use),
        ("a_member_waits_for_its_election_port_until_it_is_told_to_stop", election_port_in_use),
        ("a_data_directory_in_use_is_named", data_in_use),
        ("a_start_right_behind_a_kill_waits_for_the_end_of_the_killed", start_behind_kill),
        ("a_data_directory_that_cannot_be_is_named", data_unusable),
        ("sigterm_stops_it_quickly_and_keeps_everything", sigterm),
        ("an_unknown_key_warns_and_a_bad_value_ends", configuration),
        ("a_zoo_cfg_of_many_capabilities_starts", foreign_configuration),
        ("the_line_at_start_says_the_port", start_line),
        ("help_is_complete", help),
        ("inspect_reads_a_running_server", inspect),
        ("a_quota_that_is_exceeded_is_logged_and_not_for_each_request", quota),
    ];
    let named = |(name, story): (&str, Story)| {
        let trial = trial(&format!("program_{name}"), story);
        trial.with_ignored_flag(Kind::chosen() == Kind::Reference)
    };
    stories.into_iter().map(named).collect()
}

/// Runs the program until it ends by itself.
fn run(args: &[&str], dir: &Path) -> anyhow::Result<(Option<i32>, String)> {
    let mut command = Command::new(binary());
    command.args(args).current_dir(dir);
    let log = dir.join("run.log");
    fs::write(&log, "")?;
    let status = Process::spawn(&command, Talk::Log, &log)?.wait(PATIENCE)?;
    let said = tail(&log, 10_000);
    let status = status.with_context(|| format!("{args:?} does not end\n{said}"))?;
    Ok((status.code(), said))
}

/// The program refuses, with this exit code, and says each of these.
fn refuses(args: &[&str], code: i32, words: &[&str]) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (status, said) = run(args, dir.path())?;
    ensure!(status == Some(code), "{args:?} ends with {status:?}, not {code}\n{said}");
    for word in words {
        ensure!(said.contains(word), "{args:?} does not say `{word}`\n{said}");
    }
    Ok(())
}

fn port_in_use() -> anyhow::Result<()> {
    let server = Server::start("")?;
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let port = server.address().port().to_string();
    let data = data.to_str().context("a path of ASCII")?;
    refuses(&["server", "--data-dir", data, "--client-port", &port], 1, &[&port])?;
    Client::connect(server.address())?.ask(op::EXISTS, &Body::default().buffer(b"/").byte(0))?;
    Ok(())
}

/// Waits until the log has a line with this.
fn await_line(log: &Path, what: &str) -> anyhow::Result<()> {
    until(format!("said: {what}"), || Ok(tail(log, u64::MAX).contains(what)))
        .with_context(|| tail(log, 10_000))
}

/// Two tries end the server; without an end of tries, a signal does; and it starts once the port is free.
fn election_port_in_use() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let (election, quorum, client) = (taken.local_addr()?.port(), free_port()?, free_port()?);
    fs::create_dir(dir.path().join("data"))?;
    fs::write(dir.path().join("data/myid"), "1")?;
    let config = |tries: u32| {
        let text = format!(
            "dataDir=data\nclientPort={client}\ninitLimit=10\nsyncLimit=5\nelectionPortBindRetry={tries}\n\
             server.1=127.0.0.1:{quorum}:{election}\nserver.2=127.0.0.1:1:2\n"
        );
        fs::write(dir.path().join("zoo.cfg"), text)
    };
    let args = ["server", "--config", "zoo.cfg"];
    config(2)?;
    let (status, said) = run(&args, dir.path())?;
    ensure!(status == Some(14), "{status:?}\n{said}");
    ensure!(said.contains("try 1 of 2"), "{said}");
    config(0)?;
    let log = dir.path().join("run.log");
    fs::write(&log, "")?;
    let mut command = Command::new(binary());
    command.args(args).current_dir(dir.path());
    let mut waiting = Process::spawn(&command, Talk::Log, &log)?;
    await_line(&log, "try 2 of 0")?;
    waiting.terminate()?;
    let status = waiting.wait(PATIENCE)?.context("it does not hear the signal")?;
    ensure!(status.code() == Some(0), "{status:?}\n{}", tail(&log, 10_000));
    let mut waiting = Process::spawn(&command, Talk::Log, &log)?;
    await_line(&log, "try 3 of 0")?;
    drop(taken);
    await_line(&log, "listening on")?;
    waiting.terminate()?;
    let status = waiting.wait(PATIENCE)?.context("it does not hear the signal")?;
    ensure!(status.code() == Some(0), "{status:?}\n{}", tail(&log, 10_000));
    Ok(())
}

fn data_in_use() -> anyhow::Result<()> {
    let server = Server::start("")?;
    let data = server.dir().join("data");
    let data = data.to_str().context("a path of ASCII")?;
    let port = free_port()?.to_string();
    refuses(&["server", "--data-dir", data, "--client-port", &port], 3, &[data])
}

/// As a supervisor does that does not wait. Of the start itself nothing is printed but what any start prints.
fn start_behind_kill() -> anyhow::Result<()> {
    let mut server = Server::start("")?;
    let mut all = Vec::new();
    for round in 0..8 {
        let path = format!("/before-{round}");
        let create = Body::default().create(&path, b"", 0);
        let answer = Client::connect(server.address())?.ask(op::CREATE, &create)?;
        ensure!(answer.err == 0, "the create of {path}: {}", answer.err);
        all.push(path);
        let mut killed = server.kill_behind()?;
        server.begin().with_context(|| format!("start {round}"))?;
        ensure!(killed.wait(PATIENCE)?.is_some(), "the killed process did not end");
        let serves =
            || Ok(four_letters(server.address(), "srvr").is_ok_and(|it| it.contains("Mode: ")));
        server.until("it serves", serves)?;
        let mut client = Client::connect(server.address())?;
        for path in &all {
            let answer =
                client.ask(op::EXISTS, &Body::default().buffer(path.as_bytes()).byte(0))?;
            ensure!(answer.err == 0, "{path} after start {round}: {}", answer.err);
        }
    }
    Ok(())
}

fn data_unusable() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    fs::write(&file, "no directory")?;
    let data = file.join("data");
    let data = data.to_str().context("a path of ASCII")?;
    refuses(&["server", "--data-dir", data, "--client-port", "0"], 3, &[data])
}

fn sigterm() -> anyhow::Result<()> {
    let mut server = Server::start("maxClientCnxns=0\n")?;
    let mut clients = Vec::new();
    for number in 0..200 {
        let mut client = Client::connect(server.address())?;
        let path = format!("/z{number}");
        let reply = client.ask(op::CREATE, &Body::default().create(&path, b"x", 0))?;
        ensure!(reply.err == 0, "create: {}", reply.err);
        clients.push(client);
    }
    let took = server.stop()?;
    // It waits for no session to end: theirs are of forty seconds at least.
    ensure!(took < Duration::from_secs(20), "SIGTERM took {took:?}\n{}", server.log());
    ensure!(
        server.last_exit() == Some(0),
        "it ended with {:?}\n{}",
        server.last_exit(),
        server.log()
    );
    server.begin()?;
    let last = &clients[199];
    let seen = Client::resume(server.address(), &last.session, 0)?;
    let mut client = seen.context("the session is lost")?;
    for number in 0..200 {
        let body = Body::default().buffer(format!("/z{number}").as_bytes()).byte(0);
        let reply = client.ask(op::EXISTS, &body)?;
        ensure!(reply.err == 0, "/z{number} after the restart: {}", reply.err);
    }
    Ok(())
}

fn configuration() -> anyhow::Result<()> {
    let server = Server::start("noSuchKey=1\nsnapCount=5000\n")?;
    ensure!(server.log().contains("noSuchKey"), "no warning\n{}", server.log());
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("zoo.cfg");
    let data = dir.path().join("data");
    fs::write(&file, format!("# three lines\ndataDir={}\ntickTime=soon\n", data.display()))?;
    let file = file.to_str().context("a path of ASCII")?;
    refuses(&["server", "--config", file], 2, &[file, "line 3", "tickTime", "soon"])?;
    refuses(&["server", "--config", "/no/such/zoo.cfg"], 2, &["/no/such/zoo.cfg"])?;
    refuses(&["--no-such-flag"], 2, &["--no-such-flag"])
}

fn foreign_configuration() -> anyhow::Result<()> {
    let server = Server::start(
        "initLimit=10\nsyncLimit=5\nserverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\nadmin.serverPort=8080\n\
         autopurge.snapRetainCount=3\nautopurge.purgeInterval=1\npreAllocSize=1024\nlocalSessionsEnabled=true\n\
         standaloneEnabled=true\nreconfigEnabled=false\nmetricsProvider.exportJvmInfo=true\nquorumListenOnAllIPs=false\n\
         zookeeper.extendedTypesEnabled=true\nzookeeper.superUser=x\nssl.quorum.keyStore.location=/none\n",
    )?;
    let text = four_letters(server.address(), "srvr")?;
    ensure!(text.contains("Mode: standalone"), "{text}");
    Ok(())
}

fn start_line() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(binary());
    command.args(["server", "--client-port", "0"]).current_dir(dir.path());
    let log = dir.path().join("server.log");
    let mut process = Process::spawn(&command, Talk::Log, &log)?;
    let port = until_some("a whole line with a port", || {
        let said = tail(&log, u64::MAX);
        let port = said.split("127.0.0.1:").nth(1).and_then(|it| {
            let digits: String = it.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u16>().ok()
        });
        Ok(port.filter(|_| said.ends_with('\n')))
    });
    let said = tail(&log, u64::MAX);
    let port = port.with_context(|| said.clone())?;
    ensure!(port != 0, "port 0 in\n{said}");
    ensure!(said.contains("ringkeeper-data"), "no data directory in\n{said}");
    let text = four_letters(([127, 0, 0, 1], port).into(), "srvr")?;
    ensure!(text.contains("Mode: standalone"), "{text}");
    let mode = fs::metadata(dir.path().join("ringkeeper-data"))?.permissions().mode();
    ensure!(mode & 0o700 == 0o700, "the data directory has mode {mode:o}");
    process.terminate()?;
    let status = process.wait(PATIENCE)?.context("SIGTERM does not end it")?;
    ensure!(status.success(), "it ended with {status}\n{}", tail(&log, 4_000));
    Ok(())
}

fn help() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for (args, words) in [
        (&["--help"][..], &["server", "inspect", "--data-dir", "--client-port", "--cores"][..]),
        (
            &["server", "--help"],
            &["--config", "--listen", "--data-dir", "--client-port", "--cores"],
        ),
        (&["inspect", "--help"], &["DATA_DIR"]),
        (&["--version"], &["ringkeeper"]),
    ] {
        let (status, said) = run(args, dir.path())?;
        ensure!(status == Some(0), "{args:?} ends with {status:?}\n{said}");
        for word in words {
            ensure!(said.contains(word), "{args:?} does not say `{word}`\n{said}");
        }
    }
    Ok(())
}

fn inspect() -> anyhow::Result<()> {
    let mut server = Server::start("snapCount=20\n")?;
    let mut client = Client::connect(server.address())?;
    for number in 0..200 {
        let path = format!("/inspected{number}");
        let reply = client.ask(op::CREATE, &Body::default().create(&path, b"some text", 0))?;
        ensure!(reply.err == 0, "create: {}", reply.err);
    }
    let multi = Body::default().part(op::CREATE).create("/inspected0/kid", b"", 1).end();
    let reply = client.ask(op::MULTI, &multi)?;
    ensure!(reply.err == 0, "multi: {}", reply.err);
    let data = server.dir().join("data");
    // While it runs.
    shows(&data, &["list"], &["segment ", "first_zxid=0x1 "])?;
    shows(&data, &["verify"], &["segment ", "state=", "whole"])?;
    let created = [
        "op=createSession",
        "op=create path=/inspected7 length=9 data=\"some text\" acl=world:anyone:rwcda",
    ];
    shows(&data, &["transactions"], &created)?;
    shows(&data, &["transactions"], &["op=multi ops=1", "part ", "ephemeral=yes"])?;
    shows(
        &data,
        &["transactions", "--json", "--path", "/inspected7"],
        &["\"path\":\"/inspected7\""],
    )?;
    let one = shows(&data, &["transactions", "--zxids", "0x5"], &["zxid=0x5 "])?;
    ensure!(one.lines().count() == 1, "one transaction is\n{one}");
    let ours = data.join("ringkeeper-1");
    let images = || -> anyhow::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&ours)?.map(|it| Ok(it?.path()));
        let mut images = entries.collect::<std::io::Result<Vec<_>>>()?;
        let is_image = |it: &str| it.contains("image.") && !it.ends_with("tmp");
        images.retain(|it| is_image(&it.to_string_lossy()));
        images.sort();
        Ok(images)
    };
    server.until("an image is written", || Ok(!images()?.is_empty()))?;
    server.stop()?;
    server.begin()?;
    shows(&data, &["verify"], &["snapshot ", "state=whole"])?;
    let znodes = ["znode path=/ ", "znode path=/inspected3 ", "znode path=/zookeeper/config "];
    shows(&data, &["znodes"], &znodes)?;
    shows(&data, &["znodes", "--json"], &["{\"kind\":\"znode\",\"path\":\"/inspected3\""])?;
    // Damaged: said, with an exit code.
    server.stop()?;
    let images = images()?;
    let image = images.last().context("an image was written")?;
    let mut bytes = fs::read(image)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(image, bytes)?;
    let output = look(&data, &["verify"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(3) && said.contains("state=damaged"),
        "{}\n{said}",
        output.status
    );
    Ok(())
}

fn quota() -> anyhow::Result<()> {
    let server = Server::start("enforceQuota=true\n4lw.commands.whitelist=mntr\n")?;
    let mut client = Client::connect(server.address())?;
    let mut create = |path: &str, data: &[u8]| -> anyhow::Result<i32> {
        Ok(client.ask(op::CREATE, &Body::default().create(path, data, 0))?.err)
    };
    let limits = [
        ("/soft", "count=2,bytes=40"),
        ("/hard", "count=-1,bytes=-1=;byteHardLimit=9;countHardLimit=3"),
    ];
    for (root, text) in limits {
        for (path, data) in [
            (root.to_owned(), ""),
            (format!("/zookeeper/quota{root}"), ""),
            (format!("/zookeeper/quota{root}/zookeeper_limits"), text),
            (format!("/zookeeper/quota{root}/zookeeper_stats"), "count=0,bytes=0"),
        ] {
            ensure!(create(&path, data.as_bytes())? == 0, "create {path}");
        }
    }
    ensure!(create("/soft/0", b"within")? == 0 && create("/hard/0", b"within")? == 0);
    ensure!(!server.log().contains("exceeded"), "nothing is\n{}", server.log());
    // All of them are done, though from the first on they exceed the count, and later the bytes.
    let began = Instant::now();
    for number in 1..200 {
        ensure!(create(&format!("/soft/{number}"), b"beyond")? == 0, "soft {number}");
    }
    let lines_max = 2 * (1 + began.elapsed().as_millis() / 100);
    ensure!(create("/hard/1", b"wide, wider")? == QUOTA_EXCEEDED, "too many bytes");
    ensure!(create("/hard/1", b"")? == 0 && create("/hard/2", b"")? == QUOTA_EXCEEDED, "too many");
    let about = |words: &[&str]| {
        let log = server.whole_log();
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count() as u128
    };
    for words in [
        ["root=/soft", "quota of znodes exceeded", "soft"],
        ["root=/soft", "quota of bytes exceeded", "soft"],
        ["root=/hard", "quota of bytes exceeded", "refused"],
        ["root=/hard", "quota of znodes exceeded", "refused"],
    ] {
        server.until(format!("a line with {words:?}"), || Ok(0 < about(&words)))?;
    }
    let count = about(&["exceeded", "/soft"]);
    ensure!(count <= lines_max, "{count} lines, at most {lines_max} expected\n{}", server.log());
    let mntr = four_letters(server.address(), "mntr")?;
    let row = "zk_hard_quota_exceeded_error_per_namespace\t2";
    ensure!(mntr.lines().any(|line| line == row), "no {row} in\n{mntr}");
    Ok(())
}

fn look(data: &Path, args: &[&str]) -> anyhow::Result<Output> {
    Ok(Command::new(binary()).arg("inspect").arg(data).args(args).output()?)
}

/// `inspect` succeeds and says each of these.
fn shows(data: &Path, args: &[&str], words: &[&str]) -> anyhow::Result<String> {
    let output = look(data, args)?;
    let said = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "inspect {args:?}: {}\n{said}{errors}", output.status);
    for word in words {
        ensure!(said.contains(word), "inspect {args:?} does not say `{word}`\n{said}");
    }
    Ok(said)
}
