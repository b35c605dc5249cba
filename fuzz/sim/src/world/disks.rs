//! Disks: how long writes take and how they end, what a start finds, and disks that are ill, damaged or emptied.
//!
//! A server whose disk fails a write ends, as the program does; one whose start is refused gets a new, empty disk after a while,
//! and is told so: it neither votes nor leads before it has what the others have. That while is longer than a leader waits, so that
//! nobody counts on what the server promised before.

use std::time::Duration;

use quorum::zab::Input;

use super::{Event, World};
use crate::disk::{Disk, Ended, Faith, Health, Struck};
use crate::node::Supply;
use crate::violation::Violation;

/// How long some disks stay ill after everything else is mended; a write must be acknowledged meanwhile.
const AILING: Duration = Duration::from_secs(20);

/// What becomes of a disk.
const ILL: [Health; 3] = [Health::Full, Health::Failing, Health::Hanging];

/// When to look whether a write that hangs still does.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl World {
    /// A server starts, if its disk lets it.
    pub(super) fn start(&mut self, node: usize) {
        if self.nodes[node].server.is_some() || self.now < self.nodes[node].starts_at {
            return;
        }
        let it = &mut self.nodes[node];
        if it.supply == Supply::Ordered {
            it.disk = Disk::new(self.plan.keeping);
            it.supply = Supply::Second;
        }
        let settings = self.plan.settings_of(node);
        let (known, has_bad_end) = (it.disk.files.last(), it.disk.has_bad_end());
        if let Err(refusal) = it.start(settings) {
            self.mix(&refusal);
            self.summary.refusals += 1;
            self.summary.sealed_refusals += u64::from(has_bad_end);
            if !self.nodes[node].disk.is_scarred() {
                self.fail(Violation::DiskRefused);
            }
            return self.empty(node);
        }
        // What rots while a server is down is damage too.
        if self.nodes[node].view.last() < known {
            self.fail(Violation::DiskLost { zxid: known });
        }
        self.watch_log(node);
        self.open_service(node);
        #[cfg(planted)]
        if let (Some(server), Some(bug)) = (&mut self.nodes[node].server, self.bug) {
            server.plant(bug);
        }
        if self.nodes[node].is_blank() {
            self.summary.blanks += 1;
            if let Some(server) = &mut self.nodes[node].server {
                server.forget();
            }
        }
        self.turn(node, |server, now, out| {
            server.start(now, out);
            Ok(())
        });
    }

    /// A server that is down gets an empty disk, and starts when nobody waits for the one that it was.
    pub(super) fn empty(&mut self, node: usize) {
        let settings = &self.plan.settings;
        let delay = settings.init_time() + settings.sync_time();
        let more = Duration::from_millis(self.damage.within(1..1_000));
        let it = &mut self.nodes[node];
        it.supply = Supply::Ordered;
        it.starts_at = self.now + delay * 2 + more;
        let at = it.starts_at;
        self.at(at, Event::Start { node });
    }

    pub(super) fn disk_delay(&mut self, node: usize) -> Duration {
        let mean = self.plan.disk_us;
        let slow = self.is_stormy && self.disk.hits(5);
        let factor = self.nodes[node].disk_factor * if slow { 50 } else { 1 };
        Duration::from_micros(self.disk.within(mean / 2..mean * 2) * factor)
    }

    /// Writes are done, or have failed.
    pub(super) fn disk_done(&mut self, node: usize, life: u64) {
        if !self.is_here(node, life, Event::Disk { node, life }) {
            return;
        }
        if self.nodes[node].disk.health == Health::Hanging {
            return self.after(LOOK_AGAIN, Event::Disk { node, life });
        }
        if self.is_stormy && self.disk.hits(self.plan.crash_per_mille) {
            return self.crash(node);
        }
        let breaks = self.is_stormy
            && self.plan.is_frail(node)
            && self.damage.hits(self.plan.broken_per_mille);
        let faith = if breaks { Faith::Broken } else { Faith::Kept };
        match self.nodes[node].disk.end(faith, &mut self.damage) {
            Err(violation) => self.fail(violation),
            Ok(Ended::Nothing) => {}
            Ok(Ended::Failed) => {
                self.summary.write_errors += 1;
                self.crash(node);
            }
            Ok(Ended::Durable(write)) => {
                if self.is_stormy && self.disk.hits(self.plan.crash_per_mille) {
                    return self.crash(node);
                }
                self.watch_log(node);
                self.step(node, Input::Durable { write });
            }
            Ok(Ended::Sealed) => {
                self.summary.seals += 1;
                self.settle(node);
            }
        }
    }

    /// The log was written to, or opened: if it rests from now on, it is sealed.
    fn watch_log(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        it.wrote_at = self.now;
        if !it.is_watched {
            it.is_watched = true;
            let life = it.life;
            self.after(self.plan.seal_after, Event::Rest { node, life });
        }
    }

    /// Seals a log that rests.
    pub(super) fn rest(&mut self, node: usize, life: u64) {
        if !self.is_here(node, life, Event::Rest { node, life }) {
            return;
        }
        let it = &mut self.nodes[node];
        let at = it.wrote_at + self.plan.seal_after;
        if self.now < at {
            return self.at(at, Event::Rest { node, life });
        }
        it.is_watched = false;
        if it.disk.seal() {
            let delay = self.disk_delay(node);
            self.after(delay, Event::Disk { node, life });
        }
    }

    /// Something becomes of a disk: bytes rot, it has no room, it fails, it is emptied.
    pub(super) fn damage(&mut self) {
        let frail: Vec<usize> =
            (0..self.nodes.len()).filter(|&it| self.plan.is_frail(it)).collect();
        if !frail.is_empty() && self.damage.hits(500) {
            let node = frail[self.damage.index(frail.len())];
            if self.damage.hits(800) {
                let struck = self.nodes[node].disk.rot(&mut self.damage);
                // While that frame is the last.
                if struck == Struck::LastFrame && self.damage.hits(500) {
                    self.crash(node);
                }
                return;
            }
            self.crash(node);
            return self.empty(node);
        }
        if self.damage.hits(self.plan.ill_per_mille) {
            let leader = (0..self.nodes.len()).find(|&it| self.nodes[it].leads());
            let any = self.damage.index(self.nodes.len());
            let node = leader.filter(|_| self.damage.hits(300)).unwrap_or(any);
            self.nodes[node].disk.health = ILL[self.damage.index(ILL.len())];
            let lasts = Duration::from_millis(self.damage.within(10..4_000));
            self.after(lasts, Event::Well { node });
        }
    }

    /// Fewer than half of the disks stay ill when all else is mended.
    pub(super) fn leave_some_ill(&mut self) {
        for node in 0..self.nodes.len() {
            let is_ill = self.plan.is_frail(node) && self.damage.hits(300);
            let illness = ILL[self.damage.index(ILL.len())];
            self.nodes[node].disk.health = if is_ill { illness } else { Health::Good };
            self.is_ailing |= is_ill;
            // What a slow disk still has to do hangs no longer.
            let life = self.nodes[node].life;
            self.after(LOOK_AGAIN, Event::Disk { node, life });
        }
        if self.is_ailing {
            self.after(AILING, Event::Repair);
        }
    }

    /// Those that are left get well. The others must not have waited for them.
    pub(super) fn repair(&mut self) {
        if self.checker.acked_count() <= self.acked_at_heal {
            return self.fail(Violation::NoProgress { wait_s: AILING.as_secs() });
        }
        self.is_ailing = false;
        self.healed_at = Some(self.now);
        for it in &mut self.nodes {
            it.disk.health = Health::Good;
        }
    }
}
