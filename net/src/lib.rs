//! Sockets: client connections and the session shards that serve them.

pub mod figures;
pub mod message;
pub mod words;
