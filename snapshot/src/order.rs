//! The order in which the chunks of an image are written: first those that the arena's writer changes most.
//!
//! Pure. A page that is changed before the image has it is kept aside meanwhile, and takes memory until it is written. Random creates change
//! every page of the index within a tenth of a second; whoever takes the index first keeps little of it.

/// Of one arena, from image to image.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Of each chunk: the most pages of it that were seen aside; halved from image to image, since what is taken first is never seen so.
    heat: Vec<u16>,
    /// Chunks that are still to be taken, the next one last.
    left: Vec<u32>,
    /// Takes until the heat is looked at again.
    until_looked: usize,
}

impl Order {
    /// Begins an image of so many chunks, of which it takes those that `is_wanted` names.
    pub(crate) fn begin(&mut self, chunk_count: u32, is_wanted: impl Fn(u32) -> bool) {
        self.heat.resize(chunk_count as usize, 0);
        self.left = (0..chunk_count).filter(|&it| is_wanted(it)).collect();
        self.sort();
        for heat in &mut self.heat {
            *heat /= 2;
        }
    }

    /// The next chunk, each once. `aside` tells how many pages of a chunk are aside now; it is asked of all that are left, some
    /// sixty times in an image.
    pub(crate) fn next(&mut self, aside: impl Fn(u32) -> u16) -> Option<u32> {
        if self.until_looked == 0 {
            for &chunk in &self.left {
                let heat = &mut self.heat[chunk as usize];
                *heat = aside(chunk).max(*heat);
            }
            self.sort();
        }
        self.until_looked -= 1;
        self.left.pop()
    }

    fn sort(&mut self) {
        // The hottest last, and of equals the first.
        let heat = &self.heat;
        self.left.sort_unstable_by_key(|it| (heat[*it as usize], u32::MAX - it));
        self.until_looked = (self.heat.len() / LOOKS).max(TAKES_MIN);
    }
}

/// How often in an image the heat is looked at.
const LOOKS: usize = 64;

/// At least so many chunks are taken between two looks.
const TAKES_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(order: &mut Order, aside: impl Fn(u32) -> u16 + Copy) -> Vec<u32> {
        core::iter::from_fn(|| order.next(aside)).collect()
    }

    #[test]
    fn where_nothing_changes_chunks_come_in_order_and_each_once() {
        let mut order = Order::default();
        for count in [0, 1, 7, 1000, 300] {
            order.begin(count, |_| true);
            assert!(all(&mut order, |_| 0).into_iter().eq(0..count), "{count}");
            order.begin(count, |it| it % 3 == 1);
            assert!(all(&mut order, |_| 0).into_iter().eq((1..count).step_by(3)), "{count}");
        }
    }

    #[test]
    fn what_changes_comes_soon_and_first_in_the_next_image() {
        let mut order = Order::default();
        let hot =
            |chunk: u32| if chunk % 100 == 99 { 60 } else { u16::from(chunk.is_multiple_of(2)) };
        order.begin(1000, |_| true);
        let first = all(&mut order, hot);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000), "each once");
        let at = |chunk| first.iter().position(|it| *it == chunk).unwrap();
        assert!((99..1000).step_by(100).all(|it| at(it) < 1000 / LOOKS + 10), "{first:?}");
        order.begin(1100, |_| true);
        assert_eq!(order.next(|_| 0), Some(99));
        let mut second = vec![99];
        second.extend(all(&mut order, |_| 0));
        assert!(second[..10].iter().copied().eq((99..1000).step_by(100)), "{:?}", &second[..10]);
    }
}
