//! Sockets: client connections and the session shards that serve them.

pub mod admission;
pub mod driver;
pub mod figures;
pub mod message;
pub mod ring;
pub mod shard;
pub mod words;
