//! The keys of TLS and SASL on the ports between servers. The second part of the table of keys; see [`KEYS`](super::KEYS).
//!
//! ZooKeeper: `QuorumX509Util` and `X509Util`, whose properties these are; `fips-mode` is of both kinds of ports.

use std::path::PathBuf;

use net::tls::{ClientAuth, Password, Protocols, SUITES, StoreFile, StoreKind};

use super::draft::{Bad, Draft};
use super::keys::{BOOL, I32, Key};
use super::value::{choice, decoded, list, path, switch};

const FILE: &str = "the path of a file";
const KIND: &str = "JKS, PEM or PKCS12; empty for the default";
const BY_ENDING: &str = "by the file's ending: .jks, .pem or .p12";

/// Every key of TLS between servers.
pub static TLS_KEYS: &[Key] = &[
    Key {
        name: "sslQuorum",
        default: "false",
        allowed: BOOL,
        effect: "the election port and the quorum port speak TLS, and other servers are called by TLS",
        set: |d, v| switch(v).map(|it| d.ensemble.security.ssl_quorum = it),
    },
    Key {
        name: "portUnification",
        default: "false",
        allowed: BOOL,
        effect: "both ports take plain connections and TLS: for the way from one to the other",
        set: |d, v| switch(v).map(|it| d.ensemble.security.port_unification = it),
    },
    Key {
        name: "sslQuorumReloadCertFiles",
        default: "false",
        allowed: BOOL,
        effect: "stores that change are read again; new connections go by them",
        set: |d, v| switch(v).map(|it| d.ensemble.security.reload = it),
    },
    Key {
        name: "ssl.quorum.keyStore.location",
        default: "none; TLS needs it",
        allowed: FILE,
        effect: "store with this server's key and its certificates",
        set: |d, v| path(v).map(|it| key_store(d).location = it),
    },
    Key {
        name: "ssl.quorum.keyStore.password",
        default: "empty",
        allowed: "any text",
        effect: "password of that store and of its key",
        set: |d, v| {
            key_store(d).password = Password::new(v.into());
            Ok(())
        },
    },
    Key {
        name: "ssl.quorum.keyStore.passwordPath",
        default: "none",
        allowed: FILE,
        effect: "file with that password, instead",
        set: |d, v| password_path(v).map(|it| key_store(d).password_path = it),
    },
    Key {
        name: "ssl.quorum.keyStore.type",
        default: BY_ENDING,
        allowed: KIND,
        effect: "what the store is; a .jks that is PKCS12 inside is read as one",
        set: |d, v| kind(v).map(|it| key_store(d).kind = it),
    },
    Key {
        name: "ssl.quorum.trustStore.location",
        default: "none; TLS needs it",
        allowed: FILE,
        effect: "store with the certificates that are trusted",
        set: |d, v| path(v).map(|it| trust_store(d).location = it),
    },
    Key {
        name: "ssl.quorum.trustStore.password",
        default: "empty",
        allowed: "any text",
        effect: "password of that store",
        set: |d, v| {
            trust_store(d).password = Password::new(v.into());
            Ok(())
        },
    },
    Key {
        name: "ssl.quorum.trustStore.passwordPath",
        default: "none",
        allowed: FILE,
        effect: "file with that password, instead",
        set: |d, v| password_path(v).map(|it| trust_store(d).password_path = it),
    },
    Key {
        name: "ssl.quorum.trustStore.type",
        default: BY_ENDING,
        allowed: KIND,
        effect: "what the store is",
        set: |d, v| kind(v).map(|it| trust_store(d).kind = it),
    },
    Key {
        name: "ssl.quorum.protocol",
        default: "TLSv1.3",
        allowed: "TLSv1.3, TLS or TLSv1.2",
        effect: "the newest version of TLS; TLSv1.2 is spoken too",
        set: |d, v| {
            let words = [
                ("TLSv1.3", Protocols::Both),
                ("TLS", Protocols::Both),
                ("TLSv1.2", Protocols::V12),
            ];
            choice(v, &words).map(|it| d.ensemble.security.protocol = it)
        },
    },
    Key {
        name: "ssl.quorum.enabledProtocols",
        default: "by ssl.quorum.protocol",
        allowed: "a list of TLSv1.3, TLSv1.2",
        effect: "versions of TLS that are spoken",
        set: |d, v| {
            let words = list(v);
            let has = |word| words.iter().any(|it| it == word);
            let protocols = match (has("TLSv1.2"), has("TLSv1.3")) {
                (true, true) => Protocols::Both,
                (true, false) => Protocols::V12,
                (false, true) => Protocols::V13,
                (false, false) => return Err(Bad),
            };
            if words.iter().any(|it| it != "TLSv1.2" && it != "TLSv1.3") {
                return Err(Bad);
            }
            d.ensemble.security.enabled_protocols = Some(protocols);
            Ok(())
        },
    },
    Key {
        name: "ssl.quorum.ciphersuites",
        default: "all of these",
        allowed: "a list of TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256, and of TLS_ECDHE_ECDSA_WITH_… and \
                  TLS_ECDHE_RSA_WITH_… the ones with AES_256_GCM_SHA384, AES_128_GCM_SHA256, CHACHA20_POLY1305_SHA256",
        effect: "cipher suites, the best first; there are none with CBC",
        set: |d, v| {
            let suites = list(v);
            if suites.is_empty() || suites.iter().any(|it| !SUITES.contains(&&**it)) {
                return Err(Bad);
            }
            d.ensemble.security.tls.suites = suites;
            Ok(())
        },
    },
    Key {
        name: "ssl.quorum.clientAuth",
        default: "need",
        allowed: "need, want or none, in any case; empty for the default",
        effect: "whether a server that calls has to show a certificate",
        set: |d, v| {
            let words = [
                ("", ClientAuth::Need),
                ("need", ClientAuth::Need),
                ("want", ClientAuth::Want),
                ("none", ClientAuth::None),
            ];
            choice(&v.to_ascii_lowercase(), &words)
                .map(|it| d.ensemble.security.tls.client_auth = it)
        },
    },
    Key {
        name: "fips-mode",
        default: "true",
        allowed: BOOL,
        effect: "true: as in ZooKeeper 3.9, names in certificates of other servers are not compared; false: they are, as the next keys say",
        set: |d, v| switch(v).map(|it| d.ensemble.security.fips = it),
    },
    Key {
        name: "ssl.quorum.hostnameVerification",
        default: "true",
        allowed: BOOL,
        effect: "with fips-mode=false: the certificate of a server that is called has to be for its address or for the name in its line",
        set: |d, v| switch(v).map(|it| d.ensemble.security.names.servers = it),
    },
    Key {
        name: "ssl.quorum.clientHostnameVerification",
        default: "true",
        allowed: BOOL,
        effect: "with fips-mode=false and the key before: the certificate of a server that calls has to be for its address",
        set: |d, v| switch(v).map(|it| d.ensemble.security.names.clients = it),
    },
    Key {
        name: "ssl.quorum.allowReverseDnsLookup",
        default: "false",
        allowed: "false: the name service is not asked who calls",
        effect: "none",
        set: no,
    },
    Key {
        name: "ssl.quorum.crl",
        default: "false",
        allowed: "false: lists of revoked certificates are not read",
        effect: "none",
        set: no,
    },
    Key {
        name: "ssl.quorum.ocsp",
        default: "false",
        allowed: "false: nobody is asked whether a certificate was revoked",
        effect: "none",
        set: no,
    },
    Key {
        name: "ssl.quorum.handshakeDetectionTimeoutMillis",
        default: "5000",
        allowed: "milliseconds, to 2147483647; less than 1 counts as 5000",
        effect: "with portUnification: how long the first bytes may be too few to tell whether they are TLS",
        set: |d, v| {
            decoded(v, -I32..=I32).map(|it| {
                d.ensemble.security.detection_ms = if it < 1 { DETECTION_MS } else { it as u32 };
            })
        },
    },
];

/// Source: `X509Util.DEFAULT_HANDSHAKE_DETECTION_TIMEOUT_MILLIS`.
pub(super) const DETECTION_MS: u32 = 5_000;

fn key_store(draft: &mut Draft) -> &mut StoreFile {
    &mut draft.ensemble.security.tls.key_store
}

fn trust_store(draft: &mut Draft) -> &mut StoreFile {
    &mut draft.ensemble.security.tls.trust_store
}

fn kind(value: &str) -> Result<Option<StoreKind>, Bad> {
    if value.is_empty() { Ok(None) } else { StoreKind::named(value).map(Some).ok_or(Bad) }
}

fn password_path(value: &str) -> Result<Option<PathBuf>, Bad> {
    path(value).map(Some)
}

/// A switch that cannot be on.
fn no(_: &mut Draft, value: &str) -> Result<(), Bad> {
    if switch(value)? { Err(Bad) } else { Ok(()) }
}
