//! A znode's record: twelve words, the name, and one or two words more for TTLs and ephemerals.
//!
//! | word | high bits | low bits |
//! |---|---|---|
//! | 0-4 | czxid, mzxid, pzxid, ctime, mtime | |
//! | 5 | 32: version | 32: cversion, creations only |
//! | 6 | 32: aversion | 32: ACL id |
//! | 7 | 28: length of the data | 36: data |
//! | 8 | 32: place in the parent's list | 32: CRC32 of path and data |
//! | 9 | 1: outside the digest; 2: kind | 41: list of children |
//! | 10 | 32: count of children | 32: digest |
//! | 11 | 28: length of the name | 36: parent |
//! | 12- | the name | |
//! | then | owner: of an ephemeral the session id, of a TTL `ephemeralOwner` | |
//! | then | | 32: place in the session's list, of an ephemeral |
//!
//! The name is the last component of the path; that of the root is empty. It stands beside the parent because
//! who looks for a path reads just these two of every ancestor. Data is a block of its own: a length of all
//! ones is null data, and neither that nor a length of 0 has a block.

use crate::{
    arena::{Offset, Torn, View, words_for},
    list::List,
    tree::stat::{Owner, StatPersisted},
};

use jute::SessionId;

/// A znode: where its record lies. Good until the znode is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Znode(pub(crate) Offset);

pub(crate) const CZXID: u64 = 0;
pub(crate) const MZXID: u64 = 1;
pub(crate) const PZXID: u64 = 2;
pub(crate) const MTIME: u64 = 4;
pub(crate) const VERSIONS: u64 = 5;
pub(crate) const ACL: u64 = 6;
pub(crate) const DATA: u64 = 7;
pub(crate) const PLACE: u64 = 8;
pub(crate) const CHILDREN: u64 = 9;
pub(crate) const COUNTS: u64 = 10;
pub(crate) const PARENT: u64 = 11;
pub(crate) const NAME: u64 = 12;

/// Lengths of names and data are below this.
pub(crate) const LEN_MAX: usize = (1 << 28) - 1;
/// The length that stands for null data.
pub(crate) const NULL: u64 = LEN_MAX as u64;

const KIND_SHIFT: u32 = List::HEAD_BITS;
/// Marks a znode below /zookeeper.
pub(crate) const UNDIGESTED: u64 = 1 << (KIND_SHIFT + 2);
const LIST_MASK: u64 = (1 << List::HEAD_BITS) - 1;

/// How a znode ends: two bits of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Persistent,
    Ephemeral,
    Container,
    Ttl,
}

impl Kind {
    pub(crate) const fn of(owner: Owner) -> Self {
        match owner {
            Owner::Nobody => Self::Persistent,
            Owner::Session(_) => Self::Ephemeral,
            Owner::Container => Self::Container,
            Owner::Ttl(_) => Self::Ttl,
        }
    }

    /// Words behind the name.
    pub(crate) const fn extra(self) -> u64 {
        match self {
            Self::Persistent | Self::Container => 0,
            Self::Ephemeral => 2,
            Self::Ttl => 1,
        }
    }

    const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::Container,
            _ => Self::Ttl,
        }
    }
}

/// What a record says of its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    /// Where the name begins.
    pub(crate) at: Offset,
    word: u64,
}

impl Name {
    #[inline]
    pub(crate) fn load(view: View<'_>, znode: Znode) -> Result<Self, Torn> {
        Ok(Self { at: znode.0.plus(NAME), word: view.word(znode.0.plus(PARENT))? })
    }

    pub(crate) const fn len(self) -> usize {
        (self.word >> Offset::BITS) as usize
    }

    pub(crate) const fn parent(self) -> Offset {
        Offset::new(self.word)
    }
}

/// A record's words before the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) at: Offset,
    pub(crate) words: [u64; NAME as usize],
}

impl Record {
    #[inline]
    pub(crate) fn load(view: View<'_>, znode: Znode) -> Result<Self, Torn> {
        Ok(Self { at: znode.0, words: view.words(znode.0)? })
    }

    pub(crate) const fn word(&self, i: u64) -> u64 {
        self.words[i as usize]
    }

    pub(crate) const fn set(&mut self, i: u64, word: u64) {
        self.words[i as usize] = word;
    }

    pub(crate) const fn name(&self) -> Name {
        Name { at: self.at.plus(NAME), word: self.word(PARENT) }
    }

    pub(crate) const fn parent(&self) -> Offset {
        self.name().parent()
    }

    pub(crate) const fn kind(&self) -> Kind {
        Kind::from_bits(self.word(CHILDREN) >> KIND_SHIFT)
    }

    pub(crate) const fn is_digested(&self) -> bool {
        self.word(CHILDREN) & UNDIGESTED == 0
    }

    /// Where the words behind the name begin.
    pub(crate) const fn extra_at(&self) -> Offset {
        self.at.plus(NAME + words_for(self.name().len()) as u64)
    }

    pub(crate) const fn children(&self) -> List {
        List { head: self.word(CHILDREN) & LIST_MASK, count: self.child_count() }
    }

    pub(crate) const fn child_count(&self) -> u32 {
        (self.word(COUNTS) >> 32) as u32
    }

    pub(crate) const fn digest(&self) -> u32 {
        self.word(COUNTS) as u32
    }

    pub(crate) const fn place(&self) -> u32 {
        (self.word(PLACE) >> 32) as u32
    }

    pub(crate) const fn prefix_crc(&self) -> u32 {
        self.word(PLACE) as u32
    }

    pub(crate) const fn acl(&self) -> u32 {
        self.word(ACL) as u32
    }

    pub(crate) const fn data_at(&self) -> Offset {
        Offset::new(self.word(DATA))
    }

    /// Bytes of data, `None` for null.
    pub(crate) const fn data_len(&self) -> Option<usize> {
        let len = self.word(DATA) >> Offset::BITS;
        if len == NULL { None } else { Some(len as usize) }
    }

    pub(crate) fn owner(&self, view: View<'_>) -> Result<Owner, Torn> {
        Ok(match self.kind() {
            Kind::Persistent => Owner::Nobody,
            Kind::Ephemeral => Owner::Session(SessionId(view.word(self.extra_at())? as i64)),
            Kind::Container => Owner::Container,
            Kind::Ttl => Owner::Ttl(view.word(self.extra_at())? as i64),
        })
    }

    pub(crate) fn stat(&self, view: View<'_>) -> Result<StatPersisted, Torn> {
        let [czxid, mzxid, pzxid, ctime, mtime, versions, ..] = self.words;
        Ok(StatPersisted {
            czxid: czxid as i64,
            mzxid: mzxid as i64,
            pzxid: pzxid as i64,
            ctime: ctime as i64,
            mtime: mtime as i64,
            version: (versions >> 32) as i32,
            cversion: versions as i32,
            aversion: (self.word(ACL) >> 32) as i32,
            owner: self.owner(view)?,
        })
    }
}

/// Two halves of a word.
pub(crate) const fn pair(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// A length and an offset in one word.
pub(crate) const fn span(len: u64, at: Offset) -> u64 {
    len << Offset::BITS | at.get()
}

/// The kind's bits in the word of the list of children.
pub(crate) const fn kind_bits(kind: Kind) -> u64 {
    (kind as u64) << KIND_SHIFT
}

/// The word of the list of children, with another list.
pub(crate) const fn with_children(word: u64, head: u64) -> u64 {
    word & !LIST_MASK | head
}
