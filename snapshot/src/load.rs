//! Loading: the newest image that is whole, straight into the region.
//!
//! ZooKeeper: `FileSnap.deserialize`, `FileSnap.findNValidSnapshots`. Driver, blocking; runs before the region is shared. Two threads read chunk after
//! chunk past the page cache and verify what they have read, so that reading goes on while a chunk is verified.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jute::Zxid;
use tracing::{error, info};
use zerocopy::IntoBytes as _;

use crate::disk::{blocks, list, open_image, path};
use crate::format::{Damage, FileName, ImageHeader, Label, PAGE_LEN};
use crate::inspect::Source;
use crate::region::Region;

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its file.
    pub path: PathBuf,
    /// The transaction it is the state after.
    pub zxid: Zxid,
    /// Pages.
    pub page_count: u64,
    /// What its writer said.
    pub label: Label,
}

/// What a server starts from.
#[derive(Debug)]
pub struct Start {
    /// Holds the image in its first pages, zeros behind.
    pub region: Region,
    /// `None`: there is no image, and the region is all zero.
    pub loaded: Option<Loaded>,
    /// The newest image's zxid, loaded or not: replay must reach at least this far, or data is gone. See [`Start::check_reached`].
    pub newest_zxid: Zxid,
}

/// No image can be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The system refused a file, the directory or the memory.
    #[error("{path}: {what}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There are images, but none is whole: starting with nothing would forget what they held.
    #[error("{dir}: none of the {count} images is whole. Restore the directory from a copy, or move the images away to start from the log alone", dir = .dir.display())]
    AllDamaged {
        /// Where.
        dir: PathBuf,
        /// How many.
        count: usize,
    },
    /// An older image was loaded, and the log does not reach to where the damaged newer one was.
    #[error(
        "the newest image, at zxid {newest_zxid}, is damaged, and image and log together reach only to {last_zxid}. Restore the directory \
         from a copy, or move that image away to go on from {last_zxid}"
    )]
    LogTooShort {
        /// Of the image that is damaged.
        newest_zxid: Zxid,
        /// Of image and log.
        last_zxid: Zxid,
    },
}

/// One image does not load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Damage(#[from] Damage),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Start {
    /// After replay: that nothing is missing which a damaged image held.
    ///
    /// # Errors
    /// [`LoadError::LogTooShort`].
    pub fn check_reached(&self, last_zxid: Zxid) -> Result<(), LoadError> {
        let newest_zxid = self.newest_zxid;
        if last_zxid < newest_zxid {
            return Err(LoadError::LogTooShort { newest_zxid, last_zxid });
        }
        Ok(())
    }
}

/// Reserves a region of `region_len` bytes and loads the newest whole image of `dir` into it. Damaged ones are logged and left where they are.
///
/// # Errors
/// [`LoadError`].
pub fn load(dir: &Path, region_len: usize) -> Result<Start, LoadError> {
    std::fs::create_dir_all(dir).map_err(at("making the directory", dir))?;
    let names = list(dir).map_err(at("listing the directory", dir))?;
    let mut images = Vec::new();
    for name in names {
        match name {
            FileName::Image(zxid) => images.push(zxid),
            FileName::Unfinished(_) => {
                let path = path(dir, name);
                std::fs::remove_file(&path).map_err(at("removing an unfinished image", &path))?;
            }
            // The imager's affair.
            FileName::Spare(_) => {}
        }
    }
    let newest_zxid = images.last().copied().unwrap_or_default();
    for &zxid in images.iter().rev() {
        // A fresh one each time: what a damaged image left behind is not to be found in the next.
        let mut region = Region::reserve(region_len).map_err(at("reserving memory", dir))?;
        let path = path(dir, FileName::Image(zxid));
        match load_one(&path, zxid, region.bytes_mut()) {
            Ok(header) => {
                info!(file = %path.display(), pages = header.page_count, "image loaded");
                let loaded =
                    Loaded { path, zxid, page_count: header.page_count, label: header.label };
                return Ok(Start { region, loaded: Some(loaded), newest_zxid });
            }
            Err(fault) => {
                error!(file = %path.display(), %fault, "image not loaded, trying the one before");
            }
        }
    }
    if !images.is_empty() {
        return Err(LoadError::AllDamaged { dir: dir.to_path_buf(), count: images.len() });
    }
    let region = Region::reserve(region_len).map_err(at("reserving memory", dir))?;
    Ok(Start { region, loaded: None, newest_zxid })
}

/// Loads one image into `into`, and verifies every checksum.
pub(crate) fn load_one(path: &Path, zxid: Zxid, into: &mut [u8]) -> Result<ImageHeader, Fault> {
    let file = open_image(path)?;
    let (header, checksums) = read_frame(&file, zxid)?;
    let room = (into.len() / PAGE_LEN) as u64;
    if room < header.page_count {
        return Err(Damage::TooLarge { page_count: header.page_count, room }.into());
    }
    let pages = &mut into[..header.page_count as usize * PAGE_LEN];
    let chunks = pages.chunks_mut(READ_PAGES * PAGE_LEN).zip(checksums.chunks(READ_PAGES));
    let chunks = Mutex::new((0..).step_by(READ_PAGES).zip(chunks));
    let work = || -> Result<(), Fault> {
        loop {
            let next = chunks.lock().map_or(None, |mut it| it.next());
            let Some((first, (bytes, expected))) = next else { return Ok(()) };
            file.read_exact_at(bytes, ImageHeader::page_at(first))?;
            verify(first, bytes, expected)?;
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let own = work();
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        own.and(other)
    })?;
    Ok(header)
}

/// Everything around the pages: header, table and trailer; verified. Gives the pages' checksums.
pub(crate) fn read_frame(file: &dyn Source, zxid: Zxid) -> Result<(ImageHeader, Vec<u32>), Fault> {
    let found = file.byte_len()?;
    let mut block = blocks(1);
    read_at(file, block.as_mut_slice().as_mut_bytes(), 0)?;
    let header = ImageHeader::decode(block.as_slice().as_bytes())?;
    if header.zxid != zxid {
        return Err(Damage::Misnamed { found: header.zxid }.into());
    }
    let expected = header.file_len();
    if found != expected {
        return Err(Damage::Length { expected, found }.into());
    }
    let mut table = blocks(header.table_len() / PAGE_LEN);
    read_at(file, table.as_mut_slice().as_mut_bytes(), header.table_at())?;
    read_at(file, block.as_mut_slice().as_mut_bytes(), header.trailer_at())?;
    let checksums =
        header.decode_table(table.as_slice().as_bytes(), block.as_slice().as_bytes())?.collect();
    Ok((header, checksums))
}

/// A file that ends too early is damaged, not unreadable.
fn read_at(file: &dyn Source, bytes: &mut [u8], offset: u64) -> Result<(), Fault> {
    match file.read_blocks(bytes, offset) {
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Err(Damage::Header.into()),
        done => Ok(done?),
    }
}

/// Compares consecutive pages, the first of which is `first`, with their checksums.
pub(crate) fn verify(first: u64, bytes: &[u8], expected: &[u32]) -> Result<(), Damage> {
    for ((number, page), &expected) in (first..).zip(bytes.chunks(PAGE_LEN)).zip(expected) {
        let found = crc32c::crc32c(page);
        if found != expected {
            return Err(Damage::Page {
                number,
                offset: ImageHeader::page_at(number),
                expected,
                found,
            });
        }
    }
    Ok(())
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LoadError {
    let path = path.to_path_buf();
    move |source| LoadError::Io { what, path, source }
}

/// Pages in one read: 4 MiB, the disk's full speed.
const READ_PAGES: usize = 1024;
