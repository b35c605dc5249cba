//! What goes wrong: crashes, pauses, cut connections, walls, slow disks, images and purges, clocks that jump; disks are in
//! [`super::disks`].

use std::time::Duration;

use quorum::Moment;

use super::{Event, World};
use crate::net::{Conn, Port, Walls};

impl World {
    /// A server dies. It comes back some time later.
    pub(super) fn crash(&mut self, node: usize) {
        if self.nodes[node].server.is_none() {
            return;
        }
        self.summary.faults += 1;
        self.drop_conns_of(node);
        if let Err(violation) = self.nodes[node].disk.crash(&mut self.disk) {
            self.fail(violation);
        }
        let it = &mut self.nodes[node];
        it.server = None;
        it.life += 1;
        it.end_role();
        it.paused_until = Moment::ZERO;
        it.wake_at = None;
        it.is_watched = false;
        it.is_pumping = false;
        let most = if self.faults.hits(200) { 5_000 } else { 300 };
        let delay = Duration::from_millis(self.faults.within(1..most));
        self.after(delay, Event::Start { node });
    }

    /// The next thing goes wrong.
    pub(super) fn fault(&mut self) {
        if !self.is_stormy {
            return;
        }
        let mean = self.plan.fault_every.as_micros() as u64;
        let next = Duration::from_micros(self.faults.within(mean / 4..mean * 2));
        self.after(next, Event::Fault);
        let node = self.faults.index(self.nodes.len());
        self.summary.faults += 1;
        match self.faults.index(20) {
            0..=2 => self.crash(node),
            3 | 4 => self.pause(node),
            5..=7 => {
                let learners_only = self.faults.hits(700);
                let is_meant = |it: &Conn| !learners_only || it.port == Port::Quorum;
                let open = self.conns.iter().filter(|it| is_meant(it.1)).map(|it| *it.0);
                let open: Vec<u64> = open.collect();
                if !open.is_empty() {
                    let number = open[self.faults.index(open.len())];
                    self.cut(number);
                }
            }
            8..=11 => self.wall(),
            12 => {
                // Now and then the one that all wait for.
                let leader = (0..self.nodes.len()).find(|&it| self.nodes[it].leads());
                let node = leader.filter(|_| self.faults.hits(500)).unwrap_or(node);
                self.nodes[node].disk_factor = if self.faults.hits(500) { 20 } else { 1 };
            }
            13 => self.crash_many(),
            14 | 15 => {
                if self.nodes[node].server.is_some() {
                    self.nodes[node].take_image();
                }
            }
            16 | 17 => self.damage(),
            18 => self.jump(node),
            _ => self.depose(),
        }
    }

    /// All who lead, or a majority, or all, die at once.
    fn crash_many(&mut self) {
        let all = self.nodes.len();
        let kind = self.faults.index(3);
        for node in 0..all {
            let leads = self.nodes[node].peer().is_some_and(|it| it.next_zxid().is_some());
            let dies = match kind {
                0 => leads,
                1 => self.faults.hits(600),
                _ => true,
            };
            if dies {
                self.crash(node);
            }
        }
    }

    /// A server's clock goes forward at once.
    fn jump(&mut self, node: usize) {
        let most = if self.clocks.hits(100) { 100_000 } else { 1_000 };
        let by = Duration::from_millis(self.clocks.within(1..most));
        let it = &mut self.nodes[node];
        it.clock.jump(self.now, by);
        it.wake_at = None;
        let life = it.life;
        self.after(Duration::ZERO, Event::Wake { node, life });
    }

    /// A leader is walled off, and all hear that its connections are gone but itself; now and then its clients too, who go elsewhere
    /// and come back with what they were shown there.
    fn depose(&mut self) {
        let serves = |it: &usize| self.nodes[*it].peer().is_some_and(|it| it.next_zxid().is_some());
        let Some(node) = (0..self.nodes.len()).find(serves) else { return };
        let mut walls = Walls::none(self.nodes.len(), None);
        for other in (0..self.nodes.len()).filter(|&it| it != node) {
            walls.block(node, other);
            walls.block(other, node);
        }
        self.wall_count += 1;
        self.walls.insert(self.wall_count, walls);
        let lasts = Duration::from_millis(self.faults.within(300..2_000));
        self.after(lasts, Event::Fall { wall: self.wall_count });
        if self.faults.hits(500) {
            self.lure = Some((node, self.now + lasts));
            // What they would ask, it would wait for forever, and others behind it.
            self.cut_off_clients(node);
        }
        let life = self.nodes[node].life;
        let mut ends = Vec::new();
        for (&number, conn) in &mut self.conns {
            if let Some(side) = conn.side_of(node, life) {
                conn.is_cut = true;
                ends.push((number, 1 - side));
            }
        }
        for (conn, side) in ends {
            let delay = Duration::from_micros(self.faults.within(10..20_000));
            self.after(delay, Event::Lost { conn, side });
        }
    }

    fn pause(&mut self, node: usize) {
        let most = if self.faults.hits(100) { 10_000 } else { 1_000 };
        let pause = Duration::from_millis(self.faults.within(10..most));
        self.nodes[node].paused_until = self.now + pause;
    }

    /// A wall goes up: around one, through the middle, one way, a bridge, a ring; now and then on one port only.
    fn wall(&mut self) {
        let all = self.nodes.len();
        let one = self.faults.index(all);
        let other = self.faults.index(all);
        let side: Vec<bool> = (0..all).map(|_| self.faults.hits(500)).collect();
        let kind = self.faults.index(6);
        let ports = [None, None, Some(Port::Quorum), Some(Port::Election)];
        let mut walls = Walls::none(all, ports[self.faults.index(ports.len())]);
        for from in 0..all {
            for to in (0..all).filter(|&it| it != from) {
                let near = (from + 1) % all == to || (to + 1) % all == from;
                let blocked = match kind {
                    0 => from == one || to == one,
                    1 => side[from] != side[to],
                    2 => from == one,
                    3 => to == one,
                    // Both sides see the one on the bridge.
                    4 => side[from] != side[to] && from != other && to != other,
                    _ => !near,
                };
                if blocked {
                    walls.block(from, to);
                }
            }
        }
        self.wall_count += 1;
        self.walls.insert(self.wall_count, walls);
        let most = if self.faults.hits(200) { 8_000 } else { 1_500 };
        let lasts = Duration::from_millis(self.faults.within(10..most));
        self.after(lasts, Event::Fall { wall: self.wall_count });
    }

    /// Everything is mended, and stays so.
    pub(super) fn heal(&mut self) {
        self.is_stormy = false;
        self.healed_at = Some(self.now);
        self.acked_at_heal = self.checker.acked_count();
        self.end_at_heal = self.checker.end();
        self.walls.clear();
        for node in 0..self.nodes.len() {
            self.nodes[node].disk_factor = 1;
            if self.now < self.nodes[node].paused_until {
                self.nodes[node].paused_until = self.now;
            }
            let soon = self.now + Duration::from_millis(1);
            let at = self.nodes[node].starts_at.max(soon);
            self.at(at, Event::Start { node });
        }
        self.leave_some_ill();
    }
}
