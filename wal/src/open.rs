//! Opening a log: find its segments, replay them, say where appending goes on. Blocking; runs before any executor starts.
//!
//! ZooKeeper: `FileTxnSnapLog.restore`, `FileTxnLog.getLogFiles`. Driver of [`crate::replay`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jute::Zxid;
use tracing::warn;

use crate::batch::Records;
use crate::disk::{self, Window};
use crate::frame::BLOCK;
use crate::hold;
use crate::preparer::{DiskSpace, Preparer, Releaser, Spare};
use crate::purge;
use crate::reader::LogReader;
use crate::replay::{Damage, End, Outcome, Place, Replayer, Verdict, begun_spare};
use crate::scan::{Behind, Stop};
use crate::segment::{FileName, SegmentHeader};

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment, a multiple of [`BLOCK`] of at least two. `preAllocSize` times 1,024. A frame that is larger gets a segment
    /// of its own size.
    pub segment_bytes: u64,
    /// Whether an append is durable when it returns. `Off` is `forceSync=no`: a power cut loses what was acknowledged.
    pub force_sync: ForceSync,
    /// Whether to write past the page cache.
    pub direct: Direct,
    /// With less than this free, [`DiskSpace::nearly_full`] is true. Bytes.
    pub reserve_bytes: u64,
}

/// See [`Options::force_sync`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForceSync {
    /// Every append is on the medium when it returns.
    On,
    /// The kernel and the device write when they like.
    Off,
}

/// See [`Options::direct`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direct {
    /// Direct I/O where the file system takes it.
    IfPossible,
    /// Through the page cache.
    Off,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            force_sync: ForceSync::On,
            direct: Direct::IfPossible,
            reserve_bytes: 256 << 20,
        }
    }
}

/// What a log is opened behind: the image that was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Its last transaction; 0 if there is no image.
    pub zxid: Zxid,
    /// Segments up to this number are not what follows the image, and go: a crash left them when the log began anew. 0: none.
    ///
    /// What [`crate::Log::sequence`] was at [`crate::Log::restart`]; every later image carries it on.
    pub void_sequence: u64,
}

impl From<Zxid> for Base {
    fn from(zxid: Zxid) -> Self {
        Self { zxid, void_sequence: 0 }
    }
}

/// What replay did, for the line at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Segments read.
    pub segments: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Good frames.
    pub frames: u64,
    /// Records delivered: those above the image.
    pub records: u64,
    /// The last zxid, of the log or of the image.
    pub last_zxid: Zxid,
    /// Bytes behind the last frame that are no frame: a torn write, or what one that was cut earlier left behind. File, byte.
    pub cut: Option<(FileName, u64)>,
    /// A newest segment in which no frame was whole, set aside under this name.
    pub set_aside: Option<PathBuf>,
}

/// A log does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// The system refused a file or the directory.
    #[error("{path}: {what}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody holds a file of the log, and did not let go.
    #[error(
        "{path}: held for more than {patience} s: a write of a killed server is on its way to a disk that does not answer, or \
         another program has locked the file. `lslocks` names a program; once the disk answers, start again",
        path = .path.display(), patience = hold::PATIENCE.as_secs()
    )]
    Held {
        /// Which.
        path: PathBuf,
    },
    /// Acknowledged transactions may be gone.
    #[error(
        "{path} at byte {offset}: {damage}; the log is whole up to zxid {last_zxid}. Restore this directory from a copy, or move this \
         file and those with a higher zxid away to go on from {last_zxid} without what is in them; of a member of an ensemble empty it, and \
         start with db.autocreate=false: the others send what was there",
        path = .path.display()
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Byte of the damage; 0 is its header.
        offset: u64,
        /// What is wrong.
        damage: Damage,
        /// Up to here everything is there.
        last_zxid: Zxid,
    },
    /// The caller could not apply a transaction.
    #[error("transaction {zxid} in the log: {source}")]
    Apply {
        /// Which.
        zxid: Zxid,
        /// Why.
        source: E,
    },
}

/// The end of an opened log: what [`crate::Log::start`] goes on from. May be sent to another thread.
#[derive(Debug)]
pub struct LogTail {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) end: End,
    /// Bytes of the newest segment.
    pub(crate) newest_len: u64,
    pub(crate) preparer: Preparer,
}

