//! What an operator should know about a configuration that works.
//!
//! Absent: writing them anywhere; the program logs each as one line at its [`Level`].

use core::fmt;

use super::error::At;
use super::keys::Capability;

/// How loud a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing is lost by it.
    Notice,
    /// Something does not happen that the file asks for, or something is risked.
    Warning,
}

/// One remark about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// No key of that name is known.
    UnknownKey {
        /// Where.
        at: At,
        /// The key as written.
        key: String,
        /// A known key that differs little.
        meant: Option<&'static str>,
    },
    /// A key is given twice.
    RepeatedKey {
        /// Where the value stands that counts: the last.
        at: At,
        /// The key without prefix.
        key: String,
        /// Line of the value that does not count.
        earlier: u32,
    },
    /// Keys of capabilities that do not exist yet. One remark for all of them.
    Later {
        /// Capability by capability, the keys found with their lines.
        found: Vec<(Capability, Vec<Place>)>,
    },
    /// Keys that tune something which this server is built without.
    NoEffect {
        /// The keys found with their lines.
        found: Vec<Place>,
    },
    /// A value below the least that is carried out.
    Raised {
        /// Where.
        at: At,
        /// The key.
        key: &'static str,
        /// What counts instead.
        used: u32,
    },
    /// Writes are acknowledged before they are on the disk.
    ForceSyncOff {
        /// Where.
        at: At,
    },
    /// Nothing is ever purged.
    PurgeOff {
        /// Where.
        at: At,
    },
    /// ACLs are ignored.
    SkipAcl {
        /// Where.
        at: At,
    },
    /// One server is listed; it runs standalone.
    SingleServer {
        /// The `server.N` line.
        at: At,
    },
    /// A number of voters that tolerates no more failures than a smaller one.
    Voters {
        /// The last line about members.
        at: At,
        /// How many vote.
        voters: u32,
    },
    /// An oracle, and not two voters that count alike.
    OracleUnasked {
        /// Where.
        at: At,
        /// How many vote.
        voters: u32,
    },
    /// `peerType` is not what the server's line says.
    PeerType {
        /// Where.
        at: At,
        /// The role that the key names.
        key: &'static str,
        /// The role of the line, which counts.
        listed: &'static str,
    },
    /// A scheme is enforced that no client can authenticate with yet.
    SchemeOutOfReach {
        /// The schemes that are required.
        schemes: String,
    },
}

/// A key and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key as written.
    pub key: String,
    /// Its line.
    pub line: u32,
}

impl Warning {
    /// How loud it is.
    pub fn level(&self) -> Level {
        match self {
            Self::NoEffect { .. } | Self::Voters { .. } => Level::Notice,
            Self::UnknownKey { .. }
            | Self::RepeatedKey { .. }
            | Self::Later { .. }
            | Self::Raised { .. }
            | Self::ForceSyncOff { .. }
            | Self::PurgeOff { .. }
            | Self::SkipAcl { .. }
            | Self::SingleServer { .. }
            | Self::PeerType { .. }
            | Self::OracleUnasked { .. }
            | Self::SchemeOutOfReach { .. } => Level::Warning,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { at, key, meant: None } => {
                write!(f, "{at}: {key} is not known and has no effect")
            }
            Self::UnknownKey { at, key, meant: Some(meant) } => {
                write!(f, "{at}: {key} is not known and has no effect; is {meant} meant?")
            }
            Self::RepeatedKey { at, key, earlier } => {
                write!(f, "{at}: {key} is given again; line {earlier} does not count")
            }
            Self::Later { found } => {
                f.write_str("settings of what does not exist yet: ")?;
                for (idx, (capability, places)) in found.iter().enumerate() {
                    let comma = if idx == 0 { "" } else { "; " };
                    write!(f, "{comma}{} (", capability.name())?;
                    write_places(f, places)?;
                    write!(f, "): {}", capability.absence())?;
                }
                Ok(())
            }
            Self::NoEffect { found } => {
                f.write_str("accepted, but there is nothing here that they could tune: ")?;
                write_places(f, found)
            }
            Self::Raised { at, key, used } => {
                write!(f, "{at}: {key} is too small; {used} is used")
            }
            Self::ForceSyncOff { at } => write!(
                f,
                "{at}: forceSync=no: writes are acknowledged before they are on the disk; a power cut can lose them"
            ),
            Self::PurgeOff { at } => write!(
                f,
                "{at}: autopurge.purgeInterval switches the purge off: old snapshots and log segments stay until you \
                 delete them"
            ),
            Self::SkipAcl { at } => write!(f, "{at}: skipACL=yes: every client may do everything"),
            Self::SingleServer { at } => write!(
                f,
                "{at}: only one server is listed: it runs standalone, the line is ignored but for its client port"
            ),
            Self::Voters { at, voters: voters @ ..=2 } => write!(
                f,
                "{at}: with {voters} voting servers the ensemble stops when one fails; three tolerate a failure"
            ),
            Self::Voters { at, voters } => write!(
                f,
                "{at}: {voters} voting servers tolerate no more failures than {}",
                voters - 1
            ),
            Self::OracleUnasked { at, voters } => write!(
                f,
                "{at}: oraclePath is asked where two servers vote, without groups; here {voters} do, and it has no say"
            ),
            Self::PeerType { at, key, listed } => {
                write!(
                    f,
                    "{at}: peerType={key}, but this server's line says {listed}, which counts"
                )
            }
            Self::SchemeOutOfReach { schemes } => write!(
                f,
                "authentication is enforced by {schemes} only, which no client can do yet: every request is refused"
            ),
        }
    }
}

fn write_places(f: &mut fmt::Formatter<'_>, places: &[Place]) -> fmt::Result {
    for (idx, Place { key, line }) in places.iter().enumerate() {
        let comma = if idx == 0 { "" } else { ", " };
        write!(f, "{comma}{key} in line {line}")?;
    }
    Ok(())
}
