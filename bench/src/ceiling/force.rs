//! Forcing to the disk, by group commit: while one batch is being written the next one fills.
//!
//! A file of zeros that is written from its start again and again, direct and O_DSYNC, through the ring that the log has too. Absent
//! here: checksums, reading it back.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::OFlags;
use wal::Ring;

/// The file, and what is on its way there.
#[derive(Debug)]
pub(super) struct Force {
    ring: Ring,
    file: File,
    /// Where the next write goes.
    offset: u64,
    /// Bytes of the write under way.
    under_way: Option<usize>,
    /// What the next write takes.
    batch: Vec<u8>,
}

impl Force {
    /// Makes the file in `dir`.
    ///
    /// # Errors
    /// The disk is full, or takes no direct writes.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("forced");
        fs::write(&path, vec![0; FILE_LEN])?;
        File::open(&path)?.sync_all()?;
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits();
        let file = File::options().write(true).custom_flags(flags as i32).open(&path);
        let file = file.with_context(|| format!("direct writes to {}", path.display()))?;
        Ok(Self { ring: Ring::new()?, file, offset: 0, under_way: None, batch: Vec::new() })
    }

    /// Takes a request into the batch.
    pub(super) fn add(&mut self, request: &[u8]) {
        self.batch.extend_from_slice(request);
    }

    /// Whether the batch is so large that the write under way is to be awaited first.
    pub(super) fn is_full(&self) -> bool {
        BATCH_LEN <= self.batch.len()
    }

    /// Begins to write the batch, unless one is being written or there is nothing; whether it did.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn begin(&mut self) -> Result<bool> {
        if self.under_way.is_some() || self.batch.is_empty() {
            return Ok(false);
        }
        let len = self.batch.len().next_multiple_of(BLOCK);
        ensure!(len <= FILE_LEN, "a batch of {len} bytes");
        if FILE_LEN as u64 - self.offset < len as u64 {
            self.offset = 0;
        }
        let batch = &self.batch;
        self.ring.write(&self.file, (self.offset, len), |out| {
            let (bytes, padding) = out.split_at_mut(batch.len());
            bytes.copy_from_slice(batch);
            padding.fill(0);
        })?;
        self.batch.clear();
        self.offset += len as u64;
        self.under_way = Some(len);
        Ok(true)
    }

    /// Whether the write under way is done.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn ended(&mut self) -> Result<bool> {
        let Some(done) = self.ring.poll() else { return Ok(false) };
        let (len, written) = (self.under_way.take(), done?);
        ensure!(len == Some(written), "{written} bytes were written of {len:?}");
        Ok(true)
    }
}

impl AsFd for Force {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

const FILE_LEN: usize = 64 << 20;
/// Beyond which no more requests are taken into a batch.
const BATCH_LEN: usize = 8 << 20;
const BLOCK: usize = 4_096;
