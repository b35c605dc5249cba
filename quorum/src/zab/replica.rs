//! What a server is, whatever its role: its promises, its log, its view of the ensemble.
//!
//! ZooKeeper: the fields of `QuorumPeer` and `ZKDatabase` that outlive a role. What is here is what was *ordered*; the disk
//! follows in the same order, and whoever promises something to others waits for the write that the promise rests on.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use jute::{Record, SetDataTxn, TxnHeader, Zxid};

use crate::wire::BATCHING_PROTOCOL;
use crate::{Epoch, Oracle, QuorumConfig, Role, Sid, Views};

use super::io::{Output, Write, WriteId};
use super::planted::Bug;
use super::{History, LinkError, SyncBy, SyncLimits, WindowLimits};

/// The op of a transaction that changes the members. Source: `ZooDefs.OpCode.reconfig`.
const RECONFIG: i32 = 16;

/// Whether the members may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reconfig {
    /// They are what the files say. Source: `reconfigEnabled=false`.
    #[default]
    Disabled,
    /// By transactions.
    Enabled,
}

/// The numbers of zoo.cfg that ZAB needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// `tickTime`; not zero.
    pub tick: Duration,
    /// Ticks that discovery and synchronisation may take each; at least 1.
    pub init_limit: u32,
    /// Ticks that a server may be silent; at least 1.
    pub sync_limit: u32,
    /// The longest pause between tries to connect to the leader. Source: `zookeeper.leaderConnectDelayDuringRetryMs`, 100 ms.
    pub connect_pause: Duration,
    /// What of the log stays in memory.
    pub window: WindowLimits,
    /// Whether the members may change.
    pub reconfig: Reconfig,
    /// An epoch's transactions are numbered from behind this counter: 0, but where its end is tried. The same at every server.
    ///
    /// Source: `zookeeper.testingonly.initialZxid`.
    pub first_counter: u32,
    /// How long a leader waits for a quorum to connect once one of those that elected it has changed its mind; `None`: as long as a phase may take.
    ///
    /// Source: `zookeeper.leader.maxTimeToWaitForEpoch`, −1 for none.
    pub epoch_wait: Option<Duration>,
    /// How many observers may be synchronised at a time.
    pub sync_limits: SyncLimits,
    /// When learners get an image.
    pub sync_by: SyncBy,
    /// Whether followers have observers.
    pub observer_masters: super::ObserverMasters,
    /// What this server waits for as an observer.
    pub observer_delays: ObserverDelays,
    /// Whether there is one to ask where one of two voters is alone.
    pub oracle: Oracle,
    /// The latest protocol that this server speaks: [`BATCHING_PROTOCOL`], or [`PROTOCOL_VERSION`] to be to others what a reference server is.
    ///
    /// [`PROTOCOL_VERSION`]: crate::wire::PROTOCOL_VERSION
    pub protocol: i32,
}

/// How long an observer that has lost its leader waits, so that many do not all come back at once: each time a part of these, as if by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObserverDelays {
    /// Before it searches, at most. Source: `zookeeper.observer.election.DelayMs`, 200 ms.
    pub election: Duration,
    /// Before it connects to the leader, or to the followers anew when all were tried, at most. Source: `zookeeper.observer.reconnectDelayMs`, 0.
    pub reconnect: Duration,
}

impl Default for ObserverDelays {
    fn default() -> Self {
        Self { election: Duration::from_millis(200), reconnect: Duration::ZERO }
    }
}

impl Default for Settings {
    /// Those of ZooKeeper's sample configuration: ticks of two seconds, 10 for `initLimit`, 5 for `syncLimit`.
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(2),
            init_limit: 10,
            sync_limit: 5,
            connect_pause: Duration::from_millis(100),
            window: WindowLimits::default(),
            reconfig: Reconfig::default(),
            first_counter: 0,
            epoch_wait: None,
            sync_limits: SyncLimits::default(),
            sync_by: SyncBy::default(),
            observer_masters: super::ObserverMasters::Off,
            observer_delays: ObserverDelays::default(),
            oracle: Oracle::None,
            protocol: BATCHING_PROTOCOL,
        }
    }
}

impl Settings {
    /// What an epoch's first transaction comes behind.
    pub fn before_first(&self, epoch: Epoch) -> Zxid {
        Zxid(epoch.zxid().0 | i64::from(self.first_counter))
    }

