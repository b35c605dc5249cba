//! Purge: which segments the oldest retained image still needs.
//!
//! ZooKeeper: `PurgeTxnLog.retainNRecentSnapshots`, `FileTxnSnapLog.findNValidSnapshots`. Pure.

use jute::Zxid;

/// How many of the oldest segments nobody needs who starts from an image at `image_zxid`.
///
/// `firsts` are the segments' first zxids, ascending. Kept: every segment that may hold a zxid above the image's, and always the newest.
/// The one that starts at or before the image is kept even if it ends there: it shows that nothing is missing in between.
pub fn unneeded(firsts: &[Zxid], image_zxid: Zxid) -> usize {
    assert!(firsts.is_sorted_by(|a, b| a < b));
    firsts.partition_point(|&it| it <= image_zxid).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_that_starts_before_the_image_stays_and_those_before_it_go() {
        let firsts = [10, 20, 30].map(Zxid);
        let want = [(5, 0), (9, 0), (10, 0), (19, 0), (20, 1), (25, 1), (30, 2), (99, 2)];
        for (image, count) in want {
            assert_eq!(unneeded(&firsts, Zxid(image)), count, "image at {image}");
        }
        assert_eq!(unneeded(&[], Zxid(5)), 0);
    }
}
