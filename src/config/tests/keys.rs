//! Key by key: the default, an accepted value, and what is refused with which message.
//!
//! A table; each row stands alone.

use core::fmt::Debug;

use super::{keys, parse, refusal, settings};
use crate::config::Config;

/// One key: what its setting shows by default, what `given` makes of it, and what is refused.
struct Row {
    key: &'static str,
    shown: fn(&Config) -> String,
    default: &'static str,
    given: &'static str,
    becomes: &'static str,
    refused: &'static [&'static str],
}

fn debug(value: &impl Debug) -> String {
    format!("{value:?}")
}

macro_rules! rows {
    ($($key:literal, $($field:ident).+: $default:literal, $given:literal => $becomes:literal, [$($refused:literal),*];)*) => {
        &[$(Row {
            key: $key,
            shown: |it| debug(&it.$($field).+),
            default: $default,
            given: $given,
            becomes: $becomes,
            refused: &[$($refused),*],
        },)*]
    };
}

static ROWS: &[Row] = rows![
    "clientPort", network.client_port: "2181", "0" => "0", ["-1", "65536", "", "x", "0x10", "21 81"];
    "clientPortAddress", network.client_address: r"Ip(127.0.0.1)", "10.1.2.3" => "Ip(10.1.2.3)", [""];
    "clientPortListenBacklog", network.listen_backlog: "None", "128" => "Some(128)", ["-2", "x"];
    "maxClientCnxns", network.max_client_cnxns: "60", "0" => "0", ["x", "2147483648"];
    "maxCnxns", network.max_cnxns: "0", "0x10" => "16", ["x", "2147483648"];
    "nio.sessionlessCnxnTimeout", network.sessionless_timeout_ms: "10000", "5" => "5", ["0", "x"];
    "clientTcpKeepAlive", network.tcp_keep_alive: "false", "TRUE" => "true", ["yes", "", "1"];
    "jute.maxbuffer", network.frame_len_max: "1048575", "0x400000" => "4194304", ["1023", "-1", "1073741825", "4m"];
    "jute.maxbuffer.extrasize", network.txn_len_more: "67108864", "7" => "1024", ["536870913", "4m"];
    "dataDir", storage.data_dir: "\"/d\"", "/e" => "\"/e\"", [""];
    "dataLogDir", storage.data_log_dir: "\"/d\"", "/l" => "\"/l\"", [""];
    "datadir.autocreate", storage.autocreate_dirs: "true", "false" => "false", ["no"];
    "db.autocreate", storage.autocreate_db: "true", "false" => "false", ["no"];
    "snapCount", storage.snap_count: "100000", "5" => "5", ["x", "2147483648"];
    "snapSizeLimitInKb", storage.snap_size_limit_kb: "4194304", "-1" => "0", ["x", "-2"];
    "preAllocSize", storage.pre_alloc_kb: "65536", "100" => "100", ["-1", "64M", "0x10"];
    "txnLogSizeLimitInKb", storage.txn_log_size_limit_kb: "None", "512" => "Some(512)", ["x", "-2"];
    "forceSync", storage.force_sync: "true", "no" => "false", ["false", "off", "NO", ""];
    "fsync.warningthresholdms", storage.fsync_warning_ms: "1000", "20" => "20", ["-1", "x"];
    "autopurge.purgeInterval", storage.purge: "AfterSnapshot", "24" => "Every { interval_ms: 86400000 }", ["x", "1w", "h", "1.5"];
    "autopurge.snapRetainCount", storage.snap_retain_count: "3", "5" => "5", ["x", "0x5"];
    "tickTime", sessions.tick_ms: "3000", "+2000" => "2000", ["0", "-1", "x", "2000ms", "107374183"];
    "minSessionTimeout", sessions.timeout_ms_min: "6000", "4000" => "4000", ["-2", "x"];
    "maxSessionTimeout", sessions.timeout_ms_max: "60000", "90000" => "90000", ["-2", "x"];
    "globalOutstandingLimit", requests.global_outstanding_limit: "1000", "10" => "10", ["-1", "x"];
    "request_throttle_max_requests", requests.throttle_max_requests: "0", "9" => "9", ["-1", "x"];
    "request_stale_latency_check", requests.stale_latency_check: "false", "true" => "true", ["x"];
    "throttled_op_wait_time", requests.throttled_op_wait_ms: "0", "9" => "9", ["-1", "x"];
    "largeRequestMaxBytes", requests.large_request_max_bytes: "104857600", "9" => "9", ["0", "x"];
    "largeRequestThreshold", requests.large_request_threshold: "None", "9" => "Some(9)", ["0", "-2", "x"];
    "connection_throttle_tokens", connection_throttle.tokens: "0", "9" => "9", ["-1", "x"];
    "connection_throttle_fill_time", connection_throttle.fill_time_ms: "1", "9" => "9", ["0", "x"];
    "connection_throttle_fill_count", connection_throttle.fill_count: "1", "9" => "9", ["-1", "x"];
    "connection_throttle_freeze_time", connection_throttle.freeze_time_ms: "None", "0" => "Some(0)", ["-2", "x"];
    "connection_throttle_drop_increase", connection_throttle.drop_increase: "0.02", "0.5" => "0.5", ["-0.1", "1.1", "NaN", "x"];
    "connection_throttle_drop_decrease", connection_throttle.drop_decrease: "0.002", "1" => "1.0", ["2", "x"];
    "connection_throttle_decrease_ratio", connection_throttle.decrease_ratio: "0.0", "0.5" => "0.5", ["inf", "x"];
    "connection_throttle_weight_enabled", connection_throttle.weight_enabled: "false", "true" => "true", ["x"];
    "connection_throttle_global_session_weight", connection_throttle.global_session_weight: "3", "9" => "9", ["0", "x"];
    "connection_throttle_renew_session_weight", connection_throttle.renew_session_weight: "2", "9" => "9", ["0", "x"];
    "skipACL", access.skip_acl: "false", "yes" => "true", ["true", "on", "YES", ""];
    "DigestAuthenticationProvider.enabled", access.digest_enabled: "true", "false" => "false", ["x"];
    "DigestAuthenticationProvider.superDigest", access.super_digest: "None", "super:x" => "Some((hidden))", ["super"];
    "DigestAuthenticationProvider.digestAlg", access.digest_algorithm: "Sha1", "SHA-256" => "Sha256", ["MD5", ""];
    "enforceQuota", tree.enforce_quota: "false", "true" => "true", ["x"];
    "extendedTypesEnabled", tree.extended_types: "false", "true" => "true", ["x"];
    "digest.enabled", tree.digest: "true", "false" => "false", ["x"];
    "znode.container.checkIntervalMs", tree.container_check_interval_ms: "60000", "9" => "9", ["0", "x"];
    "znode.container.maxPerMinute", tree.container_max_per_minute: "10000", "9" => "9", ["0", "x"];
    "znode.container.maxNeverUsedIntervalMs", tree.container_never_used_ms: "0", "9" => "9", ["-1", "x"];
    "4lw.commands.whitelist", words: "Named([])", "ruok, mntr" => r#"Named(["ruok", "mntr"])"#, [];
    "readonlymode.enabled", readonly_mode: "false", "true" => "true", ["x"];
    "reconfigEnabled", reconfig_enabled: "false", "true" => "true", ["x"];
    "ringkeeper.cores", own.cores: "All", "3,0-1,1-1" => "Ids([0, 1, 3])", ["0", "1-0", "", "x", "0-4096", "-"];
    "ringkeeper.arenaReserveMiB", own.arena_reserve_mib: "65536", "64" => "64", ["63", "x"];
    "ringkeeper.watchesPerSession", own.watches_per_session: "1000000", "0" => "0", ["-1", "x"];
    "ringkeeper.sendBufferBytes", own.send_buffer_len_max: "8388608", "65536" => "65536", ["65535", "x"];
    "ringkeeper.diskReserveMiB", own.disk_reserve_mib: "256", "0" => "0", ["-1", "x"];
    "connection_throttle_local_session_weight", connection_throttle.global_session_weight: "3", "9" => "9", ["0", "x"];
    // These take effect together with others; their rules are tests of their own.
    "enforce.auth.enabled", access.enforced_schemes: "[]", "false" => "[]", ["x"];
    "enforce.auth.schemes", access.enforced_schemes: "[]", "ip" => "[]", ["kerberos", "ip, x"];
    "sessionRequireClientSASLAuth", access.enforced_schemes: "[]", "true" => r#"["sasl"]"#, ["x"];
    // These do nothing to a server that is alone; what they do to a member is shown in `ensemble`.
    "dynamicConfigFile", ensemble: "None", "/dynamic" => "None", [""];
    "standaloneEnabled", ensemble: "None", "true" => "None", ["x"];
    "initLimit", ensemble: "None", "5" => "None", ["0", "-1", "x"];
    "syncLimit", ensemble: "None", "5" => "None", ["0", "-1", "x"];
    "connectToLearnerMasterLimit", ensemble: "None", "0" => "None", ["-1", "x"];
    "leaderConnectDelayDuringRetryMs", ensemble: "None", "0" => "None", ["-1", "x"];
    "electionAlg", ensemble: "None", "3" => "None", ["0", "1", "2", "4", "x"];
    "peerType", ensemble: "None", "OBSERVER" => "None", ["", "voter"];
    "quorumListenOnAllIPs", ensemble: "None", "true" => "None", ["x"];
    "multiAddress.enabled", ensemble: "None", "true" => "None", ["x"];
    "cnxTimeout", ensemble: "None", "1" => "None", ["0", "x"];
    "quorumCnxnTimeoutMs", ensemble: "None", "-1" => "None", ["-2", "x"];
    "electionPortBindRetry", ensemble: "None", "0" => "None", ["-1", "x"];
    "tcpKeepAlive", ensemble: "None", "true" => "None", ["x"];
    "fastleader.minNotificationInterval", ensemble: "None", "1" => "None", ["0", "x"];
    "fastleader.maxNotificationInterval", ensemble: "None", "1" => "None", ["0", "x"];
    "leaderServes", ensemble: "None", "no" => "None", ["true", ""];
    "observerMasterPort", ensemble: "None", "2191" => "None", ["65536", "-1", "x"];
    "observer.election.DelayMs", ensemble: "None", "0" => "None", ["-1", "x"];
    "observer.reconnectDelayMs", ensemble: "None", "0" => "None", ["-1", "x"];
    "localSessionsEnabled", ensemble: "None", "true" => "None", ["x"];
    "localSessionsUpgradingEnabled", ensemble: "None", "true" => "None", ["x"];
    "testingonly.initialZxid", ensemble: "None", "4294967280" => "None", ["4294967281", "-1", "x"];
    "leader.maxConcurrentSnapSyncs", ensemble: "None", "1" => "None", ["0", "-1", "x"];
    "leader.maxConcurrentDiffSyncs", ensemble: "None", "1" => "None", ["0", "-1", "x"];
    "oraclePath", ensemble: "None", "/o" => "None", [""];
    "forceSnapshotSync", ensemble: "None", "true" => "None", ["x", ""];
    "leader.maxTimeToWaitForEpoch", ensemble: "None", "-1" => "None", ["x", ""];
    "enableEagerACLCheck", ensemble: "None", "true" => "None", ["x", ""];
    "commitLogCount", ensemble: "None", "500" => "None", ["x"];
    "sslQuorum", ensemble: "None", "true" => "None", ["yes", ""];
    "portUnification", ensemble: "None", "TRUE" => "None", ["1"];
    "sslQuorumReloadCertFiles", ensemble: "None", "true" => "None", ["x"];
    "ssl.quorum.keyStore.location", ensemble: "None", "/k.jks" => "None", [""];
    "ssl.quorum.keyStore.password", ensemble: "None", "" => "None", [];
    "ssl.quorum.keyStore.passwordPath", ensemble: "None", "/p" => "None", [""];
    "ssl.quorum.keyStore.type", ensemble: "None", "pkcs12" => "None", ["BCFKS", "x"];
    "ssl.quorum.trustStore.location", ensemble: "None", "/t.pem" => "None", [""];
    "ssl.quorum.trustStore.password", ensemble: "None", "x" => "None", [];
    "ssl.quorum.trustStore.passwordPath", ensemble: "None", "/p" => "None", [""];
    "ssl.quorum.trustStore.type", ensemble: "None", "" => "None", ["x"];
    "ssl.quorum.protocol", ensemble: "None", "TLS" => "None", ["TLSv1.1", "SSL", ""];
    "ssl.quorum.enabledProtocols", ensemble: "None", "TLSv1.3, TLSv1.2" => "None", ["TLSv1.2,TLSv1.1", "TLSv1", ""];
    "ssl.quorum.ciphersuites", ensemble: "None", "TLS_AES_128_GCM_SHA256" => "None", ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", ""];
    "ssl.quorum.clientAuth", ensemble: "None", "WANT" => "None", ["maybe"];
    "fips-mode", ensemble: "None", "false" => "None", ["no"];
    "ssl.quorum.hostnameVerification", ensemble: "None", "false" => "None", ["no"];
    "ssl.quorum.clientHostnameVerification", ensemble: "None", "false" => "None", ["no"];
    "ssl.quorum.allowReverseDnsLookup", ensemble: "None", "false" => "None", ["true", "x"];
    "ssl.quorum.crl", ensemble: "None", "false" => "None", ["true"];
    "ssl.quorum.ocsp", ensemble: "None", "false" => "None", ["true"];
    "ssl.quorum.handshakeDetectionTimeoutMillis", ensemble: "None", "100" => "None", ["x"];
];

