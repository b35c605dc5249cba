//! The pipeline's driver: rings, the log and the clock around the machine.
//!
//! One turn: take what the rings hold; when a write is done start the next, and then apply what was written and hand out the
//! messages. So the disk writes one batch while the next one fills and the one before is applied, without timers.

use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use engine::prep::Room;
use engine::quota::{Hardness, Limited};
use net::message::{Deliver, Forward};
use net::ring::{Mailbox, Receiver, Sender};
use snapshot::Outcome;
use wal::{AppendError, Batch, DiskSpace, Log};

use crate::clock;
use crate::images::{Due, Images};
use crate::pipeline::{Applier, Moment, Pipeline, QuotaNote};

/// The pipeline's ends of the rings to one session shard.
#[derive(Debug)]
pub(crate) struct Lane {
    /// What the shard wants.
    pub(crate) forwards: Receiver<Forward>,
    /// What the shard is told.
    pub(crate) delivers: Sender<Deliver>,
}

/// What the control thread wants of the pipeline.
pub(crate) enum Order {
    /// Look at the machine.
    Look(Box<dyn FnOnce(&mut Applier) + Send>),
    /// End after the batch that is being written.
    Stop,
}

/// The pipeline shard.
pub(crate) struct PipelineShard {
    pipeline: Pipeline,
    lanes: Vec<Lane>,
    orders: Mailbox<Order>,
    images: Images,
    space: DiskSpace,
    log: Log,
    /// The batch that is being written.
    writing: Option<Batch>,
    /// When it was begun, monotonic milliseconds.
    append_began_ms: u64,
    /// A write to the log that takes longer is reported, milliseconds.
    slow_append_ms: u64,
    /// A batch that is durable and waits for room in the rings.
    durable: Option<Batch>,
    /// When [`PipelineShard::look_around`] was last called.
    looked_ms: u64,
    /// Whether writes that grow are refused.
    tight: bool,
    stopping: bool,
}

/// Words of the tree's memory that are kept for what is outstanding, and for deletes: 128 MiB.
const MEMORY_RESERVE_WORDS: u64 = 16 << 20;

/// How often to look around while an image is being written, milliseconds.
const LOOK_MS: u64 = 50;

/// Tells the operator of a quota that was exceeded.
fn say(note: QuotaNote) {
    let QuotaNote { exceeded, times } = note;
    let root = String::from_utf8_lossy(&exceeded.root);
    let (wanted, limit) = (exceeded.wanted, exceeded.limit);
    let what = match exceeded.what {
        Limited::Count => "znodes",
        Limited::Bytes => "bytes",
    };
    let outcome = match exceeded.hardness {
        Hardness::Soft => "the limit is soft: done",
        Hardness::Hard => "the limit is hard: refused",
    };
    tracing::warn!(%root, wanted, limit, times, "quota of {what} exceeded; {outcome}");
}

impl PipelineShard {
    pub(crate) fn new(
        pipeline: Pipeline,
        log: Log,
        lanes: Vec<Lane>,
        orders: Mailbox<Order>,
        images: Images,
        slow_append_ms: u64,
    ) -> Self {
        Self {
            pipeline,
            lanes,
            orders,
            images,
            space: log.space(),
            log,
            writing: None,
            append_began_ms: 0,
            slow_append_ms,
            durable: None,
            looked_ms: 0,
            tight: false,
            stopping: false,
        }
    }

