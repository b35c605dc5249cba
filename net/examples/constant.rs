//! A server whose every answer is a constant: what sockets, framing and rings cost, without a tree and a log.
//!
//! `cargo run --release -p net --example constant -- PORT` under `taskset -c 0`; load it with `ringkeeper-bench load`.
#![expect(clippy::disallowed_methods, reason = "a server reads the clock and starts threads")]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use engine::map::MapSeed;
use futures_lite::future::block_on;
use jute::{Code, Op, SessionId, Zxid};
use net::admission::{Admission, AdmissionSettings};
use net::driver::{KeepAlive, Links, ListenSettings, Sharing, listen, run};
use net::message::{Deliver, DeliverItem, Forward, ForwardItem};
use net::ring::{Receiver, Sender, lane, mailbox};
use net::shard::{Read, Shard, ShardSettings, Stamps, Tree};

/// 100 bytes of data and a stat, whatever is asked.
#[derive(Debug)]
struct Constant;

const BODY: &[u8] = &{
    let mut body = [b'x'; 4 + 100 + 68];
    (body[0], body[1], body[2], body[3]) = (0, 0, 0, 100);
    body
};

impl Tree for Constant {
    fn zxid(&self) -> Option<Zxid> {
        Some(Zxid(1))
    }

    fn serve(&self, read: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)> {
        out.extend_from_slice(if read.op == Op::GetData { BODY } else { &BODY[104..] });
        Some((Zxid(1), Code::Ok))
    }

    fn stamps(&self, _: &[u8]) -> Option<(Zxid, Option<Stamps>)> {
        Some((Zxid(1), None))
    }
}

/// Answers everything with the same.
async fn pipeline(mut forward: Receiver<Forward>, mut deliver: Sender<Deliver>) {
    let mut session = SessionId(0x0100_0000_0000_0000);
    loop {
        let turn = forward.next().await;
        let mut answer = deliver.spare().unwrap_or_default();
        answer.items.clear();
        answer.bytes.clear();
        answer.bytes.extend_from_slice(&BODY[104..]);
        answer.applied = Zxid(1);
        for item in &turn.items {
            match item {
                ForwardItem::Connect { conn, timeout_ms, .. } => {
                    session = session.next();
                    let (conn, timeout_ms) = (*conn, *timeout_ms);
                    answer.items.push(DeliverItem::Connected { conn, session, timeout_ms });
                }
                ForwardItem::Request { conn, xid, .. } => {
                    let (conn, xid, zxid) = (*conn, *xid, Zxid(1));
                    let body = 0..68;
                    answer.items.push(DeliverItem::Reply { conn, xid, zxid, code: Code::Ok, body });
                }
                _ => {}
            }
        }
        forward.give_back(turn);
        deliver.ready().await;
        drop(deliver.push(answer));
    }
}

fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let port = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0_u16);
    let settings =
        ListenSettings { backlog: 4096, keep_alive: KeepAlive::Off, sharing: Sharing::Alone };
    let listener = match listen(SocketAddr::from(([127, 0, 0, 1], port)), settings) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("{error}"),
    };
    tracing::info!("listening on {:?}", listener.local_addr());
    let (forward, forwards) = lane(64);
    let (delivers, deliver) = lane(64);
    std::thread::spawn(move || block_on(pipeline(forwards, delivers)));
    let admission = AdmissionSettings { cnxns_per_address_max: 0, ..Default::default() };
    let admission = Arc::new(Admission::new(admission, clock(), 1));
    let seed = MapSeed { low: 1, high: 2 };
    let shard = Shard::new(ShardSettings::default(), Constant, admission, seed);
    let (_mouth, orders) = mailbox();
    let links = Links { forward, deliver, orders, words: Box::new(|_| {}), shard: 0, clock };
    if let Err(error) = run(shard, vec![listener], links) {
        tracing::error!("{error}");
    }
}
