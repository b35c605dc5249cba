//! The files of images take turns: one that is not retained any more is written again, and of its pages only those that changed since.
//!
//! Driver, blocking, of the imager's thread. A spare is worth nothing to a start; the next image takes its file over if nobody reads it (a lock
//! tells), and if what lies around its pages is whole. What a file holds besides is not looked at again: pages that rot in one are found by their
//! checksum when it is loaded, as in every image, and after [`REWRITE_AFTER`] a file is given up.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::arena::ImageSource;
use jute::Zxid;
use rustix::fs::FlockOperation;
use tracing::{debug, warn};

use crate::disk::{self, FileTarget, open_direct, path};
use crate::format::FileName;
use crate::load::{Fault, read_frame};

/// Of one imager.
#[derive(Debug)]
pub(crate) struct Turns {
    dir: PathBuf,
    /// How many images are retained. `None`: all, and no file is written again.
    retain: Option<usize>,
    /// The images of this imager that are retained, oldest first.
    retained: VecDeque<Written>,
    spare: Option<Written>,
}

/// An image of this imager.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) zxid: Zxid,
    /// See [`ImageSource::number`].
    pub(crate) number: u32,
    /// When all pages of the file were written.
    pub(crate) whole_at: Instant,
}

/// A file that an image is written over.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) target: FileTarget,
    /// Of the image that it held.
    pub(crate) written: Written,
    /// Of the pages that it holds.
    pub(crate) checksums: Vec<u32>,
}

impl Turns {
    /// Removes what an earlier process has left.
    pub(crate) fn begin(dir: &Path, retain: Option<usize>) -> Self {
        let left = disk::list(dir).unwrap_or_default();
        for name in left.into_iter().filter(|it| matches!(it, FileName::Spare(_))) {
            remove(&path(dir, name));
        }
        Self { dir: dir.to_path_buf(), retain, retained: VecDeque::new(), spare: None }
    }

    /// An image is whole under its name. Whichever of this imager's is not retained any more becomes the spare, before anybody could purge it.
    pub(crate) fn written(&mut self, image: Written) {
        // One of the same name is gone, and later ones are of a history that was taken back.
        self.retained.retain(|it| it.zxid < image.zxid);
        self.retained.push_back(image);
        let Some(retain) = self.retain else { return };
        if self.retained.len() <= retain.max(1) {
            return;
        }
        let Some(oldest) = self.retained.pop_front() else { return };
        self.give_up();
        let [from, to] = [FileName::Image(oldest.zxid), FileName::Spare(oldest.zxid)];
        match std::fs::rename(path(&self.dir, from), path(&self.dir, to)) {
            Ok(()) => self.spare = Some(oldest),
            Err(err) => debug!(%err, zxid = %oldest.zxid, "no file to write the next image over"),
        }
    }

    /// The file that the image of `source` is to be written over, if there is one. It has the name of an unfinished image then.
    pub(crate) fn base(&mut self, source: &ImageSource, now: Instant) -> Option<Base> {
        let spare = self.spare?;
        let base = if spare.whole_at + REWRITE_AFTER < now {
            None
        } else {
            let taken = self.take(spare, source.zxid());
            taken.inspect_err(|fault| debug!(%fault, zxid = %spare.zxid, "not written over")).ok()
        };
        if base.is_none() {
            self.give_up();
        }
        self.spare = None;
        base
    }

    fn take(&self, spare: Written, zxid: Zxid) -> Result<Base, Fault> {
        let path = path(&self.dir, FileName::Spare(spare.zxid));
        let file = open_direct(OpenOptions::new().read(true).write(true), &path)?;
        lock(&file)?;
        let (_, checksums) = read_frame(&file, spare.zxid)?;
        let target = FileTarget::over(&self.dir, zxid, spare.zxid, file)?;
        Ok(Base { target, written: spare, checksums })
    }

    fn give_up(&mut self) {
        if let Some(spare) = self.spare.take() {
            remove(&path(&self.dir, FileName::Spare(spare.zxid)));
        }
    }
}

/// Fails if anybody reads the file.
fn lock(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)?)
}

fn remove(path: &Path) {
    if let Err(err) = disk::remove(path) {
        warn!(%err, file = %path.display(), "a spare image was not removed");
    }
}

/// A file whose pages were all written longer ago is not written over: what lies that long may rot.
const REWRITE_AFTER: Duration = Duration::from_hours(24);
