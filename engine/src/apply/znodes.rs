//! What transactions do to znodes.
//!
//! ZooKeeper: `DataTree.createNode`, `deleteNode`, `setData`, `setACL`. As there, a znode that is there already, or is
//! not there, is an outcome and no fault: a tree that was copied while it changed can be ahead of the log.

use alloc::vec::Vec;

use jute::{
    AclEntry, AclList, Code, CreateContainerTxn, CreateTtlTxn, CreateTxn, DeleteTxn, EventType,
    Field as _, Op, Path, Perms, Reader, SetAclTxn, SetDataTxn, parent,
};

use super::{Apply, Effects, Event, Stop};
use crate::quota::Growth;
use crate::state::{Fuzzy, State};
use crate::tree::{AclId, Owner, StatPersisted, Tree, Znode};

/// What every create says, whatever its record.
struct Creation<'a> {
    path: &'a [u8],
    data: Option<&'a [u8]>,
    acl: AclList<'a>,
    parent_cversion: i32,
    owner: Owner,
}

impl<E: Effects> Apply<'_, E> {
    pub(super) fn create(&mut self, op: Op, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let creation = self.creation(op, reader)?;
        let Creation { path, data, acl, parent_cversion, owner } = creation;
        // What is made where none can be would never be found again.
        Path::parse(path)?;
        let znode = self.find_parent(path)?;
        if let Some(there) = self.state.tree.look(|it| it.find(path)) {
            self.adopt(op, there, znode, &creation)?;
            return Err(Stop::Code(Code::NodeExists));
        }
        self.bear(znode, parent_cversion);
        let stat = StatPersisted::created(self.header.zxid, self.header.time_ms, owner);
        let state = &mut *self.state;
        let acl = jute_bytes(acl, &mut state.scratch.acl);
        let made = state.tree.create(znode, path, data, acl, &stat)?;
        state.perishables.created(made, owner);
        // Quotas do not change the stat, so it may be told now or later.
        self.write_created(op, path, made);
        let state = &mut *self.state;
        let bytes = data.map_or(0, <[u8]>::len);
        state.quotas.created(&mut state.tree, path, bytes)?;
        guarded(&state.tree, made, &mut state.scratch.acl);
        guarded(&state.tree, znode, &mut state.scratch.parent_acl);
        self.tell(EventType::NodeCreated, path);
        Ok(())
    }

    pub(super) fn delete(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let DeleteTxn { path } = DeleteTxn::read(reader)?;
        self.delete_path(path)
    }

    pub(super) fn delete_path(&mut self, path: &[u8]) -> Result<(), Stop> {
        let above = self.find_parent(path)?;
        let stat = self.state.tree.look(|it| it.stat(above));
        let znode = self.state.tree.look(|it| it.find(path));
        let state = &mut *self.state;
        if let Some(znode) = znode {
            let count = state.tree.look(|it| it.child_count(znode));
            match state.fuzzy {
                Fuzzy::No if count != 0 => return Err(Stop::Children(count)),
                Fuzzy::No => {}
                // It was deleted, and made again with children: they will come again too.
                Fuzzy::Yes => clear(state, znode)?,
            }
            guarded(&state.tree, znode, &mut state.scratch.acl);
        }
        // Also if the znode is not there: the parent's header may be older than the znode's end.
        if stat.pzxid < self.header.zxid.0 {
            state.tree.set_children_stat(above, stat.cversion, self.header.zxid);
        }
        let znode = znode.ok_or(Stop::Code(Code::NoNode))?;
        let bytes = state.tree.look(|it| it.data_len(znode)).unwrap_or(0);
        state.perishables.removed(znode);
        state.tree.remove(znode);
        state.quotas.removed(&mut state.tree, path, bytes)?;
        guarded(&state.tree, above, &mut state.scratch.parent_acl);
        self.tell(EventType::NodeDeleted, path);
        Ok(())
    }

    pub(super) fn set_data(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let txn = SetDataTxn::read(reader)?;
        self.set(&txn)
    }

    /// The configuration is data like other, but the answer says it too.
    pub(super) fn reconfig(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let txn = SetDataTxn::read(reader)?;
        self.write(|out| txn.data.write(out));
        self.set(&txn)
    }

    fn set(&mut self, txn: &SetDataTxn<'_>) -> Result<(), Stop> {
        let SetDataTxn { path, data, version } = *txn;
        let znode = self.find(path)?;
        let state = &mut *self.state;
        let before = state.tree.look(|it| it.data_len(znode)).unwrap_or(0) as i64;
        state.tree.set_data(znode, data, version, self.header.zxid, self.header.time_ms)?;
        self.write_stat(znode);
        let state = &mut *self.state;
        let bytes = data.map_or(0, <[u8]>::len) as i64 - before;
        state.quotas.grew(&mut state.tree, path, Growth { count: 0, bytes })?;
        guarded(&state.tree, znode, &mut state.scratch.acl);
        state.scratch.parent_acl.clear();
        self.tell(EventType::NodeDataChanged, path);
        Ok(())
    }

    pub(super) fn set_acl(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let SetAclTxn { path, acl, version } = SetAclTxn::read(reader)?;
        let znode = self.find(path)?;
        let state = &mut *self.state;
        let acl = jute_bytes(acl, &mut state.scratch.acl);
        state.tree.set_acl(znode, acl, version)?;
        self.write_stat(znode);
        Ok(())
    }

    /// Reads the record that `op` names.
    fn creation<'t>(&self, op: Op, reader: &mut Reader<'t>) -> Result<Creation<'t>, Stop> {
        Ok(match op {
            Op::CreateContainer => {
                let CreateContainerTxn { path, data, acl, parent_cversion } =
                    CreateContainerTxn::read(reader)?;
                Creation { path, data, acl, parent_cversion, owner: Owner::Container }
            }
            Op::CreateTtl => {
                let CreateTtlTxn { path, data, acl, parent_cversion, ttl_ms } =
                    CreateTtlTxn::read(reader)?;
                if ttl_ms <= 0 || Owner::TTL_MASK < ttl_ms {
                    return Err(Stop::Number(ttl_ms));
                }
                Creation { path, data, acl, parent_cversion, owner: Owner::ttl(ttl_ms) }
            }
            _ => {
                let CreateTxn { path, data, acl, ephemeral, parent_cversion } =
                    CreateTxn::read(reader)?;
                let client = self.header.client;
                let owner = if ephemeral { Owner::Session(client) } else { Owner::Nobody };
                Creation { path, data, acl, parent_cversion, owner }
            }
        })
    }

    /// A znode is there that is to be created: it gets the ACL, and for the oldest op its parent the count.
    fn adopt(
        &mut self,
        op: Op,
        there: Znode,
        above: Znode,
        creation: &Creation<'_>,
    ) -> Result<(), Stop> {
        let aversion = self.state.tree.look(|it| it.stat(there)).aversion;
        let state = &mut *self.state;
        let acl = jute_bytes(creation.acl, &mut state.scratch.acl);
        state.tree.set_acl(there, acl, aversion)?;
        if op == Op::Create {
            self.bear(above, creation.parent_cversion);
        }
        Ok(())
    }

    /// Counts a birth. Only upwards: the count of a parent that is ahead stays, and its pzxid with it.
    fn bear(&mut self, above: Znode, cversion: i32) {
        let stat = self.state.tree.look(|it| it.stat(above));
        let cversion = if cversion == -1 { stat.cversion.wrapping_add(1) } else { cversion };
        if stat.cversion < cversion {
            self.state.tree.set_children_stat(above, cversion, self.header.zxid);
        }
    }

    fn find(&self, path: &[u8]) -> Result<Znode, Stop> {
        self.state.tree.look(|it| it.find(path)).ok_or(Stop::Code(Code::NoNode))
    }

    fn find_parent(&self, path: &[u8]) -> Result<Znode, Stop> {
        self.find(parent(path).ok_or(Stop::Code(Code::NoNode))?)
    }

    fn tell(&mut self, kind: EventType, path: &[u8]) {
        let scratch = &self.state.scratch;
        let (acl, parent_acl) = (scratch.acl.as_slice(), scratch.parent_acl.as_slice());
        self.effects.event(Event { zxid: self.header.zxid, kind, path, acl, parent_acl });
    }

    fn write_created(&mut self, op: Op, path: &[u8], znode: Znode) {
        let Some(out) = self.effects.reply() else { return };
        path.write(out);
        if op != Op::Create {
            self.state.tree.look(|it| it.encode_stat(znode, out));
        }
    }

    fn write_stat(&mut self, znode: Znode) {
        let Some(out) = self.effects.reply() else { return };
        self.state.tree.look(|it| it.encode_stat(znode, out));
    }
}

