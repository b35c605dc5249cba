//! TLS: stores of keys, what a server shows and whom it trusts, and the layer between a socket and who uses it.
//!
//! ZooKeeper: `X509Util`, `SSLContextAndOptions`, `UnifiedServerSocket`. The protocol itself is the crate `rustls`. Nothing here waits.
//! *Absent:* lists of revoked certificates; sessions that are resumed, so that a new certificate counts from the next connection on.

mod context;
mod der;
mod jks;
mod line;
mod pem;
mod pkcs12;
mod pkcs8;
mod store;
mod verify;
mod x509;

use std::path::PathBuf;

pub use self::context::{ClientAuth, NameChecks, Protocols, SUITES, Tls, TlsSettings};
pub(crate) use self::line::{Line, Read};
pub use self::store::{KeyStore, Password, StoreError, StoreFile, StoreKind};

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A store is not named.
    #[error("{key} is not set: TLS needs it")]
    NotSet {
        /// The key.
        key: String,
    },
    /// A file cannot be read.
    #[error("{key}={}: {error}", file.display())]
    Read {
        /// The key that names it.
        key: String,
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A store is of no use.
    #[error("{key}={}: {cause}", file.display())]
    Store {
        /// The key that names it.
        key: String,
        /// The file.
        file: PathBuf,
        /// Why.
        cause: StoreError,
    },
    /// A key or a certificate of a store is of no use.
    #[error("{key}={}: the {what} in it cannot be used: {error}", file.display())]
    Unusable {
        /// The key that names the store.
        key: String,
        /// The store's file.
        file: PathBuf,
        /// What of it.
        what: &'static str,
        /// Why.
        error: Box<rustls::Error>,
    },
    /// Protocols and cipher suites that do not go together.
    #[error("{prefix}enabledProtocols and {prefix}ciphersuites do not go together: {error}")]
    Rules {
        /// How the keys begin.
        prefix: &'static str,
        /// Why.
        error: rustls::Error,
    },
}
