//! Blocking file work: memory that direct I/O takes, and opening with a fall-back.
//!
//! Driver.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use engine::arena::Page;
use jute::Zxid;
use rustix::fs::OFlags;
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
        Err(err) if err.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            options.open(path)
        }
        opened => opened,
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

    fn open(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Target for FileTarget {
    fn create(&mut self, len: u64) -> io::Result<()> {
        let unfinished = path(&self.dir, FileName::Unfinished(self.zxid));
        let file =
            open_direct(OpenOptions::new().write(true).create(true).truncate(true), &unfinished)?;
        // A full disk is known before anything is written. Not every file system can.
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
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
        std::fs::rename(
            path(&self.dir, FileName::Unfinished(self.zxid)),
            path(&self.dir, FileName::Image(self.zxid)),
        )
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        sync_dir(&self.dir)
    }

    fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        match std::fs::remove_file(path(&self.dir, FileName::Unfinished(self.zxid))) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}
