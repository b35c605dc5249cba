//! Writing an image: the order of its writes, over a file that may be a real or a failing one.
//!
//! The order is the contract: everything under a name that means nothing, then a sync, then the rename, then a sync of the directory. Killed at any
//! point, the image is whole under its name or not there.

use core::ops::Range;
use std::io;

use engine::arena::ImageSource;
use zerocopy::IntoBytes as _;

use crate::disk::{Block, blocks};
use crate::format::{ImageHeader, PAGE_LEN};

/// Where an image is written to: one unfinished file and its directory.
pub trait Target {
    /// Creates the unfinished file with room for `len` bytes, or makes that room in the one that is there.
    ///
    /// # Errors
    /// The system's.
    fn create(&mut self, len: u64) -> io::Result<()>;
    /// Writes all of `bytes`, whole blocks at a block's start.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    ///
    /// # Errors
    /// The system's.
    fn sync(&mut self) -> io::Result<()>;
    /// Gives the file its name.
    ///
    /// # Errors
    /// The system's.
    fn publish(&mut self) -> io::Result<()>;
    /// Makes the name durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&mut self) -> io::Result<()>;
    /// Removes the unfinished file, if there is one.
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self) -> io::Result<()>;
}

/// An image being written. Pages come in any order, each once; those that the file has already do not come.
#[derive(Debug)]
pub struct Writing<T> {
    target: T,
    header: ImageHeader,
    /// Of the pages that are in the file; of the others 0.
    checksums: Vec<u32>,
    /// Pages that are in the file.
    written: u64,
    unsynced_bytes: usize,
}

impl<T: Target> Writing<T> {
    /// Creates the file and writes its header.
    ///
    /// # Errors
    /// The target's; what was created is removed.
    pub fn begin(target: T, header: ImageHeader) -> io::Result<Self> {
        Self::over(target, header, &[])
    }

    /// As [`Self::begin`], in a file that has some pages already: `kept` has their checksums, `None` for a page that will come.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn over(mut target: T, header: ImageHeader, kept: &[Option<u32>]) -> io::Result<Self> {
        let mut block = blocks(1);
        header.encode(block.as_mut_slice().as_mut_bytes());
        let begun = target.create(header.file_len());
        if let Err(err) = begun.and_then(|()| target.write_at(0, block.as_slice().as_bytes())) {
            // The first error says more than one of tidying up.
            target.remove().unwrap_or_default();
            return Err(err);
        }
        let mut checksums = vec![0; header.page_count as usize];
        for (checksum, kept) in checksums.iter_mut().zip(kept) {
            *checksum = kept.unwrap_or_default();
        }
        let written = kept.iter().flatten().count() as u64;
        Ok(Self { target, header, checksums, written, unsynced_bytes: 0 })
    }

    /// Pages not yet written.
    pub fn left(&self) -> u64 {
        self.header.page_count - self.written
    }

    /// Takes some pages of `source` into `chunk`, in which there is room for them, and writes them.
    ///
    /// # Errors
    /// The target's; then [`Self::abandon`].
    pub(crate) fn take(
        &mut self,
        source: &ImageSource,
        pages: Range<u64>,
        chunk: &mut [Block],
    ) -> io::Result<()> {
        let first = pages.start;
        let chunk = &mut chunk[..(pages.end - first) as usize];
        for (number, page) in pages.zip(&mut *chunk) {
            source.page(number, &mut page.0);
        }
        self.put(first, chunk)
    }

    /// Writes the pages from `first`.
    ///
    /// # Errors
    /// The target's; then [`Self::abandon`].
    pub(crate) fn put(&mut self, first: u64, pages: &[Block]) -> io::Result<()> {
        for (checksum, page) in self.checksums[first as usize..].iter_mut().zip(pages) {
            *checksum = crc32c::crc32c(page.as_bytes());
        }
        self.target.write_at(ImageHeader::page_at(first), pages.as_bytes())?;
        self.written += pages.len() as u64;
        self.unsynced_bytes += pages.len() * PAGE_LEN;
        if SYNC_EVERY <= self.unsynced_bytes {
            self.unsynced_bytes = 0;
            self.target.sync()?;
        }
        Ok(())
    }

    /// Ends the image: checksums, trailer, sync, name, sync of the directory. Every page is there.
    ///
    /// # Errors
    /// The target's; the unfinished file is then removed. If only the last sync failed the image has its name, and may or may not keep it.
    pub fn finish(mut self) -> io::Result<()> {
        assert_eq!(self.left(), 0);
        let done = self.close();
        if done.is_err() {
            self.abandon();
        }
        done
    }

    fn close(&mut self) -> io::Result<()> {
        let mut table = blocks(self.header.table_len() / PAGE_LEN);
        self.header.encode_table(&self.checksums, table.as_mut_slice().as_mut_bytes());
        let mut trailer = blocks(1);
        let table = table.as_slice().as_bytes();
        self.header.encode_trailer(table, trailer.as_mut_slice().as_mut_bytes());
        self.target.write_at(self.header.table_at(), table)?;
        self.target.write_at(self.header.trailer_at(), trailer.as_slice().as_bytes())?;
        self.target.sync()?;
        self.target.publish()?;
        self.target.sync_dir()
    }

    /// Gives up, and removes the unfinished file.
    pub fn abandon(mut self) {
        if let Err(err) = self.target.remove() {
            tracing::warn!(zxid = %self.header.zxid, %err, "removing an unfinished image failed");
        }
    }
}

/// Bytes after which what was written is made durable, so that no single flush has much to do while the log waits for its own.
const SYNC_EVERY: usize = 16 << 20;

#[cfg(test)]
mod tests;
