//! The file system: every operation is asked about, and done to the directory below.
//!
//! Files are opened without caches of the kernel's (`FOPEN_DIRECT_IO`), so that each write of the process that is tested is an operation here. The
//! syncs that succeed do nothing: no power is cut.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::fault::{Faults, How, Op};

/// The file system over a directory.
#[derive(Debug)]
pub(crate) struct Passthrough {
    faults: Arc<Faults>,
    state: Mutex<State>,
}

/// Names and open files. Numbers are given in order and never again.
#[derive(Debug)]
struct State {
    paths: BTreeMap<u64, PathBuf>,
    files: BTreeMap<u64, Arc<Open>>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    number: u64,
}

/// Nothing is remembered: others may have changed it below.
const TTL: Duration = Duration::ZERO;

impl Passthrough {
    pub(crate) fn new(below: PathBuf, faults: Arc<Faults>) -> Self {
        let paths = BTreeMap::from([(INodeNo::ROOT.0, below)]);
        Self { faults, state: Mutex::new(State { paths, files: BTreeMap::new(), next: 2 }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: INodeNo) -> io::Result<PathBuf> {
        self.lock().paths.get(&number.0).cloned().ok_or_else(|| Errno::NOENT.into())
    }

    fn file(&self, handle: FileHandle) -> io::Result<Arc<Open>> {
        self.lock().files.get(&handle.0).cloned().ok_or_else(|| Errno::BADF.into())
    }

    /// The number of the file at `path`.
    fn number(&self, path: &Path) -> u64 {
        let mut state = self.lock();
        if let Some((&number, _)) = state.paths.iter().find(|it| it.1 == path) {
            return number;
        }
        let number = state.next;
        state.next += 1;
        state.paths.insert(number, path.to_path_buf());
        number
    }

    fn keep(&self, file: File, number: u64) -> FileHandle {
        let mut state = self.lock();
        let handle = state.next;
        state.next += 1;
        state.files.insert(handle, Arc::new(Open { file, number }));
        FileHandle(handle)
    }

    fn attr(&self, path: &Path) -> io::Result<FileAttr> {
        Ok(attr(self.number(path), &path.symlink_metadata()?))
    }

    /// The last part of a file's path, if it still has one.
    fn name(&self, number: u64) -> String {
        self.lock().paths.get(&number).map(|it| last(it)).unwrap_or_default()
    }

    /// Does `act`, unless or although it is to fail.
    fn change<T>(
        &self,
        op: Op,
        names: &[&str],
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self.faults.ask(op, names, 0) {
            None => act(),
            Some(How::Error(errno) | How::Torn(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(How::Short) => Err(Errno::IO.into()),
            Some(How::Late(errno)) => {
                act()?;
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }

    fn open_at(&self, number: INodeNo, flags: OpenFlags) -> io::Result<FileHandle> {
        if !self.faults.takes_flags(flags.0) {
            return Err(Errno::INVAL.into());
        }
        let path = self.path(number)?;
        self.change(Op::Open, &[&last(&path)], || {
            // The blocks of memory that come from the kernel are not aligned, and what is written is there for all to see.
            let write = flags.0 & libc::O_ACCMODE != libc::O_RDONLY;
            let file = File::options().read(true).write(write).open(&path)?;
            Ok(self.keep(file, number.0))
        })
    }

    fn create_at(
        &self,
        parent: INodeNo,
        name: &OsStr,
        flags: i32,
    ) -> io::Result<(FileAttr, FileHandle)> {
        if !self.faults.takes_flags(flags) {
            return Err(Errno::INVAL.into());
        }
        let path = self.path(parent)?.join(name);
        self.change(Op::Create, &[&last(&path)], || {
            let file =
                File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
            let attr = self.attr(&path)?;
            Ok((attr, self.keep(file, attr.ino.0)))
        })
    }

    fn write_at(&self, handle: FileHandle, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let open = self.file(handle)?;
        let half = bytes.len() / 2 / SECTOR * SECTOR;
        let fault = self.faults.ask(Op::Write, &[&self.name(open.number)], offset);
        let (len, failed) = match fault {
            None => (bytes.len(), None),
            Some(How::Error(errno)) => (0, Some(errno)),
            Some(How::Torn(errno)) => (half, Some(errno)),
            Some(How::Late(errno)) => (bytes.len(), Some(errno)),
            Some(How::Short) => (half, None),
        };
        open.file.write_all_at(&bytes[..len], offset)?;
        failed.map_or(Ok(len), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    fn rename_to(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Op::Rename, &[&last(from), &last(to)], || {
            std::fs::rename(from, to)?;
            let mut state = self.lock();
            state.paths.retain(|_, it| it != to);
            for path in state.paths.values_mut().filter(|it| *it == from) {
                *path = to.to_path_buf();
            }
            Ok(())
        })
    }
}

impl Filesystem for Passthrough {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.path(parent).and_then(|it| self.attr(&it.join(name))) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(err) => reply.error(err.into()),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.path(number).and_then(|it| self.attr(&it)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(err) => reply.error(err.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = self.path(number).and_then(|path| {
            if let Some(size) = size {
                File::options().write(true).open(&path)?.set_len(size)?;
            }
            self.attr(&path)
        });
        match done {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(err) => reply.error(err.into()),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.path(parent).map(|it| it.join(name)).and_then(|path| {
            std::fs::create_dir(&path)?;
            self.attr(&path)
        });
        match made {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(err) => reply.error(err.into()),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.path(parent).map(|it| it.join(name)).and_then(|path| {
            self.change(Op::Remove, &[&last(&path)], || std::fs::remove_file(&path))?;
            self.lock().paths.retain(|_, it| *it != path);
            Ok(())
        });
        answer(done, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.path(parent).map(|it| it.join(name)).and_then(|path| {
            std::fs::remove_dir(&path)?;
            self.lock().paths.retain(|_, it| *it != path);
            Ok(())
        });
        answer(done, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let from = self.path(parent).map(|it| it.join(name));
        let to = self.path(new_parent).map(|it| it.join(new_name));
        answer(from.and_then(|from| self.rename_to(&from, &to?)), reply);
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_at(number, flags) {
            Ok(handle) => reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO),
            Err(err) => reply.error(err.into()),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let direct = FopenFlags::FOPEN_DIRECT_IO;
        match self.create_at(parent, name, flags) {
            Ok((attr, handle)) => reply.created(&TTL, &attr, Generation(0), handle, direct),
            Err(err) => reply.error(err.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; size as usize];
        let done = self.file(handle).and_then(|open| {
            let name = self.name(open.number);
            self.change(Op::Read, &[&name], || open.file.read_at(&mut bytes, offset))
        });
        match done {
            Ok(len) => reply.data(&bytes[..len]),
            Err(err) => reply.error(err.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_at(handle, offset, bytes) {
            Ok(len) => reply.written(len as u32),
            Err(err) => reply.error(err.into()),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.lock().files.remove(&handle.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        answer(self.change(Op::Sync, &[&self.name(number.0)], || Ok(())), reply);
    }

    fn fsyncdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        answer(self.change(Op::SyncDir, &[&self.name(number.0)], || Ok(())), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let list = || -> io::Result<Vec<PathBuf>> {
            let mut all = Vec::new();
            for entry in std::fs::read_dir(self.path(number)?)? {
                all.push(entry?.path());
            }
            all.sort();
            Ok(all)
        };
        let list = match list() {
            Ok(list) => list,
            Err(err) => return reply.error(err.into()),
        };
        for (idx, path) in list.iter().enumerate().skip(offset as usize) {
            let kind = if path.is_dir() { FileType::Directory } else { FileType::RegularFile };
            let number = INodeNo(self.number(path));
            if reply.add(number, idx as u64 + 1, kind, last(path)) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let truth = self.path(INodeNo::ROOT).and_then(|it| Ok(rustix::fs::statvfs(it)?));
        let truth = match truth {
            Ok(truth) => truth,
            Err(err) => return reply.error(err.into()),
        };
        let block = truth.f_frsize;
        let free = self.faults.free().map_or(truth.f_bavail, |bytes| bytes / block);
        let (files, block) = (truth.f_files, block as u32);
        reply.statfs(truth.f_blocks, free, free, files, truth.f_ffree, block, 255, block);
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        let done = self.change(Op::Allocate, &[&self.name(number.0)], || {
            let open = self.file(handle)?;
            Ok(rustix::fs::fallocate(&open.file, FallocateFlags::empty(), offset, len)?)
        });
        answer(done, reply);
    }
}

fn answer(done: io::Result<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(err) => reply.error(err.into()),
    }
}

fn attr(number: u64, it: &Metadata) -> FileAttr {
    let modified = it.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    FileAttr {
        ino: INodeNo(number),
        size: it.len(),
        blocks: it.blocks(),
        atime: modified,
        mtime: modified,
        ctime: modified,
        crtime: modified,
        kind: if it.is_dir() { FileType::Directory } else { FileType::RegularFile },
        perm: (it.mode() & 0o7777) as u16,
        nlink: it.nlink() as u32,
        uid: it.uid(),
        gid: it.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn last(path: &Path) -> String {
    path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A write that is cut short is cut there.
const SECTOR: usize = 512;
