//! How the ports between servers are protected.

use std::sync::Arc;
use std::time::Duration;

use crate::tls::Tls;

/// What may come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Incoming {
    /// Plain connections.
    #[default]
    Plain,
    /// TLS.
    Tls,
    /// Both; the first bytes tell. Source: `portUnification`.
    Either,
}

/// How the two ports are protected. The default is not at all.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Keys and trust; needed unless everything is plain.
    pub tls: Option<Arc<Tls>>,
    /// Whether we call others by TLS. Source: `sslQuorum`.
    pub calls_tls: bool,
    /// What may come in. Source: `sslQuorum`, `portUnification`.
    pub incoming: Incoming,
    /// How long the first bytes may be too few to tell. Source: `ssl.quorum.handshakeDetectionTimeoutMillis`.
    pub detection_timeout: Duration,
}
