//! The constant server on this project's session shard and driver: what sockets, framing and rings cost without a tree and a log.
//!
//! As in the server on one core, the session shard and what stands for the pipeline take turns on one thread.

use std::net::TcpListener;
use std::sync::Arc;
use std::task::Context;

use anyhow::Result;
use engine::map::MapSeed;
use jute::{Code, SessionId, Zxid};
use net::admission::{Admission, AdmissionSettings};
use net::driver::{Before, Driver, Links, Sleeper};
use net::message::{Deliver, DeliverItem, Forward, ForwardItem};
use net::ring::{Receiver, Sender, lane, mailbox};
use net::shard::{Read, Shard, ShardSettings, Tree};

use super::answer::Answers;
use crate::clock;

/// A tree whose every znode is the same.
#[derive(Debug)]
struct Constant(Answers);

impl Tree for Constant {
    fn zxid(&self) -> Option<Zxid> {
        Some(ZXID)
    }

    fn serve(&self, read: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)> {
        self.0.body(read.op.number(), read.body, out);
        Some((ZXID, Code::Ok))
    }
}

/// The last change there was.
const ZXID: Zxid = Zxid(1);

/// Where a pipeline would be.
struct Pipeline {
    answers: Answers,
    session: SessionId,
    forwards: Receiver<Forward>,
    delivers: Sender<Deliver>,
}

impl Pipeline {
    /// Answers all that is there.
    fn turn(&mut self, cx: &Context<'_>) {
        while self.forwards.poll_item(cx).is_ready() && self.delivers.poll_room(cx).is_ready() {
            let Some(turn) = self.forwards.pop() else { return };
            let deliver = self.delivers.spare().unwrap_or_default();
            let deliver = self.answer(&turn, deliver);
            self.forwards.give_back(turn);
            // There was room, and nobody else pushes.
            drop(self.delivers.push(deliver));
        }
    }

    fn answer(&mut self, turn: &Forward, mut deliver: Deliver) -> Deliver {
        deliver.items.clear();
        deliver.bytes.clear();
        deliver.applied = ZXID;
        for item in &turn.items {
            match item {
                ForwardItem::Connect { conn, session, timeout_ms, .. } => {
                    self.session = self.session.next();
                    let new = *session == SessionId::NONE;
                    let session = if new { self.session } else { *session };
                    let (conn, timeout_ms) = (*conn, *timeout_ms);
                    deliver.items.push(DeliverItem::Connected { conn, session, timeout_ms });
                }
                ForwardItem::Request { conn, xid, op, body, .. } => {
                    let start = deliver.bytes.len() as u32;
                    let request = &turn.bytes[body.start as usize..body.end as usize];
                    self.answers.body(op.number(), request, &mut deliver.bytes);
                    let body = start..deliver.bytes.len() as u32;
                    let (conn, xid, zxid) = (*conn, *xid, ZXID);
                    deliver.items.push(DeliverItem::Reply {
                        conn,
                        xid,
                        zxid,
                        code: Code::Ok,
                        body,
                    });
                }
                ForwardItem::Auth { .. } | ForwardItem::Gone { .. } => {}
            }
        }
        deliver
    }
}

fn clock_ms() -> u64 {
    clock::now() / 1_000_000
}

/// Serves until the process is killed.
///
/// # Errors
/// What the system says if it gives no epoll.
pub(super) fn run(listener: TcpListener) -> Result<()> {
    let (forward, forwards) = lane(64);
    let (delivers, deliver) = lane(64);
    let admission = AdmissionSettings { cnxns_per_address_max: 0, ..Default::default() };
    let admission = Arc::new(Admission::new(admission, clock_ms(), 1));
    let seed = MapSeed { low: 1, high: 2 };
    let settings = ShardSettings { outstanding_max: usize::MAX, ..Default::default() };
    let shard = Shard::new(settings, Constant(Answers::new()), admission, seed);
    let (_nobody, orders) = mailbox();
    let words = Box::new(|_| {});
    let links = Links { forward, deliver, orders, words, shard: 0, clock: clock_ms };
    let session = SessionId(0x0100_0000_0000_0000);
    let mut pipeline = Pipeline { answers: Answers::new(), session, forwards, delivers };

    let mut sleeper = Sleeper::new()?;
    let waker = sleeper.waker();
    let mut driver = Driver::new(shard, vec![listener], links, &sleeper)?;
    loop {
        let mut cx = Context::from_waker(&waker);
        pipeline.turn(&cx);
        driver.turn(&mut cx);
        if sleeper.take_ring() {
            continue;
        }
        sleeper.sleep(driver.sleep_limit_ms(), Before::Look)?;
        driver.serve(&mut sleeper);
        driver.turn(&mut cx);
    }
}
