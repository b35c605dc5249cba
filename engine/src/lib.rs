//! The replicated state: arena, znode tree, ACLs, sessions, quotas; prep and apply; watches.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, loom))]
extern crate std;

pub mod ahead;
pub mod apply;
pub mod arena;
pub mod auth;
pub mod eager;
pub mod map;
pub mod planted;
pub mod prep;
pub mod quota;
pub mod read;
pub mod reaper;
pub mod rules;
pub mod session;
pub mod state;
pub mod tree;
pub mod watch;

#[cfg(all(test, not(loom)))]
mod chance;
mod index;
mod list;
mod stairs;
#[cfg(all(test, not(loom)))]
mod twin;
