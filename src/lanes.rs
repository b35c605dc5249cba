//! The pipeline's ends of the rings to the session shards.

use std::task::Context;

use net::message::{Deliver, Forward};
use net::ring::{Receiver, Sender};

use crate::pipeline::Applier;

/// The ends of the rings to one session shard.
#[derive(Debug)]
pub(crate) struct Lane {
    /// What the shard wants.
    pub(crate) forwards: Receiver<Forward>,
    /// What the shard is told.
    pub(crate) delivers: Sender<Deliver>,
}

/// Those of all shards.
#[derive(Debug)]
pub(crate) struct Lanes(Vec<Lane>);

impl Lanes {
    pub(crate) fn new(lanes: Vec<Lane>) -> Self {
        Self(lanes)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What a shard wants; if it is nothing, the next ends the sleep.
    pub(crate) fn pop(&mut self, shard: usize, cx: &Context<'_>) -> Option<Forward> {
        let forwards = &mut self.0[shard].forwards;
        if forwards.poll_item(cx).is_pending() { None } else { forwards.pop() }
    }

    /// Gives a message back that was taken.
    pub(crate) fn give_back(&mut self, shard: usize, forward: Forward) {
        self.0[shard].forwards.give_back(forward);
    }

    /// Whether every ring takes a message; if not, room ends the sleep.
    pub(crate) fn have_room(&self, cx: &Context<'_>) -> bool {
        self.0.iter().all(|it| it.delivers.poll_room(cx).is_ready())
    }

    /// Gives memory back that shards have done with.
    pub(crate) fn recycle(&mut self, applier: &mut Applier) {
        for (shard, lane) in self.0.iter_mut().enumerate() {
            if let Some(spare) = lane.delivers.spare() {
                applier.recycle(shard, spare);
            }
        }
    }

    /// Hands every shard what it is told, where there is room.
    pub(crate) fn hand_out(&mut self, cx: &Context<'_>, applier: &mut Applier) {
        for (shard, lane) in self.0.iter_mut().enumerate() {
            if lane.delivers.poll_room(cx).is_pending() {
                continue;
            }
            let Some(deliver) = applier.deliver(shard) else { continue };
            // There was room, and nobody else pushes here; a shard that has gone takes the process with it.
            drop(lane.delivers.push(deliver));
        }
    }
}
