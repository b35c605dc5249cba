//! One server process on a port of its own with data of its own: the `ringkeeper` binary, or the reference server.
//!
//! `JUDGE_SERVER=reference` chooses the second. Everything waits for a bounded time, and a failure shows the server's log.

use std::cell::RefCell;
use std::fmt::Display;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::{self, net::UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::process::{PATIENCE, Patience, Process, Talk, tail, until};

/// What judges get, as `tests/README.md` promises.
pub(crate) const FOR_JUDGES: &str = "\
tickTime=500
maxSessionTimeout=40000
maxClientCnxns=200
4lw.commands.whitelist=*
extendedTypesEnabled=true
znode.container.checkIntervalMs=500
DigestAuthenticationProvider.superDigest=super:MyLLpmRmhIHqLm0AHSd1bzX0lUY=
";

/// Keys that the reference takes only from its command line.
const PROPERTIES: [&str; 5] = [
    "znode.container.",
    "jute.maxbuffer",
    "readonlymode.enabled",
    "zookeeper.testingonly.",
    "zookeeper.forceSnapshotSync",
];

/// Whose server is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The reference, 3.9.5.
    Reference,
    /// The reference of before, 3.8.6.
    Older,
    /// Ours.
    Ringkeeper,
}

impl Kind {
    /// What `tests/reference/server` knows it by.
    fn release(self) -> &'static str {
        if self == Self::Older { "3.8" } else { "3.9" }
    }

    /// As the environment says; ours if it says nothing.
    pub(crate) fn chosen() -> Self {
        match std::env::var("JUDGE_SERVER").as_deref() {
            Ok("reference") => Self::Reference,
            Ok("ringkeeper" | "ensemble") | Err(_) => Self::Ringkeeper,
            Ok(other) => {
                panic!("JUDGE_SERVER is `{other}`, not `reference`, `ringkeeper` or `ensemble`")
            }
        }
    }
}

/// Whether every judge is to have an ensemble, and nothing else is to be judged.
pub(crate) fn judges_ensembles() -> bool {
    std::env::var("JUDGE_SERVER").is_ok_and(|it| it == "ensemble")
}

/// A server, running or not, and its folder.
pub(crate) struct Server {
    kind: Kind,
    address: SocketAddr,
    /// The network namespace that it runs in, if not the harness's.
    namespace: Option<String>,
    dir: tempfile::TempDir,
    properties: Vec<String>,
    process: Option<Process>,
    last_exit: Option<i32>,
}

impl Server {
    /// Writes the configuration, `lines` of a zoo.cfg, into a fresh folder and starts. Of a key that is there twice the last counts.
    pub(crate) fn start(lines: &str) -> anyhow::Result<Self> {
        let mut server = Self::configured(lines)?;
        server.begin()?;
        Ok(server)
    }

    /// As [`Self::start`], of this kind.
    pub(crate) fn of(kind: Kind, lines: &str) -> anyhow::Result<Self> {
        let mut server = Self::prepare(kind, lines)?;
        server.begin()?;
        Ok(server)
    }

    /// As [`Self::start`], without the start.
    pub(crate) fn configured(lines: &str) -> anyhow::Result<Self> {
        Self::prepare(Kind::chosen(), lines)
    }

