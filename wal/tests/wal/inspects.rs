//! Inspecting tells what is there and what is wrong, and changes nothing.

#![expect(clippy::disallowed_methods, reason = "a driver: it reads the clock")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jute::Zxid;
use wal::inspect::inspect;
use wal::replay::{Damage, Verdict};
use wal::scan::Stop;
use wal::{Log, LogTail};

use crate::rig::{assert_records, batch, open, record, run, small};

#[test]
fn a_running_logs_records_and_segments_are_listed_and_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(32 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    let path = dir.path().to_path_buf();
    let (got, reports) = run(move || {
        let mut log = Log::start(tail, || 1234).unwrap();
        for first in 0..30 {
            log.append(&batch(3 * first + 1..=3 * first + 3, 1000)).unwrap();
        }
        let mut got = Vec::new();
        let reports = inspect(&path, |zxid, bytes| {
            got.push((zxid.0, bytes.to_vec()));
            Ok::<_, Infallible>(())
        });
        (got, reports.unwrap())
    });
    assert_records(&got, 1..=90, 1000);
    assert!(3 < reports.len());
    assert_eq!(
        reports
            .iter()
            .map(|it| (it.frames, it.records))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
        (30, 90)
    );
    let (last, older) = reports.split_last().unwrap();
    assert!(
        older
            .iter()
            .all(|it| it.verdict == Verdict::Next && it.header.unwrap().begun_at_ms == 1234)
    );
    assert_eq!((last.verdict, last.last_zxid.0), (Verdict::Tail, 90));

    let damaged = &reports[1].path;
    let mut bytes = std::fs::read(damaged).unwrap();
    bytes[4096 + 70] ^= 4;
    std::fs::write(damaged, bytes).unwrap();
    let after = inspect(dir.path(), |_, _| Ok::<_, Infallible>(())).unwrap();
    assert_eq!(
        (after.len(), after[1].verdict, after[1].used),
        (reports.len(), Verdict::Refuse(Damage::Frame), 4096)
    );
    assert_eq!(after[2].verdict, Verdict::Next);
}

#[test]
fn a_log_that_is_written_and_recycled_meanwhile_is_never_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(128 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    let written = Arc::new(AtomicI64::new(0));
    let writer = {
        let written = Arc::clone(&written);
        std::thread::spawn(move || run(move || write_and_release(tail, &written)))
    };
    let (mut looks, mut most) = (0, 0);
    while !writer.is_finished() {
        let (before, mut last) = (written.load(Relaxed), 0);
        let reports = inspect(dir.path(), |zxid, bytes| {
            assert!(last < zxid.0 && bytes == record(zxid.0, BODY_LEN), "{zxid} after {last}");
            last = zxid.0;
            Ok::<_, Infallible>(())
        });
        let reports = reports.unwrap();
        for report in &reports {
            assert!(!matches!(report.verdict, Verdict::Refuse(_)), "{report:#?}");
            assert!(report.stop != Some(Stop::Bad) || report.verdict == Verdict::Tail);
        }
        // Where the look was so slow that what was newest is released by now, it may have seen anything.
        let released = before + KEPT < written.load(Relaxed);
        assert!(before <= last || released, "{last} of {before} written before");
        looks += 1;
        most = most.max(reports.len());
    }
    writer.join().unwrap();
    assert!(20 < looks && 2 < most, "{looks} looks, {most} segments at most");
    let (_, tail, _) = open(dir.path(), &options, written.load(Relaxed)).unwrap();
    assert_eq!(tail.last_zxid().0, written.load(Relaxed));
}

const BODY_LEN: usize = 3000;
/// Zxids behind the last that are not released.
const KEPT: i64 = 90;

/// For two seconds; segments live for some milliseconds.
fn write_and_release(tail: LogTail, written: &AtomicI64) {
    let mut log = Log::start(tail, || 0).unwrap();
    let releaser = log.releaser();
    let mut zxid = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        log.append(&batch(zxid + 1..=zxid + 3, BODY_LEN)).unwrap();
        zxid += 3;
        written.store(zxid, Relaxed);
        if zxid % 99 == 0 {
            releaser.release(Zxid(zxid - KEPT));
        }
    }
}
