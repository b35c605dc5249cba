//! What a member of an ensemble asks of its log: to be cut, to begin anew, to be read while it is written.

use std::path::Path;

use jute::Zxid;
use wal::{Base, Log, LogReader, Options, ReadError};

use crate::rig::{Chance, assert_records, batch, open, record, run, small};

const SEGMENT_LEN: u64 = 32 << 10;
const BODY_LEN: usize = 700;

/// Appends batches of one to eight records behind `last`, until `upto`.
fn fill(log: &mut Log, last: i64, upto: i64, chance: &mut Chance) {
    let mut last = last;
    while last < upto {
        let end = upto.min(last + 1 + chance.below(8) as i64);
        log.append(&batch(last + 1..=end, BODY_LEN)).unwrap();
        last = end;
    }
}

/// A log in `dir` with records 1 to `upto`, handed to `body`.
fn with_log(dir: &Path, upto: i64, options: &Options, body: impl FnOnce(Log, &mut Chance) + Send) {
    let (_, tail, _) = open(dir, options, 0).unwrap();
    run(move || {
        let mut chance = Chance(7);
        let mut log = Log::start(tail, || 0).unwrap();
        fill(&mut log, 0, upto, &mut chance);
        body(log, &mut chance);
    });
}

/// The zxids in (`after`, `upto`], some at a time.
fn read(
    reader: &LogReader,
    after: i64,
    upto: i64,
    bytes_max: usize,
) -> Result<Vec<i64>, ReadError> {
    let mut cursor = reader.range(Zxid(after), Zxid(upto))?;
    let mut got = Vec::new();
    while !cursor.is_done() {
        let mut bytes = 0;
        cursor.read(bytes_max, |zxid, bytes_of_it| {
            assert!(bytes < bytes_max, "it stops behind the record that reaches the limit");
            assert_eq!(bytes_of_it, record(zxid.0, BODY_LEN));
            bytes += bytes_of_it.len();
            got.push(zxid.0);
        })?;
    }
    Ok(got)
}

#[test]
fn a_cut_log_ends_there_goes_on_and_opens_again() {
    let options = small(SEGMENT_LEN);
    for to in [1, 2, 57, 58, 59, 60, 99, 150, 199, 200, 250] {
        let dir = tempfile::tempdir().unwrap();
        with_log(dir.path(), 200, &options, |mut log, chance| {
            log.truncate(Zxid(to)).unwrap();
            let end = to.min(200);
            assert_eq!(log.last_zxid(), Zxid(end));
            assert_eq!(
                read(&log.reader(), 0, end, 1 << 20).unwrap(),
                (1..=end).collect::<Vec<_>>()
            );
            if to % 2 == 0 {
                fill(&mut log, end, end + 90, chance);
                log.truncate(Zxid(end + 33)).unwrap();
                fill(&mut log, end + 33, end + 50, chance);
            }
        });
        let end = to.min(200) + if to % 2 == 0 { 50 } else { 0 };
        let (got, tail, report) = open(dir.path(), &options, 0).unwrap();
        assert_records(&got, 1..=end, BODY_LEN);
        assert_eq!(tail.last_zxid(), Zxid(end), "to {to}");
        // What was written behind a cut may be shorter than what it lies on.
        assert!(to % 2 == 0 || report.cut.is_none(), "to {to}: {:?}", report.cut);
    }
}

#[test]
fn a_log_cut_in_front_of_its_first_segment_is_empty_and_goes_on() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), 100, &options, |mut log, chance| {
        log.truncate(Zxid(0)).unwrap();
        assert_eq!(log.last_zxid(), Zxid(0));
        assert_eq!(log.reader().floor(Zxid(5)).unwrap(), Some(Zxid(0)));
        fill(&mut log, 0, 30, chance);
    });
    assert_records(&open(dir.path(), &options, 0).unwrap().0, 1..=30, BODY_LEN);
}

#[test]
fn a_log_begins_anew_behind_an_image() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    let mut void = 0;
    with_log(dir.path(), 100, &options, |mut log, chance| {
        void = log.sequence();
        log.restart(Zxid(80)).unwrap();
        assert_eq!(log.last_zxid(), Zxid(80));
        assert_eq!(log.reader().floor(Zxid(79)).unwrap(), None);
        fill(&mut log, 90, 140, chance);
        assert_eq!(log.reader().floor(Zxid(89)).unwrap(), Some(Zxid(80)));
        assert_eq!(log.reader().floor(Zxid(95)).unwrap(), Some(Zxid(95)));
        assert_eq!(log.reader().floor(Zxid(79)).unwrap(), None);
        assert_eq!(read(&log.reader(), 80, 140, 5_000).unwrap(), (91..=140).collect::<Vec<_>>());
    });
    assert!(1 < void);
    let base = Base { zxid: Zxid(80), void_sequence: void };
    let mut got = Vec::new();
    let opened = wal::open(
        dir.path(),
        &options,
        base,
        wal::each(|zxid, bytes| {
            got.push((zxid.0, bytes.to_vec()));
            Ok::<_, std::convert::Infallible>(())
        }),
    );
    opened.unwrap();
    assert_records(&got, 91..=140, BODY_LEN);
}

