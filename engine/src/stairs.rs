//! A row that grows by a quarter of each doubling, so that growth neither copies nor wastes.
//!
//! Segment 0 holds 2^`base` items, and each doubling after it comes as four segments of equal length.

/// The segment and the place in it of item `i`, for a first segment of 2^`base` items.
pub(crate) const fn place(base: u32, i: u64) -> (u64, u64) {
    if i >> base == 0 {
        return (0, i);
    }
    let low = i.ilog2();
    let quarter = low - 2;
    let segment = 1 + (low - base) as u64 * 4 + ((i >> quarter) & 3);
    (segment, i & ((1 << quarter) - 1))
}

/// How many items segment `segment` holds.
pub(crate) const fn segment_len(base: u32, segment: u64) -> u64 {
    if segment == 0 { 1 << base } else { 1 << (base + ((segment - 1) / 4) as u32 - 2) }
}

/// How many items the first `segments` segments hold.
pub(crate) const fn capacity(base: u32, segments: u64) -> u64 {
    if segments == 0 {
        return 0;
    }
    let (doublings, quarters) = ((segments - 1) / 4, (segments - 1) % 4);
    (1 << (base as u64 + doublings)) + quarters * segment_len(base, segments)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn items_fill_one_segment_after_the_other() {
        for base in [2, 6, 9] {
            let (mut segment, mut at) = (0, 0);
            for i in 0..100_000 {
                if at == segment_len(base, segment) {
                    assert_eq!(capacity(base, segment + 1), i);
                    (segment, at) = (segment + 1, 0);
                }
                assert_eq!(place(base, i), (segment, at));
                at += 1;
            }
        }
    }
}
