//! Images against a real file system and a real arena.

// `cfg(test)` tells clippy that these are tests; cargo builds nothing else here.
#[cfg(test)]
mod faults;
#[cfg(test)]
mod over;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod round_trip;
