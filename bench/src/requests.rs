//! Makes the requests of a [`Spec`], one after the other, and prepares what they need.

use std::collections::VecDeque;

use anyhow::Result;
use jute::{
    AclList, CreateMode, CreateRequest, DeleteRequest, Field, MultiHeader, Op, PathRequest,
    PathWatchRequest, SetDataRequest,
};

use crate::connection::{Asked, Connection, Reply};
use crate::crowd::Crowd;
use crate::random::{Keys, Random, Zipf};
use crate::spec::{Ask, Spec};

/// Below which all znodes of a load are.
#[derive(Clone, Debug)]
pub(crate) struct Root(pub(crate) String);

/// Creates what the spec's setup names.
///
/// # Errors
/// A create fails with anything but NodeExists.
pub(crate) fn prepare(crowd: &mut Crowd, spec: &Spec, root: &Root) -> Result<()> {
    let setup = spec.setup;
    let root = &root.0;
    let mut parents: Vec<String> =
        root.match_indices('/').skip(1).map(|(at, _)| root[..at].to_owned()).collect();
    parents.push(root.clone());
    parents.extend(["k", "s", "c", "e", "d"].map(|it| format!("{root}/{it}")));
    parents.extend((0..setup.directories).map(|it| directory(root, it)));
    let data = vec![b'x'; setup.size];
    let depth = in_flight(setup.size);
    crowd.send_all(1, parents.len() as u64, 256, |number, connection| {
        create(connection, &parents[number as usize], b"");
    })?;
    crowd.send_all(usize::MAX, setup.znodes, depth, |number, connection| {
        create(connection, &path(root, 'k', number), &data);
    })?;
    crowd.send_all(usize::MAX, setup.spare, depth, |number, connection| {
        create(connection, &path(root, 's', number), &data);
    })?;
    let width = setup.child_name;
    let children = setup.directories * setup.children;
    crowd.send_all(usize::MAX, children, 256, |number, connection| {
        let parent = directory(root, number / setup.children);
        let name = number % setup.children;
        create(connection, &format!("{parent}/{name:0width$}"), b"");
    })
}

/// As many as make a megabyte in flight.
fn in_flight(size: usize) -> usize {
    ((1 << 20) / (size + 64)).clamp(1, 256)
}

fn path(root: &str, kind: char, number: u64) -> String {
    format!("{root}/{kind}/n{number:010}")
}

fn directory(root: &str, number: u64) -> String {
    format!("{root}/d/{number:06}")
}

fn create(connection: &mut Connection, path: &str, data: &[u8]) {
    let (path, data) = (Some(path.as_bytes()), Some(data));
    connection.request(Asked::default(), Op::Create, |out| {
        CreateRequest { path, data, acl: AclList::open(), flags: 0 }.write(out);
    });
}

/// Makes requests.
#[derive(Debug)]
pub(crate) struct Requests {
    spec: Spec,
    random: Random,
    zipf: Zipf,
    /// Sums of the weights up to each request.
    shares: Vec<u64>,
    /// The data of each kind.
    data: Vec<Vec<u8>>,
    root: String,
    path: Vec<u8>,
    /// The number of the next create of this thread.
    next_create: u64,
    /// The next spare to delete, and what comes behind the last.
    spares: std::ops::Range<u64>,
    /// By connection: what was created and not yet deleted; the churned znode, if it is there.
    own: Vec<(VecDeque<u64>, Option<u64>)>,
}

impl Requests {
    /// The requests of thread `thread` of `threads`: different keys, the same proportions.
    pub(crate) fn new(spec: &Spec, root: &Root, thread: u64, threads: u64) -> Self {
        let mut sum = 0;
        let share = |weight: u32| {
            sum += u64::from(weight);
            sum
        };
        let shares = spec.requests.iter().map(|it| it.weight).map(share).collect();
        let size = |it: &crate::spec::RequestSpec| it.size.unwrap_or(spec.setup.size);
        let spare = spec.setup.spare / threads;
        Self {
            random: Random::new(0x5eed + thread),
            zipf: Zipf::new(if spec.keys == Keys::Uniform { 2 } else { spec.setup.znodes }),
            shares,
            data: spec.requests.iter().map(|it| vec![b'y'; size(it)]).collect(),
            root: root.0.clone(),
            path: Vec::new(),
            // Runs of the same load on the same server must not meet: time tells them apart.
            next_create: thread << 48 | (crate::clock::now() / 1_000_000) << 24,
            spares: spare * thread..spare * (thread + 1),
            own: Vec::new(),
            spec: spec.clone(),
        }
    }

