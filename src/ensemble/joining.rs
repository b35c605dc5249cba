//! From a member's configuration and its disk to its machines and ports.
//!
//! ZooKeeper: `QuorumPeerMain.runFromConfig`, `QuorumPeer.loadDataBase`, `startLeaderElection`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use jute::Zxid;
use net::driver::KeepAlive;
use net::election::{ElectionPort, ElectionPortSettings};
use net::learners::{LearnerPort, LearnerPortSettings, PortError};
use net::tls::TlsError;
use quorum::election::Timing;
use quorum::wire::BATCHING_PROTOCOL;
use quorum::zab::{ObserverMasters, Restored, Settings};
use quorum::{Server, Views};
use wal::Log;

use super::certificates;
use super::{Backlog, Disk, Manners, Member, Members, Oracle, Place};
use crate::config::{EnsembleConfig, MembersFileError};
use crate::control::Event;
use crate::epochs::{EpochError, Epochs, Which};
use crate::pipeline::{Applier, Reaping};
use crate::start::Blank;

/// Bytes that wait for a learner that does not read, at most, where transactions are not longer than half of it; then it is closed. It
/// is served from the log when it returns.
const QUEUED_MAX: usize = 256 << 20;

/// The longest data of a packet from a learner, bytes, where transactions are not longer.
const DATA_LEN_MAX: usize = 64 << 20;

/// The longest data of a packet from a leader, bytes: above the longest transaction that any configuration allows, so that no
/// learner is left behind for its own. Memory for it grows as it comes.
const LEADER_DATA_LEN_MAX: usize = (3 << 29) + (1 << 20);

/// Why a member cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The epoch files.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// A port for other servers.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The stores of TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The files that keep the members.
    #[error(transparent)]
    Members(#[from] MembersFileError),
}

/// A member that has its ports and has not started.
#[derive(Debug)]
pub(crate) struct Joining {
    server: Server,
    votes: ElectionPort,
    learners: LearnerPort,
    epochs: Epochs,
    members: Option<Members>,
    oracle: Option<(PathBuf, u32)>,
}

