//! What the pipeline knows of each shard's connections: whose session, which ids.

use std::sync::Arc;

use engine::auth::AuthIds;
use jute::SessionId;
use net::message::ConnId;
use quorum::zab::Link;

/// A connection of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Which shard.
    pub shard: usize,
    /// Which of its connections.
    pub conn: ConnId,
}

/// Where the connection of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// At this server.
    Here(Owner),
    /// At a learner, by its link to this leader.
    There(Link),
}

/// One connection that has sent its handshake.
#[derive(Debug)]
struct Entry {
    generation: u32,
    session: SessionId,
    auth: Arc<AuthIds>,
}

/// The connections of one shard, by slot.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Option<Entry>>,
}

impl Connections {
    /// The connection belongs to `session` from now on.
    pub(crate) fn open(&mut self, conn: ConnId, session: SessionId, auth: Arc<AuthIds>) {
        let slot = conn.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(Entry { generation: conn.generation, session, auth });
    }

    /// The connection's session and ids, if it is still the one that holds the slot.
    pub(crate) fn find(&self, conn: ConnId) -> Option<(SessionId, &Arc<AuthIds>)> {
        let entry = self.slots.get(conn.slot as usize)?.as_ref()?;
        (entry.generation == conn.generation).then_some((entry.session, &entry.auth))
    }

    /// The connection's ids are others now.
    pub(crate) fn set_auth(&mut self, conn: ConnId, auth: Arc<AuthIds>) {
        if let Some(Some(entry)) = self.slots.get_mut(conn.slot as usize)
            && entry.generation == conn.generation
        {
            entry.auth = auth;
        }
    }

    /// Nothing of this connection counts any more.
    pub(crate) fn close(&mut self, conn: ConnId) {
        if let Some(place) = self.slots.get_mut(conn.slot as usize)
            && place.as_ref().is_some_and(|entry| entry.generation == conn.generation)
        {
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::auth::AuthIds;
    use jute::SessionId;
    use net::message::ConnId;

    use super::Connections;

    #[test]
    fn a_late_word_from_an_earlier_generation_changes_nothing() {
        let mut connections = Connections::default();
        let old = ConnId { slot: 3, generation: 0 };
        let new = ConnId { slot: 3, generation: 1 };
        connections.open(old, SessionId(1), Arc::new(AuthIds::default()));
        connections.close(old);
        connections.open(new, SessionId(2), Arc::new(AuthIds::default()));
        connections.close(old);
        assert!(connections.find(old).is_none());
        assert_eq!(connections.find(new).map(|(session, _)| session), Some(SessionId(2)));
    }
}