    /// Queues the next request on connection `at`; whether there was one left.
    pub(crate) fn next(&mut self, at: usize, due: u64, connection: &mut Connection) -> bool {
        let draw = self.random.below(*self.shares.last().expect("a checked spec has requests"));
        let tag = self.shares.partition_point(|share| *share <= draw);
        if self.own.len() <= at {
            self.own.resize_with(at + 1, Default::default);
        }
        let ask = self.spec.requests[tag].ask;
        match ask {
            Ask::Create => self.create(at, tag, due, connection),
            Ask::Delete => return self.delete(at, tag, due, connection),
            Ask::Churn => self.churn(at, tag, due, connection),
            Ask::MultiSet | Ask::MultiCreate | Ask::MultiMixed | Ask::MultiGet => {
                self.multi(ask, tag, due, connection);
            }
            _ => self.simple(ask, tag, due, connection),
        }
        true
    }

    /// Queues what follows a reply, if something does; otherwise the reply ends what was asked.
    pub(crate) fn follow(&mut self, reply: &Reply<'_>, connection: &mut Connection) -> bool {
        let tag = reply.asked.tag as usize;
        let first = self.spec.requests[tag & TAG].ask == Ask::ReadModifyWrite && tag & SECOND == 0;
        if first && reply.err == 0 {
            self.point('k', reply.asked.key);
            let asked = Asked { tag: (tag | SECOND) as u8, ..reply.asked };
            let (path, data) = (Some(&*self.path), Some(&*self.data[tag]));
            connection.request(asked, Op::SetData, |out| {
                SetDataRequest { path, data, version: -1 }.write(out);
            });
        }
        first && reply.err == 0
    }

    fn simple(&mut self, ask: Ask, tag: usize, due: u64, connection: &mut Connection) {
        let watch = self.spec.requests[tag].watch;
        let key = if ask == Ask::Ls { self.directory() } else { self.key() };
        let asked = Asked { due, tag: tag as u8, key };
        let (path, data) = (Some(&*self.path), Some(&*self.data[tag]));
        match ask {
            Ask::Set => connection.request(asked, Op::SetData, |out| {
                SetDataRequest { path, data, version: -1 }.write(out);
            }),
            Ask::Sync => connection.request(asked, Op::Sync, |out| PathRequest { path }.write(out)),
            _ => {
                let op = match ask {
                    Ask::Exists => Op::Exists,
                    Ask::Ls => Op::GetChildren,
                    _ => Op::GetData,
                };
                connection.request(asked, op, |out| PathWatchRequest { path, watch }.write(out));
            }
        }
    }

    fn create(&mut self, at: usize, tag: usize, due: u64, connection: &mut Connection) {
        let key = self.fresh();
        // Only who deletes wants to know; and the queue has a bound.
        if self.own[at].0.len() < 1 << 16 {
            self.own[at].0.push_back(key);
        }
        let asked = Asked { due, tag: tag as u8, key };
        let (path, data) = (Some(&*self.path), Some(&*self.data[tag]));
        connection.request(asked, Op::Create, |out| {
            CreateRequest { path, data, acl: AclList::open(), flags: 0 }.write(out);
        });
    }

    fn delete(&mut self, at: usize, tag: usize, due: u64, connection: &mut Connection) -> bool {
        let key = if let Some(key) = self.own[at].0.pop_front() {
            self.point('c', key);
            key
        } else if let Some(key) = self.spares.next() {
            self.point('s', key);
            key
        } else {
            let creates = |it: &crate::spec::RequestSpec| it.ask == Ask::Create && it.weight > 0;
            return match self.spec.requests.iter().position(creates) {
                Some(create) => {
                    self.create(at, create, due, connection);
                    true
                }
                None => false,
            };
        };
        let (asked, path) = (Asked { due, tag: tag as u8, key }, Some(&*self.path));
        connection.request(asked, Op::Delete, |out| {
            DeleteRequest { path, version: -1 }.write(out);
        });
        true
    }

