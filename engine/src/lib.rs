//! The replicated state: arena, znode tree, ACLs, sessions, quotas; prep and apply; watches.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod auth;
pub mod map;
pub mod session;
pub mod watch;
