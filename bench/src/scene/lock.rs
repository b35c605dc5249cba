//! The lock and the election recipe, as ZooKeeper's documentation gives them.
//!
//! Each client creates an ephemeral sequential znode, lists its siblings, and holds the lock if its own is the lowest; otherwise it
//! watches the one just below, and lists again when that has gone. A lock is released by a delete, leadership by the end of the session.

use anyhow::{Error, Result, bail, ensure};
use jute::{
    AclList, CreateMode, CreateRequest, DeleteRequest, Field, Op, PathResponse, PathWatchRequest,
    Record, StringsResponse,
};

use crate::connection::{Asked, Connection, Incoming, Reply, Ticket};
use crate::crowd::{Actor, Crowd};
use crate::meter::Meter;
use crate::requests::Root;

/// How one lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// Deletes its znode.
    Delete,
    /// Ends its session, and comes back with a new one.
    End,
}

/// Tags of requests.
const ENTER: u8 = 0;
const LIST: u8 = 1;
const WATCH: u8 = 2;
const LEAVE: u8 = 3;

/// One client.
#[derive(Clone, Debug, Default)]
struct Client {
    /// Its znode's whole path.
    own: Vec<u8>,
    /// When it asked for the lock.
    asked_at: u64,
}

struct Lock {
    root: Vec<u8>,
    release: Release,
    meter: Meter,
    clients: Vec<Client>,
    /// When the last leader let go.
    free_since: Option<u64>,
    /// Places whose session has ended.
    again: Vec<usize>,
    failed: Option<(&'static str, i32)>,
    started: bool,
}

pub(super) fn play(
    crowd: &mut Crowd,
    root: &Root,
    release: Release,
    meter: Meter,
    stop: u64,
) -> Result<Meter> {
    let mut scene = Lock {
        root: root.0.clone().into_bytes(),
        release,
        meter,
        clients: vec![Client::default(); crowd.len()],
        free_since: None,
        again: Vec::new(),
        failed: None,
        started: false,
    };
    crowd.run(&mut scene, stop)?;
    Ok(scene.meter)
}

impl Lock {
    fn enter(&mut self, at: usize, now: u64, connection: &mut Connection) {
        self.clients[at].asked_at = now;
        let path = [&*self.root, b"/n-"].concat();
        let (path, flags) = (Some(&*path), CreateMode::EphemeralSequential as i32);
        ask(connection, ENTER, Op::Create, |out| {
            CreateRequest { path, data: Some(b""), acl: AclList::open(), flags }.write(out);
        });
    }

    fn list(&self, connection: &mut Connection) {
        let path = Some(&*self.root);
        ask(connection, LIST, Op::GetChildren, |out| {
            PathWatchRequest { path, watch: false }.write(out);
        });
    }

    fn reply(&mut self, at: usize, now: u64, reply: &Reply<'_>, connection: &mut Connection) {
        let gone = reply.err == jute::Code::NoNode.number();
        match reply.asked.tag {
            ENTER => match PathResponse::decode(reply.body) {
                Ok(response) if reply.err == 0 => {
                    self.clients[at].own = response.path.to_vec();
                    self.list(connection);
                }
                _ => self.failed = Some(("create", reply.err)),
            },
            LIST => match StringsResponse::decode(reply.body) {
                Ok(response) if reply.err == 0 => {
                    let below = self.below(at, response.strings.iter());
                    match below {
                        None => self.holds(at, now, connection),
                        Some(path) => ask(connection, WATCH, Op::Exists, |out| {
                            PathWatchRequest { path: Some(&path), watch: true }.write(out);
                        }),
                    }
                }
                _ => self.failed = Some(("getChildren", reply.err)),
            },
            WATCH if gone => self.list(connection),
            WATCH if reply.err == 0 => {}
            LEAVE if reply.err == 0 => match self.release {
                Release::Delete => self.enter(at, now, connection),
                Release::End => self.again.push(at),
            },
            _ => self.failed = Some(("exists, delete or closeSession", reply.err)),
        }
    }

    /// The path of the znode just below the client's own; none if its own is the lowest.
    fn below<'a>(&self, at: usize, names: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
        let own = &self.clients[at].own[self.root.len() + 1..];
        let name = names.filter(|name| *name < own).max()?;
        Some([&*self.root, b"/", name].concat())
    }

    fn holds(&mut self, at: usize, now: u64, connection: &mut Connection) {
        let client = &self.clients[at];
        match self.release {
            Release::Delete => {
                self.meter.reply(now, client.asked_at, 0, 0);
                let path = Some(&*client.own);
                ask(connection, LEAVE, Op::Delete, |out| {
                    DeleteRequest { path, version: -1 }.write(out);
                });
            }
            Release::End => {
                if let Some(free) = self.free_since {
                    self.meter.reply(now, free, 0, 0);
                }
                self.free_since = Some(now);
                ask(connection, LEAVE, Op::CloseSession, |_| {});
            }
        }
    }
}

fn ask(connection: &mut Connection, tag: u8, op: Op, write: impl FnOnce(&mut Vec<u8>)) {
    connection.request(Asked { due: 0, tag, key: 0 }, op, write);
}

impl Actor for Lock {
    fn incoming(&mut self, at: usize, now: u64, what: Incoming<'_>, connection: &mut Connection) {
        match what {
            Incoming::Connected => self.enter(at, now, connection),
            Incoming::Reply(reply) => self.reply(at, now, &reply, connection),
            Incoming::Event => {
                self.meter.event(now);
                self.list(connection);
            }
            Incoming::Refused => self.failed = Some(("connect", 0)),
        }
    }

    fn turn(&mut self, now: u64, crowd: &mut Crowd) -> Result<()> {
        if let Some((what, code)) = self.failed {
            bail!("{what} fails with code {code}");
        }
        if !self.started {
            self.started = true;
            for at in 0..crowd.len() {
                self.enter(at, now, crowd.queue(at));
            }
        }
        while let Some(at) = self.again.pop() {
            crowd.connect(at, Ticket::NEW)?;
        }
        Ok(())
    }

    fn ended(&mut self, at: usize, _: u64, error: Error) -> Result<()> {
        ensure!(self.again.contains(&at), error);
        Ok(())
    }
}
