//! Chance, from one seed: a stream for each thing that is left to it, so that a new draw in one leaves the others as they were.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.

use std::ops::Range;

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

/// What is left to chance.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// The size of the world, and its settings.
    World = 1,
    /// Delays and cuts.
    Net = 2,
    /// Times of writes, and what a crash leaves of them.
    Disk = 3,
    /// What clients do.
    Load = 4,
    /// What goes wrong, and when.
    Faults = 5,
    /// Who is said to lead without having been elected.
    Election = 6,
    /// Whether members change, when, and how.
    Members = 7,
    /// What disks are like, and what becomes of their bytes.
    Damage = 8,
    /// How clocks go.
    Clocks = 9,
    /// Delays between clients and servers, and what neither hears of.
    Wires = 12,
    /// What wall clocks are set to.
    WallClocks = 13,
    /// Where counters begin.
    Counters = 14,
    /// Which clients have nothing to ask.
    Idlers = 15,
    /// Whether sessions begin as local ones.
    Locals = 16,
    /// Whether followers tell observers.
    Masters = 17,
    /// Whether most clients only read.
    Readers = 18,
    /// Which servers speak as the reference's do.
    Protocols = 21,
}

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64, stream: Stream) -> Self {
        let mut chance = Self(seed ^ (stream as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
        chance.draw();
        chance
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    /// A number of the range, which is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end);
        range.start + self.draw() % (range.end - range.start)
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        self.within(0..len as u64) as usize
    }

    /// Whether something that happens `per_mille` times in a thousand happens.
    pub fn hits(&mut self, per_mille: u64) -> bool {
        self.within(0..1_000) < per_mille
    }
}
