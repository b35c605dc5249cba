//! Inspecting images: list them, verify every checksum, read their pages. Reads only; a running server's directory will do.
//!
//! Driver, blocking.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jute::Zxid;
use zerocopy::IntoBytes as _;

use crate::disk::{blocks, list, open_direct, path};
use crate::format::{FileName, ImageHeader, PAGE_LEN};
use crate::load::{Fault, load_one, read_frame, verify as verify_pages};
use crate::region::Region;

/// An image does not verify.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}", path = .path.display())]
pub struct InspectError {
    path: PathBuf,
    fault: Fault,
}

/// The images in `dir`, oldest first.
///
/// # Errors
/// The directory cannot be read.
pub fn images(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let names = list(dir)?.into_iter().filter(|it| matches!(it, FileName::Image(_)));
    Ok(names.map(|it| path(dir, it)).collect())
}

/// Reads the whole image and verifies every checksum. Takes a few MiB of memory, whatever the image's size.
///
/// # Errors
/// [`InspectError`] names the first thing that is wrong.
pub fn verify(path: &Path) -> Result<ImageHeader, InspectError> {
    let failed = |fault| InspectError { path: path.to_path_buf(), fault };
    read(path).map_err(failed)
}

/// Loads an image into a region of its own, of `len_min` bytes or what it needs, and verifies every checksum.
///
/// # Errors
/// [`InspectError`] names the first thing that is wrong.
pub fn open(path: &Path, len_min: usize) -> Result<(Region, ImageHeader), InspectError> {
    let failed = |fault| InspectError { path: path.to_path_buf(), fault };
    let load = || -> Result<_, Fault> {
        let zxid = zxid_of(path)?;
        let file = open_direct(OpenOptions::new().read(true), path)?;
        let (header, _) = read_frame(&file, zxid)?;
        let mut region = Region::reserve(len_min.max(header.page_count as usize * PAGE_LEN))?;
        let header = load_one(path, zxid, region.bytes_mut())?;
        Ok((region, header))
    };
    load().map_err(failed)
}

fn zxid_of(path: &Path) -> Result<Zxid, Fault> {
    match path.file_name().and_then(|it| it.to_str()).and_then(FileName::parse) {
        Some(FileName::Image(zxid)) => Ok(zxid),
        Some(FileName::Unfinished(_)) | None => {
            Err(io::Error::from(io::ErrorKind::InvalidFilename).into())
        }
    }
}

fn read(path: &Path) -> Result<ImageHeader, Fault> {
    let zxid = zxid_of(path)?;
    let file = open_direct(OpenOptions::new().read(true), path)?;
    let (header, checksums) = read_frame(&file, zxid)?;
    let mut chunk = blocks(CHUNK_PAGES);
    for (idx, expected) in checksums.chunks(CHUNK_PAGES).enumerate() {
        let first = (idx * CHUNK_PAGES) as u64;
        let bytes = &mut chunk.as_mut_slice().as_mut_bytes()[..expected.len() * PAGE_LEN];
        file.read_exact_at(bytes, ImageHeader::page_at(first))?;
        verify_pages(first, bytes, expected)?;
    }
    Ok(header)
}

const CHUNK_PAGES: usize = 256;
