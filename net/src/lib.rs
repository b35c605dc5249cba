//! Sockets: client connections and the session shards that serve them; the two ports of an ensemble's server.

pub mod admission;
pub mod driver;
pub mod election;
pub mod figures;
pub mod learners;
pub mod message;
pub mod port;
pub mod ring;
pub mod shard;
pub mod tls;
pub mod words;
