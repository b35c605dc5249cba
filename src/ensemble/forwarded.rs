//! Requests on their way from a learner to the leader, and the ids of who asks.
//!
//! ZooKeeper: `Learner.request`, `QuorumPacket.authinfo`. Invariant: nothing is allocated for a request whose client has the ids of the one before it.

use engine::auth::{AuthId, AuthIds};
use jute::{Op, SessionId, Xid};
use quorum::wire::{Id, IdList, Message};

/// A request as it goes to the leader. `auth` is made by [`write_ids`].
pub(super) fn request<'a>(
    session: SessionId,
    cxid: Xid,
    op: Op,
    body: &'a [u8],
    auth: &'a [u8],
) -> Message<'a> {
    let authinfo = IdList::decode(auth).unwrap_or(IdList::NULL);
    Message::Request { session, cxid: cxid.0, op: op.number(), body, authinfo }
}

/// Replaces `out` by the ids of a connection, as they go to the leader.
pub(super) fn write_ids(auth: &AuthIds, out: &mut Vec<u8>) {
    out.clear();
    let ids = auth.ids.iter();
    IdList::write_all(ids.map(|it| Id { scheme: Some(&it.scheme), id: Some(&it.id) }), out);
}

/// The ids that came with the last request.
#[derive(Debug, Default)]
pub(super) struct LastIds(AuthIds);

impl LastIds {
    /// Those of a request that has come.
    pub(super) fn take(&mut self, authinfo: IdList<'_>) -> &AuthIds {
        let came =
            || authinfo.iter().map(|it| (it.scheme.unwrap_or_default(), it.id.unwrap_or_default()));
        let known = self.0.ids.iter().map(|it| (it.scheme.as_slice(), it.id.as_slice()));
        if !came().eq(known) {
            let id =
                |(scheme, id): (&[u8], &[u8])| AuthId { scheme: scheme.to_vec(), id: id.to_vec() };
            self.0.ids = came().map(id).collect();
        }
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_and_come_as_they_are_whatever_came_before() {
        let id = |scheme: &str, id: &str| AuthId { scheme: scheme.into(), id: id.into() };
        let all = [
            AuthIds::default(),
            AuthIds { ids: vec![id("ip", "10.0.0.1")] },
            AuthIds { ids: vec![id("ip", "10.0.0.1")] },
            AuthIds { ids: vec![id("ip", "10.0.0.1"), id("digest", "a:b")] },
            AuthIds { ids: vec![id("ip", "10.0.0.2"), id("digest", "a:b")] },
            AuthIds { ids: vec![id("ip", "10.0.0.2")] },
            AuthIds::default(),
        ];
        let (mut last, mut bytes) = (LastIds::default(), Vec::new());
        for ids in all {
            write_ids(&ids, &mut bytes);
            let authinfo = IdList::decode(&bytes).expect("a vector");
            assert_eq!(*last.take(authinfo), ids);
        }
        assert_eq!(*last.take(IdList::NULL), AuthIds::default());
    }
}
