//! A client that holds one session, and moves to another server when its own does not answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use crate::ensemble::PATIENCE;
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
}

impl Nomad {
    /// Takes over a client of the server number `at`.
    pub(crate) fn new(addresses: Vec<SocketAddr>, at: usize, client: Client) -> Self {
        let session = client.session.clone();
        Self { addresses, at, client, session, seen: 0 }
    }

    /// Asks until there is an answer, here or at another server.
    pub(crate) fn ask(&mut self, op: i32, body: &Body) -> anyhow::Result<Reply> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(reply) = self.client.ask(op, body) {
                self.seen = self.seen.max(reply.zxid);
                return Ok(reply);
            }
            self.travel(end)?;
        }
    }

    /// Asks once; the error of the answer, or none if there was no answer.
    pub(crate) fn ask_once(&mut self, op: i32, body: &Body) -> anyhow::Result<Option<i32>> {
        match self.client.ask(op, body) {
            Ok(reply) => {
                self.seen = self.seen.max(reply.zxid);
                Ok(Some(reply.err))
            }
            Err(_) => self.travel(Instant::now() + PATIENCE).map(|()| None),
        }
    }

    fn travel(&mut self, end: Instant) -> anyhow::Result<()> {
        loop {
            self.at = (self.at + 1) % self.addresses.len();
            let address = self.addresses[self.at];
            match Client::resume_within(ANSWER, address, &self.session, self.seen) {
                Ok(Some(client)) => {
                    self.client = client;
                    return Ok(());
                }
                Ok(None) => bail!("session {:#x} ended at server {}", self.session.id, self.at + 1),
                Err(error) if end < Instant::now() => bail!("no server takes the session: {error}"),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Creates a znode; if an answer was lost, it may be there already.
    pub(crate) fn create(&mut self, path: &str, flags: i32) -> anyhow::Result<()> {
        let reply = self.ask(op::CREATE, &Body::default().create(path, b"acknowledged", flags))?;
        ensure!([0, NODE_EXISTS].contains(&reply.err), "{path}: error {}", reply.err);
        Ok(())
    }
}

/// Waits until `count` more operations of a load have come through.
pub(crate) fn flow(done: &AtomicU64, count: u64) -> anyhow::Result<()> {
    let (from, end) = (done.load(Ordering::Relaxed), Instant::now() + PATIENCE);
    while done.load(Ordering::Relaxed) < from + count {
        ensure!(Instant::now() < end, "the load does not flow");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
