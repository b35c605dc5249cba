//! A whole server without sockets, threads and disk: two session shards' machines and the pipeline's.
//!
//! The input is the order of everything: what clients send, when messages are handed over, when a batch begins and when
//! it is durable. What must be true in every order is checked here.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use engine::map::MapSeed;
use engine::reaper::ReaperConfig;
use engine::rules::{ExtendedTypes, QuotaCheck, Rules};
use engine::session::SessionTracker;
use engine::tree::TreeView;
use jute::{ConnectResponse, Field as _, ReplyHeader, SessionId, Zxid};
use net::admission::{Admission, AdmissionSettings};
use net::message::{ConnId, Deliver};
use net::shard::{Inbox, Output, Shard, ShardSettings};
use net::words::Whitelist;
use ringkeeper::pipeline::{Applier, Moment, Pipeline, Reaping};
use ringkeeper::reader::ArenaReader;
use wal::Batch;

use crate::memory::state;

/// What three clients of two shards send. Pieces, each behind two bytes: whose it is, what happens after it and how much
/// time goes by ([`Act`]); and how long it is.
pub fn client(bytes: &[u8]) {
    let mut world = World::new();
    let mut rest = bytes;
    while let Some((&[head, len], tail)) = rest.split_first_chunk() {
        let (piece, tail) = tail.split_at(tail.len().min(len as usize));
        rest = tail;
        let act = Act(head);
        world.now_ms += act.elapsed_ms();
        world.send(act.client(), piece);
        if act.hands_over() {
            world.forward();
        }
        match act.batch() {
            0 => world.begin_batch(),
            1 => world.end_batch(),
            2 => {
                world.begin_batch();
                world.end_batch();
            }
            _ => {}
        }
        world.deadline();
    }
    world.end();
}

/// What happens with a piece.
#[derive(Clone, Copy)]
struct Act(u8);

impl Act {
    fn client(self) -> usize {
        self.0 as usize % 4 % CLIENTS
    }

    /// Whether the shards' messages go to the pipeline, and its answers to them.
    fn hands_over(self) -> bool {
        self.0 & 4 == 0
    }

    /// A batch begins to be written, is durable, or both.
    fn batch(self) -> u8 {
        (self.0 >> 3 & 3) ^ 2
    }

    fn elapsed_ms(self) -> u64 {
        u64::from(self.0 >> 5) * 700
    }
}

/// One end of a connection.
#[derive(Default)]
struct Client {
    conn: Option<ConnId>,
    heard: Vec<u8>,
    /// It was sent a four-letter word's answer, which is no frame.
    asked_a_word: bool,
}

struct World {
    now_ms: u64,
    pipeline: Pipeline,
    shards: Vec<(Shard<ArenaReader>, Queue)>,
    clients: [Client; CLIENTS],
    /// Begun, not durable.
    writing: Option<Batch>,
}

impl World {
    fn new() -> Self {
        let rules =
            Rules { extended_types: ExtendedTypes::On, quota: QuotaCheck::On, ..Rules::default() };
        let state = state();
        let reader = state.tree().reader();
        let seed = MapSeed { low: 1, high: 2 };
        let sessions = SessionTracker::new(500, SessionId::first(1, 77), seed);
        let config = ReaperConfig { never_used_ms_max: 1_000 };
        let reaping = Reaping { interval_ms: 1_000, per_minute_max: 600, config };
        let admission = Arc::new(Admission::new(AdmissionSettings::default(), 0, 1));
        let settings = ShardSettings {
            tick_ms: 500,
            timeout_ms_min: 1_000,
            timeout_ms_max: 10_000,
            request_len_max: 1 << 12,
            skip_len_max: 1 << 13,
            set_watches_len_max: 1 << 13,
            words: Whitelist::all(),
            watches_max: 8,
            ..ShardSettings::default()
        };
        let shard = || {
            let tree = ArenaReader::new(reader.clone(), rules.clone());
            let shard = Shard::new(settings.clone(), tree, Arc::clone(&admission), seed);
            (shard, Queue::default())
        };
        Self {
            now_ms: 0,
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            pipeline: Pipeline::new(
                Applier::new(state, rules.clone(), sessions, SHARDS, 0),
                reaping,
                0,
            ),
            clients: Default::default(),
            writing: None,
        }
    }

    fn moment(&self) -> Moment {
        Moment { now_ms: self.now_ms, wall_ms: 1_700_000_000_000 + self.now_ms as i64 }
    }

    fn send(&mut self, number: usize, piece: &[u8]) {
        let client = &mut self.clients[number];
        let (shard, inbox) = &mut self.shards[number % SHARDS];
        let conn = match client.conn {
            Some(conn) => conn,
            None => {
                let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
                let conn = shard.accept(self.now_ms, peer).expect("three may come in");
                *client = Client { conn: Some(conn), ..Client::default() };
                conn
            }
        };
        if shard.wants_read(conn) {
            shard.received(self.now_ms, conn, piece, inbox);
        }
        self.outputs();
    }

