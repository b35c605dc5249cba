//! One writer, many watchers of the same znode.

use anyhow::{Result, ensure};
use jute::{AddWatchRequest, Field, Op, PathWatchRequest, SetDataRequest};

use crate::connection::{Asked, Connection, Incoming};
use crate::crowd::{Actor, Crowd};
use crate::meter::Meter;
use crate::requests::Root;

/// Which watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    /// Set once, fire always.
    Persistent,
    /// Fire once, and are set again by a read.
    Once,
}

/// Rows of the meter.
const NOTIFICATION: usize = 0;
const EVERYBODY: usize = 1;

/// Connection 0 writes, the others watch.
struct FanOut {
    path: Vec<u8>,
    arm: Arm,
    meter: Meter,
    watchers: usize,
    /// Watchers whose watch is set.
    armed: usize,
    /// Watchers that were told of the set under way.
    told: usize,
    /// When the set under way was queued; none between two.
    set_at: Option<u64>,
    set_done: bool,
    failed: Option<i32>,
    started: bool,
}

pub(super) fn play(
    crowd: &mut Crowd,
    root: &Root,
    arm: Arm,
    meter: Meter,
    stop: u64,
) -> Result<Meter> {
    let mut scene = FanOut {
        path: root.0.clone().into_bytes(),
        arm,
        meter,
        watchers: crowd.len() - 1,
        armed: 0,
        told: 0,
        set_at: None,
        set_done: true,
        failed: None,
        started: false,
    };
    crowd.run(&mut scene, stop)?;
    Ok(scene.meter)
}

impl FanOut {
    fn watch(&self, connection: &mut Connection) {
        let path = Some(&*self.path);
        match self.arm {
            Arm::Persistent => connection.request(Asked::default(), Op::AddWatch, |out| {
                AddWatchRequest { path, mode: 0 }.write(out);
            }),
            Arm::Once => connection.request(Asked::default(), Op::GetData, |out| {
                PathWatchRequest { path, watch: true }.write(out);
            }),
        }
    }
}

impl Actor for FanOut {
    fn incoming(&mut self, at: usize, now: u64, what: Incoming<'_>, connection: &mut Connection) {
        match what {
            Incoming::Reply(reply) => {
                if reply.err != 0 {
                    self.failed = Some(reply.err);
                }
                if at == 0 {
                    self.set_done = true;
                } else {
                    self.armed += 1;
                }
            }
            Incoming::Event => {
                let due = self.set_at.unwrap_or(now);
                self.meter.event(now);
                self.meter.reply(now, due, NOTIFICATION, 0);
                self.told += 1;
                if self.told == self.watchers {
                    self.meter.reply(now, due, EVERYBODY, 0);
                }
                if self.arm == Arm::Once {
                    self.armed -= 1;
                    self.watch(connection);
                }
            }
            Incoming::Connected | Incoming::Refused => {}
        }
    }

    fn turn(&mut self, now: u64, crowd: &mut Crowd) -> Result<()> {
        ensure!(self.failed.is_none(), "a watch or set fails with code {:?}", self.failed);
        if !self.started {
            self.started = true;
            for at in 1..crowd.len() {
                self.watch(crowd.queue(at));
            }
        }
        let told = self.set_at.is_none() || self.told == self.watchers;
        if self.armed == self.watchers && self.set_done && told {
            self.told = 0;
            self.set_done = false;
            self.set_at = Some(now);
            let path = Some(&*self.path);
            crowd.queue(0).request(Asked { due: now, ..Asked::default() }, Op::SetData, |out| {
                SetDataRequest { path, data: Some(b"told"), version: -1 }.write(out);
            });
        }
        Ok(())
    }
}
