//! Blocking file work: memory that direct I/O takes, opening with a fall-back, and the lock that keeps a file from being written again while it is read.
//!
//! Driver.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use engine::arena::Page;
use jute::Zxid;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::format::{FileName, PAGE_LEN};
use crate::write::Target;

/// A page in memory that direct I/O takes.
#[derive(Clone, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(4096))]
pub(crate) struct Block(pub(crate) Page);

/// `count` pages of zeros.
pub(crate) fn blocks(count: usize) -> Vec<Block> {
    vec![Block([0; PAGE_LEN / 8]); count]
}

/// A file in `dir`.
pub(crate) fn path(dir: &Path, name: FileName) -> PathBuf {
    dir.join(name.to_string())
}

/// Opens past the page cache where the file system takes it.
pub(crate) fn open_direct(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let mut direct = options.clone();
    direct.custom_flags(OFlags::DIRECT.bits() as i32);
    match direct.open(path) {
        Err(err) if err.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => options.open(path),
        opened => opened,
    }
}

/// An image to read, past the page cache; see [`hold`].
pub(crate) fn open_image(path: &Path) -> io::Result<File> {
    let file = open_direct(OpenOptions::new().read(true), path)?;
    hold(&file)?;
    Ok(file)
}

/// As long as this image is open, nobody writes another one over it.
///
/// # Errors
/// `WouldBlock`: somebody is doing that; it is no image any more.
pub fn hold(image: &File) -> io::Result<()> {
    match rustix::fs::flock(image, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
        // Where there are no locks, no file is written again.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Our files in `dir`, ascending; others are left alone.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<FileName>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        names.extend(entry?.file_name().to_str().and_then(FileName::parse));
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes what was created, renamed or removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// An image being written to a real directory.
#[derive(Debug)]
pub(crate) struct FileTarget {
    dir: PathBuf,
    zxid: Zxid,
    file: Option<File>,
}

impl FileTarget {
    pub(crate) fn new(dir: &Path, zxid: Zxid) -> Self {
        Self { dir: dir.to_path_buf(), zxid, file: None }
    }

    /// Writes over `spare`, of which the name of an unfinished image is made, durably.
    pub(crate) fn over(dir: &Path, zxid: Zxid, spare: Zxid, file: File) -> io::Result<Self> {
        let target = Self { file: Some(file), ..Self::new(dir, zxid) };
        std::fs::rename(path(dir, FileName::Spare(spare)), target.unfinished())?;
        sync_dir(dir)?;
        Ok(target)
    }

    fn unfinished(&self) -> PathBuf {
        path(&self.dir, FileName::Unfinished(self.zxid))
    }

    fn open(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Target for FileTarget {
    fn create(&mut self, len: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                open_direct(options.write(true).create(true).truncate(true), &self.unfinished())?
            }
        };
        if len < file.metadata()?.len() {
            file.set_len(len)?;
        }
        // A full disk is known before anything is written. Not every file system can.
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(err) => return Err(err.into()),
        }
        self.file = Some(file);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.open()?.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.open()?.sync_data()
    }

    fn publish(&mut self) -> io::Result<()> {
        // From here on it may be read.
        rustix::fs::flock(self.open()?, FlockOperation::Unlock).unwrap_or_default();
        std::fs::rename(self.unfinished(), path(&self.dir, FileName::Image(self.zxid)))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        sync_dir(&self.dir)
    }

    fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        remove(&self.unfinished())
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
