//! The text in a quota's znodes.
//!
//! ZooKeeper: `StatsTrack`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::Hardness;

/// Usage or limits of a subtree; −1 is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsTrack {
    /// Znodes. A soft limit, if these are limits.
    pub count: i64,
    /// Bytes of data. A soft limit, if these are limits.
    pub bytes: i64,
    /// What else the text says, by its key.
    extra: BTreeMap<Vec<u8>, i64>,
}

impl Default for StatsTrack {
    /// Nothing is known, nothing is limited.
    fn default() -> Self {
        Self { count: -1, bytes: -1, extra: BTreeMap::new() }
    }
}

impl StatsTrack {
    /// Usage of nothing.
    pub(super) fn none() -> Self {
        Self { count: 0, bytes: 0, extra: BTreeMap::new() }
    }

    /// Reads `count=1,bytes=2=;byteHardLimit=3;countHardLimit=4`: pairs between commas and semicolons, where what stands
    /// behind a second `=` does not count. A pair that is none is left out, a value that is no number reads as −1.
    pub fn parse(text: &[u8]) -> Self {
        let mut stats = Self::default();
        for pair in text.split(|byte| b",;".contains(byte)) {
            let mut parts = pair.split(|&byte| byte == b'=');
            let (Some(key), Some(value)) = (parts.next(), parts.next()) else { continue };
            let value = core::str::from_utf8(value).ok().and_then(|it| it.parse().ok());
            let value = value.unwrap_or(-1);
            match key {
                b"count" => stats.count = value,
                b"bytes" => stats.bytes = value,
                _ => drop(stats.extra.insert(key.to_vec(), value)),
            }
        }
        stats
    }

    /// Writes what [`StatsTrack::parse`] reads, other keys in their order.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("count={},bytes={}", self.count, self.bytes).into_bytes();
        if !self.extra.is_empty() {
            text.push(b'=');
        }
        for (key, value) in &self.extra {
            text.push(b';');
            text.extend_from_slice(key);
            text.extend_from_slice(format!("={value}").as_bytes());
        }
        text
    }

    /// The limit of the count that holds: the hard one, if there is one.
    pub(super) fn count_limit(&self) -> (i64, Hardness) {
        limit(self.extra.get(b"countHardLimit".as_slice()), self.count)
    }

    /// The limit of the bytes that holds: the hard one, if there is one.
    pub(super) fn bytes_limit(&self) -> (i64, Hardness) {
        limit(self.extra.get(b"byteHardLimit".as_slice()), self.bytes)
    }
}

fn limit(hard: Option<&i64>, soft: i64) -> (i64, Hardness) {
    match hard {
        Some(&hard) if -1 < hard => (hard, Hardness::Hard),
        _ => (soft, Hardness::Soft),
    }
}
