//! Sessions: id, timeout, and the ephemerals that go with them.
//!
//! ZooKeeper: `ZKDatabase.sessionsWithTimeouts` and `DataTree.ephemerals` in one. Absent: expiry, which
//! is the pipeline shard's, and passwords, which follow from the id.

use jute::SessionId;

use crate::{
    arena::{Arena, Full, Offset, Torn, View, layout::Word, sure},
    index::{self, SESSIONS},
    list::List,
};

/// A session as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id. Never 0.
    pub id: SessionId,
    /// How long a silent session lives, milliseconds. 0 if the session was never opened, and only
    /// its ephemerals are known: then it must be closed (ZooKeeper: `ZooKeeperServer.loadData`).
    pub timeout_ms: u32,
    /// How many ephemerals it has.
    pub ephemeral_count: u32,
    pub(crate) at: Offset,
}

/// Words of a record: id; timeout and count of ephemerals; head of their list; place among sessions.
const WORDS: u64 = 4;

fn key_hash(view: View<'_>, id: SessionId) -> Result<u64, Torn> {
    index::hash(view, &id.0.to_be_bytes())
}

fn all(view: View<'_>) -> Result<List, Torn> {
    let [head, count] = view.words(Word::SessionListHead.at())?;
    Ok(List { head, count: count as u32 })
}

fn load(view: View<'_>, at: Offset) -> Result<Session, Torn> {
    let [id, sizes] = view.words(at)?;
    Ok(Session {
        id: SessionId(id as i64),
        timeout_ms: (sizes >> 32) as u32,
        ephemeral_count: sizes as u32,
        at,
    })
}

pub(crate) fn find(view: View<'_>, id: SessionId) -> Result<Option<Session>, Torn> {
    let hash = key_hash(view, id)?;
    let found = SESSIONS.find(view, hash, |at| Ok(view.word(at)? == id.0 as u64))?;
    found.map(|at| load(view, at)).transpose()
}

/// How many there are, those included that were never opened.
pub(crate) fn count(view: View<'_>) -> Result<u32, Torn> {
    Ok(all(view)?.count)
}

pub(crate) fn at(view: View<'_>, i: u32) -> Result<Session, Torn> {
    load(view, Offset::new(all(view)?.at(view, i)?))
}

pub(crate) fn ephemeral(view: View<'_>, session: Session, i: u32) -> Result<Offset, Torn> {
    let list = List { head: view.word(session.at.plus(2))?, count: session.ephemeral_count };
    Ok(Offset::new(list.at(view, i)?))
}

/// Opens a session, or changes the timeout of one that is there.
pub(crate) fn open(arena: &mut Arena, id: SessionId, timeout_ms: u32) -> Result<(), Full> {
    assert!(0 < timeout_ms, "session {id} without a timeout");
    let session = find_or_add(arena, id)?;
    if session.timeout_ms == 0 {
        arena.add(Word::Sessions, 1);
    }
    arena.set(session.at.plus(1), sizes(timeout_ms, session.ephemeral_count));
    Ok(())
}

/// Forgets a session, whose ephemerals are gone already. Gives whether it was there.
pub(crate) fn close(arena: &mut Arena, id: SessionId) -> bool {
    let Some(session) = sure(find(arena.view(), id)) else { return false };
    assert!(session.ephemeral_count == 0, "session {id} still has ephemerals");
    let hash = sure(key_hash(arena.view(), id));
    SESSIONS.remove(arena, hash, session.at);
    let place = arena.word(session.at.plus(3)) as u32;
    let (list, moved) = sure(all(arena.view())).swap_remove(arena, place);
    arena.write(Word::SessionListHead.at(), &[list.head, u64::from(list.count)]);
    if let Some(moved) = moved {
        arena.set(Offset::new(moved).plus(3), u64::from(place));
    }
    arena.free(session.at, WORDS);
    if session.timeout_ms != 0 {
        arena.sub(Word::Sessions, 1);
    }
    true
}

/// Adds an ephemeral to a session, which is made if it is not there. Gives its place in the list.
pub(crate) fn own(arena: &mut Arena, id: SessionId, znode: Offset) -> Result<u32, Full> {
    let session = find_or_add(arena, id)?;
    let list = List { head: arena.word(session.at.plus(2)), count: session.ephemeral_count };
    let list = list.push(arena, znode.get()).inspect_err(|_| forget_if_unknown(arena, id))?;
    arena.write(session.at.plus(1), &[sizes(session.timeout_ms, list.count), list.head]);
    Ok(session.ephemeral_count)
}

/// Takes an ephemeral from its session. Gives the znode that has its place now, if any.
pub(crate) fn disown(arena: &mut Arena, id: SessionId, place: u32) -> Option<Offset> {
    let session = sure(find(arena.view(), id)).expect("the session of an ephemeral");
    let list = List { head: arena.word(session.at.plus(2)), count: session.ephemeral_count };
    let (list, moved) = list.swap_remove(arena, place);
    arena.write(session.at.plus(1), &[sizes(session.timeout_ms, list.count), list.head]);
    forget_if_unknown(arena, id);
    moved.map(Offset::new)
}

/// A session that was never opened is there for its ephemerals only.
fn forget_if_unknown(arena: &mut Arena, id: SessionId) {
    let session = sure(find(arena.view(), id));
    if session.is_some_and(|it| it.timeout_ms == 0 && it.ephemeral_count == 0) {
        close(arena, id);
    }
}

fn find_or_add(arena: &mut Arena, id: SessionId) -> Result<Session, Full> {
    if let Some(session) = sure(find(arena.view(), id)) {
        return Ok(session);
    }
    let at = arena.alloc(WORDS)?;
    let hash = sure(key_hash(arena.view(), id));
    let list = sure(all(arena.view()));
    let list = match SESSIONS.insert(arena, hash, at) {
        Ok(()) => list.push(arena, at.get()).inspect_err(|_| SESSIONS.remove(arena, hash, at)),
        Err(full) => Err(full),
    };
    let list = list.inspect_err(|_| arena.free(at, WORDS))?;
    arena.write(Word::SessionListHead.at(), &[list.head, u64::from(list.count)]);
    arena.write(at, &[id.0 as u64, 0, 0, u64::from(list.count) - 1]);
    Ok(Session { id, timeout_ms: 0, ephemeral_count: 0, at })
}

const fn sizes(timeout_ms: u32, ephemeral_count: u32) -> u64 {
    (timeout_ms as u64) << 32 | ephemeral_count as u64
}
