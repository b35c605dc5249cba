//! Rules of the session shard: bytes in, bytes out.

mod handshake;
mod limits;
mod order;
mod requests;
mod rig;
mod splits;
mod throttle;
mod watches;
