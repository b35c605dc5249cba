//! What goes in comes out, over segments, restarts and images.

use wal::{Direct, ForceSync, Log, Options};

use crate::rig::{assert_records, batch, open, run, small};

/// Appends `batches` of `per_batch` records from `first` on, one after the other.
fn append(dir: &std::path::Path, options: &Options, first: i64, shape: (i64, i64, usize)) {
    let (batches, per_batch, body_len) = shape;
    let (_, tail, _) = open(dir, options, 0).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        for idx in 0..batches {
            let from = first + idx * per_batch;
            log.append(&batch(from..=from + per_batch - 1, body_len)).unwrap();
        }
        assert_eq!(log.last_zxid().0, first + batches * per_batch - 1);
    });
}

#[test]
fn records_come_back_over_restarts_and_segments() {
    for direct in [Direct::IfPossible, Direct::Off] {
        for force_sync in [ForceSync::On, ForceSync::Off] {
            let dir = tempfile::tempdir().unwrap();
            let options = Options { direct, force_sync, ..small(64 << 10) };
            append(dir.path(), &options, 1, (40, 3, 100));
            append(dir.path(), &options, 121, (7, 50, 1000));
            let (got, _, report) = open(dir.path(), &options, 0).unwrap();
            assert_records(&got[..120], 1..=120, 100);
            assert_records(&got[120..], 121..=470, 1000);
            assert!(6 < report.segments, "{report:?}");
            assert_eq!((report.records, report.cut), (470, None));
        }
    }
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &small(8 << 10), 1, (3, 10, 5000));
    let (got, _, _) = open(dir.path(), &small(8 << 10), 0).unwrap();
    assert_records(&got, 1..=30, 5000);
}

#[test]
fn only_what_is_above_the_image_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &small(16 << 10), 1, (30, 4, 300));
    for image in [0, 1, 57, 119, 120] {
        let (got, tail, _) = open(dir.path(), &small(16 << 10), image).unwrap();
        assert_records(&got, image + 1..=120, 300);
        assert_eq!(tail.last_zxid().0, 120);
    }
}

#[test]
fn released_segments_are_recycled_and_their_old_frames_never_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(16 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        for zxid in 1..=200 {
            log.append(&batch(zxid..=zxid, 500)).unwrap();
            log.releaser().release(jute::Zxid(zxid - 10));
        }
    });
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(files < 9, "{files} files after releasing all but the last ten transactions");
    let (got, _, _) = open(dir.path(), &options, 190).unwrap();
    assert_records(&got, 191..=200, 500);
}

#[test]
fn an_image_ahead_of_the_log_starts_a_new_segment_and_the_hole_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(64 << 10);
    append(dir.path(), &options, 1, (5, 1, 10));
    let (got, tail, _) = open(dir.path(), &options, 100).unwrap();
    assert!(got.is_empty());
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        log.append(&batch(101..=103, 10)).unwrap();
    });
    let (got, _, _) = open(dir.path(), &options, 100).unwrap();
    assert_records(&got, 101..=103, 10);
    // Without that image, 6 to 100 are missing.
    let refused = open(dir.path(), &options, 0).unwrap_err().to_string();
    assert!(refused.contains("missing"), "{refused}");
}
