//! Inspecting images: list them, verify every checksum, read their pages. Reads only; a running server's directory will do.
//!
//! Driver, blocking.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use zerocopy::IntoBytes as _;

use crate::disk::{blocks, list, open_direct, path};
use crate::format::{FileName, ImageHeader, PAGE_LEN};
use crate::load::{Fault, read_frame, verify as verify_pages};

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

fn read(path: &Path) -> Result<ImageHeader, Fault> {
    let name = path.file_name().and_then(|it| it.to_str()).and_then(FileName::parse);
    let Some(FileName::Image(zxid)) = name else {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename).into());
    };
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
