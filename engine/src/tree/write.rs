//! The changes that a znode can undergo.

use core::mem::take;

use jute::Zxid;

use super::acl::{self, AclId};
use super::session;
use super::{
    Tree, digest,
    stat::{Owner, StatPersisted},
    znode::{
        ACL, CHILDREN, COUNTS, CZXID, DATA, Kind, LEN_MAX, MTIME, MZXID, NAME, NULL, PARENT, PLACE,
        PZXID, Record, UNDIGESTED, VERSIONS, Znode, kind_bits, pair, span, with_children,
    },
};
use crate::{
    arena::{Full, Offset, layout::Word, sure, words_for},
    index::{self, ZNODES},
    list::List,
};

impl Tree {
    /// Adds a znode. The caller knows that `parent` has the path before the last slash of `path`, and that
    /// there is none with that path. The parent's header stays as it is: see [`Tree::set_children_stat`].
    ///
    /// `acl` is the jute vector, `None` for null. An ephemeral's session need not be open.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn create(
        &mut self,
        parent: Znode,
        path: &[u8],
        data: Option<&[u8]>,
        acl: Option<&[u8]>,
        stat: &StatPersisted,
    ) -> Result<Znode, Full> {
        let znode = self.record(Some(parent), path, data, acl, stat)?;
        if let Err(full) = self.link(parent, path, znode, stat.owner) {
            self.unrecord(znode, path.len());
            return Err(full);
        }
        Ok(znode)
    }

    /// Removes a znode that has no children. The parent's header stays as it is.
    pub fn remove(&mut self, znode: Znode) {
        let record = self.load(znode);
        assert!(record.child_count() == 0, "removing a znode with children");
        let parent = Znode(record.parent());
        assert!(!parent.0.is_none(), "removing the root");
        if let Owner::Session(id) = sure(record.owner(self.arena.view())) {
            let place = self.arena.word(record.extra_at().plus(1)) as u32;
            if let Some(moved) = session::disown(&mut self.arena, id, place) {
                let moved = self.load(Znode(moved)).extra_at();
                self.arena.set(moved.plus(1), u64::from(place));
            }
        }
        let (list, moved) =
            self.load(parent).children().swap_remove(&mut self.arena, record.place());
        self.set_children(parent, list);
        if let Some(moved) = moved {
            self.set_place(Znode(Offset::new(moved)), record.place());
        }
        let path = self.rebuilt_path(znode);
        let hash = sure(index::hash(self.arena.view(), &path));
        ZNODES.remove(&mut self.arena, hash, znode.0);
        self.unrecord(znode, path.len());
        self.path = path;
    }

    /// Replaces the data and what goes with it in the header.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn set_data(
        &mut self,
        znode: Znode,
        data: Option<&[u8]>,
        version: i32,
        mzxid: Zxid,
        mtime: i64,
    ) -> Result<(), Full> {
        let mut record = self.load(znode);
        self.replace_data(&mut record, data)?;
        let cversion = record.word(VERSIONS) as u32;
        record.set(VERSIONS, pair(version as u32, cversion));
        record.set(MZXID, mzxid.0 as u64);
        record.set(MTIME, mtime as u64);
        self.store(record);
        Ok(())
    }

    /// Replaces the data only, as the accounting of quotas does, outside of any transaction.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn set_data_only(&mut self, znode: Znode, data: Option<&[u8]>) -> Result<(), Full> {
        let mut record = self.load(znode);
        self.replace_data(&mut record, data)?;
        self.store(record);
        Ok(())
    }

    /// Replaces the ACL list, a jute vector or `None` for null, and its version.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn set_acl(&mut self, znode: Znode, acl: Option<&[u8]>, aversion: i32) -> Result<(), Full> {
        let new = acl::intern(&mut self.arena, acl)?;
        let mut record = self.load(znode);
        acl::release(&mut self.arena, AclId::of(record.acl()));
        record.set(ACL, pair(aversion as u32, new.bits()));
        self.store(record);
        Ok(())
    }

    /// Sets what a child's coming and going changes in the header of its parent.
    pub fn set_children_stat(&mut self, znode: Znode, cversion: i32, pzxid: Zxid) {
        let mut record = self.load(znode);
        let version = record.word(VERSIONS) >> 32;
        record.set(VERSIONS, pair(version as u32, cversion as u32));
        record.set(PZXID, pzxid.0 as u64);
        self.store(record);
    }

    /// Replaces the whole header, as loading a snapshot of another kind does; the owner must be as it was.
    pub fn set_stat(&mut self, znode: Znode, stat: &StatPersisted) {
        let mut record = self.load(znode);
        let owner = sure(record.owner(self.arena.view()));
        assert!(owner == stat.owner, "an owner changes from {owner:?} to {:?}", stat.owner);
        let header = header(stat, record.acl());
        record.words[CZXID as usize..][..header.len()].copy_from_slice(&header);
        self.store(record);
    }

    /// Makes a record with its data and ACL, in no list and no index yet.
    pub(super) fn record(
        &mut self,
        parent: Option<Znode>,
        path: &[u8],
        data: Option<&[u8]>,
        acl: Option<&[u8]>,
        stat: &StatPersisted,
    ) -> Result<Znode, Full> {
        let name = last_component(path);
        let kind = Kind::of(stat.owner);
        let words = record_words(kind, name.len());
        if LEN_MAX <= name.len() {
            return Err(Full);
        }
        let acl = acl::intern(&mut self.arena, acl)?;
        let at = self.arena.alloc(words).inspect_err(|_| acl::release(&mut self.arena, acl))?;
        let data_span = match self.store_data(data) {
            Ok(span) => span,
            Err(full) => {
                self.arena.free(at, words);
                acl::release(&mut self.arena, acl);
                return Err(full);
            }
        };
        let digested = parent.is_none_or(|it| self.digests_children(it));
        let prefix = digest::prefix(path, data);
        let digest = if digested { digest::of(prefix, stat) } else { 0 };
        let [czxid, mzxid, pzxid, ctime, mtime, versions, acl] = header(stat, acl.bits());
        let parent = parent.map_or(Offset::NONE, |it| it.0);
        let words = [
            czxid,
            mzxid,
            pzxid,
            ctime,
            mtime,
            versions,
            acl,
            data_span,
            pair(0, prefix),
            kind_bits(kind) | if digested { 0 } else { UNDIGESTED },
            pair(0, digest),
            span(name.len() as u64, parent),
        ];
        let record = Record { at, words };
        self.arena.write(at, &words);
        self.arena.write_bytes(record.name().at, name);
        let extra = [stat.owner.raw() as u64, 0];
        self.arena.write(record.extra_at(), &extra[..kind.extra() as usize]);
        for counter in counters(kind) {
            self.arena.add(counter, 1);
        }
        self.arena.add(Word::DataBytes, (path.len() + data.map_or(0, <[u8]>::len)) as u64);
        self.add_digest(0, digest);
        Ok(Znode(at))
    }

    /// Frees a record that is in no list and no index.
    fn unrecord(&mut self, znode: Znode, path_len: usize) {
        let record = self.load(znode);
        let data_len = record.data_len().unwrap_or(0);
        self.add_digest(record.digest(), 0);
        self.arena.sub(Word::DataBytes, (path_len + data_len) as u64);
        for counter in counters(record.kind()) {
            self.arena.sub(counter, 1);
        }
        acl::release(&mut self.arena, AclId::of(record.acl()));
        if data_len != 0 {
            self.arena.free(record.data_at(), words_for(data_len) as u64);
        }
        self.arena.free(znode.0, record_words(record.kind(), record.name().len()));
    }

    /// Puts a record into the index, its parent's list and its session's.
    fn link(&mut self, parent: Znode, path: &[u8], znode: Znode, owner: Owner) -> Result<(), Full> {
        let hash = sure(index::hash(self.arena.view(), path));
        let list = self.load(parent).children();
        let list = list.push(&mut self.arena, znode.0.get())?;
        self.set_children(parent, list);
        self.set_place(znode, list.count - 1);
        let linked = ZNODES.insert(&mut self.arena, hash, znode.0).and_then(|()| {
            let Owner::Session(id) = owner else { return Ok(()) };
            let place = session::own(&mut self.arena, id, znode.0)
                .inspect_err(|_| ZNODES.remove(&mut self.arena, hash, znode.0))?;
            let place_at = self.load(znode).extra_at().plus(1);
            self.arena.set(place_at, u64::from(place));
            Ok(())
        });
        linked.inspect_err(|_| {
            let (list, _) = list.swap_remove(&mut self.arena, list.count - 1);
            self.set_children(parent, list);
        })
    }

    /// Puts data into the block that is there, if that has the right size, or into a new one.
    fn replace_data(&mut self, record: &mut Record, data: Option<&[u8]>) -> Result<(), Full> {
        let (old, new) = (record.data_len().unwrap_or(0), data.map_or(0, <[u8]>::len));
        if old != 0 && new != 0 && block(old) == block(new) {
            self.arena.write_bytes(record.data_at(), data.unwrap_or_default());
            record.set(DATA, span(new as u64, record.data_at()));
        } else {
            let span = self.store_data(data)?;
            if old != 0 {
                self.arena.free(record.data_at(), words_for(old) as u64);
            }
            record.set(DATA, span);
        }
        self.arena.add(Word::DataBytes, new as u64);
        self.arena.sub(Word::DataBytes, old as u64);
        let path = self.rebuilt_path(Znode(record.at));
        record.set(PLACE, pair(record.place(), digest::prefix(&path, data)));
        self.path = path;
        Ok(())
    }

    /// Stores data in a block of its own. Gives the word that the record keeps.
    fn store_data(&mut self, data: Option<&[u8]>) -> Result<u64, Full> {
        match data {
            None => Ok(span(NULL, Offset::NONE)),
            Some([]) => Ok(span(0, Offset::NONE)),
            Some(data) if LEN_MAX <= data.len() => Err(Full),
            Some(data) => {
                let at = self.arena.alloc(words_for(data.len()) as u64)?;
                self.arena.write_bytes(at, data);
                Ok(span(data.len() as u64, at))
            }
        }
    }

    fn load(&self, znode: Znode) -> Record {
        sure(Record::load(self.arena.view(), znode))
    }

    fn set_children(&mut self, znode: Znode, list: List) {
        let record = self.load(znode);
        let word = with_children(record.word(CHILDREN), list.head);
        self.arena.write(znode.0.plus(CHILDREN), &[word, pair(list.count, record.digest())]);
    }

    fn set_place(&mut self, znode: Znode, place: u32) {
        let crc = self.arena.word(znode.0.plus(PLACE)) as u32;
        self.arena.set(znode.0.plus(PLACE), pair(place, crc));
    }

    /// Whether the children of a znode have a share in the digest: those of /zookeeper have not.
    fn digests_children(&self, parent: Znode) -> bool {
        self.load(parent).is_digested() && self.arena.word(Word::Zookeeper.at()) != parent.0.get()
    }

    /// Writes a changed record back, with its digest as it is then.
    fn store(&mut self, mut record: Record) {
        if record.is_digested() {
            let stat = sure(record.stat(self.arena.view()));
            let digest = digest::of(record.prefix_crc(), &stat);
            self.add_digest(record.digest(), digest);
            record.set(COUNTS, pair(record.child_count(), digest));
        }
        self.arena.write(record.at, &record.words[..PARENT as usize]);
    }

    fn add_digest(&mut self, old: u32, new: u32) {
        let sum = self.arena.word(Word::Digest.at());
        let sum = sum.wrapping_sub(u64::from(old)).wrapping_add(u64::from(new));
        self.arena.set(Word::Digest.at(), sum);
    }

    /// The path, in the buffer that is put back afterwards.
    fn rebuilt_path(&mut self, znode: Znode) -> alloc::vec::Vec<u8> {
        let mut path = take(&mut self.path);
        path.clear();
        self.look(|tree| tree.path_or_empty(znode, &mut path));
        path
    }
}

/// The words of the header, from czxid on, with the ACL id among them.
const fn header(stat: &StatPersisted, acl: u32) -> [u64; 7] {
    [
        stat.czxid as u64,
        stat.mzxid as u64,
        stat.pzxid as u64,
        stat.ctime as u64,
        stat.mtime as u64,
        pair(stat.version as u32, stat.cversion as u32),
        pair(stat.aversion as u32, acl),
    ]
}

/// The counters that a znode is in.
fn counters(kind: Kind) -> impl Iterator<Item = Word> {
    let of_kind = match kind {
        Kind::Persistent => None,
        Kind::Ephemeral => Some(Word::Ephemerals),
        Kind::Container => Some(Word::Containers),
        Kind::Ttl => Some(Word::Ttls),
    };
    [Some(Word::Znodes), of_kind].into_iter().flatten()
}

fn last_component(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&it| it == b'/') {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

fn record_words(kind: Kind, name_len: usize) -> u64 {
    NAME + kind.extra() + words_for(name_len) as u64
}

fn block(len: usize) -> u64 {
    crate::arena::block_words(words_for(len) as u64)
}
