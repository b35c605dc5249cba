//! What a server is known by, apart from what it and others are called.
//!
//! A server speaks of itself, of a first and of a second other one: which is which depends on the way round the three are read, so its number is made
//! twice. Ids of servers and of connections are chosen so that they cannot be mistaken for anything else among the numbers that are hashed.
//! - An id is read as its server's place. Ids that follow each other are a set.
//! - A connection is its learner's place, and how many of that learner's are older; what is said of one begins with it, and the order of those is no
//!   part of the number.
//! - A write is durable, or the first, second or third that is not: when a server began to count is no part of what it is. Small numbers are read so
//!   wherever they stand. The others among them count what time alone changes (ticks, pings), and time stands still.
//!
//! In the other manner all are what they are called.

use std::hash::Hasher;

use super::part::{Mix, sum_of};
use super::state::SERVERS;

/// Ids of servers begin here: above every epoch, below every transaction.
pub(super) const SIDS: i64 = 1_000;

/// Numbers of connections begin here: above everything that is counted or timed.
pub(super) const LINKS: u64 = 1 << 40;

/// Writes of a server are fewer than this.
pub(super) const WRITES: u64 = 64;

/// What things are called, as a server sees them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'a> {
    /// By their own numbers.
    Own,
    /// As this server sees them, whose last durable write is this one; how many older connections each has of the same learner.
    Seen { by: u8, durable: u64, older: &'a [u8; 256] },
}

/// The place of a server as another one sees it, the one way round and the other.
pub(super) fn places(of: u8, by: u8) -> [u8; 2] {
    [(of + SERVERS - by) % SERVERS, (by + SERVERS - of) % SERVERS]
}

/// One way round.
#[derive(Clone, Copy, Debug)]
struct Side {
    now: Mix,
    /// Of what was there before the first connection.
    before: Mix,
    /// Of what has no order.
    sum: u64,
}

/// Makes both numbers of a server at once.
#[derive(Debug)]
pub(super) struct Namer<'a> {
    names: Names<'a>,
    sides: [Side; 2],
    is_of_link: bool,
}

impl<'a> Namer<'a> {
    pub(super) fn new(names: Names<'a>) -> Self {
        let mix = Mix(0x1319_8a2e_0370_7344);
        let side = Side { now: mix, before: mix, sum: 0 };
        Self { names, sides: [side; 2], is_of_link: false }
    }

    /// The numbers.
    pub(super) fn sums(mut self) -> [u64; 2] {
        self.end_link();
        self.sides.map(|it| sum_of((it.now.finish(), it.sum)))
    }

    /// What was said of a connection ends.
    pub(super) fn end_link(&mut self) {
        if self.is_of_link {
            for side in &mut self.sides {
                side.sum = side.sum.wrapping_add(side.now.finish());
                side.now = side.before;
            }
        }
        self.is_of_link = false;
    }

    fn plain(&mut self, it: u64) {
        for side in &mut self.sides {
            side.now.write_u64(it);
        }
    }

    fn server(&mut self, number: u8) {
        let places = match self.names {
            Names::Own => [number; 2],
            Names::Seen { by, .. } => places(number, by),
        };
        for (side, place) in self.sides.iter_mut().zip(places) {
            let mut mix = side.now;
            mix.write_u8(place + 1);
            side.sum = side.sum.wrapping_add(mix.finish());
        }
    }

    fn link(&mut self, number: u8) {
        self.end_link();
        self.is_of_link = true;
        let learner = super::state::learner_of(number);
        let (places, older) = match self.names {
            Names::Own => ([learner; 2], number),
            Names::Seen { by, older, .. } => (places(learner, by), older[usize::from(number)]),
        };
        for (side, place) in self.sides.iter_mut().zip(places) {
            side.before = side.now;
            side.now.write_u8(place + 1);
            side.now.write_u8(older);
        }
    }
}

impl Hasher for Namer<'_> {
    fn finish(&self) -> u64 {
        self.sides[0].now.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        for side in &mut self.sides {
            side.now.write(bytes);
        }
    }

    fn write_u8(&mut self, it: u8) {
        self.plain(u64::from(it));
    }

    fn write_u32(&mut self, it: u32) {
        self.plain(u64::from(it));
    }

    fn write_u64(&mut self, it: u64) {
        if let Some(number) = it.checked_sub(LINKS).and_then(|it| u8::try_from(it).ok()) {
            return self.link(number);
        }
        match self.names {
            Names::Seen { durable, .. } if it < WRITES => self.plain(it.saturating_sub(durable)),
            _ => self.plain(it),
        }
    }

    fn write_usize(&mut self, it: usize) {
        self.plain(it as u64);
    }

    fn write_i64(&mut self, it: i64) {
        match it.checked_sub(SIDS).and_then(|it| u8::try_from(it).ok()) {
            Some(number) if number < SERVERS => self.server(number),
            _ => self.plain(it as u64),
        }
    }
}