/// A file with the line `key=value`, and what that key cannot do without.
fn line(key: &str, value: &str) -> String {
    let before = if key == "clientPortAddress" { "clientPort=2181\n" } else { "" };
    format!("{before}{key}={value}")
}

#[test]
fn every_key_has_a_row() {
    for key in keys() {
        assert_eq!(ROWS.iter().filter(|it| it.key == key.name).count(), 1, "{}", key.name);
    }
    assert_eq!(ROWS.len(), keys().count());
}

#[test]
fn every_default_is_the_documented_one() {
    for row in ROWS {
        assert_eq!((row.shown)(&settings("")), row.default, "{}", row.key);
    }
}

#[test]
fn every_accepted_value_arrives() {
    for row in ROWS {
        let text = format!("dataDir=/d\n{}", line(row.key, row.given));
        let files = [("/dynamic", "")];
        let (config, _) = super::parse_beside(&text, &files).unwrap();
        assert_eq!((row.shown)(&config), row.becomes, "{}={}", row.key, row.given);
    }
}

#[test]
fn every_refused_value_is_named_with_file_line_key_and_what_is_allowed() {
    for row in ROWS {
        let key = keys().find(|it| it.name == row.key).unwrap();
        for value in row.refused {
            let text = line(row.key, value);
            let at = 1 + text.lines().count();
            let shown = if key.is_secret() { "(hidden)" } else { value };
            assert_eq!(
                refusal(&text),
                format!("zoo.cfg, line {at}: {}={shown}: allowed is {}", row.key, key.allowed)
            );
        }
    }
}