impl LogTail {
    /// The last zxid, of the log or of the image.
    pub fn last_zxid(&self) -> Zxid {
        self.end.last_zxid
    }

    /// The room on its disk.
    pub fn space(&self) -> DiskSpace {
        self.preparer.space()
    }

    /// For reading what is durable now, on any thread.
    pub fn reader(&self) -> LogReader {
        LogReader::new(&self.dir, self.end.last_zxid, self.end.chain)
    }

    /// For whoever purges images.
    pub fn releaser(&self) -> Releaser {
        self.preparer.releaser()
    }
}

/// Opens the log in `dir`, which is made if missing, and delivers every transaction above that of `base` to `apply`, in order,
/// those of a frame at a time; [`each`](crate::each) makes one that takes them singly.
///
/// Nobody else may use the directory: its lock is the caller's. Starts the preparer thread, with the caller's affinity.
///
/// # Errors
/// [`OpenError`]; the log is then as it was, and nothing in it was cut.
pub fn open<E>(
    dir: &Path,
    options: &Options,
    base: impl Into<Base>,
    mut apply: impl FnMut(Records<'_>) -> Result<(), (Zxid, E)>,
) -> Result<(LogTail, ReplayReport), OpenError<E>> {
    assert!(
        options.segment_bytes.is_multiple_of(BLOCK as u64)
            && 2 * BLOCK as u64 <= options.segment_bytes
    );
    fs::create_dir_all(dir).map_err(at("making the directory", dir))?;
    let base = base.into();
    let mut files = Files::find(dir, options)?;
    let options = possible(dir, *options);
    files.drop_void(base.void_sequence)?;
    let mut replayer = Replayer::new(base.zxid, base.void_sequence);
    let mut report = ReplayReport::default();
    let mut newest_len = 0;
    let first = purge::unneeded(&files.segments, base.zxid);
    let needed = files.segments[first..].to_vec();
    let path = |it: &Zxid| dir.join(FileName::Log(*it).to_string());
    let paths: Vec<_> = needed.iter().map(path).collect();
    let mut segment = None;
    let mut len = 0;
    let each = |window: Window<'_>| {
        let (first_zxid, path) = (needed[window.idx], &paths[window.idx]);
        let place = if window.idx + 1 == needed.len() { Place::Newest } else { Place::Older };
        let mut reading = segment.take().unwrap_or_else(|| replayer.begin(first_zxid, place));
        len += window.bytes.len() as u64;
        replayer
            .window(&mut reading, window.bytes, window.behind, &mut apply)
            .map_err(|(zxid, source)| OpenError::Apply { zxid, source })?;
        if window.behind == Behind::More {
            segment = Some(reading);
            return Ok(());
        }
        let len = core::mem::take(&mut len);
        report.segments += 1;
        report.bytes += len;
        let Outcome { verdict, offset, stop } = replayer.finish(&reading);
        match verdict {
            Verdict::Next => {}
            Verdict::Tail => {
                newest_len = len;
                disk::sync_file(path).map_err(at("syncing the newest log segment", path))?;
                let bad = stop.filter(|&it| it == Stop::Bad);
                report.cut = bad.map(|_| (FileName::Log(first_zxid), offset));
            }
            Verdict::Discard => report.set_aside = Some(files.set_aside(path)?),
            Verdict::Refuse(damage) => {
                let (path, last_zxid) = (path.clone(), replayer.end().last_zxid);
                return Err(OpenError::Damaged { path, offset, damage, last_zxid });
            }
        }
        Ok(())
    };
    disk::read_ahead(&paths, each, |idx, err| at("reading a log segment", &paths[idx])(err))?;
    if report.set_aside.is_some() {
        files.segments.pop();
    }
    let end = replayer.end();
    report.frames = replayer.frames;
    report.records = replayer.records;
    report.last_zxid = end.last_zxid;
    let preparer = Preparer::start(dir, &options, files.segments, files.spares)
        .map_err(at("starting the log's preparer", dir))?;
    Ok((LogTail { dir: dir.to_path_buf(), options, end, newest_len, preparer }, report))
}

