//! Leader election and ZAB, as machines: inputs in, outputs out, nothing done.
//!
//! ZooKeeper: the package `server.quorum`. The map:
//!
//! | module | holds | ZooKeeper |
//! |---|---|---|
//! | [`epoch_file`] | what stands in the files of the epochs | `QuorumPeer.writeLongToFile` |
//! | [`ids`], [`time`] | server ids, epochs, moments | |
//! | [`config`] | the members, their addresses and roles; its text | `QuorumPeerConfig`, `QuorumServer` |
//! | [`oracle`] | whether one of two voters may go on alone | `QuorumOracleMaj` |
//! | [`verifier`] | what a quorum is; both quorums while the members change | `QuorumVerifier`, `SyncedLearnerTracker` |
//! | [`server`] | one server whole: election, its connections, role | `QuorumPeer` |
//! | [`peer`], [`zab`] | the role: discovery, synchronisation, broadcast | `Leader`, `Learner` |
//! | [`election`] | rounds of votes; the connections they go over | `FastLeaderElection`, `QuorumCnxManager` |
//! | [`wire`] | packets of the learner channel, notifications, the first bytes of an election connection | `QuorumPacket`, `Notification`, `InitialMessage` |
//!
//! *Invariants:* no input changes a machine that refuses it. The same inputs give the same outputs.
//! *Absent:* sockets, files, clocks, chance; what a transaction means (it is a zxid and bytes).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod election;
pub mod epoch_file;
pub mod ids;
pub mod oracle;
pub mod peer;
pub mod server;
pub mod time;
pub mod verifier;
pub mod wire;
pub mod zab;

pub use config::{Address, ConfigError, Member, QuorumConfig, Role};
pub use election::{Election, Vote};
pub use ids::{Epoch, Sid};
pub use jute::Zxid;
pub use oracle::{Oracle, Permit};
pub use peer::{OwnVote, Peer, PeerState};
pub use server::Server;
pub use time::Moment;
pub use verifier::{Verifier, Views};
