//! Rules of the figures.

use super::*;

fn shown(summary: &Summary) -> String {
    format!(
        "{:?} {} {} {} {}",
        summary.avg(),
        summary.min(),
        summary.max,
        summary.count,
        summary.sum
    )
}

#[test]
fn a_summary_without_observations_is_all_zero() {
    assert_eq!(shown(&Summary::default()), "0.0 0 0 0 0");
    assert_eq!(Percentiles::default().quantile(0.5), 0);
}

#[test]
fn an_average_has_four_decimals_rounded_half_up() {
    let mut latency = Summary::default();
    for value in [1, 2, 4] {
        latency.add(value);
    }
    assert_eq!(shown(&latency), "2.3333 1 4 3 7");
    latency.add_times(0, 3);
    assert_eq!(shown(&latency), "1.1667 0 4 6 7");
}

#[test]
fn merging_is_as_if_one_had_observed_all() {
    let (mut one, mut other, mut both) =
        (Percentiles::default(), Percentiles::default(), Percentiles::default());
    for value in 0..1_000_u64 {
        let side = if value % 3 == 0 { &mut one } else { &mut other };
        side.add(value * value);
        both.add(value * value);
    }
    one.merge(&other);
    assert_eq!(one, both);
    one.merge(&Percentiles::default());
    assert_eq!(one, both);
}

#[test]
fn observing_a_value_many_times_is_observing_it_often() {
    let (mut once, mut often) = (Percentiles::default(), Percentiles::default());
    once.add_times(17, 5);
    once.add_times(1, 0);
    (0..5).for_each(|_| often.add(17));
    assert_eq!(once, often);
}

#[test]
fn small_quantiles_are_exact() {
    let mut seen = Percentiles::default();
    (1..=15).for_each(|it| seen.add(it));
    for (share, value) in [(0.0, 1), (0.5, 8), (0.95, 15), (1.0, 15)] {
        assert_eq!(seen.quantile(share), value, "{share}");
    }
}

#[test]
fn large_quantiles_are_within_an_eighth() {
    let mut seen = Percentiles::default();
    (1..=100_000).for_each(|it| seen.add(it));
    for (share, value) in [(0.5, 50_000_u64), (0.95, 95_000), (0.99, 99_000), (0.999, 99_900)] {
        let found = seen.quantile(share);
        assert!(value <= found && found <= value + value / 8, "{share}: {found}");
    }
}

#[test]
fn buckets_follow_each_other_without_gap() {
    assert_eq!(bucket_of(0), 0);
    for bucket in 0..BUCKETS - 1 {
        let last = last_of(bucket);
        assert_eq!((bucket_of(last), bucket_of(last + 1)), (bucket, bucket + 1), "{bucket}");
    }
    assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
}

#[test]
fn sizes_start_at_minus_one() {
    let mut sizes = Sizes::default();
    assert_eq!(sizes.last_min_max(), (-1, -1, -1));
    for len in [54, 16, 93] {
        sizes.add(len);
    }
    assert_eq!(sizes.last_min_max(), (93, 16, 93));
    let mut merged = Sizes::default();
    merged.merge(&sizes);
    merged.merge(&Sizes::default());
    assert_eq!(merged, sizes);
}

#[test]
fn figures_of_two_threads_add_up() {
    let mut one = ShardFigures { packets_sent: 2, ..ShardFigures::default() };
    let mut other =
        ShardFigures { packets_sent: 3, auth_failed_count: 1, ..ShardFigures::default() };
    one.latency.add(4);
    other.latency.add(6);
    one.merge(&other);
    assert_eq!((one.packets_sent, one.auth_failed_count), (5, 1));
    assert_eq!((one.latency.count, one.latency.sum), (2, 10));
}