    fn forward(&mut self) {
        let moment = self.moment();
        for (number, (shard, inbox)) in self.shards.iter_mut().enumerate() {
            while let Some(forward) = shard.take_forward(None) {
                self.pipeline.take(moment, number, &forward);
            }
            shard.drain(self.now_ms, inbox);
        }
        self.outputs();
    }

    fn begin_batch(&mut self) {
        if self.writing.is_none() {
            self.writing = self.pipeline.next_batch();
        }
    }

    fn end_batch(&mut self) {
        let Some(batch) = self.writing.take() else { return };
        self.pipeline.durable(self.moment(), batch);
        for (number, (_, inbox)) in self.shards.iter_mut().enumerate() {
            inbox.0.extend(self.pipeline.applier_mut().deliver(number));
        }
        self.pipeline.publish();
    }

    fn deadline(&mut self) {
        let moment = self.moment();
        self.pipeline.deadline(moment);
        for (shard, _) in &mut self.shards {
            shard.deadline(self.now_ms);
        }
        self.outputs();
    }

    /// Does what the shards want done with their connections.
    fn outputs(&mut self) {
        for (number, (shard, _)) in self.shards.iter_mut().enumerate() {
            while let Some(output) = shard.next_output() {
                match output {
                    Output::Word { conn, .. } => {
                        let client = mine(&mut self.clients, number, conn);
                        client.expect("a word comes from somebody").asked_a_word = true;
                        shard.answer(conn, b"a word\n");
                    }
                    Output::Close { conn } => {
                        if let Some(client) = mine(&mut self.clients, number, conn) {
                            client.check();
                            *client = Client::default();
                        }
                    }
                    Output::Resume { .. } | Output::Notice(_) => {}
                }
            }
            while let Some(conn) = shard.next_unsent() {
                let unsent = shard.unsent(conn);
                let len = unsent.len();
                if let Some(client) = mine(&mut self.clients, number, conn) {
                    client.heard.extend_from_slice(unsent);
                }
                shard.sent(self.now_ms, conn, len);
            }
        }
    }

    /// Everything that is under way comes to its end; then everybody goes.
    fn end(&mut self) {
        for _ in 0..4 {
            self.forward();
            self.begin_batch();
            self.end_batch();
        }
        for number in 0..CLIENTS {
            self.clients[number].check();
            if let Some(conn) = self.clients[number].conn.take() {
                self.shards[number % SHARDS].0.ended(conn);
            }
        }
        self.forward();
        for (shard, _) in &self.shards {
            let gauges = shard.gauges();
            assert_eq!((gauges.connections, gauges.watches), (0, 0), "nobody is there");
            assert_eq!((gauges.outstanding, gauges.buffered_bytes), (0, 0), "nobody waits");
        }
        // Nobody is heard of any more: every session expires.
        for _ in 0..4 {
            self.now_ms += 20_000;
            self.deadline();
            self.begin_batch();
            self.end_batch();
        }
        assert!(self.pipeline.applier().sessions().is_empty(), "sessions live for ever");
        let tree = self.pipeline.applier().state().tree();
        assert_eq!(tree.look(TreeView::session_count), 0, "sessions live in the tree for ever");
    }
}

/// Whose connection of shard `number` it is.
fn mine(clients: &mut [Client], number: usize, conn: ConnId) -> Option<&mut Client> {
    let mut of_shard = clients.iter_mut().skip(number).step_by(SHARDS);
    of_shard.find(|client| client.conn == Some(conn))
}

impl Client {
    /// What came back is a handshake's answer and frames, whose zxids never go back.
    fn check(&self) {
        if self.asked_a_word {
            return;
        }
        let mut rest = self.heard.as_slice();
        let mut last = Zxid::ZERO;
        let mut first = true;
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let (frame, tail) = tail.split_at(i32::from_be_bytes(*length) as usize);
            rest = tail;
            let mut reader = jute::Reader::new(frame);
            if core::mem::take(&mut first) && (36..=37).contains(&frame.len()) {
                assert!(ConnectResponse::read(&mut reader).is_ok());
                continue;
            }
            let header = ReplyHeader::read(&mut reader).expect("a frame begins with its header");
            // Some refusals carry 0 or −1.
            if Zxid::ZERO < header.zxid {
                assert!(last <= header.zxid, "{header:?} after {last}");
                last = header.zxid;
            }
        }
        assert!(rest.is_empty(), "{} bytes that are no frame", rest.len());
    }
}

#[derive(Default)]
struct Queue(VecDeque<Deliver>);

impl Inbox for Queue {
    fn next(&mut self) -> Option<Deliver> {
        self.0.pop_front()
    }

    fn spent(&mut self, deliver: Deliver) {
        drop(deliver);
    }
}

const CLIENTS: usize = 3;
const SHARDS: usize = 2;