    fn churn(&mut self, at: usize, tag: usize, due: u64, connection: &mut Connection) {
        if let Some(key) = self.own[at].1.take() {
            self.point('e', key);
            let (asked, path) = (Asked { due, tag: tag as u8, key }, Some(&*self.path));
            connection.request(asked, Op::Delete, |out| {
                DeleteRequest { path, version: -1 }.write(out);
            });
        } else {
            let key = self.fresh();
            self.point('e', key);
            self.own[at].1 = Some(key);
            let asked = Asked { due, tag: tag as u8, key };
            let (path, data) = (Some(&*self.path), Some(&*self.data[tag]));
            let flags = CreateMode::Ephemeral as i32;
            connection.request(asked, Op::Create, |out| {
                CreateRequest { path, data, acl: AclList::open(), flags }.write(out);
            });
        }
    }

    fn multi(&mut self, ask: Ask, tag: usize, due: u64, connection: &mut Connection) {
        let ops = self.spec.requests[tag].ops;
        let asked = Asked { due, tag: tag as u8, key: 0 };
        let whole = if ask == Ask::MultiGet { Op::MultiRead } else { Op::Multi };
        connection.request(asked, whole, |out| {
            for number in 0..ops {
                let op = match ask {
                    Ask::MultiGet => Op::GetData,
                    Ask::MultiSet => Op::SetData,
                    Ask::MultiMixed if number % 2 == 1 => Op::SetData,
                    _ => Op::Create,
                };
                if op == Op::Create {
                    self.fresh();
                } else {
                    self.key();
                }
                let (path, data) = (Some(&*self.path), Some(&*self.data[tag]));
                MultiHeader { op: op.number(), done: false, err: -1 }.write(out);
                match op {
                    Op::GetData => PathWatchRequest { path, watch: false }.write(out),
                    Op::SetData => SetDataRequest { path, data, version: -1 }.write(out),
                    _ => CreateRequest { path, data, acl: AclList::open(), flags: 0 }.write(out),
                }
            }
            MultiHeader::END.write(out);
        });
    }

    /// Draws a prepared znode and points at it.
    fn key(&mut self) -> u64 {
        let count = self.spec.setup.znodes;
        let key = match self.spec.keys {
            Keys::Uniform => self.random.below(count),
            // A multiplication spreads neighbouring ranks, so that popular znodes are no neighbours.
            Keys::Zipfian => {
                let rank = self.zipf.draw(&mut self.random);
                rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count
            }
            Keys::Latest => count - 1 - self.zipf.draw(&mut self.random).min(count - 1),
        };
        self.point('k', key);
        key
    }

    fn directory(&mut self) -> u64 {
        let key = self.random.below(self.spec.setup.directories);
        self.path.clear();
        self.path.extend_from_slice(directory(&self.root, key).as_bytes());
        key
    }

    /// A number that no create had, pointed at.
    fn fresh(&mut self) -> u64 {
        self.next_create += 1;
        self.point('c', self.next_create);
        self.next_create
    }

    /// Writes the path of a znode: at least ten digits.
    fn point(&mut self, kind: char, mut number: u64) {
        let mut digits = [b'0'; 20];
        let mut first = digits.len();
        while number > 0 || first > digits.len() - 10 {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.path.clear();
        self.path.extend_from_slice(self.root.as_bytes());
        self.path.extend_from_slice(&[b'/', kind as u8, b'/', b'n']);
        self.path.extend_from_slice(&digits[first..]);
    }
}

/// In a tag: which kind of request.
pub(crate) const TAG: usize = 0x7f;

/// In a tag: the second half of a request that has two.
const SECOND: usize = 0x80;

#[cfg(test)]
mod tests {
    use super::{Requests, Root, path};
    use crate::spec::Spec;

    #[test]
    fn paths_are_written_as_they_were_prepared() {
        let spec: Spec = toml::from_str("name = 'a'\n[[requests]]\nask = 'get'\n").unwrap();
        let mut requests = Requests::new(&spec, &Root("/bench/a".to_owned()), 0, 1);
        for number in [0, 7, 9_999_999_999, 12_345_678_901] {
            requests.point('k', number);
            assert_eq!(requests.path, path("/bench/a", 'k', number).as_bytes());
        }
    }
}
