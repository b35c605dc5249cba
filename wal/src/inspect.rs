//! Inspecting a log: list its segments, verify every checksum, read its records. Reads only; a running server's directory will do.
//!
//! ZooKeeper: `TxnLogToolkit`, `LogFormatter`. Driver, blocking. Each file is looked at through a memory map ([`FileMap`]), from back to front, while the
//! server goes on: it may append to the newest meanwhile, and rename, recycle or remove any. A file that has another name by the time it was read
//! may have been somebody else's bytes in part, and is left out.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jute::Zxid;

use crate::frame::BLOCK;
use crate::map::FileMap;
use crate::replay::{Outcome, Place, Replayer, Verdict, begun_spare};
use crate::scan::Stop;
use crate::segment::{FileName, HeaderFault, SegmentHeader};

/// What is in one segment.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// The file. A spare that was begun is a segment too.
    pub path: PathBuf,
    /// Bytes of the file.
    pub len: u64,
    /// Its header, or what is wrong with it.
    pub header: Result<SegmentHeader, HeaderFault>,
    /// Good frames.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Of the last record; the one before the segment, if it has none.
    pub last_zxid: Zxid,
    /// Bytes up to the end of the last good frame.
    pub used: u64,
    /// Why reading stopped; `None` if it stopped at the header. On a running server the frame being written may show as [`Stop::Bad`].
    pub stop: Option<Stop>,
    /// What replay would do about it.
    pub verdict: Verdict,
}

/// The log cannot be inspected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError<E> {
    /// The system refused a file or the directory.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The caller has seen enough, or could not go on.
    #[error("at zxid {zxid}: {source}")]
    Each {
        /// The record it was called with.
        zxid: Zxid,
        /// What it returned.
        source: E,
    },
}

/// Reads all segments of the log in `dir`, oldest first, gives every record of a good frame to `each`, and reports on each segment.
/// Goes on behind damage, which is in the reports.
///
/// # Errors
/// [`InspectError`].
pub fn inspect<E>(
    dir: &Path,
    each: impl FnMut(Zxid, &[u8]) -> Result<(), E>,
) -> Result<Vec<SegmentReport>, InspectError<E>> {
    let files = files(dir).map_err(at(dir))?;
    let mut each = crate::each(each);
    let mut reports = Vec::new();
    let mut replayer_slot: Option<Replayer> = None;
    let mut bytes = Vec::new();
    for (idx, (first_zxid, path)) in files.iter().enumerate() {
        let Some(path) = read(dir, *first_zxid, path, &mut bytes).map_err(at(path))? else {
            // Released since it was listed; and with it those before it.
            replayer_slot = None;
            continue;
        };
        let bytes = bytes.as_slice();
        let header = SegmentHeader::decode(bytes).map(|it| it.0);
        // The first one, and one behind damage, are taken as they are.
        let start = || Replayer::new(header.map_or(Zxid::ZERO, |it| it.prev_zxid), 0);
        let replayer = replayer_slot.get_or_insert_with(start);
        let (frames, records) = (replayer.frames, replayer.records);
        let place = if idx + 1 == files.len() { Place::Newest } else { Place::Older };
        let outcome = replayer.segment(*first_zxid, place, bytes, &mut each);
        let Outcome { verdict, offset, stop } =
            outcome.map_err(|(zxid, source)| InspectError::Each { zxid, source })?;
        reports.push(SegmentReport {
            path,
            len: bytes.len() as u64,
            header,
            frames: replayer.frames - frames,
            records: replayer.records - records,
            last_zxid: replayer.end().last_zxid,
            used: offset,
            stop,
            verdict,
        });
        if matches!(verdict, Verdict::Refuse(_)) {
            replayer_slot = None;
        }
    }
    Ok(reports)
}

/// The segments, oldest first, under whatever name.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<(Zxid, PathBuf)>> {
    // One spare becomes a segment at a time, and a segment lasts longer than a listing: the second is almost always the last.
    for _ in 0..LISTINGS_MAX {
        if let Some(files) = list(dir)? {
            return Ok(files);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// `None` if a spare was renamed meanwhile: its new name may have been missed.
fn list(dir: &Path) -> io::Result<Option<Vec<(Zxid, PathBuf)>>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        match entry.file_name().to_str().and_then(FileName::parse) {
            Some(FileName::Log(first_zxid)) => files.push((first_zxid, path)),
            Some(FileName::Spare(_)) => {
                let Some(begun) = begun(&path).map(Some).or_else(missing)? else {
                    return Ok(None);
                };
                files.extend(begun.map(|it| (it, path)));
            }
            Some(FileName::Unfinished(_)) | None => {}
        }
    }
    files.sort();
    files.dedup_by_key(|it| it.0);
    Ok(Some(files))
}

/// How often a directory is listed in which spares are renamed.
const LISTINGS_MAX: usize = 100;

/// The first zxid of a spare, if it was begun.
fn begun(path: &Path) -> io::Result<Option<Zxid>> {
    let map = FileMap::open(path)?;
    let mut bytes = vec![0; (map.len() as usize).min(BLOCK)];
    map.copy(0, &mut bytes)?;
    if SegmentHeader::decode(&bytes).is_err() {
        return Ok(None);
    }
    bytes.resize(map.len() as usize, 0);
    map.copy(0, &mut bytes)?;
    match begun_spare(&bytes) {
        Some(FileName::Log(first_zxid)) => Ok(Some(first_zxid)),
        Some(FileName::Spare(_) | FileName::Unfinished(_)) | None => Ok(None),
    }
}

/// Reads the segment listed at `path` into `bytes`; gives the name it had when that was done, if it is still this segment.
fn read(
    dir: &Path,
    first_zxid: Zxid,
    path: &Path,
    bytes: &mut Vec<u8>,
) -> io::Result<Option<PathBuf>> {
    let named = dir.join(FileName::Log(first_zxid).to_string());
    let Some(map) = FileMap::open(path).map(Some).or_else(missing)? else {
        // A spare is given its name a moment after it was begun.
        return if path == named { Ok(None) } else { read(dir, first_zxid, &named, bytes) };
    };
    bytes.clear();
    bytes.resize(map.len() as usize, 0);
    map.copy(0, bytes)?;
    let inode = map.file().metadata()?.ino();
    for name in [path, &named] {
        let now = fs::metadata(name).map(Some).or_else(missing)?;
        if now.is_some_and(|it| it.ino() == inode) {
            return Ok(Some(name.to_path_buf()));
        }
    }
    Ok(None)
}

fn missing<T>(err: io::Error) -> io::Result<Option<T>> {
    if err.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(err) }
}

fn at<E>(path: &Path) -> impl FnOnce(io::Error) -> InspectError<E> {
    let path = path.to_path_buf();
    move |source| InspectError::Io { path, source }
}
