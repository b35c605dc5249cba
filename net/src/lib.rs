//! Sockets: client connections.
