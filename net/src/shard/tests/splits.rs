//! Whatever way the stream is cut, and whatever is in it.

use jute::{Code, Op, SessionId};

use super::rig::{PEER, Rig, Watch, hello, read_of, request};
use crate::message::{DeliverItem, ForwardItem};

/// xorshift64: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A stream with everything in it.
fn stream(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = hello(SessionId::NONE, 0);
    for xid in 1..200 {
        let path = if dice.below(3) == 0 { "/b" } else { "/a" };
        let watch = if dice.below(2) == 0 { Watch::Yes } else { Watch::No };
        bytes.extend(match dice.below(9) {
            0 => request(xid, Op::SetData.number(), &vec![3; dice.below(3_000)]),
            1 => request(-2, Op::Ping.number(), &[]),
            2 => request(xid, Op::Exists.number(), &read_of(path, watch)),
            3 => request(xid, Op::GetChildren2.number(), &read_of(path, watch)),
            4 => request(xid, Op::SetData.number(), &vec![4; 2_000_000]),
            5 => request(xid, Op::AddWatch.number(), &read_of(path, watch)),
            6 => request(xid, Op::CheckWatches.number(), b"\0\0\0\x02/a\0\0\0\x03"),
            _ => request(xid, Op::GetData.number(), &read_of(path, watch)),
        });
    }
    bytes
}

/// Plays the stream cut at `cut`'s lengths, each write answered at once; what came back.
fn play(bytes: &[u8], mut cut: impl FnMut() -> usize) -> Vec<u8> {
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let conn = rig.accept();
    let mut back = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(cut().clamp(1, rest.len()));
        rest = tail;
        rig.read(conn, piece);
        loop {
            let forward = rig.forwarded();
            let mut items = Vec::new();
            for item in forward.items {
                match item {
                    ForwardItem::Connect { conn, timeout_ms, .. } => {
                        let session = SessionId(77);
                        items.push(DeliverItem::Connected { conn, session, timeout_ms });
                    }
                    ForwardItem::Request { conn, xid, .. } => {
                        let zxid = jute::Zxid(3);
                        let code = Code::Ok;
                        items.push(DeliverItem::Reply { conn, xid, zxid, code, body: 0..0 });
                    }
                    other => panic!("{other:?}"),
                }
            }
            if items.is_empty() {
                break;
            }
            rig.deliver(items, &[]);
        }
        back.extend(rig.take(conn));
        while !rig.shard.wants_read(conn) {
            back.extend(rig.take(conn));
        }
    }
    assert_eq!(rig.shard.gauges().buffered_bytes, 0);
    back
}

#[test]
fn however_the_stream_is_cut_the_same_comes_back() {
    for seed in 1..6 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let bytes = stream(&mut dice);
        // Reads behind writes are answered by the pipeline here with an empty body: let every write be alone.
        let whole = play(&bytes, || 1_000_000);
        assert!(4_000 < whole.len());
        for _ in 0..4 {
            let most = 1 + dice.below(60_000);
            let cut = play(&bytes, || 1 + dice.below(most));
            assert_eq!(xids(&cut), xids(&whole), "seed {seed}, pieces of up to {most}");
        }
    }
}

/// The order of what came back: whose it is, and its code.
fn xids(bytes: &[u8]) -> Vec<(i32, i32)> {
    let mut xids = Vec::new();
    let mut rest = &bytes[41..];
    while !rest.is_empty() {
        let number = |at: usize| i32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
        xids.push((number(4), number(16)));
        rest = &rest[4 + number(0) as usize..];
    }
    xids
}

#[test]
fn random_bytes_end_one_connection_at_worst() {
    let mut dice = Dice(0x5eed);
    let mut rig = Rig::new();
    rig.znode("/a", 3);
    let steady = rig.connect();
    for round in 0..3_000 {
        let conn = if dice.below(4) == 0 { rig.accept() } else { rig.connect() };
        for _ in 0..dice.below(6) {
            let len = dice.below(120);
            let mut body: Vec<u8> = (0..len).map(|_| dice.below(256) as u8).collect();
            if dice.below(2) == 0 {
                // A sensible length and an op that is known, and nonsense behind it.
                let op = Op::ALL[dice.below(Op::ALL.len())];
                body = request(round, op.number(), &body);
            }
            rig.read(conn, &body);
            rig.answer_all(Code::Ok);
            rig.take(conn);
        }
        rig.shard.ended(conn);
        rig.forwarded();
    }
    rig.ask(steady, 1, Op::GetData, &read_of("/a", Watch::No));
    assert_eq!(rig.sent(steady), [super::rig::ok(1, 3, b"data")]);
    let gauges = rig.shard.gauges();
    assert_eq!((gauges.connections, gauges.buffered_bytes, gauges.outstanding), (1, 0, 0));
    assert!(rig.shard.accept(rig.now_ms, PEER.into()).is_ok());
}
