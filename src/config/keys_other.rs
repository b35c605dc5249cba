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
    later("secureClientPort", Capability::Tls),
    later("secureClientPortAddress", Capability::Tls),
    later("client.portUnification", Capability::Tls),
    later("client.certReload", Capability::Tls),
    later("ssl.keyStore.*", Capability::Tls),
    later("ssl.trustStore.*", Capability::Tls),
    later("ssl.protocol", Capability::Tls),
    later("ssl.enabledProtocols", Capability::Tls),
    later("ssl.ciphersuites", Capability::Tls),
    later("ssl.clientAuth", Capability::Tls),
    later("ssl.hostnameVerification", Capability::Tls),
    later("ssl.clientHostnameVerification", Capability::Tls),
    later("ssl.allowReverseDnsLookup", Capability::Tls),
    later("ssl.crl", Capability::Tls),
    later("ssl.ocsp", Capability::Tls),
    later("ssl.handshakeDetectionTimeoutMillis", Capability::Tls),
    later("ssl.authProvider", Capability::Tls),
    later("ssl.sslProvider", Capability::Tls),
    later("ssl.context.*", Capability::Tls),
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
    later("quorum.auth.*", Capability::Sasl),
    later("quorum.cnxn.threads.size", Capability::Sasl),
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
];

/// Keys that tune machinery which this server is built without.
pub static IDLE_KEYS: &[IdleKey] = &[
    idle("serverCnxnFactory", "there is one network layer"),
    idle("nio.numSelectorThreads", "a thread per core reads, works and writes"),
    idle("nio.numWorkerThreads", "a thread per core reads, works and writes"),
    idle("nio.directBufferBytes", "buffers belong to connections and are reused"),
    idle("nio.shutdownTimeout", "a stop waits for what is written, not for a time"),
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
    idle("request_throttle_stall_time", "a waiting request goes on as soon as there is room"),
    idle("request_throttle_drop_stale", "requests that wait go with their connection"),
    idle("request_stale_connection_check", "requests that wait go with their connection"),
    idle("emulate353TTLNodes", "data that release 3.5.3 wrote is not read"),
    idle("request_throttler.shutdownTimeout", "a stop waits for what is written, not for a time"),
    idle("watchManagerName", "there is one table of watches per core"),
    idle("watcherCleanThreshold", "a connection's watches go with it"),
    idle("watcherCleanIntervalInSeconds", "a connection's watches go with it"),
    idle("watcherCleanThreadsNum", "a connection's watches go with it"),
    idle("maxInProcessingDeadWatchers", "a connection's watches go with it"),
    idle("bitHashCacheSize", "there is one table of watches per core"),
    idle("messageTracker.*", "for debugging the reference's learners"),
    idle("jvm.pause.*", "no virtual machine pauses"),
    idle("syncEnabled", "an observer keeps a log as everybody does, and starts from it"),
    idle("observer.syncEnabled", "an observer keeps a log as everybody does, and starts from it"),
    idle("observerMaster.*", "what an observer lacks comes from the log"),
    idle("leader.nodelay", "no connection between servers waits to fill a packet"),
    idle("follower.nodelay", "no connection between servers waits to fill a packet"),
    idle("leader.ackLoggingFrequency", "acknowledgements are not logged one by one"),
    idle("leader.closeSocketAsync", "closing a connection waits for nobody"),
    idle("learner.closeSocketAsync", "closing a connection waits for nobody"),
    idle("learner.asyncSending", "sending waits for nobody"),
    idle("commitProcessor.*", "a batch is applied in one go"),
    idle("follower.skipLearnerRequestToNextProcessor", "there is no chain of processors"),
    idle(
        "forward_learner_requests_to_commit_processor_disabled",
        "there is no chain of processors",
    ),
    idle("test.allowDiscontinuousProposals", "proposals have no gaps that could be allowed"),
    idle("snapshotSizeFactor", "a difference is sent from the log, unless an image is shorter"),
    idle(
        "multiAddress.reachabilityCheck*",
        "a server with several addresses is called at one beside the other until one answers",
    ),
    idle(
        "ssl.quorum.context.supplier.class",
        "there are no classes; the stores are named by ssl.quorum.keyStore.* and ssl.quorum.trustStore.*",
    ),
    idle("jmx.*", "no virtual machine"),
];
