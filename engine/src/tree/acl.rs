//! ACL lists, each kept once, by content, with a count of its users.
//!
//! ZooKeeper: `ReferenceCountedACLCache`. A list is the jute bytes of `vector<ACL>`. An id is a small
//! number from 1; that of a list that nobody uses any more is given out again.
//! Differs: id 1 is always world:anyone ALL, so that a reader can tell it without looking; and a freed
//! id is used again, so ids of other servers' snapshots are not kept.

use alloc::vec::Vec;

use crate::{
    arena::{Arena, Full, Offset, Torn, View, layout::Word, sure, words_for},
    index::{self, ACLS},
    list::List,
};

/// Which ACL list a znode has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclId(u32);

impl AclId {
    /// No list was given: reads as world:anyone ALL. ZooKeeper's id −1.
    pub const NULL: Self = Self(u32::MAX);
    /// The list world:anyone ALL, given explicitly.
    pub const OPEN: Self = Self(1);

    /// Whether anyone may do anything.
    pub const fn is_open(self) -> bool {
        self.0 == Self::NULL.0 || self.0 == Self::OPEN.0
    }

    /// As ZooKeeper numbers it in snapshots: −1 or from 1.
    pub const fn number(self) -> i64 {
        if self.0 == Self::NULL.0 { -1 } else { self.0 as i64 }
    }

    pub(crate) const fn of(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// The jute bytes of world:anyone ALL.
pub const OPEN_ACL: &[u8] = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone";
/// The jute bytes of world:anyone READ.
pub const READ_ACL: &[u8] = b"\0\0\0\x01\0\0\0\x01\0\0\0\x05world\0\0\0\x06anyone";

/// Marks a free id in the list of ids; the rest of the word is the next free id.
const FREE: u64 = 1 << 63;
/// Words of a record before the bytes: users and id, length.
const HEAD: u64 = 2;

fn ids(view: View<'_>) -> Result<List, Torn> {
    let [head, count] = view.words(Word::AclListHead.at())?;
    Ok(List { head, count: count as u32 })
}

fn record(view: View<'_>, id: AclId) -> Result<Offset, Torn> {
    let item = ids(view)?.at(view, id.0.wrapping_sub(1))?;
    if item & FREE == 0 { Ok(Offset::new(item)) } else { Err(Torn) }
}

/// Appends the jute bytes of a list.
pub(crate) fn encode(view: View<'_>, id: AclId, out: &mut Vec<u8>) -> Result<(), Torn> {
    if id.is_open() {
        out.extend_from_slice(OPEN_ACL);
        return Ok(());
    }
    let at = record(view, id)?;
    let len = view.word(at.plus(1))? as u32;
    view.bytes(at.plus(HEAD), len as usize, out)
}

/// Ids in use, in ascending order, from `after` on; with 0 from the first.
pub(crate) fn next(view: View<'_>, after: u32) -> Result<Option<AclId>, Torn> {
    let ids = ids(view)?;
    for i in after..ids.count {
        if i % 256 == 255 {
            view.check()?;
        }
        if ids.at(view, i)? & FREE == 0 {
            return Ok(Some(AclId(i + 1)));
        }
    }
    Ok(None)
}

/// Makes the table, with world:anyone ALL as id 1, which is never freed.
pub(crate) fn format(arena: &mut Arena) -> Result<(), Full> {
    ACLS.format(arena)?;
    let hash = sure(index::hash(arena.view(), OPEN_ACL));
    let open = insert(arena, OPEN_ACL, hash)?;
    assert!(open == AclId::OPEN, "the first list has id 1");
    Ok(())
}

/// The id of a list, which has one user more from now on.
///
/// # Errors
/// [`Full`]: nothing is changed.
pub(crate) fn intern(arena: &mut Arena, acl: Option<&[u8]>) -> Result<AclId, Full> {
    let acl = match acl {
        None => return Ok(AclId::NULL),
        // The usual list is told at once, and its users are not counted.
        Some(OPEN_ACL) => return Ok(AclId::OPEN),
        Some(acl) => acl,
    };
    let view = arena.view();
    let hash = sure(index::hash(view, acl));
    let found = ACLS.find(view, hash, |at| {
        Ok(view.word(at.plus(1))? == acl.len() as u64 && view.bytes_are(at.plus(HEAD), acl)?)
    });
    if let Some(at) = sure(found) {
        let word = arena.word(at);
        assert!(word >> 32 < u64::from(u32::MAX), "users of an ACL list");
        arena.set(at, word + (1 << 32));
        return Ok(AclId(word as u32));
    }
    insert(arena, acl, hash)
}

/// Adds a list that is not there, with one user.
fn insert(arena: &mut Arena, acl: &[u8], hash: u64) -> Result<AclId, Full> {
    let words = HEAD + words_for(acl.len()) as u64;
    let at = arena.alloc(words)?;
    let id = ACLS
        .insert(arena, hash, at)
        .and_then(|()| assign(arena, at).inspect_err(|_| ACLS.remove(arena, hash, at)));
    let id = id.inspect_err(|_| arena.free(at, words))?;
    arena.write(at, &[1 << 32 | u64::from(id.0), acl.len() as u64]);
    arena.write_bytes(at.plus(HEAD), acl);
    arena.add(Word::Acls, 1);
    Ok(id)
}

/// Finds an id for a new record.
fn assign(arena: &mut Arena, at: Offset) -> Result<AclId, Full> {
    let list = sure(ids(arena.view()));
    let free = arena.word(Word::AclFreeId.at());
    if free != 0 {
        let i = free as u32 - 1;
        let next = sure(list.at(arena.view(), i)) & !FREE;
        arena.set(Word::AclFreeId.at(), next);
        list.set(arena, i, at.get());
        return Ok(AclId(free as u32));
    }
    let list = list.push(arena, at.get())?;
    arena.write(Word::AclListHead.at(), &[list.head, u64::from(list.count)]);
    Ok(AclId(list.count))
}

/// One user more for a list that has some.
pub(crate) fn release(arena: &mut Arena, id: AclId) {
    if id.is_open() {
        return;
    }
    let at = sure(record(arena.view(), id));
    let word = arena.word(at) - (1 << 32);
    arena.set(at, word);
    if word >> 32 != 0 {
        return;
    }
    let len = arena.word(at.plus(1)) as usize;
    let mut bytes = Vec::new();
    sure(arena.view().bytes(at.plus(HEAD), len, &mut bytes));
    let hash = sure(index::hash(arena.view(), &bytes));
    ACLS.remove(arena, hash, at);
    arena.free(at, HEAD + words_for(len) as u64);
    let next = arena.word(Word::AclFreeId.at());
    sure(ids(arena.view())).set(arena, id.0 - 1, FREE | next);
    arena.set(Word::AclFreeId.at(), u64::from(id.0));
    arena.sub(Word::Acls, 1);
}
