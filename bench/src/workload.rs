//! What a load asks for, by name.

use jute::{AclList, CreateRequest, DeleteRequest, Field, Op, PathWatchRequest, SetDataRequest};

use crate::connection::Connection;
use std::time::Instant;

/// A load by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// getData of prepared znodes.
    Get,
    /// setData of prepared znodes.
    Set,
    /// create of new znodes.
    Create,
    /// exists of prepared znodes.
    Exists,
    /// Reads and sets of prepared znodes, nine to one.
    Mixed,
}

/// The znodes that a load works on: `/bench/r<run>/n<number>`.
#[derive(Clone, Debug)]
pub(crate) struct Znodes {
    /// The parent.
    pub(crate) root: String,
    /// How many are prepared.
    pub(crate) count: u64,
    /// The data of each.
    pub(crate) data: Vec<u8>,
}

impl Znodes {
    /// The path of the znode with this number: the root, a slash, and ten digits behind an `n`.
    pub(crate) fn path(&self, number: u64, out: &mut String) {
        use std::fmt::Write;
        out.clear();
        write!(out, "{}/n{number:010}", self.root).expect("a string takes everything");
    }
}

/// Makes requests of one workload, one after the other.
#[derive(Debug)]
pub(crate) struct Requests {
    workload: Workload,
    znodes: Znodes,
    /// State of a xorshift generator; the same seed makes the same requests.
    random: u64,
    created: u64,
    path: String,
}

impl Requests {
    /// A sequence of requests from a seed.
    pub(crate) fn new(workload: Workload, znodes: Znodes, seed: u64) -> Self {
        let created = znodes.count;
        Self { workload, znodes, random: seed | 1, created, path: String::new() }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below.max(1)
    }

    /// Queues the next request.
    pub(crate) fn next(&mut self, due: Instant, connection: &mut Connection) {
        let tenth = self.draw(10) == 0;
        let op = match self.workload {
            Workload::Exists => Op::Exists,
            Workload::Set => Op::SetData,
            Workload::Create => Op::Create,
            Workload::Mixed if tenth => Op::SetData,
            Workload::Get | Workload::Mixed => Op::GetData,
        };
        let number = if op == Op::Create {
            self.created += 1;
            self.created - 1
        } else {
            self.draw(self.znodes.count)
        };
        self.znodes.path(number, &mut self.path);
        write(connection, due, op, self.path.as_bytes(), &self.znodes.data);
    }
}

/// Queues one request of `op`.
pub(crate) fn write(connection: &mut Connection, due: Instant, op: Op, path: &[u8], data: &[u8]) {
    let (path, data) = (Some(path), Some(data));
    connection.request(due, op, |out| match op {
        Op::SetData => SetDataRequest { path, data, version: -1 }.write(out),
        Op::Create => CreateRequest { path, data, acl: AclList::open(), flags: 0 }.write(out),
        Op::Delete => DeleteRequest { path, version: -1 }.write(out),
        _ => PathWatchRequest { path, watch: false }.write(out),
    });
}