/// Removes everything below `top`.
fn clear(state: &mut State, top: Znode) -> Result<(), Stop> {
    let mut path = Vec::new();
    loop {
        let mut leaf = top;
        while 0 < state.tree.look(|it| it.child_count(leaf)) {
            leaf = state.tree.look(|it| it.child(leaf, 0));
        }
        if leaf == top {
            return Ok(());
        }
        path.clear();
        state.tree.look(|it| it.path(leaf, &mut path));
        let bytes = state.tree.look(|it| it.data_len(leaf)).unwrap_or(0);
        state.perishables.removed(leaf);
        state.tree.remove(leaf);
        state.quotas.removed(&mut state.tree, &path, bytes)?;
    }
}

/// The list as the tree keeps it, made in `bytes`; null is none.
fn jute_bytes<'b>(acl: AclList<'_>, bytes: &'b mut Vec<u8>) -> Option<&'b [u8]> {
    if acl.is_null() {
        return None;
    }
    bytes.clear();
    acl.write(bytes);
    Some(bytes)
}

/// Replaces `out` by the znode's ACL, or by nothing if anybody may read the znode.
fn guarded(tree: &Tree, znode: Znode, out: &mut Vec<u8>) {
    out.clear();
    let acl = tree.look(|it| it.acl(znode));
    if acl.is_open() || acl == AclId::NULL {
        return;
    }
    tree.look(|it| it.encode_acl(acl, out));
    let Ok(list) = AclList::decode(out) else { return };
    if list.is_empty() || list.iter().any(lets_anyone_read) {
        out.clear();
    }
}