    /// How long a phase may take.
    pub fn init_time(&self) -> Duration {
        self.tick * self.init_limit
    }

    /// How long a server may be silent.
    pub fn sync_time(&self) -> Duration {
        self.tick * self.sync_limit
    }
}

/// What the disk held at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The promised epoch.
    pub accepted: Epoch,
    /// The epoch whose history this is.
    pub current: Epoch,
    /// The last transaction of the log, or of the image where the log is empty.
    pub last: Zxid,
    /// The last transaction that is known to be committed: that of the image, at least.
    pub committed: Zxid,
}

/// One server's lasting state.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Replica {
    pub(crate) sid: Sid,
    pub(crate) settings: Settings,
    pub(crate) views: Arc<Views>,
    pub(crate) history: History,
    /// Invariant: never goes back.
    pub(crate) accepted: Epoch,
    /// Invariant: never goes back, and never above the accepted one.
    pub(crate) current: Epoch,
    /// Never truncated. Invariant: never goes back.
    pub(crate) committed: Zxid,
    /// What is applied is of no use. The log is, and stays until an image is here; but nobody votes with it.
    pub(crate) diverged: bool,
    ordered: WriteId,
    durable: WriteId,
    #[cfg(planted)]
    bug: Option<Bug>,
}

impl Replica {
    /// A server that begins with what its disk holds.
    pub(crate) fn new(sid: Sid, settings: Settings, views: Views, restored: &Restored) -> Self {
        let Restored { accepted, current, last, committed } = *restored;
        assert!(current <= accepted, "{current} is current, {accepted} accepted");
        assert!(committed <= last, "{committed} is committed, {last} logged");
        assert!(!settings.tick.is_zero() && 0 < settings.init_limit && 0 < settings.sync_limit);
        Self {
            sid,
            settings,
            views: Arc::new(views),
            history: History::new(last, settings.window),
            accepted,
            current,
            committed,
            diverged: false,
            ordered: WriteId::default(),
            durable: WriteId::default(),
            #[cfg(planted)]
            bug: None,
        }
    }

