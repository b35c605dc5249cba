//! What makes a configuration unusable: each with its place, and what would be accepted.
//!
//! ZooKeeper: `QuorumPeerConfig.ConfigException`. Absent: what is merely odd, see [`Warning`](super::Warning).

use core::fmt;
use std::io;
use std::path::PathBuf;

/// A line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file, as it was named.
    pub file: String,
    /// Its line; the first is 1.
    pub line: u32,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file, self.line)
    }
}

/// The configuration does not make a server. The process ends with
/// [`ExitCode::InvalidInvocation`](crate::exit_code::ExitCode::InvalidInvocation).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file could not be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The configuration file, or the dynamic file it names.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An escape is malformed.
    #[error("{at}: malformed escape: \\u is followed by four hexadecimal digits of a character")]
    Escape {
        /// Where.
        at: At,
    },
    /// A value is none that the key can have.
    #[error("{at}: {key}={value}: allowed is {allowed}")]
    Value {
        /// Where.
        at: At,
        /// The key as written.
        key: String,
        /// The value as written; hidden if it is a secret.
        value: String,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// The file does not say where data goes.
    #[error("{file}: dataDir is not set: name the directory to keep data in, or give --data-dir")]
    DataDir {
        /// The file.
        file: String,
    },
    /// `clientPortAddress` without a port.
    #[error("{at}: clientPortAddress={address} is set but clientPort is not: set clientPort too")]
    AddressWithoutPort {
        /// Where.
        at: At,
        /// The address.
        address: String,
    },
    /// The file opens nothing but a TLS port.
    #[error(
        "{at}: secureClientPort is set but clientPort is not: TLS is not available yet, and no plain port is opened unasked; \
         set clientPort, or give --client-port"
    )]
    OnlySecurePort {
        /// Where.
        at: At,
    },
    /// The shortest session timeout is longer than the longest.
    #[error(
        "{file}: minSessionTimeout={min} is larger than maxSessionTimeout={max} (milliseconds; unset they are 2 and 20 times \
         tickTime={tick})"
    )]
    TimeoutsCrossed {
        /// The file.
        file: String,
        /// The shortest, in milliseconds.
        min: u32,
        /// The longest, in milliseconds.
        max: u32,
        /// The tick, in milliseconds.
        tick: u32,
    },
    /// Authentication is enforced, but by which scheme is not said.
    #[error(
        "{file}: enforce.auth.enabled=true needs enforce.auth.schemes: allowed is a list of digest, ip, sasl, x509"
    )]
    NoEnforcedScheme {
        /// The file.
        file: String,
    },
    /// The file describes an ensemble.
    #[error(
        "{at}: {voters} voting servers and {observers} observers are listed: ensembles are not available yet; for a \
         standalone server leave one server line, or none"
    )]
    Ensemble {
        /// The last `server.N` line.
        at: At,
        /// Servers that vote.
        voters: u32,
        /// Servers that do not.
        observers: u32,
    },
    /// Members are listed in the file that names another file for them.
    #[error("{at}: {key} belongs in the file that dynamicConfigFile names")]
    MemberBesideDynamicFile {
        /// Where.
        at: At,
        /// The key as written.
        key: String,
    },
    /// The dynamic file holds a key that is not about members.
    #[error("{at}: {key} is not allowed here: only server.N, group.N and weight.N are")]
    DynamicKey {
        /// Where.
        at: At,
        /// The key as written.
        key: String,
    },
    /// The client address of the file is not that of the server line.
    #[error(
        "{at}: the client address {listed} differs from {fixed}, which the configuration gives on its own"
    )]
    ClientAddressDiffers {
        /// The `server.N` line.
        at: At,
        /// Its client address.
        listed: String,
        /// The one of `clientPort` and `clientPortAddress`.
        fixed: String,
    },
    /// `myid` is not a number.
    #[error("{}: '{found}': allowed is one decimal number", file.display())]
    MyId {
        /// The file.
        file: PathBuf,
        /// Its first line.
        found: String,
    },
}
