//! `ringkeeper ensemble`: some servers on this machine that form an ensemble, as child processes with a zoo.cfg each, until SIGTERM or Ctrl-C.
//!
//! ZooKeeper: none; people write three files and start three servers by hand. Absent: anything a member does, which is `ringkeeper server`; starting one again that
//! has ended, so that what the others do without it can be seen.
//!
//! A member does not outlive this process: its parent's death is SIGTERM to it, also where that was SIGKILL.

mod layout;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use self::layout::{Layout, Place};
use crate::cli::EnsembleArgs;
use crate::clock;
use crate::control::{Event, watch_signals};
use crate::exit_code::ExitCode;

/// The ensemble does not start, or does not end well.
#[derive(Debug, thiserror::Error)]
enum TrialError {
    /// Where the servers would be.
    #[error(transparent)]
    Layout(#[from] layout::LayoutError),
    /// The system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A member has ended by itself before it served.
    #[error("server {number} ended at start with {status}: {said}")]
    Ended {
        /// Which.
        number: u16,
        /// How.
        status: ExitStatus,
        /// The last line of its log.
        said: String,
    },
    /// No leader was found.
    #[error("server {number} does not serve after {} s; its log is {log}", START_PATIENCE_MS / 1_000, log = .log.display())]
    NotServing {
        /// Which.
        number: u16,
        /// Where it says why.
        log: PathBuf,
    },
    /// Every member has ended by itself.
    #[error("every server has ended")]
    AllEnded,
    /// Members that did not stop when they were asked to.
    #[error("{count} servers did not stop in {} s and were killed", STOP_PATIENCE_MS / 1_000)]
    Killed {
        /// How many.
        count: usize,
    },
}

/// Starts an ensemble and runs it until it is told to stop. Lines on standard output say what runs where.
pub fn run(args: &EnsembleArgs) -> ExitCode {
    match start_and_wait(args) {
        Ok(()) => ExitCode::Finished,
        Err(error) => {
            drop(writeln!(io::stderr(), "error: {error}"));
            match error {
                TrialError::Layout(_) => ExitCode::InvalidInvocation,
                _ => ExitCode::UnexpectedError,
            }
        }
    }
}

fn start_and_wait(args: &EnsembleArgs) -> Result<(), TrialError> {
    let (events, heard) = channel();
    watch_signals(events.clone()).map_err(system("cannot watch signals"))?;
    let layout = Layout::make(&args.data_dir, args.servers, args.client_port)?;
    let mut members = Members { heard, running: Vec::new() };
    let done = members.start(&layout).and_then(|started| match started {
        Waited::Told => Ok(()),
        Waited::Done => {
            say(&format!("clients: {}; Ctrl-C stops them all", layout.client_addresses()));
            members.watch()
        }
    });
    // The other end of the channel stays open until here.
    drop(events);
    members.stop().and(done)
}

/// What a wait has come to.
enum Waited {
    /// What was waited for.
    Done,
    /// A signal.
    Told,
}

/// The child processes.
struct Members {
    heard: Receiver<Event>,
    running: Vec<Member>,
}

struct Member {
    place: Place,
    child: Child,
}

impl Members {
    /// Starts every member, and says each that serves.
    fn start(&mut self, layout: &Layout) -> Result<Waited, TrialError> {
        let program = std::env::current_exe().map_err(system("cannot find this program"))?;
        for place in &layout.places {
            self.running.push(Member { place: place.clone(), child: spawn(&program, place)? });
        }
        let end_ms = clock::now_ms() + START_PATIENCE_MS;
        for at in 0..self.running.len() {
            let role = loop {
                if self.is_told(POLL) {
                    return Ok(Waited::Told);
                }
                for member in &mut self.running {
                    if let Some(status) = member.ended()? {
                        let Place { number, ref log, .. } = member.place;
                        let said = last_line(log);
                        return Err(TrialError::Ended { number, status, said });
                    }
                }
                let Place { number, ref log, .. } = self.running[at].place;
                if let Some(role) = self.running[at].place.role() {
                    break role;
                }
                if end_ms < clock::now_ms() {
                    return Err(TrialError::NotServing { number, log: log.clone() });
                }
            };
            let Member { place, child } = &self.running[at];
            say(&format!("{place}, process {}: {role}", child.id()));
        }
        Ok(Waited::Done)
    }

