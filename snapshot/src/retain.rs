//! Retention: which images stay, and what the log must keep for them.
//!
//! ZooKeeper: `PurgeTxnLog`, `autopurge.snapRetainCount`. **Differs:** an image that does not load does not count, so that newer damaged ones
//! cannot push out the last good one. Pure.

use alloc::vec::Vec;

use jute::Zxid;

/// Whether an image would load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Every checksum holds.
    Valid,
    /// It would not load. Kept while it is newer than the oldest one kept: somebody may want to look at it.
    Damaged,
}

/// What to do with the images of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// These can go, oldest first.
    pub remove: Vec<Zxid>,
    /// The oldest valid image that stays: the log is needed from here on. `None`: all of the log is needed.
    pub oldest_kept: Option<Zxid>,
}

/// Keeps the newest `count` valid images, at least one, and everything newer than the oldest of them.
pub fn choose(images: &[(Zxid, Validity)], count: usize) -> Retention {
    assert!(images.is_sorted_by(|a, b| a.0 < b.0));
    let valid = images.iter().filter(|it| it.1 == Validity::Valid).map(|it| it.0);
    let oldest_kept = valid.rev().take(count.max(1)).last();
    let gone =
        images.iter().map(|it| it.0).filter(|&it| oldest_kept.is_some_and(|oldest| it < oldest));
    // With fewer valid ones than wanted, nothing goes: an older, damaged one may be all there is to repair from.
    let enough = images.iter().filter(|it| it.1 == Validity::Valid).count() >= count.max(1);
    Retention { remove: if enough { gone.collect() } else { Vec::new() }, oldest_kept }
}

#[cfg(test)]
mod tests {
    use super::Validity::{Damaged, Valid};
    use super::*;

    fn chosen(images: &[Validity], count: usize) -> (Vec<i64>, Option<i64>) {
        let images: Vec<_> = (1..).map(Zxid).zip(images.iter().copied()).collect();
        let Retention { remove, oldest_kept } = choose(&images, count);
        (remove.into_iter().map(|it| it.0).collect(), oldest_kept.map(|it| it.0))
    }

    #[test]
    fn the_newest_valid_images_stay() {
        assert_eq!(chosen(&[Valid; 5], 3), (vec![1, 2], Some(3)));
        assert_eq!(chosen(&[Valid; 2], 3), (vec![], Some(1)));
        assert_eq!(chosen(&[], 3), (vec![], None));
    }

    #[test]
    fn a_damaged_image_does_not_count() {
        assert_eq!(chosen(&[Valid, Valid, Valid, Damaged, Damaged], 2), (vec![1], Some(2)));
        assert_eq!(chosen(&[Damaged, Valid, Damaged, Valid], 2), (vec![1], Some(2)));
        assert_eq!(chosen(&[Damaged, Damaged, Valid], 2), (vec![], Some(3)));
        assert_eq!(chosen(&[Damaged, Damaged], 1), (vec![], None));
    }

    #[test]
    fn one_image_stays_even_if_none_is_asked_for() {
        assert_eq!(chosen(&[Valid, Valid], 0), (vec![1], Some(2)));
    }

    #[test]
    fn of_every_mix_of_six_images_enough_stays_to_recover_from_each_valid_one_kept() {
        for mix in 0..1_u32 << 6 {
            for count in 1..4 {
                let images: Vec<_> = (0..6)
                    .map(|it| (Zxid(it + 1), if mix >> it & 1 == 1 { Valid } else { Damaged }))
                    .collect();
                let Retention { remove, oldest_kept } = choose(&images, count);
                let kept = images.iter().filter(|it| !remove.contains(&it.0));
                let valid_kept: Vec<_> = kept.filter(|it| it.1 == Valid).map(|it| it.0).collect();
                let valid = mix.count_ones() as usize;
                assert!(count.min(valid) <= valid_kept.len(), "{mix:06b} {count}");
                // The log reaches back to the oldest of the wanted ones, and nothing that is kept and newer lies before it.
                assert_eq!(oldest_kept.is_some(), 0 < valid);
                assert!(oldest_kept.is_none_or(|oldest| valid_kept.contains(&oldest)));
            }
        }
    }
}
