//! What an operator is told of exceeded quotas: a line for each limit, and not too often.
//!
//! ZooKeeper: the warnings of `ZooKeeperServer.checkQuota`, `RateLogger`. Differs: a limit has a line in [`EVERY_MS`] at
//! most; there, whatever makes another number makes another line.
//!
//! Absent here: the log that the lines go to.

use std::collections::BTreeMap;

use engine::quota::{Exceeded, Hardness, Limited};
use net::figures::PipelineFigures;

/// Milliseconds from one line to the next about the same limit. Source: `RateLogger`.
const EVERY_MS: u64 = 100;

/// Limits that are told apart; while so many are exceeded at once, others are counted and not told.
const LIMITS_MAX: usize = 256;

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaNote {
    /// The last request that exceeded the limit.
    pub exceeded: Exceeded,
    /// How many did since the line before, this one too.
    pub times: u64,
}

/// Lines that wait, and what was said lately.
#[derive(Debug, Default)]
pub(crate) struct QuotaNotes {
    said: BTreeMap<(Vec<u8>, Limited, Hardness), Said>,
    /// At most one for each of `said`.
    notes: Vec<QuotaNote>,
}

#[derive(Debug)]
struct Said {
    at_ms: u64,
    /// Requests since.
    times: u64,
}

impl QuotaNotes {
    /// A request has exceeded a limit.
    pub(crate) fn take(&mut self, now_ms: u64, exceeded: Exceeded, figures: &mut PipelineFigures) {
        if exceeded.hardness == Hardness::Hard {
            let mut names = exceeded.root.split(|&byte| byte == b'/');
            let name = names.find(|name| !name.is_empty()).unwrap_or_default();
            figures.quota_exceeded_error_per_namespace.add(&String::from_utf8_lossy(name));
        }
        let key = (exceeded.root.clone(), exceeded.what, exceeded.hardness);
        let is_old = |said: &Said| said.at_ms + EVERY_MS <= now_ms;
        let times = match self.said.get_mut(&key) {
            Some(said) if !is_old(said) => {
                said.times += 1;
                return;
            }
            Some(said) => {
                said.at_ms = now_ms;
                std::mem::take(&mut said.times) + 1
            }
            None => {
                if self.said.len() == LIMITS_MAX {
                    self.said.retain(|_, said| !is_old(said));
                }
                if self.said.len() == LIMITS_MAX {
                    return;
                }
                self.said.insert(key, Said { at_ms: now_ms, times: 0 });
                1
            }
        };
        self.notes.push(QuotaNote { exceeded, times });
    }

    /// The lines to be said now.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = QuotaNote> {
        self.notes.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceeded(root: &str, hardness: Hardness) -> Exceeded {
        let root = root.as_bytes().to_vec();
        Exceeded { root, what: Limited::Count, wanted: 3, limit: 2, hardness }
    }

    /// Takes these at their moments; which are said, and of how many.
    fn said(all: &[(u64, &str, Hardness)]) -> Vec<(String, u64)> {
        let (mut notes, mut figures) = (QuotaNotes::default(), PipelineFigures::default());
        for &(now_ms, root, hardness) in all {
            notes.take(now_ms, exceeded(root, hardness), &mut figures);
        }
        let root = |it: &QuotaNote| String::from_utf8_lossy(&it.exceeded.root).into_owned();
        notes.drain().map(|it| (root(&it), it.times)).collect()
    }

    fn expected(all: &[(&str, u64)]) -> Vec<(String, u64)> {
        all.iter().map(|&(root, times)| (root.to_owned(), times)).collect()
    }

    #[test]
    fn a_limit_is_told_at_once_and_then_now_and_then_with_how_many() {
        let soft = Hardness::Soft;
        let all = [(5, "/a", soft), (6, "/a", soft), (104, "/a", soft), (105, "/a", soft)];
        assert_eq!(said(&all), expected(&[("/a", 1), ("/a", 3)]));
        let all = [(5, "/a", soft), (205, "/a", soft), (206, "/a", soft), (305, "/a", soft)];
        assert_eq!(said(&all), expected(&[("/a", 1), ("/a", 1), ("/a", 2)]));
    }

    #[test]
    fn one_limit_does_not_hide_another() {
        let (soft, hard) = (Hardness::Soft, Hardness::Hard);
        let all = [(5, "/a", soft), (5, "/b", soft), (5, "/a", hard), (6, "/b", soft)];
        assert_eq!(said(&all), expected(&[("/a", 1), ("/b", 1), ("/a", 1)]));
    }

    #[test]
    fn what_is_refused_is_counted_by_top_level_znode_even_if_it_is_not_told() {
        let (mut notes, mut figures) = (QuotaNotes::default(), PipelineFigures::default());
        for root in 0..2 * LIMITS_MAX {
            notes.take(5, exceeded(&format!("/top/{root}"), Hardness::Hard), &mut figures);
        }
        notes.take(5, exceeded("/other", Hardness::Soft), &mut figures);
        assert_eq!(notes.drain().count(), LIMITS_MAX);
        let counts = &figures.quota_exceeded_error_per_namespace.counts;
        assert_eq!(
            counts.iter().map(|it| (it.0.as_str(), *it.1)).collect::<Vec<_>>(),
            [("top", 512)]
        );
        notes.take(105, exceeded("/other", Hardness::Soft), &mut figures);
        assert_eq!(notes.drain().count(), 1, "there is room again");
    }
}