fn lets_anyone_read(entry: AclEntry<'_>) -> bool {
    entry.perms.any(Perms::READ)
        && entry.scheme == Some(b"world".as_slice())
        && entry.id == Some(b"anyone".as_slice())
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use jute::{AclList, CreateTxn, Op, Record as _, SessionId, TxnHeader, Zxid};

    use crate::apply::{ApplyError, Replay};
    use crate::arena::Memory;
    use crate::state::State;
    use crate::tree::Tree;

    #[test]
    fn a_log_that_creates_a_znode_where_none_can_be_is_refused() {
        let tree = Tree::format(Memory::leaked(Memory::WORDS_MIN), [1, 2]).unwrap();
        let mut state = State::new(tree);
        for (number, path) in (1..).zip([b"//".as_slice(), b"//a", b"/a/", b"a", b"", b"/a\0"]) {
            let (client, zxid) = (SessionId(1), Zxid(number));
            let mut entry = Vec::new();
            TxnHeader { client, cxid: 1, zxid, time_ms: 1, op: Op::Create.number() }
                .encode(&mut entry);
            let (data, acl) = (None, AclList::open());
            CreateTxn { path, data, acl, ephemeral: true, parent_cversion: 1 }.encode(&mut entry);
            state.begin();
            let applied = state.apply(&entry, &mut Replay);
            state.commit(zxid);
            assert!(matches!(applied, Err(ApplyError::Path { .. })), "{path:?}: {applied:?}");
        }
    }
}
