//! From the stream to a tree, in whatever pieces it comes.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use engine::arena::Full;
use engine::tree::{Owner, StatPersisted, Tree};
use jute::SessionId;

use super::{SIGNATURE, STAT_LEN};

/// What is wrong with a stream. What was made of it so far is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A length or a count that cannot be.
    #[error("byte {offset} of the stream: {found} is no length")]
    Length {
        /// In the stream.
        offset: u64,
        /// What stands there.
        found: i32,
    },
    /// A session's timeout that cannot be.
    #[error("session {id}: a timeout of {found} ms")]
    Timeout {
        /// Whose.
        id: SessionId,
        /// What stands there.
        found: i32,
    },
    /// A znode whose parent did not come before it, or that came twice, or whose path is none.
    #[error("znode {}: its parent did not come before it, or it came twice", path.escape_ascii())]
    Path {
        /// Its path.
        path: Box<[u8]>,
    },
    /// A znode with an ACL that is not in the table.
    #[error("znode {}: its ACL {acl} is not in the table", path.escape_ascii())]
    Acl {
        /// Its path.
        path: Box<[u8]>,
        /// The ACL's number.
        acl: i64,
    },
    /// A string stands where a leader's signature should.
    #[error("byte {offset} of the stream: no signature behind the tree")]
    Signature {
        /// In the stream.
        offset: u64,
    },
    /// More than the region holds.
    #[error("the tree does not fit: {0}")]
    Full(#[from] Full),
}

/// How an owner with the highest byte set is read. Source: `EphemeralType.get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedTypes {
    /// As a TTL: `extendedTypesEnabled=true`.
    On,
    /// As a session.
    Off,
}

/// Puts what comes into a tree that was just made.
#[derive(Debug)]
pub struct Decoder {
    types: ExtendedTypes,
    stage: Stage,
    /// What came of a part that is not whole.
    pending: Vec<u8>,
    /// Bytes of the stream that were taken.
    taken: u64,
    acls: BTreeMap<i64, Vec<u8>>,
    end: End,
}

/// What a stream ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The path of no znode.
    Slash,
    /// [`SIGNATURE`] behind it.
    Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    SessionCount,
    Sessions(u32),
    AclCount,
    Acls(u32),
    Znodes,
    Signature,
    Done,
}

/// Why a part was not taken.
enum Stop {
    /// More is needed.
    Short,
    Error(StreamError),
}

impl<E: Into<StreamError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Decoder {
    /// At the begin of the stream in a file.
    pub fn new(types: ExtendedTypes) -> Self {
        Self::ending(types, End::Slash)
    }

    /// At the begin of the stream that a leader sends, with [`SIGNATURE`] at its end.
    pub fn signed(types: ExtendedTypes) -> Self {
        Self::ending(types, End::Signature)
    }

    fn ending(types: ExtendedTypes, end: End) -> Self {
        let (pending, acls) = (Vec::new(), BTreeMap::new());
        Self { types, stage: Stage::SessionCount, pending, taken: 0, acls, end }
    }

