//! What a member of an ensemble is told beside a server's other settings.
//!
//! ZooKeeper: `QuorumPeerConfig` and the system properties of the package `server.quorum`. A configuration has this part iff the
//! server is to run as a member: see [`Config::ensemble`](super::Config::ensemble).
//! Absent: the addresses of clients, which the server's own line may give; they are in [`Network`](super::Network).

use std::path::PathBuf;
use std::time::Duration;

use quorum::config::ReconfigRules;
use quorum::zab::{ObserverDelays, Reconfig, SyncBy, SyncLimits, WindowLimits};
use quorum::{Address, Member, QuorumConfig, Role, Sid};

use super::security::SecurityConfig;

/// Which file lists the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedIn {
    /// The configuration itself.
    StaticFile,
    /// The one that it names. Source: `dynamicConfigFile`.
    DynamicFile,
}

/// A member's settings. Invariants: `myid` is among `members`; both limits are at least 1.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "switches that an operator sets one by one")]
pub struct EnsembleConfig {
    /// This server's number. Source: the file `myid` in `dataDir`.
    pub myid: Sid,
    /// The ensemble. Its version is that in the name of the dynamic file, or 0. Source: `server.N`, `group.N`, `weight.N`.
    pub members: QuorumConfig,
    /// The ensemble that was proposed when the server stopped, if one was. Source: the dynamic file's `.next`.
    pub last_seen: Option<QuorumConfig>,
    /// Ticks that finding and learning the history may take each. Source: `initLimit`.
    pub init_limit: u32,
    /// Ticks that a server may be silent or a proposal unacknowledged. Source: `syncLimit`.
    pub sync_limit: u32,
    /// Ticks that connecting to the leader may take; by default `init_limit`. Source: `connectToLearnerMasterLimit`.
    pub connect_limit: u32,
    /// Whether the quorum and election ports listen on every address. Default false. Source: `quorumListenOnAllIPs`.
    pub listen_on_all: bool,
    /// Whether a member may have several addresses. Default false. Source: `multiAddress.enabled`.
    pub multi_address: bool,
    /// How long connecting to an election port may take. Milliseconds, default 5,000. Source: `cnxTimeout`.
    pub connect_timeout_ms: u32,
    /// How long the first bytes of an election connection may take. Milliseconds, by default `sync_limit` ticks.
    ///
    /// Source: `quorumCnxnTimeoutMs`.
    pub handshake_timeout_ms: u32,
    /// Pause between tries to connect to the leader. Milliseconds, default 100. Source: `leaderConnectDelayDuringRetryMs`.
    pub connect_pause_ms: u32,
    /// Tries to bind the election port before the server gives up; 0 is without end. Default 3. Source: `electionPortBindRetry`.
    pub bind_tries: u32,
    /// Whether the kernel probes silent connections between servers. Default false. Source: `tcpKeepAlive`.
    pub tcp_keep_alive: bool,
    /// First wait for notifications before they are sent again. Milliseconds, default 200.
    ///
    /// Source: `fastleader.minNotificationInterval`.
    pub notification_ms_min: u32,
    /// Longest wait for notifications; it doubles up to this. Milliseconds, default 60,000, not below the first.
    ///
    /// Source: `fastleader.maxNotificationInterval`.
    pub notification_ms_max: u32,
    /// Whether the leader serves clients. Default true. Source: `leaderServes`.
    pub leader_serves: bool,
    /// Whether the members may change. Default no. Source: `reconfigEnabled`.
    pub reconfig: Reconfig,
    /// How many observers may be brought up to date at a time. Source: `leader.maxConcurrentSnapSyncs`, `leader.maxConcurrentDiffSyncs`.
    pub sync_limits: SyncLimits,
    /// When learners get an image. Source: `forceSnapshotSync`.
    pub sync_by: SyncBy,
    /// How long a leader waits for a quorum once one of those that elected it searches again. Default: as long as for any quorum.
    ///
    /// Source: `leader.maxTimeToWaitForEpoch`.
    pub epoch_wait: Option<Duration>,
    /// Port at which followers tell observers, the same at every server; `None`: only the leader does. Source: `observerMasterPort`.
    pub observer_master_port: Option<u16>,
    /// How long a member waits, as an observer that has lost its leader. Source: `observer.election.DelayMs`, `observer.reconnectDelayMs`.
    pub observer_delays: ObserverDelays,
    /// Whether new sessions are known to one server alone. Default false. Source: `localSessionsEnabled`.
    pub local_sessions: bool,
    /// Whether the first ephemeral makes such a session a global one. Default false. Source: `localSessionsUpgradingEnabled`.
    pub local_sessions_upgrade: bool,
    /// Whether a request that an ACL forbids is refused before the leader is asked. Default false. Source: `enableEagerACLCheck`.
    pub eager_acl: bool,
    /// The counter behind which each epoch's transactions are numbered, to try its end. Default 0.
    ///
    /// Source: `testingonly.initialZxid`.
    pub first_counter: u32,
    /// The file that says whether one of two voters may go on alone. Default none. Source: `oraclePath`.
    pub oracle_path: Option<PathBuf>,
    /// What of new members is allowed. Source: `standaloneEnabled`, `multiAddress.enabled`.
    pub rules: ReconfigRules,
    /// The configuration's file, beside which members are kept.
    pub file: PathBuf,
    /// Which file lists the members.
    pub listed_in: ListedIn,
    /// How the ports are protected.
    pub security: SecurityConfig,
    /// How much of the log stays in memory for learners that were away. Source of its count: `commitLogCount`.
    pub window: WindowLimits,
}

impl EnsembleConfig {
    /// This server's own line.
    pub fn own(&self) -> &Member {
        let own = self.members.member(self.myid);
        own.unwrap_or_else(|| unreachable!("server {} is among the members", self.myid))
    }

    /// Where this server listens for observers while it follows.
    pub fn observer_addresses(&self) -> Vec<Address> {
        self.observer_master_port.map_or_else(Vec::new, |port| self.own().quorum_addresses_at(port))
    }

    /// What this server is by its line.
    pub fn role(&self) -> Role {
        self.own().role
    }
}

impl Default for EnsembleConfig {
    /// What a key changes that is not given; nobody is a member, and no limit is set.
    fn default() -> Self {
        Self {
            myid: Sid::ANONYMOUS,
            members: QuorumConfig::of_members([]),
            last_seen: None,
            init_limit: 0,
            sync_limit: 0,
            connect_limit: 0,
            listen_on_all: false,
            multi_address: false,
            connect_timeout_ms: 5_000,
            handshake_timeout_ms: 0,
            connect_pause_ms: 100,
            bind_tries: 3,
            tcp_keep_alive: false,
            notification_ms_min: 200,
            notification_ms_max: 60_000,
            leader_serves: true,
            reconfig: Reconfig::Disabled,
            sync_limits: SyncLimits::default(),
            sync_by: SyncBy::default(),
            epoch_wait: None,
            observer_master_port: None,
            observer_delays: ObserverDelays::default(),
            local_sessions: false,
            local_sessions_upgrade: false,
            eager_acl: false,
            first_counter: 0,
            oracle_path: None,
            rules: ReconfigRules::default(),
            file: PathBuf::new(),
            listed_in: ListedIn::StaticFile,
            security: SecurityConfig::default(),
            window: WindowLimits::default(),
        }
    }
}
