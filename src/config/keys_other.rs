//! The keys that are recognised and do nothing: of capabilities that do not exist yet, and of machinery that this server
//! is built without.
//!
//! Absent: keys that do something, see `keys`.

use super::keys::{Capability, IdleKey, LaterKey};

const fn later(name: &'static str, capability: Capability) -> LaterKey {
    LaterKey { name, capability }
}

const fn idle(name: &'static str, reason: &'static str) -> IdleKey {
    IdleKey { name, reason }
}

/// Keys of capabilities that do not exist yet. The first row that fits counts.
pub static LATER_KEYS: &[LaterKey] = &[
    later("server.*", Capability::Ensemble),
    later("group.*", Capability::Ensemble),
    later("weight.*", Capability::Ensemble),
    later("initLimit", Capability::Ensemble),
    later("syncLimit", Capability::Ensemble),
    later("connectToLearnerMasterLimit", Capability::Ensemble),
    later("electionAlg", Capability::Ensemble),
    later("electionPortBindRetry", Capability::Ensemble),
    later("peerType", Capability::Ensemble),
    later("syncEnabled", Capability::Ensemble),
    later("quorumListenOnAllIPs", Capability::Ensemble),
    later("quorumCnxnTimeoutMs", Capability::Ensemble),
    later("quorum.cnxn.threads.size", Capability::Ensemble),
    later("quorum.auth.*", Capability::Ensemble),
    later("cnxTimeout", Capability::Ensemble),
    later("tcpKeepAlive", Capability::Ensemble),
    later("multiAddress.*", Capability::Ensemble),
    later("oraclePath", Capability::Ensemble),
    later("observerMasterPort", Capability::Ensemble),
    later("observerMaster.*", Capability::Ensemble),
    later("observer.*", Capability::Ensemble),
    later("learner.*", Capability::Ensemble),
    later("leader.*", Capability::Ensemble),
    later("leaderServes", Capability::Ensemble),
    later("leaderConnectDelayDuringRetryMs", Capability::Ensemble),
    later("follower.*", Capability::Ensemble),
    later("fastleader.*", Capability::Ensemble),
    later("forceSnapshotSync", Capability::Ensemble),
    later("forward_learner_requests_to_commit_processor_disabled", Capability::Ensemble),
    later("commitProcessor.*", Capability::Ensemble),
    later("commitLogCount", Capability::Ensemble),
    later("snapshotSizeFactor", Capability::Ensemble),
    later("enableEagerACLCheck", Capability::Ensemble),
    later("testingonly.initialZxid", Capability::Ensemble),
    later("test.allowDiscontinuousProposals", Capability::Ensemble),
    later("version", Capability::Ensemble),
    later("sslQuorum", Capability::Tls),
    later("sslQuorumReloadCertFiles", Capability::Tls),
    later("portUnification", Capability::Tls),
    later("secureClientPort", Capability::Tls),
    later("secureClientPortAddress", Capability::Tls),
    later("client.portUnification", Capability::Tls),
    later("client.certReload", Capability::Tls),
    later("ssl.*", Capability::Tls),
    later("fips-mode", Capability::Tls),
    later("netty.*", Capability::Tls),
    later("X509AuthenticationProvider.*", Capability::Tls),
    later("SASLAuthenticationProvider.*", Capability::Sasl),
    later("allowSaslFailedClients", Capability::Sasl),
    later("letAnySaslUserDoX", Capability::Sasl),
    later("sasl.*", Capability::Sasl),
    later("superUser*", Capability::Sasl),
    later("kerberos.*", Capability::Sasl),
    later("kinit", Capability::Sasl),
    later("requireKerberosConfig", Capability::Sasl),
    later("security.auth_to_local", Capability::Sasl),
    later("server.realm", Capability::Sasl),
    later("jaasLoginRenew", Capability::Sasl),
    later("java.security.*", Capability::Sasl),
    later("sun.security.*", Capability::Sasl),
    later("authProvider.*", Capability::Providers),
    later("ensembleAuthName", Capability::Providers),
    later("admin.*", Capability::Admin),
    later("IPAuthenticationProvider.usexforwardedfor", Capability::Admin),
    later("serializeLastProcessedZxid.enabled", Capability::Admin),
    later("metricsProvider.*", Capability::Metrics),
    later("pathStats.*", Capability::Metrics),
    later("audit.*", Capability::Audit),
    later("localSessionsEnabled", Capability::LocalSessions),
    later("localSessionsUpgradingEnabled", Capability::LocalSessions),
];

/// Keys that tune machinery which this server is built without.
pub static IDLE_KEYS: &[IdleKey] = &[
    idle("serverCnxnFactory", "there is one network layer"),
    idle("nio.*", "no selector and worker threads: a thread per core does both"),
    idle("flushDelay", "group commit has no timer: a batch is written when the one before it is"),
    idle("maxWriteQueuePollTime", "group commit has no timer"),
    idle("maxBatchSize", "a batch holds what arrived while the one before it was written"),
    idle("closeSessionTxn.enabled", "a session's end always lists what it deletes"),
    idle("maxResponseCacheSize", "reads are answered from the tree in wire order, without a cache"),
    idle("maxGetChildrenResponseCacheSize", "reads are answered from the tree in wire order"),
    idle("intBufferStartingSizeBytes", "buffers are reused"),
    idle("snapshot.compression.method", "snapshots are read in place, page by page"),
    idle(
        "snapshot.trust.empty",
        "a log without its snapshot is refused unless it starts at the first transaction",
    ),
    idle("jute.maxbuffer.extrasize", "what the log can hold follows from jute.maxbuffer"),
    idle("request_throttler.shutdownTimeout", "a stop waits for what is written, not for a time"),
    idle("watchManagerName", "there is one table of watches per core"),
    idle("watcherCleanThreshold", "a connection's watches go with it"),
    idle("watcherCleanIntervalInSeconds", "a connection's watches go with it"),
    idle("watcherCleanThreadsNum", "a connection's watches go with it"),
    idle("maxInProcessingDeadWatchers", "a connection's watches go with it"),
    idle("bitHashCacheSize", "there is one table of watches per core"),
    idle("messageTracker.*", "for debugging the reference's learners"),
    idle("jvm.pause.*", "no virtual machine pauses"),
    idle("jmx.*", "no virtual machine"),
];