    /// Does everything that there is to do, and begins to wait for the rest: whoever rings `cx`, and [`Self::ring`].
    ///
    /// # Errors
    /// The log failed: what was in flight is not acknowledged, and the process is to end.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), AppendError> {
        loop {
            let mut progress = self.take_orders(cx);
            progress |= self.take_forwards(cx);
            progress |= self.take_deadline();
            progress |= self.take_written(cx)?;
            progress |= !self.has_ended() && self.begin_append(cx)?;
            progress |= self.take_durable(cx);
            if !progress {
                return Ok(());
            }
        }
    }

    /// Whether it was told to stop, and has: then it takes no more turns.
    pub(crate) fn has_ended(&self) -> bool {
        self.stopping && self.writing.is_none() && self.durable.is_none()
    }

    /// When to take a turn if nothing else happens, monotonic milliseconds.
    pub(crate) fn next_deadline(&self) -> u64 {
        let due_ms = self.pipeline.next_deadline();
        if self.images.busy() { due_ms.min(self.looked_ms + LOOK_MS) } else { due_ms }
    }

    /// Readable when there is a turn to take.
    pub(crate) fn ring(&self) -> BorrowedFd<'_> {
        self.log.ring()
    }

    fn take_orders(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready(order) = self.orders.poll_next(cx) {
            any = true;
            match order {
                Order::Look(look) => look(self.pipeline.applier_mut()),
                Order::Stop => self.stopping = true,
            }
        }
        any
    }

    /// Takes every message that the rings hold, as long as the batch has room.
    fn take_forwards(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        if self.stopping {
            return any;
        }
        self.see_to_room();
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            while self.pipeline.has_room() {
                if lane.forwards.poll_item(cx).is_pending() {
                    break;
                }
                let Some(forward) = lane.forwards.pop() else { break };
                self.pipeline.take(clock::now(), shard, &forward);
                lane.forwards.give_back(forward);
                self.pipeline.quota_notes().for_each(say);
                any = true;
            }
        }
        any
    }

    fn take_deadline(&mut self) -> bool {
        let moment = clock::now();
        let due = self.next_deadline() <= moment.now_ms;
        if due {
            self.looked_ms = moment.now_ms;
            self.look_around(moment);
            self.pipeline.deadline(moment);
        }
        due
    }

    /// What nobody tells: an image that is done while nothing is written.
    fn look_around(&mut self, moment: Moment) {
        let nothing = Due { txns: 0, bytes: 0 };
        if self.writing.is_none() && self.durable.is_none() {
            self.see_to_images(moment, nothing);
        }
    }

    /// Whether there is room for what grows, before anything is taken that may: a fast log fills a segment in less than a tick.
    fn see_to_room(&mut self) {
        let headroom = self.pipeline.applier().state().tree().headroom();
        let memory_tight = headroom.fresh < MEMORY_RESERVE_WORDS;
        let tight = self.space.nearly_full() || memory_tight;
        if tight != self.tight {
            self.tight = tight;
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
        self.pipeline.set_room(if tight { Room::Tight } else { Room::Ample });
    }

    /// Asks for the write that is under way, unless the one before is not applied yet.
    fn take_written(&mut self, cx: &Context<'_>) -> Result<bool, AppendError> {
        if self.durable.is_some() {
            return Ok(false);
        }
        let Some(batch) = self.writing.take() else { return Ok(false) };
        match self.log.poll_append(&batch, cx) {
            Poll::Pending => {
                self.writing = Some(batch);
                Ok(false)
            }
            Poll::Ready(done) => {
                done?;
                self.measure_append(&batch);
                self.durable = Some(batch);
                Ok(true)
            }
        }
    }

    /// Starts the next write if none is under way. Answers alone wait until everything before them is applied.
    fn begin_append(&mut self, cx: &Context<'_>) -> Result<bool, AppendError> {
        let writes = self.pipeline.has_transactions();
        if self.writing.is_some() || self.durable.is_some() && !writes {
            return Ok(false);
        }
        let Some(batch) = self.pipeline.next_batch() else { return Ok(false) };
        if !writes {
            self.durable = Some(batch);
            return Ok(true);
        }
        self.append_began_ms = clock::now_ms();
        self.log.begin_append(&batch, cx)?;
        self.writing = Some(batch);
        Ok(true)
    }

    /// Applies the batch whose write is done, once every ring has room for what it says.
    fn take_durable(&mut self, cx: &Context<'_>) -> bool {
        if self.durable.is_none()
            || self.lanes.iter().any(|it| it.delivers.poll_room(cx).is_pending())
        {
            return false;
        }
        if let Some(batch) = self.durable.take() {
            self.apply(batch);
        }
        true
    }

    fn apply(&mut self, batch: Batch) {
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            if let Some(spare) = lane.delivers.spare() {
                self.pipeline.applier_mut().recycle(shard, spare);
            }
        }
        let moment = clock::now();
        let grown = Due { txns: u64::from(batch.count()), bytes: batch.len_bytes() as u64 };
        self.pipeline.durable(moment, batch);
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            let Some(deliver) = self.pipeline.applier_mut().deliver(shard) else { continue };
            // There was room, and nobody else pushes here; a shard that has gone takes the process with it.
            drop(lane.delivers.push(deliver));
        }
        self.pipeline.publish();
        self.see_to_images(moment, grown);
    }

    /// How long the write took that is done.
    fn measure_append(&mut self, batch: &Batch) {
        let took_ms = clock::now_ms().saturating_sub(self.append_began_ms);
        let figures = self.pipeline.applier_mut().figures_mut();
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

    fn see_to_images(&mut self, moment: Moment, grown: Due) {
        let ended = self.images.after_batch(self.pipeline.applier_mut().state_mut(), moment, grown);
        let figures = self.pipeline.applier_mut().figures_mut();
        match ended {
            Some(Outcome::Written { took, .. }) => {
                figures.snapshottime.add(took.as_millis() as u64);
            }
            Some(Outcome::Failed(_)) => figures.snapshot_error_count += 1,
            Some(Outcome::Cancelled) | None => {}
        }
    }
}
