//! The arena's image on disk: write, load, retain, inspect.
//!
//! ZooKeeper: `FileSnap`, `SnapStream`, `SnapshotGenerator`, `PurgeTxnLog`. **Differs:** an image is one exact state, not a fuzzy one, and it
//! is the arena's pages as they lie in memory, so that writing copies and loading reads. What each byte means is in `docs/disk.md`.
//!
//! Pure: [`mod@format`], [`retain`]. The order of writes is in [`mod@write`], over a file that may be a real or a failing one. Drivers:
//! [`Region`] (memory), [`load`], [`Imager`] (the writing thread), [`Beside`] (a second tree, for a while), [`Purger`], [`inspect`].
//!
//! Invariants: an image has its name only when all of it is durable; loading never deletes. Absent here: znodes. To this crate the arena is
//! pages.
#![deny(unsafe_code)]

extern crate alloc;

mod beside;
mod disk;
pub mod format;
mod imager;
pub mod inspect;
pub mod java;
mod load;
mod order;
mod purge;
mod region;
pub mod retain;
mod still;
mod turns;
pub mod write;

pub use beside::{Beside, BesideError};
pub use format::Label;
pub use imager::{ImageError, Imager, ImagerOptions, Outcome};
pub use load::{LoadError, Loaded, Start, load};
pub use purge::Purger;
pub use region::{Region, Shadow, memory_of};
