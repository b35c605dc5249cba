//! What the pipeline's thread sees to between batches: images, room on disk and in memory, slow writes.

use engine::prep::Room;
use snapshot::Outcome;
use wal::{Batch, DiskSpace};

use crate::images::{Due, Images};
use crate::pipeline::{Applier, Moment};

/// Words of the tree's memory that are kept for what is outstanding, and for deletes: 128 MiB.
const MEMORY_RESERVE_WORDS: u64 = 16 << 20;

/// How often to look around, milliseconds.
const LOOK_MS: u64 = 1_000;

/// The same while an image is being written.
const LOOK_IMAGE_MS: u64 = 50;

/// The images, the disk's room, and what was last said of it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    images: Images,
    space: DiskSpace,
    /// A write to the log that takes longer is reported, milliseconds.
    slow_append_ms: u64,
    /// When [`Upkeep::look_around`] was last called.
    looked_ms: u64,
    room: Room,
}

impl Upkeep {
    pub(crate) fn new(images: Images, space: DiskSpace, slow_append_ms: u64) -> Self {
        Self { images, space, slow_append_ms, looked_ms: 0, room: Room::Ample }
    }

    /// When to look around. Monotonic milliseconds.
    pub(crate) fn next_deadline(&self) -> u64 {
        self.looked_ms + if self.images.busy() { LOOK_IMAGE_MS } else { LOOK_MS }
    }

    /// What nobody tells: an image that is done while nothing is written (`quiet`).
    pub(crate) fn look_around(&mut self, moment: Moment, applier: &mut Applier, quiet: Quiet) {
        self.looked_ms = moment.now_ms;
        if quiet == Quiet::Yes {
            self.see_to_images(moment, Due { txns: 0, bytes: 0 }, applier);
        }
    }

    /// Whether there is room for what grows, before anything is taken that may: a fast log fills a segment in less than a tick.
    pub(crate) fn see_to_room(&mut self, applier: &Applier) -> Room {
        let headroom = applier.state().tree().headroom();
        let memory_tight = headroom.fresh < MEMORY_RESERVE_WORDS;
        let tight = self.space.nearly_full() || memory_tight;
        let room = if tight { Room::Tight } else { Room::Ample };
        if room != self.room {
            self.room = room;
            if tight {
                tracing::error!(
                    free_bytes = self.space.free_bytes(),
                    no_segment = self.space.gives_no_segment(),
                    memory_tight,
                    "nearly full: writes that grow are refused; deletes and session ends go on"
                );
            } else {
                tracing::info!("there is room again: writes go on");
            }
        }
        room
    }

    /// A write to the log took so long.
    pub(crate) fn measure_append(&self, took_ms: u64, batch: &Batch, applier: &mut Applier) {
        let figures = applier.figures_mut();
        figures.fsynctime.add(took_ms);
        figures.sync_processor_queue_flush_time_ms.add(took_ms);
        if self.slow_append_ms < took_ms {
            tracing::warn!(
                ms = took_ms,
                transactions = batch.count(),
                bytes = batch.len_bytes(),
                "a write to the log was slow; the disk is busy or failing (fsync.warningthresholdms={})",
                self.slow_append_ms
            );
        }
    }

    /// The images.
    pub(crate) fn images_mut(&mut self) -> &mut Images {
        &mut self.images
    }

    /// A batch of this size was applied.
    pub(crate) fn see_to_images(&mut self, moment: Moment, grown: Due, applier: &mut Applier) {
        let ended = self.images.after_batch(applier.state_mut(), moment, grown);
        let figures = applier.figures_mut();
        match ended {
            Some(Outcome::Written { took, .. }) => {
                figures.snapshottime.add(took.as_millis() as u64);
            }
            Some(Outcome::Failed(_)) => figures.snapshot_error_count += 1,
            Some(Outcome::Cancelled) | None => {}
        }
    }
}

/// Whether no batch is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// None is.
    Yes,
    /// One is.
    No,
}