    /// As [`Self::of`], without the start.
    pub(crate) fn prepare(kind: Kind, lines: &str) -> anyhow::Result<Self> {
        Self::prepare_at(kind, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)), lines)
    }

    /// The same, at this address.
    pub(crate) fn prepare_at(kind: Kind, address: SocketAddr, lines: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("ringkeeper-e2e-").tempdir()?;
        let mut config = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress={}\nadmin.enableServer=false\n",
            dir.path().join("data").display(),
            address.port(),
            address.ip(),
        );
        let mut properties = Vec::new();
        let key = |line: &str| line.split('=').next().map(str::to_owned);
        for (at, line) in lines.lines().enumerate() {
            if lines.lines().skip(at + 1).any(|it| key(it) == key(line)) {
                continue;
            }
            if kind != Kind::Ringkeeper && PROPERTIES.iter().any(|it| line.starts_with(it)) {
                properties.push(format!("-D{line}"));
            } else {
                config.push_str(line);
                config.push('\n');
            }
        }
        fs::write(dir.path().join("zoo.cfg"), config)?;
        let (namespace, process, last_exit) = (None, None, None);
        Ok(Self { kind, address, namespace, dir, properties, process, last_exit })
    }

    /// From its next start on it runs in this network namespace.
    pub(crate) fn live_in(&mut self, namespace: &str) {
        self.namespace = Some(namespace.to_owned());
    }

    /// From its next start on it is of this kind, on the same data.
    pub(crate) fn become_kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// Where clients go.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Clients go elsewhere from now on.
    pub(crate) fn move_to(&mut self, port: u16) {
        self.address.set_port(port);
    }

    /// The folder with `zoo.cfg`, `data` and `server.log`.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process, while it runs.
    pub(crate) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The exit code of the last stop.
    pub(crate) fn last_exit(&self) -> Option<i32> {
        self.last_exit
    }

    /// Starts it and waits until it serves.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "the server runs already");
        let mut process = self.spawn()?;
        let patience = Patience::begin();
        loop {
            if let Some(status) = process.wait(Duration::ZERO)? {
                bail!("the server ended at start with {status}\n{}", self.log());
            }
            if let Ok(answer) = four_letters(self.address(), "srvr")
                && answer.contains("Mode: ")
            {
                break;
            }
            ensure!(!patience.is_over(), "no service after {PATIENCE:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Asks until it is so; the log if it never is.
    pub(crate) fn until(
        &self,
        what: impl Display,
        ready: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        until(what, ready).with_context(|| self.log())
    }

    /// From its next start on a line of its configuration is another.
    pub(crate) fn configure(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let path = self.dir().join("zoo.cfg");
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "no `{from}` in {text}");
        Ok(fs::write(path, text.replace(from, to))?)
    }

    /// Starts it and does not wait until it serves.
    pub(crate) fn launch(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "the server runs already");
        self.process = Some(self.spawn()?);
        Ok(())
    }

    /// Starts a process with this server's configuration and does not wait for anything.
    pub(crate) fn spawn(&self) -> anyhow::Result<Process> {
        let config = self.dir().join("zoo.cfg");
        let program = match self.kind {
            Kind::Ringkeeper => binary(),
            Kind::Reference | Kind::Older => tests_dir().join("reference/server"),
        };
        let mut command = match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
        };
        match self.kind {
            Kind::Ringkeeper => command.args(["server", "--config"]).arg(config),
            Kind::Reference | Kind::Older => {
                let fast = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";
                let flags = format!("{fast} {}", self.properties.join(" "));
                command.env("JVMFLAGS", flags).env("RELEASE", self.kind.release()).arg(config)
            }
        };
        command.current_dir(self.dir());
        Process::spawn(&command, Talk::Log, &self.log_path()).context("the server would not start")
    }

    /// SIGTERM, and the end; how long that took.
    pub(crate) fn stop(&mut self) -> anyhow::Result<Duration> {
        let mut process = self.process.take().context("the server does not run")?;
        let begin = Instant::now();
        process.terminate()?;
        let status = process.wait(PATIENCE)?;
        self.last_exit = status.and_then(|it| it.code());
        ensure!(status.is_some(), "SIGTERM did not end it in {PATIENCE:?}\n{}", self.log());
        Ok(begin.elapsed())
    }

    /// Waits until it has ended by itself; its exit code.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<i32>> {
        let mut process = self.process.take().context("the server does not run")?;
        let status = process.wait(PATIENCE)?;
        ensure!(status.is_some(), "it did not end in {PATIENCE:?}\n{}", self.log());
        self.last_exit = status.and_then(|it| it.code());
        Ok(self.last_exit)
    }

    /// Whether it has ended by itself; it can be started again then.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        let process = self.process.as_mut().context("the server does not run")?;
        let status = process.wait(Duration::ZERO)?;
        if status.is_some() {
            self.process = None;
        }
        Ok(status.is_some())
    }

    /// SIGKILL, and the end.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the server does not run")?.kill()?;
        Ok(())
    }

    /// SIGKILL, without waiting for the end: what is still being taken apart.
    pub(crate) fn kill_behind(&mut self) -> anyhow::Result<Process> {
        let process = self.process.take().context("the server does not run")?;
        process.kill_now()?;
        Ok(process)
    }

    /// The end of the server's log.
    pub(crate) fn log(&self) -> String {
        let Self { kind, address, .. } = self;
        format!("{LOG}{kind:?} at {address}\n{}", tail(&self.log_path(), 6_000))
    }

    /// All that it has said, since its first start.
    pub(crate) fn whole_log(&self) -> String {
        tail(&self.log_path(), u64::MAX)
    }

    fn log_path(&self) -> PathBuf {
        self.dir().join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A thread that ends has no use for them.
        LAST_WORDS.try_with(|it| it.borrow_mut().push(self.log())).ok();
    }
}

