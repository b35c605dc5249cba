//! When an image of the tree is taken, and what the pipeline shard does for it meanwhile.
//!
//! ZooKeeper: the trigger in `SyncRequestProcessor`: after a number of transactions, or of log bytes, drawn anew each time
//! between half of the configured one and all of it, so that the servers of an ensemble do not all do it at once.

use std::sync::mpsc::Sender;

use engine::state::State;
use engine::tree::TreeView;
use jute::Zxid;
use snapshot::{Imager, Label, Outcome};

use crate::control::Event;
use crate::pipeline::Moment;

/// The transactions and log bytes after which an image is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// At least 2. Source: `snapCount`.
    pub(crate) txns: u64,
    /// 0 is no limit. Source: `snapSizeLimitInKb`.
    pub(crate) bytes: u64,
}

/// Takes images.
#[derive(Debug)]
pub(crate) struct Images {
    imager: Imager,
    events: Sender<Event>,
    limit: Due,
    /// The draw for the next image.
    next: Due,
    /// What came since the last.
    since: Due,
    random: u64,
    /// See [`Label::void_sequence`].
    void_sequence: u64,
    /// Of the newest that this process has written or installed.
    newest: Zxid,
}

impl Images {
    /// Takes none until the first is due. `seed` is chance.
    pub(crate) fn new(imager: Imager, events: Sender<Event>, limit: Due, seed: u64) -> Self {
        let since = Due { txns: 0, bytes: 0 };
        let (random, void_sequence, newest) = (seed | 1, 0, Zxid::ZERO);
        let mut images =
            Self { imager, events, limit, next: limit, since, random, void_sequence, newest };
        images.draw();
        images
    }

    /// Every image from now on says that log segments up to this number are not what follows it.
    pub(crate) fn carry_on(&mut self, void_sequence: u64) {
        self.void_sequence = void_sequence;
    }

    /// As many transactions lie in the log behind the newest image already: an image is due sooner by them, so that a server which is killed again
    /// need not replay them again.
    pub(crate) fn replayed(&mut self, txns: u64) {
        self.since.txns += txns;
    }

    fn draw(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let between = |all: u64| all / 2 + self.random % (all / 2).max(1);
        self.next = Due { txns: between(self.limit.txns), bytes: between(self.limit.bytes) };
    }

    /// Whether one is being written: [`Images::after_batch`] is to be called now and then.
    pub(crate) fn busy(&self) -> bool {
        self.imager.busy()
    }

    /// A batch of `txns` transactions and `bytes` was applied. What became of an image, if one has ended.
    pub(crate) fn after_batch(
        &mut self,
        state: &mut State,
        moment: Moment,
        batch: Due,
    ) -> Option<Outcome> {
        self.since.txns += batch.txns;
        self.since.bytes += batch.bytes;
        if self.imager.busy() {
            let outcome = self.imager.poll()?;
            state.tree_mut().arena().end_image();
            self.ended(&outcome);
            return Some(outcome);
        }
        let full = self.limit.bytes != 0 && self.next.bytes <= self.since.bytes;
        if full || self.next.txns <= self.since.txns {
            self.begin(state, moment);
        }
        None
    }

    /// Takes an image of the tree as it is, unless one is being taken.
    pub(crate) fn begin(&mut self, state: &mut State, moment: Moment) {
        if self.imager.busy() {
            return;
        }
        self.since = Due { txns: 0, bytes: 0 };
        self.draw();
        let tree_digest = state.tree().look(TreeView::digest);
        let source = state.tree_mut().begin_image();
        let (void_sequence, fuzzy) = (self.void_sequence, state.fuzzy());
        let begun_at_ms = moment.wall_ms;
        self.imager.begin(source, Label { tree_digest, begun_at_ms, void_sequence, fuzzy });
    }

    /// Ends the image that is being taken, if one is, and begins none before more is applied. Waits for a write of some pages at most.
    pub(crate) fn give_up(&mut self, state: &mut State) {
        self.since = Due { txns: 0, bytes: 0 };
        if let Some(outcome) = self.imager.give_up() {
            state.tree_mut().arena().end_image();
            self.ended(&outcome);
        }
    }

    /// The newest image that this process has written or installed; 0: none.
    pub(crate) fn newest(&self) -> Zxid {
        self.newest
    }

    /// An image of `zxid` came from a leader and is on the disk, with the number that every later one carries on.
    pub(crate) fn installed(&mut self, zxid: Zxid, void_sequence: u64) {
        self.carry_on(void_sequence);
        self.since = Due { txns: 0, bytes: 0 };
        self.newest = zxid;
        // The control thread ends last.
        drop(self.events.send(Event::ImageWritten(zxid)));
    }

    fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Written { zxid, len, anew, took } => {
                self.newest = *zxid;
                tracing::info!(%zxid, bytes = len, anew, ms = took.as_millis(), "snapshot written");
                // The control thread ends last.
                drop(self.events.send(Event::ImageWritten(*zxid)));
            }
            Outcome::Cancelled => tracing::info!("snapshot given up"),
            Outcome::Failed(error) => {
                tracing::error!(%error, "the snapshot was not written; the one before stays, and the log with it");
            }
        }
    }
}

#[cfg(test)]
mod tests;
