//! A disk that fails on command: a small FUSE file system over a directory.
//!
//! What passes through it comes from the kernel as it would from a failing device: a write that ends with EIO, a sync that fails, a write of fewer
//! bytes than given. A [`Disk`] is mounted in a mount namespace of its own, so nobody else sees it, and it is gone with the last process that does,
//! however that ended. Needs root and /dev/fuse.
//!
//! Absent here: power cuts (what was written is there), and anything of the server's own code.

mod fault;
mod passthrough;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{Config, Session, SessionACL};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

pub use fault::{Fault, How, Op};

use fault::Faults;
use passthrough::Passthrough;

/// Why there is no disk here. A test that gets it has shown nothing, and must not pass.
#[derive(Debug, thiserror::Error)]
#[error("no faulty disk here, so nothing was shown: {what}: {source}; it needs root and /dev/fuse")]
pub struct NoDisk {
    what: &'static str,
    source: io::Error,
}

/// A mounted disk.
#[derive(Debug)]
pub struct Disk {
    mounted: PathBuf,
    below: PathBuf,
    faults: Arc<Faults>,
    _dir: tempfile::TempDir,
}

/// Mounts a disk and calls `body` with it, on a thread with a mount namespace of its own: processes and threads started there see the disk.
///
/// # Errors
/// [`NoDisk`].
pub fn with_disk<T: Send>(body: impl FnOnce(&Disk) -> T + Send) -> Result<T, NoDisk> {
    apart(|| {
        let disk = Disk::mount()?;
        let done = body(&disk);
        disk.unmount();
        Ok(done)
    })?
}

/// As [`with_disk`], with a file system in memory of `bytes` bytes instead: it is full when it is full.
///
/// # Errors
/// [`NoDisk`].
pub fn with_small_disk<T: Send>(
    bytes: u64,
    body: impl FnOnce(&Path) -> T + Send,
) -> Result<T, NoDisk> {
    apart(|| {
        let dir = tempfile::tempdir().map_err(why("making a directory"))?;
        let options = CString::new(format!("size={bytes}")).unwrap_or_default();
        mount("tmpfs", dir.path(), &options)?;
        let done = body(dir.path());
        detach(dir.path());
        Ok(done)
    })?
}

