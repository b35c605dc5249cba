//! Inspecting tells what is there and what is wrong, and changes nothing.

use std::convert::Infallible;

use wal::Log;
use wal::inspect::inspect;
use wal::replay::{Damage, Verdict};

use crate::rig::{assert_records, batch, open, run, small};

#[test]
fn a_running_logs_records_and_segments_are_listed_and_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(32 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    let path = dir.path().to_path_buf();
    let (got, reports) = run(move || async move {
        let mut log = Log::start(tail, || 1234).await.unwrap();
        for first in 0..30 {
            log.append(&batch(3 * first + 1..=3 * first + 3, 1000)).await.unwrap();
        }
        let mut got = Vec::new();
        let reports = inspect(&path, |zxid, bytes| {
            got.push((zxid.0, bytes.to_vec()));
            Ok::<_, Infallible>(())
        });
        log.close().await.unwrap();
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
