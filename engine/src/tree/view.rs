//! The reading side of the tree, for the writer and for every other thread.
//!
//! Whatever comes back is to be believed only if the read was not torn: see [`crate::arena::Reader::read`].
//! Methods that append to `out` may have appended when they give [`Torn`].

use alloc::vec::Vec;

use jute::{SessionId, Stat, Zxid};

use super::acl::{self, AclId};
use super::session::{self, Session};
use super::{
    stat::StatPersisted,
    znode::{ACL, DATA, Name, PARENT, Record, Znode},
};
use crate::{
    arena::{Offset, Torn, View, layout::Word},
    index::{self, ZNODES},
};

/// Counts over the whole tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Znodes as ZooKeeper counts them: the root twice. `znode_count`.
    pub znodes: u64,
    /// Ephemeral znodes.
    pub ephemerals: u64,
    /// Container znodes.
    pub containers: u64,
    /// TTL znodes.
    pub ttls: u64,
    /// Open sessions.
    pub sessions: u64,
    /// Bytes of paths and data. `approximate_data_size`.
    ///
    /// Differs: ZooKeeper counts a path's UTF-16 units.
    pub data_bytes: u64,
    /// Distinct ACL lists.
    pub acls: u64,
}

/// A znode, without name and data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) stat: StatPersisted,
    pub(crate) child_count: u32,
    pub(crate) acl: AclId,
    /// Bytes; 0 for null.
    pub(crate) data_len: usize,
    /// The CRC of path and data.
    pub(crate) prefix: u32,
    /// The share in the tree's digest; 0 if it has none.
    pub(crate) digest: u32,
    pub(crate) is_digested: bool,
}

/// A look at the tree.
#[derive(Clone, Copy, Debug)]
pub struct TreeView<'a> {
    view: View<'a>,
}

/// Components that a path has at most: it is walked upwards, and each takes two bytes.
const DEPTH_MAX: usize = 1 << 27;
/// Children or descendants between two looks at the version.
const STRIDE: u64 = 256;

impl<'a> TreeView<'a> {
    /// The tree in the region that `view` sees.
    #[inline]
    pub const fn new(view: View<'a>) -> Self {
        Self { view }
    }

    /// Whether nothing was changed so far. Call it now and then in a long loop.
    ///
    /// # Errors
    /// [`Torn`] if something was.
    #[inline]
    pub fn check(self) -> Result<(), Torn> {
        self.view.check()
    }

