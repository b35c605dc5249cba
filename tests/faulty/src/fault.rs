//! Which operations fail, and how.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is done to a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A file is created.
    Create,
    /// A file is opened.
    Open,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// Room is taken for a file.
    Allocate,
    /// A file is synced.
    Sync,
    /// A directory is synced.
    SyncDir,
    /// A file gets another name; a fault's name is looked for in both.
    Rename,
    /// A file is removed.
    Remove,
}

/// How an operation fails. Numbers are the system's, as EIO is 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With this error, and nothing is done.
    Error(i32),
    /// With this error, when the first half of a write is done; anything else is not done.
    Torn(i32),
    /// With this error, when all is done.
    Late(i32),
    /// A write is half done, and says so, and the one behind it, which is to do the rest, fails with ENOSPC; anything else fails with EIO.
    Short,
}

/// What is to fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Only this; `None` is everything but opens and reads.
    pub op: Option<Op>,
    /// Only where the file's name contains this.
    pub name: &'static str,
    /// How many that fit go well before.
    pub skip: u64,
    /// How many fail then.
    pub times: u64,
    /// How.
    pub how: How,
}

impl Fault {
    /// All of `op` on files whose name contains `name`, from now on.
    pub fn every(op: Op, name: &'static str, how: How) -> Self {
        Self { op: Some(op), name, skip: 0, times: u64::MAX, how }
    }

    /// The one change of the disk behind the next `skip`.
    pub fn nth(skip: u64, how: How) -> Self {
        Self { op: None, name: "", skip, times: 1, how }
    }

    fn fits(&self, op: Op, names: &[&str]) -> bool {
        let right = self.op.map_or(!matches!(op, Op::Open | Op::Read), |it| it == op);
        right && names.iter().any(|it| it.contains(self.name))
    }
}

/// The faults in force, and what came of them.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    failed: Vec<String>,
    changes: u64,
    free: Option<u64>,
    direct_refused: bool,
    /// The file whose last write was cut short.
    short: Option<String>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    pub(crate) fn say_free(&self, bytes: Option<u64>) {
        self.lock().free = bytes;
    }

    pub(crate) fn refuse_direct(&self) {
        self.lock().direct_refused = true;
    }

    pub(crate) fn takes_flags(&self, flags: i32) -> bool {
        flags & libc::O_DIRECT == 0 || !self.lock().direct_refused
    }

    pub(crate) fn free(&self) -> Option<u64> {
        self.lock().free
    }

    pub(crate) fn heal(&self) -> Vec<String> {
        let mut state = self.lock();
        state.faults.clear();
        state.short = None;
        core::mem::take(&mut state.failed)
    }

    pub(crate) fn failed(&self) -> Vec<String> {
        self.lock().failed.clone()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// How this operation is to fail, if it is.
    pub(crate) fn ask(&self, op: Op, names: &[&str], offset: u64) -> Option<How> {
        let mut state = self.lock();
        state.changes += u64::from(!matches!(op, Op::Open | Op::Read));
        let mut how = None;
        for fault in state.faults.iter_mut().filter(|it| it.fits(op, names)) {
            if 0 < fault.skip {
                fault.skip -= 1;
            } else if 0 < fault.times && how.is_none() {
                fault.times -= 1;
                how = Some(fault.how);
            }
        }
        // The rest of a write that was cut short: a kernel that tries it writes it to the wrong place on FUSE (Linux 6.18, io_uring).
        if op == Op::Write && state.short.as_deref() == names.first().copied() {
            state.short = None;
            how = Some(How::Error(libc::ENOSPC));
        } else if op == Op::Write && how == Some(How::Short) {
            state.short = names.first().map(|&it| it.to_owned());
        }
        if how.is_some() {
            state.failed.push(format!("{op:?} {} at {offset}", names.join(" to ")));
        }
        how
    }
}