/// What the log of a server begins with in a message.
const LOG: &str = "---- log of ";

thread_local! {
    /// The ends of the logs of servers that this thread has dropped.
    static LAST_WORDS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs a story, and adds to its failure what the servers have said in the end, if it does not have that yet.
pub(crate) fn with_last_words<T>(story: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    LAST_WORDS.take();
    let told = story();
    let words = LAST_WORDS.take();
    told.map_err(|error| {
        let has_logs = format!("{error:#}").contains(LOG);
        if has_logs { error } else { error.context(words.join("\n")) }
    })
}

/// How long a server may take to answer a four-letter word.
const ANSWER: Duration = Duration::from_secs(20);

/// Sends a four-letter word and returns the whole answer.
pub(crate) fn four_letters(address: SocketAddr, word: &str) -> io::Result<String> {
    four_letters_within(ANSWER, address, word)
}

/// The same with less patience.
pub(crate) fn four_letters_within(
    patience: Duration,
    address: SocketAddr,
    word: &str,
) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A port nobody listens on, below the range that outgoing connections take theirs from: a client that
/// keeps trying a port of that range while its server is away can end up connected to itself.
///
/// Nobody else is given it: a harness takes whole blocks of ports, each of which belongs to one process, and uses none twice.
/// The first hundred are left to `ringkeeper ensemble`, which begins there.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    const FIRST: u16 = 20_100;
    const BLOCK: u16 = 500;
    const BLOCKS: u16 = 25;
    /// What keeps each block, and the next port of the last, up to its end.
    static TAKEN: Mutex<(Vec<UnixListener>, Range<u16>)> = Mutex::new((Vec::new(), 0..0));
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (keepers, ports) = &mut *taken;
    loop {
        if let Some(port) = ports.find(|it| TcpListener::bind((Ipv4Addr::LOCALHOST, *it)).is_ok()) {
            return Ok(port);
        }
        let keep = |block: u16| {
            // A name of the kernel's, gone with the process.
            let name = format!("ringkeeper-e2e-ports-{block}");
            let name = unix::net::SocketAddr::from_abstract_name(name).ok()?;
            Some((UnixListener::bind_addr(&name).ok()?, FIRST + block * BLOCK))
        };
        let (keeper, first) = (0..BLOCKS).find_map(keep).context("every port is another's")?;
        keepers.push(keeper);
        *ports = first..first + BLOCK;
    }
}

/// The `ringkeeper` binary: what cargo built for this test, or what `RINGKEEPER_BIN` names.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("RINGKEEPER_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ringkeeper")), PathBuf::from)
}

/// The folder `tests`.
pub(crate) fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}
