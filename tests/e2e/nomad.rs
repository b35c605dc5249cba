//! A client that holds one session, and moves to another server when its own does not answer.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure};

use crate::load::REFUSED;
use crate::process::Patience;
use crate::wire::{Body, Client, Reply, Session, op};

const NODE_EXISTS: i32 = -110;

/// How long a nomad waits for an answer before it goes elsewhere.
const ANSWER: Duration = Duration::from_secs(3);

/// A session that goes on wherever it can.
pub(crate) struct Nomad {
    addresses: Vec<SocketAddr>,
    at: usize,
    client: Client,
    session: Session,
    seen: i64,
    /// How often it has gone elsewhere.
    travels: u64,
    /// What it watches, and the zxid of the data that it knows.
    watched: Option<(String, i64)>,
}

impl Nomad {
    /// Takes over a client of the server number `at`.
    pub(crate) fn new(addresses: Vec<SocketAddr>, at: usize, client: Client) -> Self {
        let session = client.session.clone();
        Self { addresses, at, client, session, seen: 0, travels: 0, watched: None }
    }

    /// Asks until there is an answer, here or at another server.
    pub(crate) fn ask(&mut self, op: i32, body: &Body) -> anyhow::Result<Reply> {
        let patience = Patience::begin();
        loop {
            if let Ok(reply) = self.client.ask(op, body) {
                self.see(&reply)?;
                return Ok(reply);
            }
            self.travel(patience)?;
        }
    }

    /// Asks once; none if there was no answer.
    pub(crate) fn ask_once(&mut self, op: i32, body: &Body) -> anyhow::Result<Option<Reply>> {
        match self.client.ask(op, body) {
            Ok(reply) => self.see(&reply).map(|()| Some(reply)),
            Err(_) => self.travel(Patience::begin()).map(|()| None),
        }
    }

    /// A session is never shown an earlier state than before.
    fn see(&mut self, reply: &Reply) -> anyhow::Result<()> {
        let (seen, zxid) = (self.seen, reply.zxid);
        ensure!(seen <= zxid, "shown {zxid:#x} behind {seen:#x} at server {}", self.at + 1);
        self.seen = zxid;
        Ok(())
    }

    /// The zxid of the last answer: whatever comes next shows at least what was done by then.
    pub(crate) fn seen(&self) -> i64 {
        self.seen
    }

    /// Another session at the server where this one is now; none if that gives none.
    pub(crate) fn guest(&self, timeout: Duration) -> io::Result<Option<Client>> {
        let new = Session { timeout: timeout.as_millis() as i32, ..Session::default() };
        Client::resume_within(ANSWER, self.addresses[self.at], &new, 0)
    }

    /// How often it has gone elsewhere: between two equal answers nothing was lost.
    pub(crate) fn travels(&self) -> u64 {
        self.travels
    }

    /// What is watched is watched wherever it goes, behind this zxid of it.
    pub(crate) fn keep_watching(&mut self, path: &str, zxid: i64) {
        self.watched = Some((path.to_owned(), zxid));
    }

    /// Whether an event for what is watched came before the last answer. Then it is not watched any more.
    pub(crate) fn was_told(&mut self) -> bool {
        let Some((path, _)) = &self.watched else { return false };
        let told = self.client.events.iter().any(|it| it == path);
        self.client.events.clear();
        if told {
            self.watched = None;
        }
        told
    }

    fn travel(&mut self, patience: Patience) -> anyhow::Result<()> {
        loop {
            self.at = (self.at + 1) % self.addresses.len();
            let address = self.addresses[self.at];
            match Client::resume_within(ANSWER, address, &self.session, self.seen) {
                Ok(Some(mut client)) => {
                    self.travels += 1;
                    client.xid = self.client.xid;
                    if let Some((path, zxid)) = &self.watched
                        && client.watch_again(path, *zxid).is_err()
                    {
                        continue;
                    }
                    // What was told before is not forgotten.
                    client.events.splice(0..0, self.client.events.drain(..));
                    self.client = client;
                    return Ok(());
                }
                Ok(None) => bail!("session {:#x} ended at server {}", self.session.id, self.at + 1),
                Err(error) if patience.is_over() => bail!("no server takes the session: {error}"),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Creates a znode; if an answer was lost, it may be there already. `false`: the server has no room, and it is not known to be there.
    pub(crate) fn create(&mut self, path: &str, flags: i32) -> anyhow::Result<bool> {
        let reply = self.ask(op::CREATE, &Body::default().create(path, b"acknowledged", flags))?;
        ensure!([0, NODE_EXISTS, REFUSED].contains(&reply.err), "{path}: error {}", reply.err);
        Ok(reply.err != REFUSED)
    }
}
