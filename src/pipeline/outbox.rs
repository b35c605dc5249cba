//! The messages to the session shards while a batch is applied.

use std::ops::Range;

use engine::apply::{Effects, Event};
use jute::{Code, SessionId, Zxid};
use net::message::{Deliver, DeliverItem};

use super::connections::Owner;
use super::stage::Asker;

/// A message with more memory than this is not kept for the next.
const RECYCLED_BYTES_MAX: usize = 1 << 20;

/// One message for each session shard, being filled.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// By shard.
    delivers: Vec<Deliver>,
    /// How far each shard knows that the tree has moved.
    told: Vec<Zxid>,
    applied: Zxid,
    /// Sessions that the transaction being applied has ended.
    closed: Vec<SessionId>,
    /// The body of the reply to it: apart, because its events come first.
    body: Vec<u8>,
}

impl Outbox {
    pub(crate) fn new(shards: usize, applied: Zxid) -> Self {
        let delivers = std::iter::repeat_with(Deliver::default).take(shards).collect();
        let told = vec![applied; shards];
        Self { delivers, told, applied, closed: Vec::new(), body: Vec::new() }
    }

    /// The shard's message, if it says anything; a tree that has moved on is something.
    pub(crate) fn take(&mut self, shard: usize) -> Option<Deliver> {
        let deliver = &mut self.delivers[shard];
        let before = std::mem::replace(&mut self.told[shard], self.applied);
        (before < self.applied || !deliver.items.is_empty()).then(|| std::mem::take(deliver))
    }

    /// Gives a shard's message, if it is empty, the memory of an old one.
    pub(crate) fn recycle(&mut self, shard: usize, mut spent: Deliver) {
        let place = &mut self.delivers[shard];
        if place.items.is_empty() && spent.bytes.capacity() <= RECYCLED_BYTES_MAX {
            spent.items.clear();
            spent.bytes.clear();
            *place = spent;
        }
    }

    pub(crate) fn push(&mut self, owner: Owner, item: DeliverItem) {
        self.delivers[owner.shard].items.push(item);
    }

    pub(crate) fn push_all(&mut self, item: impl Fn() -> DeliverItem) {
        for deliver in &mut self.delivers {
            deliver.items.push(item());
        }
    }

    /// An empty place for the body of an answer; [`Outbox::reply`] sends it.
    pub(crate) fn body(&mut self) -> &mut Vec<u8> {
        self.body.clear();
        &mut self.body
    }

    /// Answers, with the body if the code is Ok.
    pub(crate) fn reply(&mut self, asker: Asker, zxid: Zxid, code: Code) {
        let Asker { owner, xid } = asker;
        let deliver = &mut self.delivers[owner.shard];
        let body = if code == Code::Ok { self.body.as_slice() } else { &[] };
        let body = keep(&mut deliver.bytes, body);
        deliver.items.push(DeliverItem::Reply { conn: owner.conn, xid, zxid, code, body });
    }

    /// Forgets what nobody was told yet.
    pub(crate) fn forget(&mut self) {
        for deliver in &mut self.delivers {
            deliver.items.clear();
            deliver.bytes.clear();
        }
    }

    /// Marks every message as holding the tree up to `applied`.
    pub(crate) fn seal(&mut self, applied: Zxid) {
        self.applied = applied;
        for deliver in &mut self.delivers {
            deliver.applied = applied;
        }
    }

    /// The sessions that the transaction has ended.
    pub(crate) fn closed(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.closed)
    }
}

/// What one transaction does beside changing the tree, on its way into the messages.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    outbox: &'a mut Outbox,
    /// Whether somebody waits for the body of the reply.
    asked: bool,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(outbox: &'a mut Outbox, asker: Option<Asker>) -> Self {
        outbox.body.clear();
        Self { outbox, asked: asker.is_some() }
    }
}

impl Effects for Sink<'_> {
    fn event(&mut self, event: Event<'_>) {
        for deliver in &mut self.outbox.delivers {
            let path = keep(&mut deliver.bytes, event.path);
            let acl = keep(&mut deliver.bytes, event.acl);
            let parent_acl = keep(&mut deliver.bytes, event.parent_acl);
            let Event { zxid, kind, .. } = event;
            deliver.items.push(DeliverItem::Event { zxid, kind, path, acl, parent_acl });
        }
    }

    fn session_closed(&mut self, session: SessionId) {
        self.outbox.closed.push(session);
    }

    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        self.asked.then_some(&mut self.outbox.body)
    }
}

fn keep(bytes: &mut Vec<u8>, what: &[u8]) -> Range<u32> {
    let start = bytes.len() as u32;
    bytes.extend_from_slice(what);
    start..bytes.len() as u32
}

#[cfg(test)]
mod tests {
    use net::message::{ConnId, Deliver, DeliverItem};

    use super::*;

    #[test]
    fn a_message_comes_back_to_be_filled_again_unless_it_is_large_or_too_late() {
        let spent = |bytes: usize| {
            let items = vec![DeliverItem::Close { conn: ConnId { slot: 9, generation: 0 } }];
            Deliver { items, bytes: vec![7; bytes], ..Deliver::default() }
        };
        let mut outbox = Outbox::new(1, Zxid(4));
        outbox.recycle(0, spent(RECYCLED_BYTES_MAX + 1));
        assert_eq!(outbox.delivers[0].bytes.capacity(), 0);
        outbox.recycle(0, spent(1 << 10));
        assert_eq!(outbox.delivers[0].bytes.capacity(), 1 << 10);
        outbox.seal(Zxid(4));
        assert!(outbox.take(0).is_none(), "an old message says nothing new");
        let conn = ConnId { slot: 1, generation: 0 };
        outbox.push(Owner { shard: 0, conn }, DeliverItem::Refused { conn });
        outbox.recycle(0, spent(1 << 11));
        let told = outbox.take(0).expect("a refusal");
        assert!(matches!(told.items[..], [DeliverItem::Refused { .. }]));
    }
}
