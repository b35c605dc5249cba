//! The purger: removes images that are not retained, and says from where the log is needed.
//!
//! ZooKeeper: `DatadirCleanupManager`. Driver, blocking; for the control thread.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use jute::Zxid;
use tracing::{debug, warn};

use crate::disk::{list, path, sync_dir};
use crate::format::FileName;
use crate::inspect;
use crate::retain::{self, Validity};

/// Knows which images this process has seen whole, so that each is read at most once.
#[derive(Debug)]
pub struct Purger {
    dir: PathBuf,
    whole: BTreeSet<Zxid>,
}

impl Purger {
    /// For the images in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), whole: BTreeSet::new() }
    }

    /// This image was just written or loaded: it is whole.
    pub fn seen_whole(&mut self, zxid: Zxid) {
        self.whole.insert(zxid);
    }

    /// Keeps the newest `retain_count` whole images and removes older ones. Returns the oldest that is kept: give it to the log's
    /// `release`. `None`: there is no whole image, and nothing may be released.
    ///
    /// # Errors
    /// The system's; what was removed before stays removed.
    pub fn purge(&mut self, retain_count: usize) -> io::Result<Option<Zxid>> {
        let names = list(&self.dir)?.into_iter();
        let images: Vec<_> = names
            .filter_map(|it| match it {
                FileName::Image(zxid) => Some((zxid, self.validity(zxid))),
                FileName::Unfinished(_) | FileName::Spare(_) => None,
            })
            .collect();
        let retention = retain::choose(&images, retain_count);
        for &zxid in &retention.remove {
            let path = path(&self.dir, FileName::Image(zxid));
            std::fs::remove_file(&path)?;
            self.whole.remove(&zxid);
            debug!(file = %path.display(), "image removed");
        }
        if !retention.remove.is_empty() {
            sync_dir(&self.dir)?;
        }
        Ok(retention.oldest_kept)
    }

    fn validity(&mut self, zxid: Zxid) -> Validity {
        if self.whole.contains(&zxid) {
            return Validity::Valid;
        }
        let path = path(&self.dir, FileName::Image(zxid));
        match inspect::verify(&path) {
            Ok(_) => {
                self.whole.insert(zxid);
                Validity::Valid
            }
            Err(err) => {
                warn!(%err, "a damaged image does not count as retained");
                Validity::Damaged
            }
        }
    }
}
