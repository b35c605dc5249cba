//! Writing an image of a tree that nobody changes: page after page, at the disk's pace.
//!
//! Driver, blocking. For the tree that a learner was sent; the one that serves is the [`crate::Imager`]'s. The order of writes is the same.

use std::io;
use std::path::Path;

use engine::arena::ImageSource;

use crate::disk::{FileTarget, blocks, path};
use crate::format::{FileName, ImageHeader, Label};
use crate::imager::ImageError;
use crate::write::Writing;

/// Writes the image of `source`, of which nobody else asks for pages, to `dir`. It is durable then, under its name.
///
/// # Errors
/// [`ImageError`]; nothing is left of it.
pub(crate) fn write(dir: &Path, source: &ImageSource, label: Label) -> Result<(), ImageError> {
    let (zxid, page_count) = (source.zxid(), source.page_count());
    let header = ImageHeader { zxid, page_count, label };
    write_pages(dir, source, header)
        .map_err(|source| ImageError { path: path(dir, FileName::Image(zxid)), source })
}

fn write_pages(dir: &Path, source: &ImageSource, header: ImageHeader) -> io::Result<()> {
    let mut writing = Writing::begin(FileTarget::new(dir, header.zxid), header)?;
    let mut chunk = blocks(CHUNK_PAGES);
    while 0 < writing.left() {
        let first = source.page_count() - writing.left();
        let pages = first..source.page_count().min(first + CHUNK_PAGES as u64);
        if let Err(error) = writing.take(source, pages, &mut chunk) {
            writing.abandon();
            return Err(error);
        }
    }
    writing.finish()
}

/// Pages in one write: 1 MiB, the disk's full speed.
const CHUNK_PAGES: usize = 256;
