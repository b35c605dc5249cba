//! A child process that never outlives its test: own process group, killed on drop and when the harness dies.
//!
//! Absent here: what the process is; see `server`, `judge`, `zkcli`.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::process::{Pid, Signal};

/// How long anything may take that is waited for: it costs nothing where all is well, and a busy machine takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Asks until it is so, for [`PATIENCE`].
pub(crate) fn until(
    what: impl Display,
    mut ready: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    until_some(what, || Ok(ready()?.then_some(())))
}

/// Asks until there is something, for [`PATIENCE`].
pub(crate) fn until_some<T>(
    what: impl Display,
    mut ready: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let patience = Patience::begin();
    loop {
        if let Some(it) = ready()? {
            return Ok(it);
        }
        ensure!(!patience.is_over(), "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Patience that began somewhen. While the whole machine stands still, it does not run out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    begin: Instant,
    late: Duration,
    lasts: Duration,
}

impl Patience {
    /// It lasts for [`PATIENCE`].
    pub(crate) fn begin() -> Self {
        Self::lasting(PATIENCE)
    }

    /// It lasts as long as this.
    fn lasting(lasts: Duration) -> Self {
        Self { begin: Instant::now(), late: lateness(), lasts }
    }

    /// Whether it has run out.
    pub(crate) fn is_over(&self) -> bool {
        /// When all go on, it takes the one that counts a moment to know for how long they had not.
        const MOMENT: Duration = Duration::from_millis(100);
        let is_over = || self.lasts + lateness().saturating_sub(self.late) < self.begin.elapsed();
        is_over() && {
            std::thread::sleep(MOMENT);
            is_over()
        }
    }
}

/// The lines that a child says, as they come; the channel ends with its output.
pub(crate) fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    lines
}

/// How late a thread of this process was that wants to run every ten milliseconds, all in all, since this was asked first. What a server is given
/// for an answer is longer by what came together meanwhile: the machine was late, and not it.
pub(crate) fn lateness() -> Duration {
    static LATE_US: OnceLock<Arc<AtomicU64>> = OnceLock::new();
    let late = LATE_US.get_or_init(|| {
        let late = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&late);
        std::thread::spawn(move || {
            const TURN: Duration = Duration::from_millis(10);
            loop {
                let begin = Instant::now();
                std::thread::sleep(TURN);
                let late = begin.elapsed().saturating_sub(TURN);
                counts.fetch_add(late.as_micros() as u64, Relaxed);
            }
        });
        late
    });
    Duration::from_micros(late.load(Relaxed))
}

/// A running child and everything it started.
pub(crate) struct Process {
    child: Child,
}

/// Where the child's standard input and output go. Standard error goes to the log in every case.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Talk {
    /// Both are pipes of the harness.
    Pipes,
    /// No input; output goes to the log.
    Log,
}

impl Process {
    /// Starts `command` in a process group of its own, with a kill signal set for the death of the harness.
    pub(crate) fn spawn(command: &Command, talk: Talk, log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut outer = Command::new("setpriv");
        outer.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
        outer.args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(key, value),
                None => outer.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            outer.current_dir(dir);
        }
        std::os::unix::process::CommandExt::process_group(&mut outer, 0);
        match talk {
            Talk::Pipes => outer.stdin(Stdio::piped()).stdout(Stdio::piped()),
            Talk::Log => outer.stdin(Stdio::null()).stdout(log.try_clone()?),
        };
        Ok(Self { child: outer.stderr(log).spawn()? })
    }

    /// The number of the process, and of its group.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipes, once.
    pub(crate) fn pipes(&mut self) -> (ChildStdin, ChildStdout) {
        let stdin = self.child.stdin.take().expect("the pipes are taken once");
        (stdin, self.child.stdout.take().expect("the pipes are taken once"))
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        Ok(rustix::process::kill_process(self.pid(), Signal::TERM)?)
    }

    /// Ends the process and its children, and does not wait for it.
    pub(crate) fn kill_now(&self) -> io::Result<()> {
        Ok(rustix::process::kill_process_group(self.pid(), Signal::KILL)?)
    }

    /// Ends the process and its children at once.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.kill_now()?;
        self.child.wait()
    }

    /// The exit status, if it came within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let patience = Patience::lasting(limit);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if limit.is_zero() || patience.is_over() {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(err) = self.kill() {
            eprintln!("process {} would not be killed: {err}", self.child.id());
        }
    }
}

/// The last `limit` bytes of a file, as text; why not, if it cannot be read.
pub(crate) fn tail(path: &Path, limit: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(limit)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|err| format!("{}: {err}", path.display()))
}
