//! Blocking file work: aligned reads, direct writes with a fall-back, directories made durable.
//!
//! Driver. Used before the executors start and by the preparer thread, never on a shard.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use memmap2::{Advice, MmapMut};
use rustix::fs::OFlags;

use crate::cut::Patch;
use crate::frame::BLOCK;
use crate::hold;
use crate::scan::Behind;

/// Memory that direct I/O takes: starts at a multiple of [`BLOCK`]. Large ones are of huge pages, which the kernel fills in a fraction of the time.
#[derive(Debug)]
pub(crate) struct AlignedBuf {
    map: MmapMut,
    len: usize,
}

impl AlignedBuf {
    /// `len` zeros.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn zeroed(len: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(len.max(BLOCK))?;
        if HUGE_PAGE <= len {
            // A kernel without them has small ones.
            let _small: io::Result<()> = map.advise(Advice::HugePage);
        }
        Ok(Self { map, len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[..self.len]
    }

    /// Reads the first `len_max` bytes of a file, past the page cache where the file system allows: what is read is what the disk has.
    pub(crate) fn fill(&mut self, path: &Path, len_max: u64) -> io::Result<()> {
        let (file, _) = open_direct(OpenOptions::new().read(true), path)?;
        let wanted = file.metadata()?.len().min(len_max) as usize;
        self.fill_from(&file, 0, wanted)
    }

    /// Reads `wanted` bytes of a file, or what there is of them, from `at` on, a multiple of [`BLOCK`].
    fn fill_from(&mut self, file: &File, at: u64, wanted: usize) -> io::Result<()> {
        let room = wanted.next_multiple_of(BLOCK);
        if self.map.len() < room {
            *self = Self::zeroed(room)?;
        }
        let mut filled = 0;
        while filled < wanted {
            let end = room.min(filled + READ_LEN);
            match file.read_at(&mut self.map[filled..end], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        self.len = filled.min(wanted);
        Ok(())
    }
}

/// The next bytes of one of some files.
pub(crate) struct Window<'a> {
    /// Which file.
    pub(crate) idx: usize,
    pub(crate) bytes: &'a [u8],
    pub(crate) behind: Behind,
}

/// Reads files, one after the other, on a thread of its own, and calls `each` here with one window of them after the other, of each file one at least: the
/// disk reads the next ones while one is looked at. The windows lie in the same few buffers, since memory that was never used is slower than the disk.
///
/// # Errors
/// What `each` says, at once; what `failed` makes of a file that cannot be read.
pub(crate) fn read_ahead<E>(
    paths: &[PathBuf],
    mut each: impl FnMut(Window<'_>) -> Result<(), E>,
    failed: impl Fn(usize, io::Error) -> E,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        // Both end with this block, and the reader with them, however it is left.
        let (tell, told) = channel();
        let (give_back, given) = channel();
        for _ in 0..AHEAD {
            drop(give_back.send(None));
        }
        scope.spawn(move || {
            for (idx, path) in paths.iter().enumerate() {
                // Whoever listens has gone, or is told of the error and goes.
                match read_windows(idx, path, &given, &tell) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => return,
                    Err(err) => return drop(tell.send(Err((idx, err)))),
                }
            }
        });
        for read in told {
            let (idx, buf, behind) = read.map_err(|(idx, err)| failed(idx, err))?;
            each(Window { idx, bytes: AlignedBuf::bytes(&buf), behind })?;
            // Nobody is there to take it when all is read.
            drop(give_back.send(Some(buf)));
        }
        Ok(())
    })
}

type Told = Result<(usize, AlignedBuf, Behind), (usize, io::Error)>;

/// Tells of one file's windows; breaks off when nobody listens any more.
fn read_windows(
    idx: usize,
    path: &Path,
    given: &Receiver<Option<AlignedBuf>>,
    tell: &Sender<Told>,
) -> io::Result<ControlFlow<()>> {
    let (file, _) = open_direct(OpenOptions::new().read(true), path)?;
    let len = file.metadata()?.len();
    let mut at = 0;
    loop {
        let Ok(used) = given.recv() else { return Ok(ControlFlow::Break(())) };
        let mut buf = used.map_or_else(|| AlignedBuf::zeroed(0), Ok)?;
        buf.fill_from(&file, at, (len - at).min(READ_LEN as u64) as usize)?;
        let read = buf.bytes().len();
        at += read as u64;
        // One that has become shorter ends where it ends.
        let is_end = at == len || read < READ_LEN;
        let behind = if is_end { Behind::Nothing } else { Behind::More };
        if tell.send(Ok((idx, buf, behind))).is_err() {
            return Ok(ControlFlow::Break(()));
        }
        if is_end {
            return Ok(ControlFlow::Continue(()));
        }
    }
}

