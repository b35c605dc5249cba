//! The transaction log: segments, group commit, replay.
