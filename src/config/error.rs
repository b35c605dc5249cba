//! What makes a configuration unusable: each with its place, and what would be accepted.
//!
//! ZooKeeper: `QuorumPeerConfig.ConfigException`. Absent: what is merely odd, see [`Warning`](super::Warning).

use core::fmt;
use std::io;
use std::path::PathBuf;

use quorum::Sid;

use super::parse::shown;

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
    /// A line about members is malformed, or does not go with the others.
    #[error("{at}: {key}={value}: {}", shown(&source.to_string()))]
    Members {
        /// Where.
        at: At,
        /// The key as written.
        key: String,
        /// The value as written.
        value: String,
        /// What is wrong.
        source: quorum::ConfigError,
    },
    /// An ensemble without anybody.
    #[error(
        "{file}: standaloneEnabled=false, but no server is listed: list at least one as server.N=host:2888:3888, or set \
         standaloneEnabled=true"
    )]
    NoVoters {
        /// The file.
        file: String,
    },
    /// Observers with nobody, or one, to observe.
    #[error(
        "{at}: {voters} voting servers and {observers} observers are listed: observers need an ensemble, which is two voting \
         servers or more, or one with standaloneEnabled=false"
    )]
    TooFewVoters {
        /// The last line about members.
        at: At,
        /// Servers that vote.
        voters: u32,
        /// Servers that do not.
        observers: u32,
    },
    /// A member that does not know which it is.
    #[error("{}: this file is missing: write the N of this server's own line server.N=… into it", file.display())]
    NoMyId {
        /// The file.
        file: PathBuf,
    },
    /// `myid` says a number that is not listed.
    #[error(
        "{at}: this server's myid is {myid}, and there is no line server.{myid}=…: add it, or correct myid"
    )]
    NotAMember {
        /// The last line about members.
        at: At,
        /// The number.
        myid: Sid,
    },
    /// An ensemble without a limit that it needs.
    #[error(
        "{file}: {key} is not set: an ensemble needs it, in ticks; usual are initLimit=10 and syncLimit=5"
    )]
    NoLimit {
        /// The file.
        file: String,
        /// The limit.
        key: &'static str,
    },
    /// A member that no client could find.
    #[error(
        "{file}: no client port: set clientPort, or add ;2181 to the line server.{myid}=…, or give --client-port"
    )]
    NoClientPort {
        /// The file.
        file: String,
        /// This server.
        myid: Sid,
    },
    /// A member with several addresses, which is not switched on.
    #[error(
        "{at}: server {sid} has several addresses: set multiAddress.enabled=true on every server, or leave one"
    )]
    SeveralAddresses {
        /// Its line.
        at: At,
        /// The server.
        sid: Sid,
    },
    /// The dynamic file says its version, which belongs in its name.
    #[error("{at}: version is not allowed here: it is the hexadecimal end of the file's name")]
    VersionInside {
        /// Where.
        at: At,
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
