//! The log against a real file system: what was appended is there after opening again.

// `cfg(test)` tells clippy that these are tests; cargo builds nothing else here.
#[cfg(test)]
mod crash;
#[cfg(test)]
mod ensemble;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod inspects;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod round_trip;