#[test]
fn what_a_crash_left_of_a_log_that_began_anew_is_not_what_follows_the_image() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    let mut void = 0;
    // The image is durable, and nothing of the log is gone yet.
    with_log(dir.path(), 100, &options, |log, _| void = log.sequence());
    let base = Base { zxid: Zxid(80), void_sequence: void };
    for _ in 0..2 {
        let none = |zxid: Zxid, _: &[u8]| -> Result<(), u8> { panic!("{zxid} was applied") };
        let (tail, report) = wal::open(dir.path(), &options, base, wal::each(none)).unwrap();
        assert_eq!((report.last_zxid, report.segments), (Zxid(80), 0));
        drop(tail);
    }
    let (tail, _) = wal::open(dir.path(), &options, base, |_| Ok::<_, (Zxid, u8)>(())).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        fill(&mut log, 80, 90, &mut Chance(3));
        assert!(void < log.sequence(), "its segments are told from those that are void");
    });
    let (_, report) = wal::open(dir.path(), &options, base, |_| Ok::<_, (Zxid, u8)>(())).unwrap();
    assert_eq!((report.records, report.last_zxid), (10, Zxid(90)));
}

#[test]
fn any_range_is_read_in_pieces_of_any_size() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), 300, &options, |log, chance| {
        let reader = log.reader();
        for _ in 0..200 {
            let after = chance.below(301) as i64;
            let upto = after + chance.below(301 - after as u64) as i64;
            let bytes_max = 1 + chance.below(9_000) as usize;
            let got = read(&reader, after, upto, bytes_max).unwrap();
            assert_eq!(got, (after + 1..=upto).collect::<Vec<_>>());
            assert_eq!(reader.floor(Zxid(after)).unwrap(), Some(Zxid(after)));
        }
        assert_eq!(reader.floor(Zxid(999)).unwrap(), Some(Zxid(300)));
        assert_eq!(reader.floor(Zxid(-1)).unwrap(), None);
    });
}

#[test]
fn a_range_is_as_long_as_its_frames() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        for zxid in 1..=300 {
            log.append(&batch(zxid..=zxid, BODY_LEN)).unwrap();
        }
        let reader = log.reader();
        let longer = |after, upto, len| reader.is_longer(Zxid(after), Zxid(upto), len).unwrap();
        let one = (0..2_000).find(|&len| !longer(7, 8, len)).unwrap();
        assert!((BODY_LEN as u64..BODY_LEN as u64 + 200).contains(&one), "{one}");
        for (after, upto) in [(0, 1), (0, 9), (40, 49), (250, 300), (0, 300)] {
            let len = one * (upto - after) as u64;
            assert!(longer(after, upto, len - 1) && !longer(after, upto, len), "{after} to {upto}");
        }
        assert!(!longer(300, 300, 0) && !longer(9, 7, 0));
    });
}

#[test]
fn the_floor_of_a_zxid_that_is_not_there_is_the_one_before_it() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), 40, &options, |mut log, _| {
        log.append(&batch(50..=52, BODY_LEN)).unwrap();
        log.append(&batch(60..=99, BODY_LEN)).unwrap();
        let floor = |zxid| log.reader().floor(Zxid(zxid)).unwrap().unwrap().0;
        assert_eq!([floor(40), floor(45), floor(50), floor(55), floor(60)], [40, 40, 50, 52, 60]);
    });
}

#[test]
fn a_reader_reads_while_the_log_is_written() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), 50, &options, |mut log, chance| {
        let mut last = 50;
        for _ in 0..12 {
            let reader = log.reader();
            std::thread::scope(|scope| {
                let reading = scope.spawn(move || read(&reader, 0, last, 3_000).unwrap());
                fill(&mut log, last, last + 60, chance);
                assert_eq!(reading.join().unwrap(), (1..=last).collect::<Vec<_>>());
            });
            last += 60;
        }
    });
}

#[test]
fn a_reader_of_what_is_purged_says_so() {
    let options = small(SEGMENT_LEN);
    let dir = tempfile::tempdir().unwrap();
    with_log(dir.path(), 300, &options, |mut log, chance| {
        let old = log.reader();
        let mut cursor = old.range(Zxid(0), Zxid(300)).unwrap();
        cursor.read(1, |zxid, _| assert_eq!(zxid, Zxid(1))).unwrap();
        log.releaser().release(Zxid(250));
        // The preparer takes its orders in turn: a cut that cuts nothing comes behind the release.
        log.truncate(Zxid(300)).unwrap();
        fill(&mut log, 300, 600, chance);
        let mut next = 2;
        let ended = loop {
            let read = cursor.read(4_000, |zxid, _| {
                assert_eq!(zxid, Zxid(next));
                next += 1;
            });
            match read {
                Ok(()) => assert!(next < 300, "the end came without the middle"),
                Err(error) => break error,
            }
        };
        assert!(matches!(ended, ReadError::Gap { .. }), "{ended}");
        assert_eq!(old.floor(Zxid(10)).unwrap(), None);
        let floor = log.reader().floor(Zxid(250)).unwrap();
        assert_eq!(floor, Some(Zxid(250)));
        assert_eq!(read(&log.reader(), 250, 600, 9_000).unwrap(), (251..=600).collect::<Vec<_>>());
    });
}