impl Joining {
    /// Reads the epochs of the data in `dir` and opens the ports; transactions are not longer than `txn_len_max` bytes; `pause` waits between two tries, and ends them. None if it does.
    ///
    /// # Errors
    /// [`JoinError`].
    pub(crate) fn prepare(
        config: &EnsembleConfig,
        (tick_ms, txn_len_max): (u32, usize),
        (dir, committed, last, blank): (&Path, Zxid, Zxid, Blank),
        events: Sender<Event>,
        pause: impl Fn(Duration) -> ControlFlow<()>,
    ) -> Result<Option<Self>, JoinError> {
        let epochs = Epochs::open(dir, last)?;
        let [accepted, current] = [Which::Accepted, Which::Current].map(|it| epochs.epoch(it));
        let restored = Restored { accepted, current, last, committed };
        let settings = Settings {
            tick: Duration::from_millis(u64::from(tick_ms)),
            init_limit: config.init_limit,
            sync_limit: config.sync_limit,
            connect_pause: Duration::from_millis(u64::from(config.connect_pause_ms)),
            window: config.window,
            reconfig: config.reconfig,
            first_counter: config.first_counter,
            epoch_wait: config.epoch_wait,
            sync_limits: config.sync_limits,
            sync_by: config.sync_by,
            observer_masters: match config.observer_master_port {
                Some(_) => ObserverMasters::On,
                None => ObserverMasters::Off,
            },
            observer_delays: config.observer_delays,
            oracle: match &config.oracle_path {
                Some(_) => quorum::Oracle::Asked,
                None => quorum::Oracle::None,
            },
            protocol: BATCHING_PROTOCOL,
        };
        let timing = Timing {
            resend_min: Duration::from_millis(u64::from(config.notification_ms_min)),
            resend_max: Duration::from_millis(u64::from(config.notification_ms_max)),
            ..Timing::default()
        };
        let mut server = Server::new(config.myid, settings, timing, views(config), &restored);
        if blank == Blank::Yes {
            tracing::warn!(
                "no data here, and zookeeper.db.autocreate is false: this server neither votes nor leads before it has an image from a leader; \
                 if nothing is meant to be here, stop it and make a file named initialize in dataDir"
            );
            server.forget();
        }
        let keep_alive = if config.tcp_keep_alive { KeepAlive::On } else { KeepAlive::Off };
        let connect_timeout = Duration::from_millis(u64::from(config.connect_timeout_ms));
        let security = certificates::security(&config.security)?;
        let votes = ElectionPortSettings {
            myid: config.myid,
            own_addresses: config.own().election_addresses().collect(),
            listen_on_all: config.listen_on_all,
            connect_timeout,
            handshake_timeout: Duration::from_millis(u64::from(config.handshake_timeout_ms)),
            keep_alive,
            security: security.clone(),
        };
        let learners = LearnerPortSettings {
            myid: config.myid,
            own_addresses: config.own().quorum_addresses().collect(),
            observer_addresses: config.observer_addresses(),
            listen_on_all: config.listen_on_all,
            connect_timeout: Duration::from_millis(u64::from(config.connect_limit * tick_ms)),
            keep_alive,
            security,
            data_len_max: DATA_LEN_MAX.max(txn_len_max),
            leader_data_len_max: LEADER_DATA_LEN_MAX,
            queued_max: QUEUED_MAX.max(2 * txn_len_max),
        };
        let opened = open_ports((&votes, &learners), config.bind_tries, pause)?;
        let Some((votes, learners)) = opened else { return Ok(None) };
        let members = Members::new(config, events)?;
        let oracle = config.oracle_path.clone().map(|path| (path, tick_ms));
        Ok(Some(Self { server, votes, learners, epochs, members, oracle }))
    }

    /// The member, on the thread where it runs.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn member(
        self,
        (log, place): (Log, Place),
        backlog: Backlog,
        applier: Applier,
        reaping: Reaping,
        manners: Manners,
    ) -> std::io::Result<Member> {
        let Self { server, votes, learners, epochs, members, oracle } = self;
        let oracle = oracle.map(|(path, tick_ms)| Oracle::new(path, tick_ms, &place.helpers));
        let oracle = oracle.transpose()?;
        let disk = Disk::new(log, epochs, place);
        Ok(Member {
            server,
            votes,
            learners,
            disk,
            backlog,
            applier,
            reaping,
            members,
            manners,
            oracle,
        })
    }
}

fn views(config: &EnsembleConfig) -> Views {
    let mut views = Views::new(Arc::new(config.members.clone()));
    if let Some(last_seen) = &config.last_seen {
        views.propose(Arc::new(last_seen.clone()));
    }
    views
}

/// From one try to open the ports to the next. Source: `QuorumCnxManager.Listener`.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// Opens both ports, with so many tries where an address is taken, or cannot be had, or its name is not known yet; 0 is without end. None: told
/// to stop in between.
fn open_ports(
    (votes, learners): (&ElectionPortSettings, &LearnerPortSettings),
    tries: u32,
    pause: impl Fn(Duration) -> ControlFlow<()>,
) -> Result<Option<(ElectionPort, LearnerPort)>, PortError> {
    let open = || -> Result<_, PortError> {
        Ok((ElectionPort::open(votes.clone())?, LearnerPort::open(learners.clone())?))
    };
    for number in 1_u64.. {
        match open() {
            Err(error @ PortError::Listen { .. }) if number != u64::from(tries) => {
                tracing::warn!("{error}; try {number} of {tries}, the next in {BIND_PAUSE:?}");
                if pause(BIND_PAUSE).is_break() {
                    break;
                }
            }
            opened => return opened.map(Some),
        }
    }
    Ok(None)
}
