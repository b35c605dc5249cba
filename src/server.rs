//! The server: from its configuration to running shards, and to its end.

use std::io::{ErrorKind, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use engine::arena::Reader;
use engine::map::MapSeed;
use engine::session::SessionTracker;
use jute::SessionId;
use net::admission::Admission;
use net::driver::{KeepAlive, Links, ListenError, ListenSettings, Sharing};
use net::ring::{Letters, Mailbox, lane, mailbox};
use net::shard::Shard;
use net::words::Serving;
use snapshot::{Imager, ImagerOptions, Purger};
use wal::Log;

use crate::cli::ServerArgs;
use crate::clock::{self, wall_ms};
use crate::config::{Config, ConfigError, Cores, Level, Purge};
use crate::control::{Control, Event, watch_signals};
use crate::ensemble::{EnsembleShard, JoinError, Joining};
use crate::exit_code::ExitCode;
use crate::images::{Due, Images};
use crate::lanes::Lane;
use crate::pipeline::{Applier, LocalSessions, Pipeline};
use crate::pipeline_shard::{Order, PipelineShard};
use crate::reader::ArenaReader;
use crate::settings;
use crate::start::{self, Data, DataError, Replaying};
use crate::store::Store;
use crate::threads::{self, SessionShard, Unpinned};
use crate::words::Words;

/// Messages on their way between two shards, in each direction.
const LANE_LEN: usize = 64;

/// The server does not start, or has ended badly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A member of an ensemble cannot be made.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The client port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A core that is not there, or not ours.
    #[error(
        "core {core} is not among those that this process may use ({allowed}); give others by --cores"
    )]
    Core {
        /// Which was asked for.
        core: u32,
        /// Which there are.
        allowed: String,
    },
    /// The system gives no thread, or takes no signal handler.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The log does not start.
    #[error("the log does not start: {0}")]
    LogStart(#[source] wal::AppendError),
    /// The log failed. Nothing that was in flight was acknowledged.
    #[error("the log failed, and nothing that was in flight was acknowledged: {0}")]
    Log(#[from] threads::ShardError),
}

impl ServerError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Core { .. }
            | Self::Join(JoinError::Members(_) | JoinError::Tls(_)) => ExitCode::InvalidInvocation,
            Self::Data(_) | Self::Join(JoinError::Epoch(_)) => ExitCode::UnableToAccessDatadir,
            Self::Join(JoinError::Port(_)) => ExitCode::UnableToBindQuorumPort,
            _ => ExitCode::UnexpectedError,
        }
    }
}

