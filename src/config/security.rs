//! How the ports between servers are protected, as the keys say.
//!
//! ZooKeeper: `QuorumPeerConfig`'s `sslQuorum` and `shouldUsePortUnification`. Absent: reading the stores.

use std::time::Duration;

use net::port::Incoming;
use net::tls::{NameChecks, Protocols, TlsSettings};

use super::keys_tls::DETECTION_MS;

/// What the keys of TLS say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "switches that an operator sets one by one")]
pub struct SecurityConfig {
    /// Whether others are called by TLS. Default false. Source: `sslQuorum`.
    pub ssl_quorum: bool,
    /// Whether both kinds are taken. Default false. Source: `portUnification`.
    pub port_unification: bool,
    /// Whether stores are read again. Default false. Source: `sslQuorumReloadCertFiles`.
    pub reload: bool,
    /// Whether names are left alone. Default true. Source: `fips-mode`.
    pub fips: bool,
    /// Whose names are compared otherwise. Default both.
    pub names: NameChecks,
    /// Source: `ssl.quorum.protocol`.
    pub protocol: Protocols,
    /// Source: `ssl.quorum.enabledProtocols`.
    pub enabled_protocols: Option<Protocols>,
    /// Milliseconds. Default 5,000. Source: `ssl.quorum.handshakeDetectionTimeoutMillis`.
    pub detection_ms: u32,
    /// Stores, suites, and who has to show a certificate; the rest is settled by [`SecurityConfig::tls`].
    pub tls: TlsSettings,
}

impl SecurityConfig {
    /// What TLS goes by; `None` if there is none.
    pub fn tls(&self) -> Option<TlsSettings> {
        if !self.ssl_quorum && !self.port_unification {
            return None;
        }
        let NameChecks { servers, clients } = self.names;
        let names = NameChecks {
            servers: servers && !self.fips,
            clients: servers && clients && !self.fips,
        };
        let protocols = self.enabled_protocols.unwrap_or(self.protocol);
        Some(TlsSettings { prefix: "ssl.quorum.", protocols, names, ..self.tls.clone() })
    }

    /// What may come in.
    pub fn incoming(&self) -> Incoming {
        match (self.ssl_quorum, self.port_unification) {
            (_, true) => Incoming::Either,
            (true, false) => Incoming::Tls,
            (false, false) => Incoming::Plain,
        }
    }

    /// How long it may take to tell them apart.
    pub fn detection_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.detection_ms))
    }
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            ssl_quorum: false,
            port_unification: false,
            reload: false,
            fips: true,
            names: NameChecks { servers: true, clients: true },
            protocol: Protocols::default(),
            enabled_protocols: None,
            detection_ms: DETECTION_MS,
            tls: TlsSettings::default(),
        }
    }
}