    /// Waits for a signal, and says which member has ended meanwhile.
    fn watch(&mut self) -> Result<(), TrialError> {
        while !self.is_told(WATCH_INTERVAL) {
            for member in &mut self.running {
                if let Some(status) = member.ended()? {
                    let Place { number, config, log, .. } = &member.place;
                    let said = last_line(log);
                    say(&format!("server {number} has ended with {status}: {said}"));
                    say(&format!("`ringkeeper {}` starts it again", config.display()));
                }
            }
            self.running.retain_mut(|it| matches!(it.child.try_wait(), Ok(None)));
            if self.running.is_empty() {
                return Err(TrialError::AllEnded);
            }
        }
        say("stopping");
        Ok(())
    }

    /// Whether a signal comes within `limit`.
    fn is_told(&self, limit: Duration) -> bool {
        self.heard.recv_timeout(limit).is_ok()
    }

    /// Asks every member to end, and waits until all have.
    fn stop(mut self) -> Result<(), TrialError> {
        for member in &self.running {
            let told = rustix::process::kill_process(Pid::from_child(&member.child), Signal::TERM);
            told.map_err(|errno| system("cannot stop a server")(errno.into()))?;
        }
        let end_ms = clock::now_ms() + STOP_PATIENCE_MS;
        while !self.running.is_empty() && clock::now_ms() < end_ms {
            self.running.retain_mut(|it| matches!(it.child.try_wait(), Ok(None)));
            pause(POLL);
        }
        let count = self.running.len();
        for member in &mut self.running {
            let killed = member.child.kill().and_then(|()| member.child.wait());
            killed.map_err(system("cannot end a server"))?;
        }
        if count == 0 { Ok(()) } else { Err(TrialError::Killed { count }) }
    }
}

impl Member {
    fn ended(&mut self) -> Result<Option<ExitStatus>, TrialError> {
        self.child.try_wait().map_err(system("cannot look after a server"))
    }
}

impl Place {
    /// What the member says that it is, once it serves.
    fn role(&self) -> Option<String> {
        let ask = || -> io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.client, ASK_LIMIT)?;
            stream.set_read_timeout(Some(ASK_LIMIT))?;
            stream.write_all(b"srvr")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }
}

/// Starts one in a process group of its own, so that a Ctrl-C is told to it by this process alone.
fn spawn(program: &PathBuf, place: &Place) -> Result<Child, TrialError> {
    let log = File::options().create(true).append(true).open(&place.log);
    let log = log.map_err(system("cannot open a server's log"))?;
    let mut command = Command::new(program);
    command.args(["server", "--with-parent", "--config"]).arg(&place.config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    command.spawn().map_err(system("cannot start a server"))
}

fn last_line(log: &PathBuf) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next_back().unwrap_or("it has said nothing").to_owned()
}

/// A line for the operator. Whoever has closed standard output does not want it.
fn say(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}

#[expect(clippy::disallowed_methods, reason = "no shard runs in this process")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn system(what: &'static str) -> impl Fn(io::Error) -> TrialError {
    move |source| TrialError::System { what, source }
}

/// How long all may take until each serves. Milliseconds.
const START_PATIENCE_MS: u64 = 60_000;

/// How long all may take to stop. Milliseconds.
const STOP_PATIENCE_MS: u64 = 20_000;

/// How often it is asked whether a member serves, or has stopped.
const POLL: Duration = Duration::from_millis(20);

/// How often it is asked whether a member has ended by itself.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// How long a member may take to say what it is.
const ASK_LIMIT: Duration = Duration::from_secs(1);
