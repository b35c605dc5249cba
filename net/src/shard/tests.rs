//! Rules of the session shard: bytes in, bytes out.

mod figures;
mod handshake;
mod limits;
mod order;
mod requests;
mod rig;
mod splits;
mod throttle;
mod watches;
