//! Connections: two streams of bytes each, in order, delayed, cut anywhere; to one of two ports.

use std::collections::VecDeque;

use jute::Zxid;
use quorum::Moment;
use quorum::wire::{FrameStream, PacketStream};

/// Bytes of a packet at most.
const PACKET_LEN_MAX: usize = 1 << 20;

/// A port of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// For learners; open while it leads.
    Quorum,
    /// For votes.
    Election,
}

/// What travels one way.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// The connection itself, to the end that listens.
    Call,
    /// Some bytes.
    Bytes(Vec<u8>),
    /// The other side has closed.
    End,
}

/// What came to an end, and how it is cut.
#[derive(Debug)]
pub enum Incoming {
    /// To packets, and raw bytes between them.
    Packets(PacketStream),
    /// First a message that says who connects, then frames.
    First(Vec<u8>),
    /// To frames.
    Frames(FrameStream),
}

/// One end of a connection.
#[derive(Debug)]
pub struct End {
    /// Whose, and which of its lives.
    pub node: usize,
    /// Which life of it.
    pub life: u64,
    /// What it wrote in this turn.
    pub written: Vec<u8>,
    /// What travels to it.
    pub coming: VecDeque<Parcel>,
    /// When the last of that arrives.
    pub last_at: Moment,
    /// What came. Taken out while a part of it is looked at.
    pub stream: Option<Incoming>,
    /// An image of this zxid comes, not a packet.
    pub image: Option<Zxid>,
    /// It listens no longer.
    pub is_closed: bool,
    /// It has acked NEWLEADER.
    pub has_acked: bool,
}

impl End {
    fn new(node: usize, life: u64, stream: Incoming) -> Self {
        Self {
            node,
            life,
            written: Vec::new(),
            coming: VecDeque::new(),
            last_at: Moment::ZERO,
            stream: Some(stream),
            image: None,
            is_closed: false,
            has_acked: false,
        }
    }
}

/// A connection: who connected, and whom to.
#[derive(Debug)]
pub struct Conn {
    /// The two ends: who connected, who listened.
    pub ends: [End; 2],
    /// The port.
    pub port: Port,
    /// Nothing travels any more.
    pub is_cut: bool,
}

impl Conn {
    /// A new one.
    pub fn new(port: Port, from: (usize, u64), to: (usize, u64)) -> Self {
        let packets = || Incoming::Packets(PacketStream::new(PACKET_LEN_MAX));
        let (calls, listens) = match port {
            Port::Quorum => (packets(), packets()),
            Port::Election => (Incoming::Frames(FrameStream::new()), Incoming::First(Vec::new())),
        };
        let ends = [End::new(from.0, from.1, calls), End::new(to.0, to.1, listens)];
        Self { ends, port, is_cut: false }
    }

    /// Which end is this server's, if it is in this life.
    pub fn side_of(&self, node: usize, life: u64) -> Option<usize> {
        self.ends.iter().position(|it| (it.node, it.life) == (node, life))
    }
}

/// Who cannot send to whom, on which ports.
#[derive(Clone, Debug)]
pub struct Walls {
    blocked: Vec<Vec<bool>>,
    /// Only there; everywhere if it is none.
    port: Option<Port>,
}

impl Walls {
    /// None, between `count` servers.
    pub fn none(count: usize, port: Option<Port>) -> Self {
        Self { blocked: vec![vec![false; count]; count], port }
    }

    /// Nothing comes from one to the other any more.
    pub fn block(&mut self, from: usize, to: usize) {
        self.blocked[from][to] = true;
    }

    /// Whether nothing comes from one to the other, on a connection to this port.
    pub fn is_blocked(&self, port: Port, from: usize, to: usize) -> bool {
        self.blocked[from][to] && self.port.is_none_or(|it| it == port)
    }
}
