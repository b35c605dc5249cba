//! Configuration: from a zoo.cfg, written for ZooKeeper or for this server, to typed settings.
//!
//! ZooKeeper: `QuorumPeerConfig` and the system properties. Every key of [`keys`] does what it does
//! there; they are the table that docs/operations.md shows. Reading is pure: bytes in, [`Config`] and remarks out; writing, which only
//! changed members need, is in [`MembersFiles`].
//! Absent: doing anything with the settings, and logging.

mod address;
mod conf;
mod default;
mod draft;
mod ensemble;
mod error;
mod files;
mod keys;
mod keys_other;
mod keys_tls;
mod members;
mod parse;
mod properties;
mod security;
mod settings;
mod value;
mod warning;

pub use conf::ConfFigures;
pub use default::{CLIENT_PORT, DATA_DIR};
pub use ensemble::{EnsembleConfig, ListedIn};
pub use error::{At, ConfigError};
pub use files::{ClientPortAt, MembersFileError, MembersFiles};
pub use keys::{Capability, IdleKey, KEYS, Key, LaterKey, keys};
pub use keys_other::{IDLE_KEYS, LATER_KEYS};
pub use keys_tls::TLS_KEYS;
pub use parse::{Overrides, ReadFile};
pub use security::SecurityConfig;
pub use settings::{
    Access, ClientAddress, Config, ConnectionThrottle, Cores, DigestAlgorithm, Network, Own, Purge,
    Requests, Secret, Sessions, Storage, Tree, WordList,
};
pub use warning::{Level, Place, Warning};

#[cfg(test)]
mod tests;
