//! What goes wrong: connections break, the network parts, servers crash; and leaders write.

use std::collections::BTreeSet;

use quorum::{Sid, Zxid};

use super::network::Pipe;
use super::{Event, World};

/// How often what happens while there is unrest.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) cuts: u64,
    pub(crate) partitions: u64,
    pub(crate) crashes: u64,
    pub(crate) writes: u64,
}

impl World {
    fn any_server(&mut self) -> Sid {
        self.rng.choice(self.servers.keys().copied()).expect("a member")
    }

    /// One thing goes wrong, or is mended, or is written.
    pub(super) fn fault(&mut self) {
        let Faults { cuts, partitions, crashes, writes } = self.faults;
        let draw = self.rng.u64(..cuts + 2 * partitions + 2 * crashes + writes);
        if draw < cuts {
            self.cut();
        } else if draw < cuts + 2 * partitions {
            self.partition();
        } else if draw < cuts + 2 * partitions + 2 * crashes {
            self.crash_or_start();
        } else {
            self.write();
        }
    }

    /// A connection breaks; each end learns it at its time.
    fn cut(&mut self) {
        let Some(conn) = self.rng.choice(self.pipes.keys().copied()) else { return };
        if let Some(pipe) = self.pipes.remove(&conn) {
            for at in [pipe.caller, pipe.callee] {
                let wait = self.delay();
                self.after(wait, Event::Hangup { conn, at });
            }
        }
    }

    /// Some pairs of servers cannot talk, or all can again.
    fn partition(&mut self) {
        if self.rng.bool() {
            self.blocked.clear();
            return;
        }
        let sids: Vec<_> = self.servers.keys().copied().collect();
        let shape = self.rng.u64(..3);
        let sides: Vec<_> = sids.iter().map(|_| self.rng.u64(..2)).collect();
        for (idx, &one) in sids.iter().enumerate() {
            for (other_idx, &other) in sids.iter().enumerate() {
                let apart = match shape {
                    0 => sides[idx] != sides[other_idx],
                    1 => idx == 0,
                    _ => self.rng.u64(..4) == 0,
                };
                if apart {
                    self.blocked.insert((one, other));
                }
            }
        }
    }

    fn crash_or_start(&mut self) {
        let sid = self.any_server();
        if self.server(sid).machines.is_none() {
            self.start(sid);
            return;
        }
        self.next_generation(sid);
        let server = self.server(sid);
        (server.machines, server.timer) = (None, None);
        for other in self.servers.values_mut().filter(|it| it.joined == Some(sid)) {
            other.pulses = 0;
        }
        let gone = |pipe: &Pipe| pipe.caller == sid || pipe.callee == sid;
        let conns: Vec<_> =
            self.pipes.iter().filter(|(_, it)| gone(it)).map(|(conn, _)| *conn).collect();
        for conn in conns {
            if let Some(pipe) = self.pipes.remove(&conn) {
                let at = if pipe.caller == sid { pipe.callee } else { pipe.caller };
                let wait = self.delay();
                self.after(wait, Event::Hangup { conn, at });
            }
        }
    }

    /// A leader with an established epoch writes; a quorum of those with it logs that, perhaps more.
    fn write(&mut self) {
        let leading = |it: &Sid| self.servers[it].established;
        let Some(leader) = self.servers.keys().copied().find(leading) else { return };
        let mut history = self.servers[&leader].history;
        let epoch = history.current_epoch;
        history.last_logged = Zxid(history.last_logged.0.max(epoch.zxid().0) + 1);
        self.server(leader).history = history;
        let with: Vec<_> = self
            .servers
            .iter()
            .filter(|(_, it)| it.joined == Some(leader))
            .map(|(sid, _)| *sid)
            .collect();
        let mut logged = BTreeSet::from([leader]);
        for sid in with {
            let reached = !self.is_blocked(sid, leader) && self.rng.u64(..4) != 0;
            if reached && self.servers[&sid].accepted_epoch == epoch {
                self.server(sid).history = history;
                logged.insert(sid);
            }
        }
        if self.config.verifier().contains_quorum(|it| logged.contains(&it)) {
            self.committed = self.committed.max((epoch, history.last_logged));
        }
    }
}
