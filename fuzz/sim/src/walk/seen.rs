//! Which states were seen, by 64 bits of each and what may still happen in it.
//!
//! A state of which the like was seen where as much and more may still happen is not followed: everything that can come of it comes of that one.
//! A state that has the number of another is not followed either. Among n states that happens to n²/2⁶⁵ in the mean: to one in 1,000 walks of two
//! hundred million.

/// What may still happen: five numbers up to 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Left(u16);

impl Left {
    /// The highest of each of the numbers.
    const MAX: u8 = 3;

    /// Of these.
    pub fn new(numbers: [u8; 5]) -> Self {
        assert!(numbers.iter().all(|&it| it <= Self::MAX), "{numbers:?}: up to 3 of each");
        Self(numbers.iter().fold(0, |all, &it| all << 2 | u16::from(it)))
    }

    fn numbers(self) -> impl Iterator<Item = u16> {
        (0..5).map(move |it| self.0 >> (2 * it) & 3)
    }

    /// How much that is.
    pub fn total(self) -> u16 {
        self.numbers().sum()
    }

    /// Whether all that the other allows is allowed.
    pub fn allows(self, other: Self) -> bool {
        self.numbers().zip(other.numbers()).all(|(it, others)| others <= it)
    }
}

/// What a walk does with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// It is new.
    New,
    /// It was seen in an earlier turn, and not yet in this one.
    Again,
    /// It was seen in this turn, or is no more than one that was seen.
    Known,
}

/// States that were seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Numbers; 0 where there is none.
    sums: Vec<u64>,
    /// What was left, in ten bits, and in which turn that was seen last.
    marks: Vec<u16>,
    count: usize,
}

/// Where a mark's turn begins.
const TURN: u32 = 10;

impl Seen {
    pub(super) fn new() -> Self {
        Self { sums: vec![0; 1 << 10], marks: vec![0; 1 << 10], count: 0 }
    }

    /// Notes a state in this turn.
    pub(super) fn visit(&mut self, sum: u64, left: Left, turn: u16) -> Visit {
        if self.sums.len() / 4 * 3 < self.count {
            self.grow();
        }
        let (sum, mask) = (sum.max(1), self.sums.len() - 1);
        let mut at = sum as usize & mask;
        while self.sums[at] != 0 {
            if self.sums[at] == sum {
                let its = Left(self.marks[at] & ((1 << TURN) - 1));
                if its == left && self.marks[at] >> TURN < turn {
                    self.marks[at] = left.0 | turn << TURN;
                    return Visit::Again;
                }
                if its.allows(left) {
                    return Visit::Known;
                }
            }
            at = (at + 1) & mask;
        }
        (self.sums[at], self.marks[at]) = (sum, left.0 | turn << TURN);
        self.count += 1;
        Visit::New
    }

    fn grow(&mut self) {
        let len = self.sums.len() * 2;
        let sums = std::mem::replace(&mut self.sums, vec![0; len]);
        let marks = std::mem::replace(&mut self.marks, vec![0; len]);
        for (sum, mark) in sums.into_iter().zip(marks).filter(|it| it.0 != 0) {
            let mut at = sum as usize & (len - 1);
            while self.sums[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            (self.sums[at], self.marks[at]) = (sum, mark);
        }
    }
}
