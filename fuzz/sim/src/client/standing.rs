//! A client's standing watches: every change behind them is told, once, before anything is shown that is later.
//!
//! ZooKeeper: `addWatch`. What happens while a client is between two connections is not told of them, as by the reference.

use std::collections::BTreeMap;

use jute::{EventType, SessionId, Zxid};

use crate::replay::{Change, Replay};
use crate::violation::Violation;

/// What a standing watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// A znode and its children's names.
    Persistent,
    /// A znode and all below it.
    Recursive,
}

/// The standing watches of a client.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Each with the zxid behind which changes are told.
    watches: BTreeMap<(String, Mode), Zxid>,
    /// Events that have come and were not yet held against the history.
    told: Vec<Change>,
    /// Everything up to here was.
    checked: Zxid,
}

impl Standing {
    /// The paths that are watched so.
    pub(crate) fn paths(&self, mode: Mode) -> impl Iterator<Item = &[u8]> {
        self.watches.keys().filter(move |it| it.1 == mode).map(|it| it.0.as_bytes())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// A watch is there, by an answer of `zxid`.
    pub(crate) fn add(&mut self, path: String, mode: Mode, zxid: Zxid) {
        self.watches.entry((path, mode)).or_insert(zxid);
    }

    /// They are set again: what was before `zxid` is not told any more.
    pub(crate) fn set(&mut self, zxid: Zxid) {
        self.told.clear();
        self.checked = zxid;
        for after in self.watches.values_mut() {
            *after = zxid;
        }
    }

    /// Whether a change is to be told.
    fn waits_for(&self, change: &Change) -> bool {
        let (zxid, path, kind) = change;
        self.watches.iter().any(|((watched, mode), after)| {
            let below = || path.strip_prefix(watched).is_some_and(|it| it.starts_with('/'));
            let fits = match mode {
                Mode::Persistent => path == watched,
                Mode::Recursive => {
                    *kind != EventType::NodeChildrenChanged as i32 && (path == watched || below())
                }
            };
            fits && *after < *zxid
        })
    }

    /// An event has come. Whether a standing watch waits for it.
    pub(crate) fn hear(&mut self, zxid: Zxid, path: &str, kind: i32) -> bool {
        let change = (zxid, path.to_owned(), kind);
        let waits = self.waits_for(&change);
        if waits {
            self.told.push(change);
        }
        waits
    }

    /// What is shown is of `shown`: everything up to there was told, and nothing else.
    ///
    /// # Errors
    /// [`Violation::WatchAfterData`], [`Violation::OtherEvent`].
    pub(crate) fn check(
        &mut self,
        session: SessionId,
        shown: Zxid,
        replay: &Replay,
    ) -> Result<(), Violation> {
        if self.is_empty() || shown <= self.checked {
            return Ok(());
        }
        let changes = replay.changes_between(self.checked, shown);
        let mut expected: Vec<&Change> = changes.iter().filter(|it| self.waits_for(it)).collect();
        let mut told: Vec<&Change> = self.told.iter().filter(|it| it.0 <= shown).collect();
        // Those of one transaction come in the order of its parts, which replay need not know.
        expected.sort();
        told.sort();
        let at = expected.iter().zip(&told).take_while(|it| it.0 == it.1).count();
        match (expected.get(at), told.get(at)) {
            (None, None) => {}
            (Some(missed), it) if it.is_none_or(|it| missed < it) => {
                return Err(Violation::WatchAfterData { session, change: missed.0, shown });
            }
            (_, it) => {
                let zxid = it.map_or(shown, |it| it.0);
                return Err(Violation::OtherEvent { session, zxid });
            }
        }
        self.told.retain(|it| shown < it.0);
        self.checked = shown;
        Ok(())
    }
}
