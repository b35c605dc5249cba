//! Inspecting images: list them, verify every checksum. Reads only; a running server's directory will do.
//!
//! Driver, blocking. An image never changes while it is open and locked here, so that it may be read in any way while a server runs: past the page
//! cache, or through a map that the caller has ([`Source`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jute::Zxid;
use zerocopy::IntoBytes as _;

use crate::disk::{blocks, list, open_image, path};
use crate::format::{FileName, ImageHeader, PAGE_LEN};
use crate::load::{Fault, read_frame, verify as verify_pages};

pub use crate::disk::hold;

/// An image does not verify.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}", path = .path.display())]
pub struct InspectError {
    path: PathBuf,
    fault: Fault,
}

/// Where an image's bytes come from.
pub trait Source {
    /// Bytes of the file.
    ///
    /// # Errors
    /// The system's.
    fn byte_len(&self) -> io::Result<u64>;
    /// Fills `bytes` with whole blocks from `offset` on, a block's start.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end; the disk's.
    fn read_blocks(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_blocks(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }
}

/// The images in `dir`, oldest first.
///
/// # Errors
/// The directory cannot be read.
pub fn images(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let names = list(dir)?.into_iter().filter(|it| matches!(it, FileName::Image(_)));
    Ok(names.map(|it| path(dir, it)).collect())
}

/// The last transaction of the newest image in `dir`, and the image's length in bytes, by its name: nothing of it is read.
///
/// # Errors
/// The directory cannot be read.
pub fn newest(dir: &Path) -> io::Result<Option<(Zxid, u64)>> {
    let Some(path) = images(dir)?.pop() else { return Ok(None) };
    let name = path.file_name().and_then(|it| it.to_str()).and_then(FileName::parse);
    match (name, path.metadata()) {
        (Some(FileName::Image(zxid)), Ok(found)) => Ok(Some((zxid, found.len()))),
        // It was purged meanwhile.
        _ => Ok(None),
    }
}

/// Reads the whole image past the page cache and verifies every checksum. Takes a MiB of memory and four bytes a page.
///
/// # Errors
/// [`InspectError`] names the first thing that is wrong.
pub fn verify(path: &Path) -> Result<ImageHeader, InspectError> {
    let open = || Ok(open_image(path)?);
    open().and_then(|it| check(path, &it)).map_err(failed(path))
}

/// As [`verify`], of the image named `path`, whose bytes `source` has.
///
/// # Errors
/// [`InspectError`] names the first thing that is wrong.
pub fn verify_from(path: &Path, source: &dyn Source) -> Result<ImageHeader, InspectError> {
    check(path, source).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(Fault) -> InspectError {
    move |fault| InspectError { path: path.to_path_buf(), fault }
}

fn zxid_of(path: &Path) -> Result<Zxid, Fault> {
    match path.file_name().and_then(|it| it.to_str()).and_then(FileName::parse) {
        Some(FileName::Image(zxid)) => Ok(zxid),
        Some(FileName::Unfinished(_) | FileName::Spare(_)) | None => {
            Err(io::Error::from(io::ErrorKind::InvalidFilename).into())
        }
    }
}

fn check(path: &Path, source: &dyn Source) -> Result<ImageHeader, Fault> {
    let (header, checksums) = read_frame(source, zxid_of(path)?)?;
    let mut chunk = blocks(CHUNK_PAGES);
    for (idx, expected) in checksums.chunks(CHUNK_PAGES).enumerate() {
        let first = (idx * CHUNK_PAGES) as u64;
        let bytes = &mut chunk.as_mut_slice().as_mut_bytes()[..expected.len() * PAGE_LEN];
        source.read_blocks(bytes, ImageHeader::page_at(first))?;
        verify_pages(first, bytes, expected)?;
    }
    Ok(header)
}

const CHUNK_PAGES: usize = 256;
