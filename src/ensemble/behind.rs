//! Inputs that come behind transactions which the pipeline holds and has not offered yet: a learner's `sync`, and that a session is over.
//!
//! Invariant: they come in the order in which they were put in. Absent here: what the inputs are.

use std::collections::VecDeque;

/// What waits, each with how many transactions come before it.
#[derive(Debug)]
pub(super) struct Behind<T>(VecDeque<(u32, T)>);

impl<T> Default for Behind<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Behind<T> {
    /// Waits until so many, which the pipeline holds now, are offered.
    pub(super) fn push(&mut self, held: u32, what: T) {
        self.0.push_back((held, what));
    }

    /// The next that waits for no more than the first `offered` of the batch that is being offered.
    pub(super) fn pop(&mut self, offered: u32) -> Option<T> {
        self.0.pop_front_if(|it| it.0 <= offered).map(|it| it.1)
    }

    /// The batch, of so many, is offered: the rest waits for those behind it.
    pub(super) fn end_batch(&mut self, count: u32) {
        for (held, _) in &mut self.0 {
            // Less is one that comes behind an input that waits for more.
            *held = held.saturating_sub(count);
        }
    }

    /// Nobody waits any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers a batch; what came behind which of its transactions.
    fn offer(behind: &mut Behind<char>, count: u32) -> Vec<(u32, char)> {
        let mut came = Vec::new();
        for offered in 1..=count {
            while let Some(what) = behind.pop(offered) {
                came.push((offered, what));
            }
        }
        behind.end_batch(count);
        came
    }

    #[test]
    fn each_comes_behind_what_was_held_when_it_came_over_several_batches_of_one_turn() {
        let mut behind = Behind::default();
        for (held, what) in [(2, 'a'), (3, 'b'), (3, 'c'), (5, 'd'), (9, 'e')] {
            behind.push(held, what);
        }
        assert_eq!(offer(&mut behind, 3), [(2, 'a'), (3, 'b'), (3, 'c')]);
        // Of the second batch two are still held behind its end: one comes while it waits.
        behind.push(7, 'f');
        assert_eq!(offer(&mut behind, 1), []);
        assert_eq!(offer(&mut behind, 4), [(1, 'd')]);
        assert_eq!(offer(&mut behind, 2), [(1, 'e'), (2, 'f')]);
        assert_eq!(offer(&mut behind, 5), []);
    }

    #[test]
    fn nobody_waits_after_the_role() {
        let mut behind = Behind::default();
        behind.push(1, 'a');
        behind.clear();
        assert_eq!(offer(&mut behind, 2), []);
    }
}
