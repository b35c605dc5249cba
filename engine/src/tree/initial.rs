//! The znodes that are there before any transaction.
//!
//! Source: the constructor of `DataTree` and its `addConfigNode`. Their headers are all zero, aversion of
//! /zookeeper/config (−1, as set by `setACL` there) apart; the children are not counted in `cversion`.

use super::acl;
use super::{READ_ACL, Tree, stat::StatPersisted, znode::Znode};
use crate::{
    arena::{Full, layout::Word},
    index::{SESSIONS, ZNODES},
};

impl Tree {
    /// Makes the tables and the first four znodes.
    pub(super) fn plant(&mut self) -> Result<(), Full> {
        ZNODES.format(&mut self.arena)?;
        SESSIONS.format(&mut self.arena)?;
        acl::format(&mut self.arena)?;
        let stat = StatPersisted::default();
        let root = self.plant_root(&stat)?;
        let zookeeper = self.create(root, b"/zookeeper", Some(b""), None, &stat)?;
        self.arena.set(Word::Zookeeper.at(), zookeeper.0.get());
        self.create(zookeeper, b"/zookeeper/quota", Some(b""), None, &stat)?;
        let stat = StatPersisted { aversion: -1, ..stat };
        self.create(zookeeper, b"/zookeeper/config", Some(b""), Some(READ_ACL), &stat)?;
        Ok(())
    }

    fn plant_root(&mut self, stat: &StatPersisted) -> Result<Znode, Full> {
        let root = self.record(None, b"", Some(b""), None, stat)?;
        self.arena.set(Word::Root.at(), root.0.get());
        // ZooKeeper has the root under "" and under "/", and counts it twice.
        self.arena.add(Word::Znodes, 1);
        self.arena.add(Word::DataBytes, 1);
        Ok(root)
    }
}