    /// Whether the stream came whole.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Takes the next bytes and changes `tree`, within a batch of it, by what is whole. Gives how many were taken: all, unless the stream ends
    /// before.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn push(&mut self, tree: &mut Tree, bytes: &[u8]) -> Result<usize, StreamError> {
        let mut pending = core::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut at = 0;
        while !self.is_done() {
            let mut part = Part { bytes: &pending[at..], at: 0, offset: self.taken };
            match self.step(tree, &mut part) {
                Ok(stage) => {
                    self.stage = stage;
                    self.taken += part.at as u64;
                    at += part.at;
                }
                Err(Stop::Short) => break,
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        if self.is_done() {
            return Ok(bytes.len() - (pending.len() - at));
        }
        pending.drain(..at);
        self.pending = pending;
        Ok(bytes.len())
    }

    /// Takes a count, a session, a list or a znode.
    fn step(&mut self, tree: &mut Tree, part: &mut Part<'_>) -> Result<Stage, Stop> {
        match self.stage {
            Stage::SessionCount => Ok(Stage::Sessions(part.count()?)),
            Stage::Sessions(0) => Ok(Stage::AclCount),
            Stage::Sessions(left) => {
                let (id, found) = (SessionId(part.long()?), part.int()?);
                let timeout_ms = u32::try_from(found).ok().filter(|&it| it != 0);
                let timeout_ms = timeout_ms.ok_or(StreamError::Timeout { id, found })?;
                tree.open_session(id, timeout_ms)?;
                Ok(Stage::Sessions(left - 1))
            }
            Stage::AclCount => Ok(Stage::Acls(part.count()?)),
            Stage::Acls(0) => Ok(Stage::Znodes),
            Stage::Acls(left) => {
                let number = part.long()?;
                let from = part.at;
                for _ in 0..part.count()? {
                    if LEN_MAX < part.at - from {
                        let (offset, found) = (part.offset, (part.at - from) as i32);
                        return Err(StreamError::Length { offset, found }.into());
                    }
                    part.int()?;
                    part.string()?;
                    part.string()?;
                }
                self.acls.insert(number, part.bytes[from..part.at].to_vec());
                Ok(Stage::Acls(left - 1))
            }
            Stage::Znodes => {
                let path = part.string()?;
                if path == b"/" {
                    return Ok(match self.end {
                        End::Slash => Stage::Done,
                        End::Signature => Stage::Signature,
                    });
                }
                let data = part.buffer()?;
                let acl = part.long()?;
                let stat = self.stat(part.take(STAT_LEN)?);
                self.znode(tree, path, data, acl, &stat)?;
                Ok(Stage::Znodes)
            }
            Stage::Signature => {
                let offset = part.offset;
                let bad = || Stop::Error(StreamError::Signature { offset });
                if part.count()? as usize != SIGNATURE.len() {
                    return Err(bad());
                }
                let is_signed = part.take(SIGNATURE.len())? == SIGNATURE;
                if is_signed { Ok(Stage::Done) } else { Err(bad()) }
            }
            Stage::Done => Ok(Stage::Done),
        }
    }

    fn znode(
        &self,
        tree: &mut Tree,
        path: &[u8],
        data: Option<&[u8]>,
        acl: i64,
        stat: &StatPersisted,
    ) -> Result<(), StreamError> {
        let acl = match acl {
            -1 => None,
            _ => match self.acls.get(&acl) {
                Some(list) => Some(list.as_slice()),
                None => return Err(StreamError::Acl { path: path.into(), acl }),
            },
        };
        let bad = || StreamError::Path { path: path.into() };
        if let Some(known) = tree.look(|it| it.find(path)) {
            // Those that a tree begins with.
            let is_first =
                matches!(path, b"" | b"/zookeeper" | b"/zookeeper/quota" | b"/zookeeper/config");
            if !is_first || stat.owner != Owner::Nobody {
                return Err(bad());
            }
            tree.set_data_only(known, data)?;
            tree.set_acl(known, acl, stat.aversion)?;
            tree.set_stat(known, stat);
            return Ok(());
        }
        let slash = path.iter().rposition(|&it| it == b'/').ok_or_else(bad)?;
        // Of the root two paths are known, and only the empty one stands in front of a name.
        if slash + 1 == path.len() || &path[..slash] == b"/" {
            return Err(bad());
        }
        let parent = tree.look(|it| it.find(&path[..slash])).ok_or_else(bad)?;
        tree.create(parent, path, data, acl, stat)?;
        Ok(())
    }

    fn stat(&self, bytes: &[u8]) -> StatPersisted {
        let mut part = Part { bytes, at: 0, offset: 0 };
        let mut long = || part.long().unwrap_or_default();
        let (czxid, mzxid, ctime, mtime) = (long(), long(), long(), long());
        let mut int = || part.int().unwrap_or_default();
        let (version, cversion, aversion) = (int(), int(), int());
        let (owner, pzxid) = (part.long().unwrap_or_default(), part.long().unwrap_or_default());
        let owner = match owner {
            0 => Owner::Nobody,
            Owner::CONTAINER => Owner::Container,
            _ if owner as u64 >> 56 == 0xff && self.types == ExtendedTypes::On => Owner::Ttl(owner),
            _ => Owner::Session(SessionId(owner)),
        };
        StatPersisted { czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, owner }
    }
}

/// Bytes of the stream from the begin of a part.
struct Part<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Of the part in the stream.
    offset: u64,
}

impl<'a> Part<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let bytes = self.bytes[self.at..].get(..len).ok_or(Stop::Short)?;
        self.at += len;
        Ok(bytes)
    }

    fn int(&mut self) -> Result<i32, Stop> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(i32::from_be_bytes(word))
    }

    fn long(&mut self) -> Result<i64, Stop> {
        let mut word = [0; 8];
        word.copy_from_slice(self.take(8)?);
        Ok(i64::from_be_bytes(word))
    }

    fn count(&mut self) -> Result<u32, Stop> {
        let found = self.int()?;
        let offset = self.offset + self.at as u64 - 4;
        u32::try_from(found).map_err(|_| StreamError::Length { offset, found }.into())
    }

    /// `None` for null, which is −1.
    fn buffer(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        let found = self.int()?;
        let offset = self.offset + self.at as u64 - 4;
        match usize::try_from(found) {
            Ok(len) if len <= LEN_MAX => self.take(len).map(Some),
            _ if found == -1 => Ok(None),
            _ => Err(StreamError::Length { offset, found }.into()),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], Stop> {
        let offset = self.offset + self.at as u64;
        self.buffer()?.ok_or_else(|| StreamError::Length { offset, found: -1 }.into())
    }
}

/// The longest string, data or list: more than a request can carry. What is longer is not waited for.
const LEN_MAX: usize = 64 << 20;