/// Whether a file system takes direct I/O is only known by asking: `true` in what this returns says that it did.
pub(crate) fn open_direct(options: &OpenOptions, path: &Path) -> io::Result<(File, bool)> {
    let mut direct = options.clone();
    direct.custom_flags(OFlags::DIRECT.bits() as i32);
    match direct.open(path) {
        Ok(file) => Ok((file, true)),
        Err(err) if err.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            options.open(path).map(|file| (file, false))
        }
        Err(err) => Err(err),
    }
}

/// Whether the file system of `path`, which is made for this and removed, takes direct I/O. One that cannot say so now is taken to do.
pub(crate) fn takes_direct(path: &Path) -> bool {
    let opened = open_direct(OpenOptions::new().write(true).create(true).truncate(true), path);
    let refused = matches!(opened, Ok((_, false)));
    // Left behind it is an unfinished segment, which the next start removes.
    drop(std::fs::remove_file(path));
    !refused
}

/// The first `len_max` bytes of a file; see [`AlignedBuf::fill`].
pub(crate) fn read_head(path: &Path, len_max: u64) -> io::Result<AlignedBuf> {
    let mut buf = AlignedBuf::zeroed(0)?;
    buf.fill(path, len_max)?;
    Ok(buf)
}

/// A whole file; see [`AlignedBuf::fill`].
pub(crate) fn read_all(path: &Path) -> io::Result<AlignedBuf> {
    read_head(path, u64::MAX)
}

/// Writes `len` zeros from the start of `path`, which it creates, and makes them durable. `go_on` is asked between chunks.
pub(crate) fn zero_fill(path: &Path, len: u64, go_on: &dyn Fn() -> bool) -> io::Result<()> {
    let (file, _) = open_direct(OpenOptions::new().write(true).create(true).truncate(true), path)?;
    // One extent, and a full disk is known before anything is written. Not every file system can.
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(err) => return Err(err.into()),
    }
    let zeros = AlignedBuf::zeroed(ZERO_LEN)?;
    let mut at = 0;
    while at < len {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let chunk = (len - at).min(ZERO_LEN as u64);
        file.write_all_at(&zeros.bytes()[..chunk as usize], at)?;
        at += chunk;
    }
    file.sync_all()
}

/// Zeros the first block, durably: whatever was in the file is no segment any more.
pub(crate) fn erase_header(path: &Path) -> io::Result<()> {
    let (file, _) = open_direct(OpenOptions::new().write(true), path)?;
    file.write_all_at(AlignedBuf::zeroed(BLOCK)?.bytes(), 0)?;
    file.sync_all()
}

/// Makes the writes of a cut, each durable before the next.
pub(crate) fn patch(path: &Path, patches: &[Patch]) -> io::Result<()> {
    let (file, _) = open_direct(OpenOptions::new().write(true), path)?;
    // A start waits for the writes of a killed server.
    hold::hold(&file)?;
    let mut block = AlignedBuf::zeroed(BLOCK)?;
    for patch in patches {
        block.bytes_mut().copy_from_slice(&patch.block);
        file.write_all_at(block.bytes(), patch.offset)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Makes what was created, renamed or removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Sends what the device holds in its cache for this file to the medium.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Windows in memory at once when files are read: one that is looked at, and what the disk is ahead.
const AHEAD: usize = 3;

const HUGE_PAGE: usize = 2 << 20;

/// Bytes per read call.
const READ_LEN: usize = 4 << 20;

/// Bytes per write of zeros: large enough for the disk's full speed, small enough that the log's own writes get between.
const ZERO_LEN: usize = 1 << 20;

const _: () = assert!(READ_LEN.is_multiple_of(BLOCK) && ZERO_LEN.is_multiple_of(BLOCK));