#[test]
fn documented_defaults_that_are_values_are_accepted_and_change_nothing() {
    let plain = settings("clientPort=2181");
    for key in keys().filter(|it| !it.default.contains(' ') && it.default != "none") {
        if key.name == "dataLogDir" {
            continue;
        }
        let text = format!("clientPort=2181\n{}={}", key.name, key.default);
        assert_eq!(settings(&text), plain, "{text}");
    }
}

#[test]
fn a_purge_interval_is_hours_or_has_a_unit() {
    let purge =
        |value: &str| debug(&settings(&format!("autopurge.purgeInterval={value}")).storage.purge);
    for (value, shown) in [
        ("1", "Every { interval_ms: 3600000 }"),
        ("500ms", "Every { interval_ms: 500 }"),
        ("90s", "Every { interval_ms: 90000 }"),
        ("2m", "Every { interval_ms: 120000 }"),
        ("1h", "Every { interval_ms: 3600000 }"),
        ("1d", "Every { interval_ms: 86400000 }"),
        ("0", "Off"),
        ("-1", "Off"),
    ] {
        assert_eq!(purge(value), shown, "{value}");
    }
}

#[test]
fn numbers_of_system_properties_may_be_hexadecimal_or_octal_as_in_java() {
    let count = |value: &str| settings(&format!("snapCount={value}")).storage.snap_count;
    assert_eq!([count("100"), count("0x64"), count("0X64"), count("#64"), count("0144")], [100; 5]);
    for bad in ["0x", "#", "08", "0xg", "--1", "+-1", "1_000", "٣"] {
        assert!(parse(&format!("dataDir=/d\nsnapCount={bad}")).is_err(), "{bad}");
    }
}
