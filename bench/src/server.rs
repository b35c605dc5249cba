//! Servers under test: started with the same promise on the same disk, stopped, killed, started again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::connection::Connection;

/// Which server.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// This project's.
    Ringkeeper,
    /// Apache ZooKeeper.
    Reference,
    /// Answers with constants, on this project's socket driver.
    Constant,
    /// Answers with constants, on bare epoll.
    Epoll,
    /// Answers with constants when the request is on the disk, by group commit.
    Forced,
}

impl Kind {
    /// The two that are compared.
    pub(crate) const COMPARED: &[Self] = &[Self::Ringkeeper, Self::Reference];
    /// Beside those that keep nothing.
    pub(crate) const ALL: &[Self] =
        &[Self::Ringkeeper, Self::Reference, Self::Constant, Self::Epoll, Self::Forced];

    /// Whether it keeps what it is given, so that it can be filled, killed, and one of an ensemble.
    pub(crate) fn keeps(self) -> bool {
        matches!(self, Self::Ringkeeper | Self::Reference)
    }

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ringkeeper => "ringkeeper",
            Self::Reference => "reference",
            Self::Constant => "constant",
            Self::Epoll => "epoll",
            Self::Forced => "forced",
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The `ringkeeper` binary.
    pub(crate) ringkeeper: PathBuf,
    /// The script that starts the reference server with a configuration file.
    pub(crate) reference: PathBuf,
    /// The home of an installed one that the script is to start, not the release that it fetches.
    pub(crate) reference_home: Option<PathBuf>,
    /// Where data directories are made.
    pub(crate) data: PathBuf,
    /// Options of the reference's JVM.
    pub(crate) jvm_flags: String,
    /// The core that servers run on.
    pub(crate) core: usize,
    /// Transactions between two snapshots, at most; none for the servers' own default.
    pub(crate) snap_count: Option<u32>,
}

/// A server that runs; killed and its data removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Which one.
    pub(crate) kind: Kind,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    programs: Programs,
    dir: PathBuf,
    child: Child,
    command_line: String,
}

impl Server {
    /// Starts a server on an empty data directory and waits until it serves.
    ///
    /// # Errors
    /// It does not start, or does not serve within a minute.
    pub(crate) fn start(kind: Kind, programs: &Programs) -> Result<Self> {
        let mut server = Self::begin(kind, programs, free_ports(1)?[0], None)?;
        server.wait()?;
        Ok(server)
    }