    /// Puts a bug in.
    #[cfg(planted)]
    pub(crate) fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }

    /// Whether this bug was put in.
    #[cfg(planted)]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this bug was put in: never.
    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the other build has one to look at")]
    pub(crate) const fn has(&self, _: Bug) -> bool {
        false
    }

    /// Whether it asks to be an observer.
    pub(crate) fn is_observer(&self) -> bool {
        self.views.committed().member(self.sid).is_some_and(|it| it.role == Role::Observer)
    }

    /// Whether the members may change.
    pub(crate) fn is_reconfigurable(&self) -> bool {
        self.settings.reconfig == Reconfig::Enabled
    }

    /// Whether the servers for which `acked` holds are a quorum wherever `views` needs one.
    pub(crate) fn has_quorum(&self, views: &Views, acked: impl Fn(Sid) -> bool) -> bool {
        if self.has(Bug::HalfIsAQuorum) {
            let voters = views.voters();
            return voters.len() <= 2 * voters.iter().filter(|&&it| acked(it)).count();
        }
        if self.has(Bug::CountObservers) {
            let voters = views.voters().len();
            let members = views.committed().members().map(|it| it.sid);
            return voters < 2 * members.filter(|&it| acked(it)).count();
        }
        if self.has(Bug::OldMajorityAlone) {
            return views.committed().verifier().contains_quorum(acked);
        }
        views.contains_quorum(acked)
    }

    /// What others are told of the log: its last transaction, or −1 if what is applied is of no use.
    ///
    /// To others, of the reference too, −1 is a server that must not decide anything, and is sent an image.
    pub(crate) fn shown_last(&self) -> Zxid {
        if self.diverged { Zxid(-1) } else { self.history.last() }
    }

    /// Orders a write.
    pub(crate) fn write(&mut self, what: Write, out: &mut Vec<Output>) -> WriteId {
        self.ordered.0 += 1;
        out.push(Output::Write { write: self.ordered, what });
        self.ordered
    }

    /// Everything up to `write` is durable.
    pub(crate) fn set_durable(&mut self, write: WriteId) {
        assert!(write <= self.ordered, "write {} was never ordered", write.0);
        self.durable = self.durable.max(write);
    }

    /// Whether this write is durable.
    pub(crate) fn is_durable(&self, write: WriteId) -> bool {
        write <= self.durable
    }

    /// The last write ordered.
    pub(crate) fn ordered(&self) -> WriteId {
        self.ordered
    }

    /// The last write ordered, if it is not durable.
    pub(crate) fn owed(&self) -> Option<WriteId> {
        let owes = !self.is_durable(self.ordered) && !self.has(Bug::VoteThoughHanging);
        owes.then_some(self.ordered)
    }

    /// Promises an epoch.
    pub(crate) fn accept(&mut self, epoch: Epoch, out: &mut Vec<Output>) -> WriteId {
        assert!(self.accepted < epoch || cfg!(planted));
        self.accepted = epoch;
        self.write(Write::AcceptedEpoch(epoch), out)
    }

    /// Makes an epoch current.
    pub(crate) fn establish(&mut self, epoch: Epoch, out: &mut Vec<Output>) -> WriteId {
        assert!(self.current <= epoch && epoch <= self.accepted || cfg!(planted));
        self.current = epoch;
        if self.has(Bug::ForgetCurrentEpoch) {
            return self.ordered;
        }
        self.write(Write::CurrentEpoch(epoch), out)
    }

    /// Logs a transaction.
    pub(crate) fn append(&mut self, zxid: Zxid, txn: &[u8], out: &mut Vec<Output>) -> WriteId {
        self.history.append(zxid, txn);
        self.write(Write::Append { zxid }, out)
    }

    /// Everything up to `zxid` is decided.
    pub(crate) fn commit(&mut self, zxid: Zxid, out: &mut Vec<Output>) {
        assert!(zxid <= self.history.last() || cfg!(planted));
        if self.committed < zxid {
            self.committed = zxid;
            out.push(Output::Commit { upto: zxid });
        }
    }

    /// Takes a proposed configuration, if the members may change.
    pub(crate) fn propose_config(&mut self, config: &Arc<QuorumConfig>, out: &mut Vec<Output>) {
        if self.settings.reconfig == Reconfig::Enabled
            && config.version() != self.views.last_seen().version()
        {
            Arc::make_mut(&mut self.views).propose(Arc::clone(config));
            out.push(Output::Propose { config: Arc::clone(config) });
        }
    }

    /// Takes an agreed configuration, if the members may change. Whether anything changed.
    pub(crate) fn commit_config(
        &mut self,
        config: &Arc<QuorumConfig>,
        out: &mut Vec<Output>,
    ) -> bool {
        let changed = self.settings.reconfig == Reconfig::Enabled
            && Arc::make_mut(&mut self.views).commit(Arc::clone(config));
        if changed {
            out.push(Output::Activate { config: Arc::clone(config) });
        }
        changed
    }
}

/// Checks that a transaction carries the zxid of its packet; gives the configuration that it proposes, if it does.
///
/// # Errors
/// [`LinkError::BadTxn`], [`LinkError::BadConfig`].
pub(crate) fn inspect(zxid: Zxid, txn: &[u8]) -> Result<Option<Arc<QuorumConfig>>, LinkError> {
    let bad = LinkError::BadTxn { zxid };
    let header = TxnHeader::decode(txn).map_err(|_| bad)?;
    if header.zxid != zxid {
        return Err(bad);
    }
    if header.op != RECONFIG {
        return Ok(None);
    }
    let bad = LinkError::BadConfig { zxid };
    let record = SetDataTxn::decode(&txn[TxnHeader::LEN..]).map_err(|_| bad)?;
    let text = record.data.and_then(|it| core::str::from_utf8(it).ok()).ok_or(bad)?;
    parse_config(text.as_bytes(), zxid).map(Some)
}

/// Reads a configuration's text.
///
/// # Errors
/// [`LinkError::BadConfig`].
pub(crate) fn parse_config(text: &[u8], zxid: Zxid) -> Result<Arc<QuorumConfig>, LinkError> {
    let bad = LinkError::BadConfig { zxid };
    let text = core::str::from_utf8(text).map_err(|_| bad)?;
    QuorumConfig::parse(text).map(Arc::new).map_err(|_| bad)
}