    /// The transaction that was applied last.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn zxid(self) -> Result<Zxid, Torn> {
        Ok(Zxid(self.view.word(Word::Zxid.at())? as i64))
    }

    /// Counts over the whole tree.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn counters(self) -> Result<Counters, Torn> {
        let word = |word: Word| self.view.word(word.at());
        Ok(Counters {
            znodes: word(Word::Znodes)?,
            ephemerals: word(Word::Ephemerals)?,
            containers: word(Word::Containers)?,
            ttls: word(Word::Ttls)?,
            sessions: word(Word::Sessions)?,
            data_bytes: word(Word::DataBytes)?,
            acls: word(Word::Acls)?,
        })
    }

    /// The tree digest: the wrapping sum of the digests of all znodes not below /zookeeper.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn digest(self) -> Result<u64, Torn> {
        self.view.word(Word::Digest.at())
    }

    /// The znode "/".
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn root(self) -> Result<Znode, Torn> {
        Ok(Znode(Offset::new(self.view.word(Word::Root.at())?)))
    }

    /// The znode with this path. "" is the root too, as in ZooKeeper; a path that is none finds nothing.
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn find(self, path: &[u8]) -> Result<Option<Znode>, Torn> {
        self.find_hashed(path, index::hash(self.view, path)?)
    }

    /// The same, for whoever knows what [`TreeView::hash`] gives for the path.
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn find_hashed(self, path: &[u8], hash: u64) -> Result<Option<Znode>, Torn> {
        let root = self.root()?;
        if path.len() <= 1 {
            return Ok(matches!(path, b"" | b"/").then_some(root));
        }
        let found = ZNODES.find(self.view, hash, |at| self.has_path(Znode(at), root, path))?;
        Ok(found.map(Znode))
    }

    /// Whether a znode has this path: its name at the end, its parent's before that, up to the root.
    #[inline]
    fn has_path(self, znode: Znode, root: Znode, path: &[u8]) -> Result<bool, Torn> {
        let (mut path, mut znode) = (path, znode);
        while znode != root {
            let found = Name::load(self.view, znode)?;
            let Some(slash) = path.len().checked_sub(found.len() + 1) else { return Ok(false) };
            let (rest, name) = path.split_at(slash);
            if name[0] != b'/' || !self.view.bytes_are(found.at, &name[1..])? {
                return Ok(false);
            }
            (path, znode) = (rest, Znode(found.parent()));
        }
        Ok(path.is_empty())
    }

    /// The parent; the root has none.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn parent(self, znode: Znode) -> Result<Option<Znode>, Torn> {
        let parent = Name::load(self.view, znode)?.parent();
        Ok((!parent.is_none()).then_some(Znode(parent)))
    }

    /// Appends the last component of the path; the root's is empty.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn name(self, znode: Znode, out: &mut Vec<u8>) -> Result<(), Torn> {
        let name = Name::load(self.view, znode)?;
        self.view.bytes(name.at, name.len(), out)
    }

    /// Appends the whole path.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn path(self, znode: Znode, out: &mut Vec<u8>) -> Result<(), Torn> {
        let start = out.len();
        self.path_or_empty(znode, out)?;
        if out.len() == start {
            out.push(b'/');
        }
        Ok(())
    }

    /// Appends the whole path; the root's is empty, as the digest and ZooKeeper's snapshots have it.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn path_or_empty(self, znode: Znode, out: &mut Vec<u8>) -> Result<(), Torn> {
        // Up to add the lengths, up again to fill the place from its end.
        let (root, start) = (self.root()?, out.len());
        let (mut at, mut len) = (znode, 0);
        for depth in 0..=DEPTH_MAX {
            if at == root {
                break;
            }
            if depth % 64 == 63 {
                self.view.check()?;
            }
            let name = Name::load(self.view, at)?;
            len += name.len() + 1;
            at = Znode(name.parent());
        }
        if 4096 < len {
            self.view.check()?;
        }
        out.resize(start + len, 0);
        let (mut at, mut end) = (znode, out.len());
        while at != root {
            let name = Name::load(self.view, at)?;
            let slash = end.checked_sub(name.len() + 1);
            let slash = slash.filter(|&it| start <= it).ok_or(Torn)?;
            out[slash] = b'/';
            self.view.bytes_into(name.at, &mut out[slash + 1..end])?;
            (at, end) = (Znode(name.parent()), slash);
        }
        if end == start { Ok(()) } else { Err(Torn) }
    }

    /// The header as it is stored.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn stat(self, znode: Znode) -> Result<StatPersisted, Torn> {
        Record::load(self.view, znode)?.stat(self.view)
    }

    /// What a transaction in the making must know of a znode, in one look.
    pub(crate) fn facts(self, znode: Znode) -> Result<Facts, Torn> {
        let record = Record::load(self.view, znode)?;
        Ok(Facts {
            stat: record.stat(self.view)?,
            child_count: record.child_count(),
            acl: AclId::of(record.acl()),
            data_len: record.data_len().unwrap_or(0),
            prefix: record.prefix_crc(),
            digest: record.digest(),
            is_digested: record.is_digested(),
        })
    }

    /// The hash that the index knows a path by, under the region's seed.
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn hash(self, path: &[u8]) -> Result<u64, Torn> {
        index::hash(self.view, path)
    }

    /// Entries of the znodes' index.
    pub(crate) fn indexed_count(self) -> Result<u64, Torn> {
        ZNODES.count(self.view)
    }

    /// Reads where the znodes with these hashes would be, all buckets before any znode, and all znodes before any data, and forgets it: for who will
    /// soon need them. The hashes are gone then.
    pub(crate) fn touch(self, hashes: &mut [u64]) -> Result<(), Torn> {
        let mut seen = 0;
        for &mut hash in &mut *hashes {
            seen ^= ZNODES.touch(self.view, hash)?;
        }
        for hash in &mut *hashes {
            let mut data = 0;
            ZNODES.find(self.view, *hash, |at| {
                seen ^= self.view.word(at.plus(PARENT))?;
                data = self.view.word(at.plus(DATA))?;
                Ok(true)
            })?;
            *hash = data;
        }
        for &mut data in hashes {
            let at = Offset::new(data);
            if !at.is_none() {
                seen ^= self.view.word(at)?;
            }
        }
        core::hint::black_box(seen);
        Ok(())
    }

    /// The header as clients see it.
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn shown_stat(self, znode: Znode) -> Result<Stat, Torn> {
        let record = Record::load(self.view, znode)?;
        let data_len = record.data_len().unwrap_or(0);
        Ok(record.stat(self.view)?.shown(data_len as i32, record.child_count() as i32))
    }

    /// Appends a `Stat`: 68 bytes.
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn encode_stat(self, znode: Znode, out: &mut Vec<u8>) -> Result<(), Torn> {
        let stat = self.shown_stat(znode)?;
        let mut bytes = [0; Stat::LEN];
        let (head, tail) = bytes.split_at_mut(32);
        let longs = [stat.czxid, stat.mzxid, stat.ctime, stat.mtime];
        for (to, long) in head.as_chunks_mut::<8>().0.iter_mut().zip(longs) {
            *to = long.to_be_bytes();
        }
        tail[0..4].copy_from_slice(&stat.version.to_be_bytes());
        tail[4..8].copy_from_slice(&stat.cversion.to_be_bytes());
        tail[8..12].copy_from_slice(&stat.aversion.to_be_bytes());
        tail[12..20].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
        tail[20..24].copy_from_slice(&stat.data_length.to_be_bytes());
        tail[24..28].copy_from_slice(&stat.num_children.to_be_bytes());
        tail[28..36].copy_from_slice(&stat.pzxid.to_be_bytes());
        out.extend_from_slice(&bytes);
        Ok(())
    }

    /// Bytes of data; `None` for null.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn data_len(self, znode: Znode) -> Result<Option<usize>, Torn> {
        Ok(Record::load(self.view, znode)?.data_len())
    }

    /// Appends the data and gives its length; `None` for null.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn data(self, znode: Znode, out: &mut Vec<u8>) -> Result<Option<usize>, Torn> {
        let record = Record::load(self.view, znode)?;
        if let Some(len) = record.data_len() {
            self.view.bytes(record.data_at(), len, out)?;
        }
        Ok(record.data_len())
    }

    /// Appends the data as a jute buffer: length, −1 for null, and bytes.
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn encode_data(self, znode: Znode, out: &mut Vec<u8>) -> Result<(), Torn> {
        let record = Record::load(self.view, znode)?;
        let Some(len) = record.data_len() else {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return Ok(());
        };
        out.extend_from_slice(&(len as i32).to_be_bytes());
        self.view.bytes(record.data_at(), len, out)
    }

    /// How many children.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn child_count(self, znode: Znode) -> Result<u32, Torn> {
        Ok(Record::load(self.view, znode)?.child_count())
    }

    /// Child number `i`, from 0. The order means nothing, and a removal changes it.
    ///
    /// # Errors
    /// [`Torn`], also if there are not so many.
    pub fn child(self, znode: Znode, i: u32) -> Result<Znode, Torn> {
        let children = Record::load(self.view, znode)?.children();
        Ok(Znode(Offset::new(children.at(self.view, i)?)))
    }

    /// Appends the children's names as a jute vector of strings: count, then length and bytes of each.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn encode_children(self, znode: Znode, out: &mut Vec<u8>) -> Result<(), Torn> {
        let children = Record::load(self.view, znode)?.children();
        out.extend_from_slice(&children.count.to_be_bytes());
        for i in 0..children.count {
            if u64::from(i) % STRIDE == STRIDE - 1 {
                self.view.check()?;
            }
            let child = Znode(Offset::new(children.at(self.view, i)?));
            let name = Name::load(self.view, child)?;
            out.extend_from_slice(&(name.len() as i32).to_be_bytes());
            self.view.bytes(name.at, name.len(), out)?;
        }
        Ok(())
    }

    /// The znode after `at` in the subtree of `top`: parents before children. The first is `top` itself;
    /// `None` after the last.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn next_below(self, top: Znode, at: Znode) -> Result<Option<Znode>, Torn> {
        let mut record = Record::load(self.view, at)?;
        if record.child_count() != 0 {
            return Ok(Some(Znode(Offset::new(record.children().at(self.view, 0)?))));
        }
        for depth in 0..DEPTH_MAX {
            if record.at == top.0 {
                return Ok(None);
            }
            if depth % 64 == 63 {
                self.view.check()?;
            }
            let next = record.place().wrapping_add(1);
            record = Record::load(self.view, Znode(record.parent()))?;
            if next < record.child_count() {
                return Ok(Some(Znode(Offset::new(record.children().at(self.view, next)?))));
            }
        }
        Err(Torn)
    }

    /// How many znodes lie below this one, at any depth. Takes a step for each, except at the root.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn descendant_count(self, znode: Znode) -> Result<u64, Torn> {
        if znode == self.root()? {
            return self.view.word(Word::Znodes.at())?.checked_sub(2).ok_or(Torn);
        }
        let (mut at, mut count) = (znode, 0);
        while let Some(next) = self.next_below(znode, at)? {
            (at, count) = (next, count + 1);
            if count % STRIDE == 0 {
                self.view.check()?;
            }
        }
        Ok(count)
    }

    /// Which ACL list a znode has.
    ///
    /// # Errors
    /// [`Torn`].
    #[inline]
    pub fn acl(self, znode: Znode) -> Result<AclId, Torn> {
        Ok(AclId::of(self.view.word(znode.0.plus(ACL))? as u32))
    }

    /// Appends an ACL list as the jute vector; [`AclId::NULL`] reads as world:anyone ALL.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn encode_acl(self, acl: AclId, out: &mut Vec<u8>) -> Result<(), Torn> {
        acl::encode(self.view, acl, out)
    }

    /// The ACL list after `after` by number, or the first; `None` after the last.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn next_acl(self, after: Option<AclId>) -> Result<Option<AclId>, Torn> {
        acl::next(self.view, after.map_or(0, AclId::bits))
    }

    /// The session with this id. A session with a timeout of 0 was never opened: see [`Session`].
    ///
    /// # Errors
    /// [`Torn`].
    pub fn session(self, id: SessionId) -> Result<Option<Session>, Torn> {
        session::find(self.view, id)
    }

    /// How many sessions there are, those included that were never opened.
    ///
    /// # Errors
    /// [`Torn`].
    pub fn session_count(self) -> Result<u32, Torn> {
        session::count(self.view)
    }

    /// Session number `i`, from 0. The order means nothing, and closing one changes it.
    ///
    /// # Errors
    /// [`Torn`], also if there are not so many.
    pub fn session_at(self, i: u32) -> Result<Session, Torn> {
        session::at(self.view, i)
    }

    /// Ephemeral number `i` of a session, from 0. The order means nothing, and a removal changes it.
    ///
    /// # Errors
    /// [`Torn`], also if there are not so many.
    pub fn ephemeral(self, session: Session, i: u32) -> Result<Znode, Torn> {
        session::ephemeral(self.view, session, i).map(Znode)
    }
}