/// Runs a server until it is told to stop.
pub fn run(args: &ServerArgs) -> ExitCode {
    start_log();
    if args.with_parent
        && let Err(errno) =
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
    {
        tracing::warn!(%errno, "this server will not hear of its parent's end");
    }
    match configure_and_serve(args) {
        Ok(()) => ExitCode::Finished,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}

fn configure_and_serve(args: &ServerArgs) -> Result<(), ServerError> {
    let (config, warnings) = Config::load(args.config.as_deref(), &args.overrides())?;
    for warning in &warnings {
        match warning.level() {
            Level::Notice => tracing::info!("{warning}"),
            Level::Warning => tracing::warn!("{warning}"),
        }
    }
    serve(&config)
}

fn serve(config: &Config) -> Result<(), ServerError> {
    let cores = cores(config)?;
    let (events, heard) = channel();
    watch_signals(events.clone()).map_err(system("cannot watch signals"))?;
    // Of a member's log, the ensemble says how much is decided.
    let alone = config.ensemble.is_none();
    let replaying = if alone { Replaying::All } else { Replaying::Nothing };
    let data = start::open(config, replaying, [chance(), chance()])?;
    let (image, replayed) = (data.image, data.replayed);
    let session_cores = if cores.len() <= SHARING_CORES_MAX { &cores[..] } else { &cores[1..] };
    let listeners = listen(config, session_cores.len())?;
    let address = listeners[0].local_addr().map_err(system("cannot read the client port"))?;
    let Wiring { lanes, sessions, mouths, admission } =
        wire(config, data.state.tree().reader(), listeners, &events);
    let (pipeline, orders) = mailbox();
    let ControlFlow::Continue(joining) = join(config, &data, &heard, &events)? else {
        return Ok(());
    };
    let parts = Parts { lanes, sessions, orders, joining };
    let releaser = data.tail.releaser();
    let mut purger = Purger::new(&data.store.images);
    if let Some(zxid) = image {
        purger.seen_whole(zxid);
    }
    let zxid = data.state.tree().zxid();
    let store = launch(config, &cores, data, parts, &events)?;
    tracing::info!(
        "listening on {address}, data in {}, on cores {cores:?}; at zxid {zxid}{}, {replayed} transactions replayed",
        config.storage.data_dir.display(),
        image.map(|it| format!(", image of {it}")).unwrap_or_default(),
    );
    let control = Control {
        events: heard,
        pipeline: pipeline.clone(),
        words: Words {
            config: config.clone(),
            client_port: address.port(),
            shards: mouths,
            pipeline,
            dirs: [store.images.clone(), store.log.clone()],
            admission,
            trace_mask: net::words::TRACE_MASK,
        },
        purger,
        releaser,
        purge: config.storage.purge,
        retain: config.storage.snap_retain_count,
        purge_at_ms: 0,
    };
    let done = control.run();
    drop(store);
    Ok(done?)
}

struct Wiring {
    /// The pipeline's ends.
    lanes: Vec<Lane>,
    sessions: Vec<SessionShard>,
    /// The control thread's ends.
    mouths: Vec<Letters<net::driver::Order>>,
    admission: Arc<Admission>,
}

/// Ties session shards, pipeline and control thread to each other.
fn wire(
    config: &Config,
    reader: Reader,
    listeners: Vec<TcpListener>,
    events: &Sender<Event>,
) -> Wiring {
    let count = listeners.len();
    let admission = settings::admission(config);
    let admission = Arc::new(Admission::new(admission, clock::now_ms(), chance()));
    let reader = ArenaReader::new(reader, settings::rules(config));
    let mut wiring =
        Wiring { lanes: Vec::new(), sessions: Vec::new(), mouths: Vec::new(), admission };
    for (number, listener) in listeners.into_iter().enumerate() {
        let (forward, forwards) = lane(LANE_LEN);
        let (delivers, deliver) = lane(LANE_LEN);
        let (mouth, orders) = mailbox();
        let words = events.clone();
        let links = Links {
            forward,
            deliver,
            orders,
            // The control thread ends last, and does not miss a word then.
            words: Box::new(move |asked| drop(words.send(Event::Word(asked)))),
            shard: number,
            clock: clock::now_ms,
        };
        let settings = settings::shard(config, count);
        let seed = MapSeed { low: chance(), high: chance() };
        let mut shard = Shard::new(settings, reader.clone(), Arc::clone(&wiring.admission), seed);
        if config.ensemble.is_some() {
            shard.set_serving(Serving::Not);
        }
        wiring.lanes.push(Lane { forwards, delivers });
        wiring.sessions.push(SessionShard { shard, listener, links });
        wiring.mouths.push(mouth);
    }
    wiring
}

/// What the shards start with.
struct Parts {
    lanes: Vec<Lane>,
    sessions: Vec<SessionShard>,
    /// From the control thread to the pipeline.
    orders: Mailbox<Order>,
    /// Of a member.
    joining: Option<Joining>,
}

/// What a member has before its shards start; it may wait for addresses of its own, until it is told to stop.
fn join(
    config: &Config,
    data: &Data,
    heard: &Receiver<Event>,
    events: &Sender<Event>,
) -> Result<ControlFlow<(), Option<Joining>>, ServerError> {
    let Some(ensemble) = &config.ensemble else { return Ok(ControlFlow::Continue(None)) };
    let pause = |span| match heard.recv_timeout(span) {
        Ok(Event::Signal) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let found = (&*data.store.images, data.state.tree().zxid(), data.last, data.blank);
    let sizes = (config.sessions.tick_ms, settings::txn_len_max(config));
    let joining = Joining::prepare(ensemble, sizes, found, events.clone(), pause)?;
    Ok(joining.map_or(ControlFlow::Break(()), |it| ControlFlow::Continue(Some(it))))
}

/// Starts the shards, each on its core. Gives back the locked directories.
fn launch(
    config: &Config,
    cores: &[usize],
    data: Data,
    parts: Parts,
    events: &Sender<Event>,
) -> Result<Store, ServerError> {
    let Data { store, state, shadow, backlog, tail, void_sequence, took_ms, replayed, .. } = data;
    let Parts { lanes, mut sessions, orders, joining } = parts;
    let storage = &config.storage;
    let purged = storage.purge == Purge::AfterSnapshot;
    let retain = purged.then_some(storage.snap_retain_count as usize);
    let imager = ImagerOptions { retain, ..ImagerOptions::new(&store.images) };
    let imager = Imager::start(imager, shadow);
    let imager = imager.map_err(system("cannot start the snapshot thread"))?;
    let due = Due { txns: u64::from(storage.snap_count), bytes: storage.snap_size_limit_kb << 10 };
    let mut images = Images::new(imager, events.clone(), due, chance());
    images.carry_on(void_sequence);
    // A member has not applied what it has read, and counts it when it does.
    if joining.is_none() {
        images.replayed(replayed);
    }
    let sid = config.ensemble.as_ref().map_or(STANDALONE_ID, |it| it.myid.0 as u8);
    let first = SessionId::first(sid, wall_ms());
    let seed = MapSeed { low: chance(), high: chance() };
    let tracker = SessionTracker::new(config.sessions.tick_ms, first, seed);
    let rules = settings::rules(config);
    let now_ms = clock::now_ms();
    let mut applier = Applier::new(state, rules, tracker, lanes.len(), now_ms);
    let figures = applier.figures_mut();
    figures.startup_snap_load_time.add(took_ms[0]);
    figures.startup_txns_load_time.add(took_ms[1]);
    figures.startup_txns_loaded.add(replayed);
    figures.dbinittime.add(took_ms[0] + took_ms[1]);
    let reaping = settings::reaping(config);
    let slow_append_ms = storage.fsync_warning_ms;
    let here = (sessions.len() == cores.len()).then(|| sessions.remove(0));
    let no_thread = system("cannot start a shard");
    for (session, &core) in sessions.into_iter().zip(&cores[1..]) {
        threads::start_sessions(core, session).map_err(&no_thread)?;
    }
    let teller = events.clone();
    // The control thread ends last.
    let ended = move |done| drop(teller.send(Event::Ended(done)));
    let started = if let (Some(ensemble), Some(joining)) = (&config.ensemble, joining) {
        let tick_ms = config.sessions.tick_ms;
        let helpers = Unpinned::here().map_err(system("cannot read the cores of this process"))?;
        let place = settings::place(config, &store.images, [chance(), chance()], helpers);
        let manners = settings::manners(config, ensemble);
        let ids = SessionTracker::new(tick_ms, first, MapSeed { low: chance(), high: chance() });
        applier.set_local(LocalSessions::new(settings::local_policy(ensemble), ids));
        let make = move || -> Result<_, ServerError> {
            let log = Log::start(tail, wall_ms).map_err(ServerError::LogStart)?;
            let member = joining.member((log, place), backlog, applier, reaping, manners);
            let member = member.map_err(system("cannot start the thread that asks the oracle"))?;
            Ok(EnsembleShard::new(member, lanes, orders, images, slow_append_ms))
        };
        threads::start_pipeline(cores[0], here, make, ended)
    } else {
        let pipeline = Pipeline::new(applier, reaping, now_ms);
        let make = move || -> Result<_, ServerError> {
            let log = Log::start(tail, wall_ms).map_err(ServerError::LogStart)?;
            Ok(PipelineShard::new(pipeline, log, lanes, orders, images, slow_append_ms))
        };
        threads::start_pipeline(cores[0], here, make, ended)
    };
    started.map_err(&no_thread)??;
    Ok(store)
}

/// With so many cores or fewer the pipeline's core has sessions too; with more, the pipeline has it to itself. What was measured is in
/// `ARCHITECTURE.md`, "Threads".
const SHARING_CORES_MAX: usize = 2;

/// The server id that a standalone server puts into its session ids. Source: `ZooKeeperServer.createSessionTracker`.
const STANDALONE_ID: u8 = 1;

/// Opens the client port once for each of `count` shards.
pub(crate) fn listen(config: &Config, count: usize) -> Result<Vec<TcpListener>, ServerError> {
    let network = &config.network;
    let keep_alive = if network.tcp_keep_alive { KeepAlive::On } else { KeepAlive::Off };
    let backlog = network.listen_backlog.map_or(BACKLOG, |it| it as i32);
    let alone = ListenSettings { backlog, keep_alive, sharing: Sharing::Alone };
    let shared = ListenSettings { sharing: Sharing::Shared, ..alone };
    let resolved = network.client_address.resolve(network.client_port);
    let mut failure = None;
    for address in resolved.map_err(system("cannot resolve clientPortAddress"))? {
        // Alone first: a second server on the port must fail.
        match listen_alone(address, alone) {
            Ok(only) if count == 1 => return Ok(vec![only]),
            Ok(first) => {
                let address = first.local_addr().map_err(system("cannot read the client port"))?;
                drop(first);
                let opened = (0..count).map(|_| net::driver::listen(address, shared));
                return Ok(opened.collect::<Result<_, _>>()?);
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => unreachable!("a name resolves to an address or to an error"),
    }
}

/// Tries a port in use again for a while: the kernel ends the rings of a killed server after the process is gone, and its
/// listening sockets with them (seen: 14 ms, once in 30 kills).
#[expect(clippy::disallowed_methods, reason = "no shard runs yet that could be blocked")]
fn listen_alone(address: SocketAddr, settings: ListenSettings) -> Result<TcpListener, ListenError> {
    let end_ms = clock::now_ms() + PORT_PATIENCE_MS;
    loop {
        match net::driver::listen(address, settings) {
            Err(refused)
                if refused.error.kind() == ErrorKind::AddrInUse && clock::now_ms() < end_ms => {}
            done => return done,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long a port in use is tried. Milliseconds.
const PORT_PATIENCE_MS: u64 = 1_000;

/// Connections that wait for an accept if nothing is configured. The reference has 50: too few when thousands come back.
const BACKLOG: i32 = 4096;

/// The cores to run on, ascending.
fn cores(config: &Config) -> Result<Vec<usize>, ServerError> {
    let set = rustix::thread::sched_getaffinity(None)
        .map_err(|errno| system("cannot read the cores of this process")(errno.into()))?;
    let allowed: Vec<usize> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect();
    let chosen = match &config.own.cores {
        Cores::All => allowed,
        Cores::Count(count) => allowed.into_iter().take(*count as usize).collect(),
        Cores::Ids(ids) => {
            for &core in ids {
                if !allowed.contains(&(core as usize)) {
                    return Err(ServerError::Core { core, allowed: format!("{allowed:?}") });
                }
            }
            ids.iter().map(|&core| core as usize).collect()
        }
    };
    assert!(!chosen.is_empty(), "a process runs somewhere");
    Ok(chosen)
}

/// Chance, for hash keys and jitter. Nobody can guess it, and nothing depends on it.
fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> ServerError {
    move |source| ServerError::System { what, source }
}

/// Log lines go to standard error, coloured for a terminal. `RUST_LOG` chooses; info by default.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