/// The options as far as the file system allows them; nothing of a log is under [`FileName::Unfinished`] now.
fn possible(dir: &Path, options: Options) -> Options {
    let probe = dir.join(FileName::Unfinished(0).to_string());
    if options.direct == Direct::Off || disk::takes_direct(&probe) {
        return options;
    }
    warn!(
        dir = %dir.display(),
        "this file system takes no direct I/O: the log goes through the page cache, slower and as safe; to mend it set dataLogDir to a \
         directory on ext4 or xfs"
    );
    Options { direct: Direct::Off, ..options }
}

/// The log's files, with begun spares given their names, and unfinished ones removed.
struct Files {
    dir: PathBuf,
    segments: Vec<Zxid>,
    spares: Vec<Spare>,
}

impl Files {
    fn find<E>(dir: &Path, options: &Options) -> Result<Self, OpenError<E>> {
        let mut files = Self { dir: dir.to_path_buf(), segments: Vec::new(), spares: Vec::new() };
        let mut names = list(dir).map_err(at("listing the directory", dir))?;
        names.sort_unstable();
        for name in names {
            let path = dir.join(name.to_string());
            if hold::wait(&path, hold::PATIENCE)
                .map_err(at("looking whether the file is held", &path))?
                == hold::Waited::Held
            {
                return Err(OpenError::Held { path });
            }
            match name {
                FileName::Log(first_zxid) => files.segments.push(first_zxid),
                FileName::Spare(number) => {
                    files
                        .spare(number, &path, options)
                        .map_err(at("looking into a spare log segment", &path))?;
                }
                FileName::Unfinished(_) => {
                    fs::remove_file(&path)
                        .map_err(at("removing an unfinished log segment", &path))?;
                }
            }
        }
        files.segments.sort_unstable();
        disk::sync_dir(dir).map_err(at("syncing the directory", dir))?;
        Ok(files)
    }

    /// Removes the segments up to the number `void`, the newest first.
    fn drop_void<E>(&mut self, void: u64) -> Result<(), OpenError<E>> {
        while let Some(&first_zxid) = self.segments.last().filter(|_| 0 < void) {
            let path = self.dir.join(FileName::Log(first_zxid).to_string());
            let head = disk::read_head(&path, BLOCK as u64)
                .map_err(at("reading the head of a log segment", &path))?;
            match SegmentHeader::decode(head.bytes()) {
                Ok((header, _)) if header.sequence <= void => {}
                _ => break,
            }
            fs::remove_file(&path).map_err(at("removing a void log segment", &path))?;
            disk::sync_dir(&self.dir).map_err(at("syncing the directory", &self.dir))?;
            warn!(file = %path.display(), "this log segment is older than the image, which did not come from it: removed");
            self.segments.pop();
        }
        Ok(())
    }

    /// A begun one is a segment; a clean one of the right length is a spare; anything else is nothing.
    fn spare(&mut self, number: u64, path: &Path, options: &Options) -> io::Result<()> {
        let head = disk::read_head(path, BLOCK as u64)?;
        let len = fs::metadata(path)?.len();
        let clean = head.bytes().len() == BLOCK && head.bytes().iter().all(|&it| it == 0);
        if clean && len == options.segment_bytes {
            self.spares.push(Spare { number, len });
            return Ok(());
        }
        if SegmentHeader::decode(head.bytes()).is_ok()
            && let Some(FileName::Log(first_zxid)) = begun_spare(disk::read_all(path)?.bytes())
        {
            let named = self.dir.join(FileName::Log(first_zxid).to_string());
            if named.exists() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(path, named)?;
            self.segments.push(first_zxid);
            return Ok(());
        }
        fs::remove_file(path)
    }

    /// Nothing is thrown away that somebody might want to look at.
    fn set_aside<E>(&self, path: &Path) -> Result<PathBuf, OpenError<E>> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".torn");
        let aside = PathBuf::from(aside);
        fs::rename(path, &aside).map_err(at("setting a torn log segment aside", path))?;
        disk::sync_dir(&self.dir).map_err(at("syncing the directory", &self.dir))?;
        warn!(file = %aside.display(), "the newest log segment held no whole frame: set aside");
        Ok(aside)
    }
}

/// Our files in `dir`, in no order; others are left alone.
fn list(dir: &Path) -> io::Result<Vec<FileName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.extend(entry?.file_name().to_str().and_then(FileName::parse));
    }
    Ok(names)
}

fn at<E>(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError<E> {
    let path = path.to_path_buf();
    move |source| OpenError::Io { what, path, source }
}
