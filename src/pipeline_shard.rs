//! The pipeline's driver: rings, the log and the clock around the machine.
//!
//! One turn: take what the rings hold; when a write is done start the next, and then apply what was written and hand out the
//! messages. So the disk writes one batch while the next one fills and the one before is applied, without timers.

use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use engine::quota::{Hardness, Limited};
use net::ring::Mailbox;
use wal::{Batch, Log};

use crate::clock;
use crate::images::{Due, Images};
use crate::lanes::{Lane, Lanes};
use crate::pipeline::{Applier, Pipeline, QuotaNote};
use crate::threads::{ShardError, Turns};
use crate::upkeep::{Quiet, Upkeep};

/// What the control thread wants of the pipeline.
pub(crate) enum Order {
    /// Look at the tree, the sessions and the figures.
    Look(Box<dyn FnOnce(&mut Applier) + Send>),
    /// End after the batch that is being written.
    Stop,
}

/// The pipeline shard of a standalone server.
pub(crate) struct PipelineShard {
    pipeline: Pipeline,
    lanes: Lanes,
    orders: Mailbox<Order>,
    upkeep: Upkeep,
    log: Log,
    /// The batch that is being written.
    writing: Option<Batch>,
    /// When it was begun, monotonic milliseconds.
    append_began_ms: u64,
    /// A batch that is durable and waits for room in the rings.
    durable: Option<Batch>,
    stopping: bool,
}

/// Tells the operator of a quota that was exceeded.
pub(crate) fn say(note: QuotaNote) {
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
            lanes: Lanes::new(lanes),
            orders,
            upkeep: Upkeep::new(images, log.space(), slow_append_ms),
            log,
            writing: None,
            append_began_ms: 0,
            durable: None,
            stopping: false,
        }
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
        let room = self.upkeep.see_to_room(self.pipeline.applier());
        self.pipeline.set_room(room);
        let moment = clock::now();
        for shard in 0..self.lanes.len() {
            while self.pipeline.has_room() {
                let Some(forward) = self.lanes.pop(shard, cx) else { break };
                self.pipeline.take(moment, shard, &forward);
                self.lanes.give_back(shard, forward);
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
            let quiet = self.writing.is_none() && self.durable.is_none();
            let quiet = if quiet { Quiet::Yes } else { Quiet::No };
            self.upkeep.look_around(moment, self.pipeline.applier_mut(), quiet);
            self.pipeline.deadline(moment);
        }
        due
    }

    /// Asks for the write that is under way, unless the one before is not applied yet.
    fn take_written(&mut self, cx: &Context<'_>) -> Result<bool, ShardError> {
        if self.durable.is_some() {
            return Ok(false);
        }
        let Some(batch) = self.writing.take() else {
            self.log.rest(clock::now_ms())?;
            return Ok(false);
        };
        match self.log.poll_append(&batch, cx) {
            Poll::Pending => {
                self.writing = Some(batch);
                Ok(false)
            }
            Poll::Ready(done) => {
                done?;
                let took_ms = clock::now_ms().saturating_sub(self.append_began_ms);
                self.upkeep.measure_append(took_ms, &batch, self.pipeline.applier_mut());
                self.durable = Some(batch);
                Ok(true)
            }
        }
    }

    /// Starts the next write if none is under way. Answers alone wait until everything before them is applied.
    fn begin_append(&mut self, cx: &Context<'_>) -> Result<bool, ShardError> {
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
        if self.durable.is_none() || !self.lanes.have_room(cx) {
            return false;
        }
        if let Some(batch) = self.durable.take() {
            self.apply(cx, batch);
        }
        true
    }

    fn apply(&mut self, cx: &Context<'_>, batch: Batch) {
        self.lanes.recycle(self.pipeline.applier_mut());
        let moment = clock::now();
        let grown = Due { txns: u64::from(batch.count()), bytes: batch.len_bytes() as u64 };
        self.pipeline.durable(moment, batch);
        self.lanes.hand_out(cx, self.pipeline.applier_mut());
        self.pipeline.publish();
        self.upkeep.see_to_images(moment, grown, self.pipeline.applier_mut());
    }
}

impl Turns for PipelineShard {
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), ShardError> {
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

    fn has_ended(&self) -> bool {
        self.stopping && self.writing.is_none() && self.durable.is_none()
    }

    fn may_look(&self) -> bool {
        self.lanes.len() == 1 && self.writing.is_none()
    }

    fn next_deadline(&self) -> u64 {
        self.upkeep.next_deadline().min(self.pipeline.next_deadline())
    }

    fn rings(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.log.ring()]
    }
}
