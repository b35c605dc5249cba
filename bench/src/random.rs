//! Chance from a seed: the same seed asks for the same znodes in the same order.

/// How keys are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Keys {
    /// Each as often as any other.
    #[default]
    Uniform,
    /// A few very often: YCSB's zipfian with constant 0.99, the popular ones spread over all.
    Zipfian,
    /// The same, where the newest are the popular ones.
    Latest,
}

/// A xorshift generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// From a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to `below`, exclusive.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(below.max(1))) >> 64) as u64
    }

    /// From 0 to 1, exclusive.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Zipf's law over a number of ranks. Source: Gray and others, "Quickly generating billion-record synthetic databases", as in YCSB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zipf {
    count: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

const THETA: f64 = 0.99;

impl Zipf {
    /// Over ranks 0 to `count`.
    pub(crate) fn new(count: u64) -> Self {
        let zeta = |n: u64| (1..=n).map(|rank| (rank as f64).powf(-THETA)).sum::<f64>();
        let count = count.max(2);
        let (all, two) = (zeta(count), zeta(2));
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - THETA)) / (1.0 - two / all);
        Self { count: count as f64, zeta: all, alpha: 1.0 / (1.0 - THETA), eta }
    }

    /// A rank; 0 is the most popular.
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        let unit = random.unit();
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            0
        } else if scaled < 1.0 + 0.5_f64.powf(THETA) {
            1
        } else {
            (self.count * (self.eta * unit - self.eta + 1.0).powf(self.alpha)) as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, Zipf};

    #[test]
    fn the_first_rank_of_a_thousand_has_an_eighth_of_the_draws() {
        let zipf = Zipf::new(1_000);
        let mut random = Random::new(7);
        let draws: Vec<u64> = (0..100_000).map(|_| zipf.draw(&mut random)).collect();
        let first = draws.iter().filter(|rank| **rank == 0).count();
        assert!((11_000..15_000).contains(&first), "{first}");
        assert!(draws.iter().all(|rank| *rank < 1_000));
    }

    #[test]
    fn draws_are_even_and_below_their_bound() {
        let mut random = Random::new(1);
        let mut seen = [0; 10];
        for _ in 0..100_000 {
            seen[random.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (9_000..11_000).contains(count)), "{seen:?}");
    }
}
