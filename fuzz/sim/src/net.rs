//! Connections: two streams of bytes each, in order, delayed, cut anywhere.

use std::collections::VecDeque;

use jute::Zxid;
use quorum::Moment;
use quorum::wire::PacketStream;

/// Bytes of a packet at most.
const PACKET_LEN_MAX: usize = 1 << 20;

/// What travels one way.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// The other side has closed.
    End,
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
    /// What came, cut to packets. Taken out while a packet is looked at.
    pub stream: Option<PacketStream>,
    /// An image of this zxid comes, not a packet.
    pub image: Option<Zxid>,
    /// It listens no longer.
    pub is_closed: bool,
    /// It has acked NEWLEADER.
    pub has_acked: bool,
}

impl End {
    fn new(node: usize, life: u64) -> Self {
        Self {
            node,
            life,
            written: Vec::new(),
            coming: VecDeque::new(),
            last_at: Moment::ZERO,
            stream: Some(PacketStream::new(PACKET_LEN_MAX)),
            image: None,
            is_closed: false,
            has_acked: false,
        }
    }
}

/// A connection: who connected, and whom to.
#[derive(Debug)]
pub struct Conn {
    /// The two ends.
    pub ends: [End; 2],
    /// Nothing travels any more.
    pub is_cut: bool,
}

impl Conn {
    /// A new one.
    pub fn new(from: (usize, u64), to: (usize, u64)) -> Self {
        Self { ends: [End::new(from.0, from.1), End::new(to.0, to.1)], is_cut: false }
    }

    /// Which end is this server's, if it is in this life.
    pub fn side_of(&self, node: usize, life: u64) -> Option<usize> {
        self.ends.iter().position(|it| (it.node, it.life) == (node, life))
    }
}

/// Who cannot send to whom.
#[derive(Clone, Debug)]
pub struct Walls {
    blocked: Vec<Vec<bool>>,
}

impl Walls {
    /// None, between `count` servers.
    pub fn none(count: usize) -> Self {
        Self { blocked: vec![vec![false; count]; count] }
    }

    /// Nothing comes from one to the other any more.
    pub fn block(&mut self, from: usize, to: usize) {
        self.blocked[from][to] = true;
    }

    /// Whether nothing comes from one to the other.
    pub fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked[from][to]
    }
}
