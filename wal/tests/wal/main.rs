//! The log against a real file system: what was appended is there after opening again.

// `cfg(test)` tells clippy that these are tests; cargo builds nothing else here.
#[cfg(test)]
mod crash;
#[cfg(test)]
mod ensemble;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test of a thread that tries again every second")]
mod faults;
#[cfg(test)]
mod inspects;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test that waits for a write, and not for ever")]
mod rests;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod said;
