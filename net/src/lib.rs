//! Sockets: client connections and the session shards that serve them.

pub mod message;
