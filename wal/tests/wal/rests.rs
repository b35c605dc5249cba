//! A log that rests: its seal, and what it proves.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jute::Zxid;
use wal::frame::BLOCK;
use wal::replay::Damage;
use wal::seal::Seal;
use wal::{ForceSync, Log, LogTail, OpenError, Options};

use crate::rig::{assert_records, batch, open, run, small};

const OPTIONS: Options = Options { segment_bytes: 64 << 10, force_sync: ForceSync::On, ..DEFAULT };
const DEFAULT: Options = Options {
    segment_bytes: 0,
    force_sync: ForceSync::On,
    direct: wal::Direct::IfPossible,
    reserve_bytes: 0,
};

/// The seals in the log's files: of which transaction, and where.
fn seals(dir: &Path) -> Vec<(i64, u64)> {
    let mut seals = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        // A spare may be getting its name.
        let Ok(bytes) = fs::read(entry.unwrap().path()) else { continue };
        let found = bytes.chunks(BLOCK).filter_map(Seal::decode);
        seals.extend(found.map(|it| (it.last_zxid.0, it.offset)));
    }
    seals
}

/// Rests until the log is sealed behind `zxid`.
fn rest(log: &mut Log, dir: &Path, zxid: i64) {
    let late = Instant::now() + Duration::from_secs(30);
    log.rest(5_000).unwrap();
    while !seals(dir).iter().any(|it| it.0 == zxid) {
        assert!(Instant::now() < late, "{:?}", seals(dir));
        log.rest(6_000).unwrap();
    }
    // It may be there before the ring says so.
    while log.is_sealing() {
        assert!(Instant::now() < late);
        log.rest(6_000).unwrap();
    }
}

/// A log of two frames, transactions 1 to 6, with its seal.
fn two_frames_at_rest(tail: LogTail, dir: &Path) -> Log {
    let mut log = Log::start(tail, || 0).unwrap();
    log.append(&batch(1..=3, 100)).unwrap();
    log.append(&batch(4..=6, 100)).unwrap();
    rest(&mut log, dir, 6);
    log
}

#[test]
fn a_log_that_has_rested_for_a_second_is_sealed_once_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (_, tail, _) = open(dir.path(), &OPTIONS, 0).unwrap();
    run(|| {
        let mut log = Log::start(tail, || 0).unwrap();
        log.rest(0).unwrap();
        log.rest(9_000).unwrap();
        assert!(!log.is_sealing(), "there is nothing to seal");
        log.append(&batch(1..=3, 100)).unwrap();
        log.rest(10_000).unwrap();
        log.rest(10_999).unwrap();
        assert!(!log.is_sealing());
        log.rest(11_000).unwrap();
        assert!(log.is_sealing());
        // It waits for the seal, and overwrites it.
        log.append(&batch(4..=6, 100)).unwrap();
        assert_eq!(seals(dir.path()), []);
        rest(&mut log, dir.path(), 6);
        assert_eq!(seals(dir.path()).len(), 1);
        log.rest(20_000).unwrap();
        assert!(!log.is_sealing(), "once is enough");
    });
    let (got, _, report) = open(dir.path(), &OPTIONS, 0).unwrap();
    assert_records(&got, 1..=6, 100);
    assert_eq!(report.cut, None);
}

#[test]
fn of_a_sealed_log_no_bit_of_the_last_frame_may_rot() {
    let dir = tempfile::tempdir().unwrap();
    let (_, tail, _) = open(dir.path(), &OPTIONS, 0).unwrap();
    run(|| {
        two_frames_at_rest(tail, dir.path());
    });
    let path = dir.path().join(format!("log.{:016x}", 1));
    let whole = fs::read(&path).unwrap();
    for byte in [0, 30, 60, 70, 400] {
        let mut rotten = whole.clone();
        rotten[2 * BLOCK + byte] ^= 1;
        fs::write(&path, rotten).unwrap();
        let Err(OpenError::Damaged { damage, offset, .. }) = open(dir.path(), &OPTIONS, 0) else {
            panic!("byte {byte} passes")
        };
        assert_eq!((damage, offset), (Damage::Frame, 2 * BLOCK as u64));
    }
    fs::write(&path, whole).unwrap();
    let (got, _, _) = open(dir.path(), &OPTIONS, 0).unwrap();
    assert_records(&got, 1..=6, 100);
}

#[test]
fn a_sealed_log_is_cut_and_begun_anew_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let (_, tail, _) = open(dir.path(), &OPTIONS, 0).unwrap();
    run(|| {
        let mut log = two_frames_at_rest(tail, dir.path());
        log.truncate(Zxid(2)).unwrap();
        assert_eq!(seals(dir.path()), []);
        rest(&mut log, dir.path(), 2);
        log.append(&batch(3..=4, 100)).unwrap();
        log.rest(0).unwrap();
        log.rest(5_000).unwrap();
        // The seal is on its way.
        log.truncate(Zxid(3)).unwrap();
        log.append(&batch(4..=5, 100)).unwrap();
    });
    let (got, tail, _) = open(dir.path(), &OPTIONS, 0).unwrap();
    assert_records(&got, 1..=5, 100);
    run(|| {
        let mut log = Log::start(tail, || 0).unwrap();
        rest(&mut log, dir.path(), 5);
        log.restart(Zxid(100)).unwrap();
        log.rest(9_000).unwrap();
        log.append(&batch(101..=103, 100)).unwrap();
    });
    let (got, _, _) = open(dir.path(), &OPTIONS, 100).unwrap();
    assert_records(&got, 101..=103, 100);
}

#[test]
fn a_log_that_is_not_forced_to_the_disk_has_no_seal() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { force_sync: ForceSync::Off, ..small(64 << 10) };
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    run(|| {
        let mut log = Log::start(tail, || 0).unwrap();
        log.append(&batch(1..=3, 100)).unwrap();
        log.rest(0).unwrap();
        log.rest(9_000).unwrap();
        assert!(!log.is_sealing());
    });
}