/// Calls `body` on a thread of its own on which, as for what it starts, the kernel answers `io_uring_setup` with `errno`, as it does where a
/// container's profile or `kernel.io_uring_disabled` forbids it.
///
/// # Errors
/// [`NoDisk`]: the kernel takes no filter.
pub fn without_io_uring<T: Send>(errno: i32, body: impl FnOnce() -> T + Send) -> Result<T, NoDisk> {
    let refuse = SeccompAction::Errno(errno as u32);
    let rules = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
    let filtered = || -> Result<(), seccompiler::Error> {
        let arch = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?;
        seccompiler::apply_filter(&BpfProgram::try_from(filter)?)
    };
    let run = || {
        filtered().map_err(|it| why("filtering a system call")(io::Error::other(it)))?;
        Ok(body())
    };
    std::thread::scope(|scope| {
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Calls `body` on a thread of its own with a mount namespace of its own.
fn apart<T: Send>(body: impl FnOnce() -> T + Send) -> Result<T, NoDisk> {
    let run = || {
        // SAFETY: no table of file descriptors is unshared; the thread is new and ends with this function.
        #[expect(unsafe_code, reason = "other flags of this call are dangerous")]
        let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
        unshared.map_err(|it| why("leaving the mount namespace")(it.into()))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        let changed = rustix::mount::mount_change("/", private);
        changed.map_err(|it| why("keeping mounts private")(it.into()))?;
        Ok(body())
    };
    std::thread::scope(|scope| {
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Disk {
    fn mount() -> Result<Self, NoDisk> {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.map_err(why("making a directory"))?;
        let (mounted, below) = (dir.path().join("disk"), dir.path().join("below"));
        for it in [&mounted, &below] {
            std::fs::create_dir(it).map_err(why("making a directory"))?;
        }
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(why("opening /dev/fuse"))?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        mount("fuse", &mounted, &CString::new(options).unwrap_or_default())?;
        let faults = Arc::new(Faults::default());
        let files = Passthrough::new(below.clone(), Arc::clone(&faults));
        let session = Session::from_fd(files, device.into(), SessionACL::Owner, Config::default());
        let session = session.map_err(why("greeting the kernel"))?;
        // It ends when the file system is unmounted and its last file is closed.
        let started = std::thread::Builder::new().name("disk".into()).spawn(|| session.run());
        started.map_err(why("starting a thread"))?;
        Ok(Self { mounted, below, faults, _dir: dir })
    }

    fn unmount(&self) {
        detach(&self.mounted);
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// The directory under it, where nothing fails.
    pub fn below(&self) -> &Path {
        &self.below
    }

    /// From now on, fails what `fault` says, until [`Self::heal`]. Of several faults the first that fits counts.
    pub fn fail(&self, fault: Fault) {
        self.faults.add(fault);
    }

    /// From now on, says that this many bytes are free; `None` for the truth.
    pub fn say_free(&self, bytes: Option<u64>) {
        self.faults.say_free(bytes);
    }

    /// From now on, no file is opened for direct I/O, as on file systems that have none.
    pub fn refuse_direct(&self) {
        self.faults.refuse_direct();
    }

    /// Nothing fails any more. What failed until now, as `op name at offset`, oldest first.
    pub fn heal(&self) -> Vec<String> {
        self.faults.heal()
    }

    /// What failed until now.
    pub fn failed(&self) -> Vec<String> {
        self.faults.failed()
    }

    /// Operations that could have failed until now, reads apart.
    pub fn changes(&self) -> u64 {
        self.faults.changes()
    }
}

fn mount(kind: &'static str, at: &Path, options: &CString) -> Result<(), NoDisk> {
    rustix::mount::mount("faulty", at, kind, MountFlags::empty(), options.as_c_str())
        .map_err(|it| why("mounting a file system")(it.into()))
}

/// A process that still uses it keeps it, and it goes with that.
fn detach(at: &Path) {
    // If not now, then with the namespace.
    let _later: Result<_, _> = rustix::mount::unmount(at, UnmountFlags::DETACH);
}

fn why(what: &'static str) -> impl Fn(io::Error) -> NoDisk {
    move |source| NoDisk { what, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

    use super::*;

    #[repr(align(4096))]
    struct Block([u8; 8192]);

    #[test]
    fn a_write_fails_when_it_is_told_to_and_only_then() {
        with_disk(|disk| {
            let path = disk.path().join("file");
            let flags = libc::O_DIRECT | libc::O_DSYNC;
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .custom_flags(flags)
                .open(path);
            let (file, block) = (file.unwrap(), Block([7; 8192]));
            file.write_all_at(&block.0, 0).unwrap();
            for (how, result, len) in [
                (How::Error(5), Err(Some(5)), 8192),
                (How::Short, Ok(4096), 12288),
                (How::Torn(28), Err(Some(28)), 12288),
                (How::Late(5), Err(Some(5)), 16384),
            ] {
                disk.fail(Fault::every(Op::Write, "fil", how));
                let written = file.write_at(&block.0, 8192);
                assert_eq!(written.map_err(|it| it.raw_os_error()), result, "{how:?}");
                assert_eq!(disk.heal(), ["Write file at 8192"]);
                assert_eq!(std::fs::metadata(disk.below().join("file")).unwrap().len(), len);
            }
            file.write_all_at(&block.0, 8192).unwrap();
        })
        .unwrap();
    }

    #[test]
    fn the_nth_change_fails_and_names_move_with_their_files() {
        with_disk(|disk| {
            let (one, two) = (disk.path().join("one"), disk.path().join("two"));
            std::fs::write(&one, "text").unwrap();
            disk.fail(Fault::nth(1, How::Error(5)));
            std::fs::rename(&one, &two).unwrap();
            let failed = File::open(&two).unwrap().sync_all().unwrap_err();
            assert_eq!(
                (failed.raw_os_error(), disk.failed()),
                (Some(5), vec!["Sync two at 0".into()])
            );
            File::open(disk.path()).unwrap().sync_all().unwrap();
            assert_eq!(std::fs::read_to_string(&two).unwrap(), "text");
            let names = std::fs::read_dir(disk.path()).unwrap().map(|it| it.unwrap().file_name());
            assert_eq!(names.collect::<Vec<_>>(), ["two"]);
            disk.say_free(Some(40 << 20));
            let stat = rustix::fs::statvfs(disk.path()).unwrap();
            assert_eq!(stat.f_bavail * stat.f_frsize, 40 << 20);
        })
        .unwrap();
    }

    #[test]
    fn a_small_disk_fills_and_nobody_else_sees_it() {
        let seen = with_small_disk(1 << 20, |dir| {
            let full = std::fs::write(dir.join("file"), vec![1; 2 << 20]).unwrap_err();
            assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
            (dir.to_path_buf(), std::fs::read_to_string("/proc/1/mounts").unwrap())
        });
        let (dir, mounts) = seen.unwrap();
        assert!(!mounts.contains(dir.to_str().unwrap()));
    }
}
