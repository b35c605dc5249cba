//! What every test here needs: records, a thread, and the log opened to a list.

use std::convert::Infallible;
use std::path::Path;

use jute::Zxid;
use wal::{Batch, LogTail, OpenError, Options, ReplayReport};

/// A transaction as the log sees one: a `TxnHeader` with `zxid` in its place, and a body that depends on it.
pub(crate) fn record(zxid: i64, body_len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&0x55aa_i64.to_be_bytes());
    out.extend_from_slice(&7_i32.to_be_bytes());
    out.extend_from_slice(&zxid.to_be_bytes());
    out.extend_from_slice(&1_700_000_000_000_i64.to_be_bytes());
    out.extend_from_slice(&5_i32.to_be_bytes());
    out.extend((0..body_len).map(|it| (it as i64 ^ zxid) as u8));
    out
}

/// A batch of the records `zxids`, each with `body_len` bytes behind its header.
pub(crate) fn batch(zxids: std::ops::RangeInclusive<i64>, body_len: usize) -> Batch {
    let mut batch = Batch::default();
    for zxid in zxids {
        batch.push(Zxid(zxid), |out| out.extend_from_slice(&record(zxid, body_len)));
    }
    batch
}

/// Runs `body` on a thread of its own, as a log has.
pub(crate) fn run<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(body).join().unwrap())
}

/// Everything above `image_zxid`, with what [`wal::open`] gives.
pub(crate) type Opened =
    Result<(Vec<(i64, Vec<u8>)>, LogTail, ReplayReport), OpenError<Infallible>>;

/// Opens the log and collects what it delivers.
pub(crate) fn open(dir: &Path, options: &Options, image_zxid: i64) -> Opened {
    let mut got = Vec::new();
    let (tail, report) = wal::open(
        dir,
        options,
        Zxid(image_zxid),
        wal::each(|zxid, bytes| {
            got.push((zxid.0, bytes.to_vec()));
            Ok(())
        }),
    )?;
    Ok((got, tail, report))
}

/// Small segments, so that tests cross their edges.
pub(crate) fn small(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..Options::default() }
}

/// Asserts that `got` is exactly the records `zxids` with bodies of `body_len`.
pub(crate) fn assert_records(
    got: &[(i64, Vec<u8>)],
    zxids: std::ops::RangeInclusive<i64>,
    body_len: usize,
) {
    let want: Vec<_> = zxids.map(|it| (it, record(it, body_len))).collect();
    assert_eq!(
        got.iter().map(|it| it.0).collect::<Vec<_>>(),
        want.iter().map(|it| it.0).collect::<Vec<_>>()
    );
    assert!(got == want, "the zxids are right, the bytes are not");
}

/// A directory in memory where there is one: for tests with thousands of files, and one that takes no direct I/O on older kernels.
pub(crate) fn shm() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Chance from a seed: splitmix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `end` less one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
