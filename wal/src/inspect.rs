//! Inspecting a log: list its segments, verify every checksum, read its records. Reads only; a running server's directory will do.
//!
//! ZooKeeper: `TxnLogToolkit`, `LogFormatter`. Driver, blocking. **Differs** from mapping the files: they are read past the page cache, one
//! at a time, because a mapping of a file that shrinks ends the process, and because what is verified should be what the disk has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jute::Zxid;

use crate::disk;
use crate::frame::BLOCK;
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
    mut each: impl FnMut(Zxid, &[u8]) -> Result<(), E>,
) -> Result<Vec<SegmentReport>, InspectError<E>> {
    let files = files(dir).map_err(at(dir))?;
    let mut reports = Vec::new();
    let mut replayer_slot: Option<Replayer> = None;
    for (idx, (first_zxid, path)) in files.iter().enumerate() {
        let bytes = match disk::read_all(path) {
            // Released, or given its name, since it was listed.
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(at(path))?,
        };
        let bytes = bytes.bytes();
        let header = SegmentHeader::decode(bytes).map(|it| it.0);
        // The first one, and one behind damage, are taken as they are.
        let start = || Replayer::new(header.map_or(Zxid::ZERO, |it| it.prev_zxid));
        let replayer = replayer_slot.get_or_insert_with(start);
        let (frames, records) = (replayer.frames, replayer.records);
        let place = if idx + 1 == files.len() { Place::Newest } else { Place::Older };
        let outcome = replayer.segment(*first_zxid, place, bytes, &mut each);
        let Outcome { verdict, offset, stop } =
            outcome.map_err(|(zxid, source)| InspectError::Each { zxid, source })?;
        reports.push(SegmentReport {
            path: path.clone(),
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
fn files(dir: &Path) -> io::Result<Vec<(Zxid, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        match entry.file_name().to_str().and_then(FileName::parse) {
            Some(FileName::Log(first_zxid)) => files.push((first_zxid, path)),
            Some(FileName::Spare(_)) => {
                let begun = |it: disk::AlignedBuf| SegmentHeader::decode(it.bytes()).is_ok();
                if disk::read_head(&path, BLOCK as u64).is_ok_and(begun)
                    && let Some(FileName::Log(first_zxid)) =
                        begun_spare(disk::read_all(&path)?.bytes())
                {
                    files.push((first_zxid, path));
                }
            }
            Some(FileName::Unfinished(_)) | None => {}
        }
    }
    files.sort();
    files.dedup_by_key(|it| it.0);
    Ok(files)
}

fn at<E>(path: &Path) -> impl FnOnce(io::Error) -> InspectError<E> {
    let path = path.to_path_buf();
    move |source| InspectError::Io { path, source }
}
