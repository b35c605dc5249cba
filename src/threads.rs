//! The threads of the shards, each pinned to its core: a loop of turns and sleep.
//!
//! With one core or two the pipeline shard and a session shard share a thread and take turns, so that a batch costs no switch
//! between threads. Absent here: what a turn is, the threads that may block.

use std::net::TcpListener;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::channel;
use std::task::Context;

use net::driver::{Before, Driver, Links, Sleeper};
use net::shard::Shard;
use wal::AppendError;

use crate::clock;
use crate::reader::ArenaReader;

/// A disk failed. Nothing that was in flight is acknowledged, and the process is to end.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The log.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The epoch files.
    #[error("the epoch cannot be written: {0}")]
    Epoch(#[source] std::io::Error),
    /// The image that a leader has sent. What was there before is there still.
    #[error("the leader's image cannot be installed: {0}")]
    Install(#[from] snapshot::ImageError),
    /// The system gives no thread.
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// The pipeline's part of its thread.
pub(crate) trait Turns {
    /// Does everything that there is to do, and begins to wait for the rest: whoever rings `cx`, and [`Turns::rings`].
    ///
    /// # Errors
    /// A disk failed.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), ShardError>;

    /// Whether it was told to stop, and has: then it takes no more turns.
    fn has_ended(&self) -> bool;

    /// Whether its thread may look out for events before it sleeps: not while a write to the log is under way, nor beside
    /// other shards on other cores.
    fn may_look(&self) -> bool;

    /// When to take a turn if nothing else happens, monotonic milliseconds.
    fn next_deadline(&self) -> u64;

    /// Any of them is readable when there is a turn to take. They never change.
    fn rings(&self) -> Vec<BorrowedFd<'_>>;
}

/// A session shard that has not started.
pub(crate) struct SessionShard {
    pub(crate) shard: Shard<ArenaReader>,
    pub(crate) listener: TcpListener,
    pub(crate) links: Links,
}

impl SessionShard {
    fn driver(self, sleeper: &Sleeper) -> std::io::Result<Driver<ArenaReader>> {
        Driver::new(self.shard, vec![self.listener], self.links, sleeper)
    }
}

/// Starts threads that run wherever this process may, from threads that are pinned.
#[derive(Clone, Debug)]
pub(crate) struct Unpinned(rustix::thread::CpuSet);

impl Unpinned {
    /// As the calling thread, which is not pinned.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn here() -> std::io::Result<Self> {
        Ok(Self(rustix::thread::sched_getaffinity(None)?))
    }

    /// Starts a thread that may block, and gives way to shards.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let cores = self.0;
        let begin = move || {
            let placed = rustix::thread::sched_setaffinity(None, &cores);
            let niced = rustix::process::setpriority_process(None, NICE);
            if let Err(errno) = placed.and(niced) {
                tracing::warn!(%errno, "a helping thread may stand in a shard's way");
            }
            run();
        };
        std::thread::Builder::new().name(name.into()).spawn(begin).map(drop)
    }
}

/// As the snapshot thread: what clients wait for comes first.
const NICE: i32 = 10;

/// Starts a session shard on a thread of its own, pinned to `core`.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn start_sessions(core: usize, session: SessionShard) -> std::io::Result<()> {
    start(core, "session", move || {
        let SessionShard { shard, listener, links } = session;
        let done = net::driver::run(shard, vec![listener], links);
        // Without this shard, clients would hang: half-alive is worse than dead.
        assert!(done.is_ok(), "a session shard ended: {done:?}");
    })
}

/// Starts the pipeline shard on a thread pinned to `core`, and with it the session shard of that core, if it has one.
///
/// `make` makes it there, since its ring belongs to the thread; this waits until it has. `ended` hears when the shard has ended, as
/// told or because the log failed.
///
/// # Errors
/// The system gives no thread; or what `make` says.
pub(crate) fn start_pipeline<T: Turns, E: Send + 'static>(
    core: usize,
    session: Option<SessionShard>,
    make: impl FnOnce() -> Result<T, E> + Send + 'static,
    ended: impl FnOnce(Result<(), ShardError>) + Send + 'static,
) -> std::io::Result<Result<(), E>> {
    let (tell, told) = channel();
    start(core, "pipeline", move || {
        let (made, pipeline) = match make() {
            Ok(pipeline) => (Ok(()), Some(pipeline)),
            Err(error) => (Err(error), None),
        };
        // The other end waits for it.
        let _waits: Result<_, _> = tell.send(made);
        let Some(mut pipeline) = pipeline else { return };
        match run_pipeline(&mut pipeline, session) {
            Ok(done) => ended(done),
            Err(error) => panic!("the pipeline's thread cannot sleep: {error}"),
        }
    })?;
    Ok(told.recv().unwrap_or_else(|_| unreachable!("the thread tells before it can end")))
}

/// Turns and sleep until the pipeline has ended.
fn run_pipeline(
    pipeline: &mut impl Turns,
    session: Option<SessionShard>,
) -> std::io::Result<Result<(), ShardError>> {
    let mut sleeper = Sleeper::new()?;
    let waker = sleeper.waker();
    for ring in pipeline.rings() {
        sleeper.watch(&ring)?;
    }
    let mut session = session.map(|it| it.driver(&sleeper)).transpose()?;
    loop {
        let mut cx = Context::from_waker(&waker);
        if let Err(error) = pipeline.turn(&mut cx) {
            return Ok(Err(error));
        }
        if pipeline.has_ended() {
            return Ok(Ok(()));
        }
        if let Some(session) = &mut session {
            session.turn(&mut cx);
        }
        // One has given the other something to do.
        if sleeper.take_ring() {
            continue;
        }
        let limit_ms = pipeline.next_deadline().saturating_sub(clock::now_ms());
        let session_ms = session.as_ref().and_then(Driver::sleep_limit_ms);
        let limit_ms = session_ms.map_or(limit_ms, |ms| ms.min(limit_ms));
        let before = if pipeline.may_look() { Before::Look } else { Before::Nothing };
        sleeper.sleep(Some(limit_ms), before)?;
        if let Some(session) = &mut session {
            session.serve(&mut sleeper);
            session.turn(&mut cx);
        }
    }
}

fn start(core: usize, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let pinned = move || {
        let mut set = rustix::thread::CpuSet::new();
        set.set(core);
        if let Err(errno) = rustix::thread::sched_setaffinity(None, &set) {
            tracing::warn!(core, %errno, "a shard is not pinned to its core");
        }
        run();
    };
    std::thread::Builder::new().name(name.into()).spawn(pinned).map(drop)
}