    /// Starts the servers of an ensemble on empty data directories, and waits until each serves.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn ensemble(kind: Kind, programs: &Programs, count: usize) -> Result<Vec<Self>> {
        ensure!(kind.keeps(), "{} is no member of an ensemble", kind.word());
        let ports = free_ports(3 * count)?;
        let mut lines = "initLimit=30\nsyncLimit=10\n".to_owned();
        for (number, own) in ports.chunks(3).enumerate() {
            let [_, quorum, election] = own else { continue };
            lines += &format!("server.{}=127.0.0.1:{quorum}:{election}\n", number + 1);
        }
        let begin = |number: usize| {
            let member = Member { id: number + 1, lines: &lines };
            Self::begin(kind, programs, ports[3 * number], Some(member))
        };
        let mut servers = (0..count).map(begin).collect::<Result<Vec<_>>>()?;
        servers.iter_mut().try_for_each(Self::wait)?;
        Ok(servers)
    }

    fn begin(
        kind: Kind,
        programs: &Programs,
        port: u16,
        member: Option<Member<'_>>,
    ) -> Result<Self> {
        let dir = programs.data.join(format!("{kind:?}-{port}").to_lowercase());
        fs::create_dir_all(dir.join("data")).with_context(|| format!("{}", dir.display()))?;
        let config = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=2000\n\
             maxClientCnxns=0\nglobalOutstandingLimit=100000\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\n{}{}",
            // Relative to the file it would mean another place to each server.
            fs::canonicalize(dir.join("data"))?.display(),
            programs.snap_count.map(|it| format!("snapCount={it}\n")).unwrap_or_default(),
            member.map(|it| it.lines).unwrap_or_default(),
        );
        fs::write(dir.join("zoo.cfg"), config)?;
        if let Some(member) = member {
            fs::write(dir.join("data/myid"), member.id.to_string())?;
        }
        let (child, command_line) = spawn(kind, programs, &dir, port)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { kind, address, programs: programs.clone(), dir, child, command_line })
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it was started.
    pub(crate) fn command_line(&self) -> String {
        self.command_line.clone()
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Deletes what the reference never deletes by itself in the time of a run: snapshots but the newest three, and the log that those
    /// do not need. Without it a long run fills the disk.
    ///
    /// # Errors
    /// A directory cannot be read, or a file cannot be deleted.
    pub(crate) fn purge(&self) -> Result<()> {
        if self.kind != Kind::Reference {
            return Ok(());
        }
        let dir = self.data().join("version-2");
        let of = |prefix: &str| -> Result<Vec<u64>> {
            let names = fs::read_dir(&dir)?.flatten().map(|it| it.file_name());
            let zxid = |name: &str| u64::from_str_radix(name.strip_prefix(prefix)?, 16).ok();
            let mut all: Vec<u64> = names.filter_map(|it| zxid(&it.to_string_lossy())).collect();
            all.sort_unstable();
            Ok(all)
        };
        let (snapshots, logs) = (of("snapshot.")?, of("log.")?);
        let Some(oldest) = snapshots.iter().rev().nth(2) else { return Ok(()) };
        for zxid in snapshots.iter().filter(|it| *it < oldest) {
            fs::remove_file(dir.join(format!("snapshot.{zxid:x}")))?;
        }
        // The last log that begins before the oldest snapshot may end behind it.
        let needed = logs.iter().rev().find(|it| *it <= oldest).copied().unwrap_or(0);
        for zxid in logs.iter().filter(|it| **it < needed) {
            fs::remove_file(dir.join(format!("log.{zxid:x}")))?;
        }
        Ok(())
    }

    /// The end of what it has printed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// What it says of its release: the first line of its `srvr`; empty if it does not say.
    pub(crate) fn version(&self) -> String {
        self.srvr().lines().next().unwrap_or_default().to_owned()
    }

    /// Its role, as its `srvr` has it: leader, follower, standalone; empty while it has none.
    pub(crate) fn mode(&self) -> String {
        let said = self.srvr();
        let line = said.lines().find_map(|it| it.strip_prefix("Mode: "));
        line.unwrap_or_default().to_owned()
    }

    fn srvr(&self) -> String {
        let ask = || -> std::io::Result<String> {
            let mut socket = TcpStream::connect(self.address)?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            socket.write_all(b"srvr")?;
            let mut said = String::new();
            socket.read_to_string(&mut said)?;
            Ok(said)
        };
        ask().unwrap_or_default()
    }

    /// Kills the server with signal 9, starts it again on its data and waits until it serves; when it was started.
    ///
    /// # Errors
    /// It does not serve again within two minutes.
    pub(crate) fn kill_and_start(&mut self) -> Result<Instant> {
        self.kill()?;
        let start = self.start_again()?;
        self.wait()?;
        Ok(start)
    }

    /// Sends it signal 9, and does not wait for its end.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(crate) fn kill_now(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }

    /// Kills the server with signal 9; it may have ended already.
    ///
    /// # Errors
    /// It cannot be killed.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts a killed server on its data; when.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_again(&mut self) -> Result<Instant> {
        let start = Instant::now();
        self.child = spawn(self.kind, &self.programs, &self.dir, self.address.port())?.0;
        Ok(start)
    }

    /// Waits until it gives sessions.
    ///
    /// # Errors
    /// It ends, or does not for two minutes.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut patience = Duration::from_millis(50);
        while Connection::open_within(self.address, patience).is_err() {
            patience = (patience + patience / 8).min(Duration::from_secs(2));
            let said = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let kind = self.kind.word();
            if let Some(status) = self.child.try_wait()? {
                bail!("{kind} does not start ({status}): {}", said());
            }
            ensure!(start.elapsed() < Duration::from_mins(2), "{kind} does not serve: {}", said());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// What a server's configuration says of the ensemble it belongs to.
#[derive(Clone, Copy, Debug)]
struct Member<'a> {
    id: usize,
    lines: &'a str,
}

/// Ports that nobody has now.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = (0..count).map(bind).collect::<Result<Vec<_>, _>>()?;
    held.iter().map(|it| Ok(it.local_addr()?.port())).collect()
}

/// What the reference's JVM is started with beside the heap: no artificial limits.
pub(crate) const JVM_FLAGS: &str = "-XX:+UseG1GC -Dzookeeper.globalOutstandingLimit=100000";

fn spawn(kind: Kind, programs: &Programs, dir: &Path, port: u16) -> Result<(Child, String)> {
    let config = dir.join("zoo.cfg");
    let log = fs::File::options().create(true).append(true).open(dir.join("log"))?;
    // However the harness ends, its servers end with it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "-c", &programs.core.to_string()]);
    let mut environment = String::new();
    match kind {
        Kind::Ringkeeper => {
            command.arg(&programs.ringkeeper).args(["server", "--cores"]);
            command.arg(format!("{0}-{0}", programs.core)).arg("--config").arg(config);
        }
        Kind::Reference => {
            command.arg(&programs.reference).arg(config).env("JVMFLAGS", &programs.jvm_flags);
            environment = format!("JVMFLAGS='{}' ", programs.jvm_flags);
            if let Some(home) = &programs.reference_home {
                command.env("REFERENCE_HOME", home);
                environment += &format!("REFERENCE_HOME='{}' ", home.display());
            }
        }
        Kind::Constant | Kind::Epoll | Kind::Forced => {
            command.arg(std::env::current_exe()?).args(["ceiling", kind.word()]);
            command.args(["--port", &port.to_string(), "--core", &programs.core.to_string()]);
            command.arg("--data").arg(dir.join("data"));
        }
    }
    let own = std::env::current_exe()?;
    let word = |it: &std::ffi::OsStr| {
        if it == own.as_os_str() {
            "ringkeeper-bench".into()
        } else {
            it.to_string_lossy().into_owned()
        }
    };
    let words: Vec<String> = command.get_args().map(word).collect();
    let line = format!("{environment}setpriv {}", words.join(" "));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // An interrupt from the keyboard is for the harness, not for a server in the middle of a round.
    command.process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {kind:?}"))?;
    Ok((child, line))
}
