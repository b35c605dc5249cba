//! The pipeline's driver: rings, the log and the clock around the machine.
//!
//! One poll does one turn: take what the rings hold, start the next write if none is under way, and when one is done apply
//! it and hand out the messages. While one batch is being written the next one fills, without timers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use engine::prep::Room;
use engine::quota::{Hardness, Limited};
use glommio::timer::Timer;
use net::message::{Deliver, Forward};
use net::ring::{Mailbox, Receiver, Sender};
use snapshot::Outcome;
use wal::{AppendError, Batch, DiskSpace, Log};

use crate::clock;
use crate::images::{Due, Images};
use crate::pipeline::{Moment, Pipeline, QuotaNote};

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
    Look(Box<dyn FnOnce(&mut Pipeline) + Send>),
    /// End after the batch that is being written.
    Stop,
}

type Append = Pin<Box<dyn Future<Output = (Log, Batch, Result<(), AppendError>)>>>;

/// The pipeline shard.
pub(crate) struct PipelineShard {
    pipeline: Pipeline,
    lanes: Vec<Lane>,
    orders: Mailbox<Order>,
    images: Images,
    space: DiskSpace,
    /// The log while nothing is being written.
    log: Option<Log>,
    append: Option<Append>,
    /// When it was begun, monotonic milliseconds.
    append_began_ms: u64,
    /// A write to the log that takes longer is reported, milliseconds.
    slow_append_ms: u64,
    /// A batch that is durable and waits for room in the rings.
    durable: Option<Batch>,
    timer: Option<(u64, Timer)>,
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
            log: Some(log),
            append: None,
            append_began_ms: 0,
            slow_append_ms,
            durable: None,
            timer: None,
            looked_ms: 0,
            tight: false,
            stopping: false,
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// The log failed: what was in flight is not acknowledged, and the process is to end.
    pub(crate) async fn run(mut self: Box<Self>) -> Result<(), AppendError> {
        std::future::poll_fn(|cx| self.turn(cx)).await?;
        if let Some(log) = self.log.take()
            && let Err(error) = log.close().await
        {
            tracing::warn!(%error, "the log did not close cleanly; nothing is lost");
        }
        Ok(())
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AppendError>> {
        loop {
            let mut progress = self.take_orders(cx);
            progress |= self.take_forwards(cx);
            progress |= self.take_deadline(cx);
            progress |= self.take_durable(cx)?;
            if self.stopping && self.append.is_none() && self.durable.is_none() {
                return Poll::Ready(Ok(()));
            }
            progress |= self.begin_append();
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn take_orders(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready(order) = self.orders.poll_next(cx) {
            any = true;
            match order {
                Order::Look(look) => look(&mut self.pipeline),
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

    fn take_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let moment = clock::now();
        let mut due_ms = self.pipeline.next_deadline();
        if self.images.busy() {
            due_ms = due_ms.min(self.looked_ms + LOOK_MS);
        }
        if due_ms <= moment.now_ms {
            self.timer = None;
            self.looked_ms = moment.now_ms;
            self.look_around(moment);
            self.pipeline.deadline(moment);
            return true;
        }
        let left = Duration::from_millis(due_ms - moment.now_ms);
        let (_, timer) = match self.timer.take() {
            Some((at, timer)) if at == due_ms => self.timer.insert((at, timer)),
            _ => self.timer.insert((due_ms, Timer::new(left))),
        };
        Pin::new(timer).poll(cx).is_ready()
    }

    /// What nobody tells: an image that is done while nothing is written, a disk that fills.
    fn look_around(&mut self, moment: Moment) {
        let nothing = Due { txns: 0, bytes: 0 };
        if self.append.is_none() && self.durable.is_none() {
            self.see_to_images(moment, nothing);
        }
        let headroom = self.pipeline.state().tree().headroom();
        let memory_tight = headroom.fresh < MEMORY_RESERVE_WORDS;
        let tight = self.space.nearly_full() || memory_tight;
        if tight != self.tight {
            self.tight = tight;
            if tight {
                tracing::error!(
                    free_bytes = self.space.free_bytes(),
                    memory_tight,
                    "nearly full: writes that grow are refused; deletes and session ends go on"
                );
            } else {
                tracing::info!("there is room again: writes go on");
            }
        }
        self.pipeline.set_room(if tight { Room::Tight } else { Room::Ample });
    }

    /// Applies the batch whose write is done, once every ring has room for what it says.
    fn take_durable(&mut self, cx: &mut Context<'_>) -> Result<bool, AppendError> {
        if let Some(append) = &mut self.append
            && let Poll::Ready((log, batch, done)) = append.as_mut().poll(cx)
        {
            self.append = None;
            self.log = Some(log);
            done?;
            self.measure_append(&batch);
            self.durable = Some(batch);
        }
        if self.durable.is_none()
            || self.lanes.iter().any(|it| it.delivers.poll_room(cx).is_pending())
        {
            return Ok(false);
        }
        if let Some(batch) = self.durable.take() {
            self.apply(batch);
        }
        Ok(true)
    }

    fn apply(&mut self, batch: Batch) {
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            if let Some(spare) = lane.delivers.spare() {
                self.pipeline.recycle(shard, spare);
            }
        }
        let moment = clock::now();
        let grown = Due { txns: u64::from(batch.count()), bytes: batch.len_bytes() as u64 };
        self.pipeline.durable(moment, batch);
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            let Some(deliver) = self.pipeline.deliver(shard) else { continue };
            // There was room, and nobody else pushes here; a shard that has gone takes the process with it.
            drop(lane.delivers.push(deliver));
        }
        self.pipeline.publish();
        self.see_to_images(moment, grown);
    }

    /// How long the write took that is done.
    fn measure_append(&mut self, batch: &Batch) {
        let took_ms = clock::now_ms().saturating_sub(self.append_began_ms);
        let figures = self.pipeline.figures_mut();
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
        let ended = self.images.after_batch(self.pipeline.state_mut(), moment, grown);
        let figures = self.pipeline.figures_mut();
        match ended {
            Some(Outcome::Written { took, .. }) => {
                figures.snapshottime.add(took.as_millis() as u64);
            }
            Some(Outcome::Failed(_)) => figures.snapshot_error_count += 1,
            Some(Outcome::Cancelled) | None => {}
        }
    }

    fn begin_append(&mut self) -> bool {
        if self.append.is_some() || self.durable.is_some() {
            return false;
        }
        let Some(batch) = self.pipeline.next_batch() else { return false };
        if batch.is_empty() {
            self.durable = Some(batch);
            return true;
        }
        let Some(mut log) = self.log.take() else { unreachable!("the log is here between writes") };
        self.append_began_ms = clock::now_ms();
        self.append = Some(Box::pin(async move {
            let done = log.append(&batch).await;
            (log, batch, done)
        }));
        true
    }
}
