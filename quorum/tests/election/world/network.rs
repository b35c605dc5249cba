//! Connections, which keep order and may break; what a partition stops comes later, or never if the connection breaks first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorum::election;
use quorum::election::links::{self, Conn};
use quorum::wire::{FrameStream, Initial};
use quorum::{Moment, Sid};

use super::{Event, World};

/// A connection.
pub(super) struct Pipe {
    pub(super) caller: Sid,
    pub(super) callee: Sid,
    /// Nothing arrives before what was sent earlier. By sender.
    pub(super) arrives: BTreeMap<Sid, Moment>,
}

impl World {
    /// A moment of the network: mostly a millisecond, sometimes much longer.
    pub(super) fn delay(&mut self) -> Duration {
        let micros = 200 + self.rng.u64(..2_000);
        Duration::from_micros(if self.rng.u64(..50) == 0 { micros * 100 } else { micros })
    }

    pub(super) fn call(&mut self, conn: Conn, caller: Sid, callee: Sid) {
        if !self.pipes.contains_key(&conn) {
            return self.links(caller, links::Input::Refused { to: callee });
        }
        if self.is_blocked(caller, callee) || self.servers[&callee].machines.is_none() {
            self.pipes.remove(&conn);
            let cut = self.is_blocked(caller, callee);
            let wait = if cut { Duration::from_secs(5) } else { self.delay() };
            return self.after(wait, Event::Called { conn, caller, callee });
        }
        self.arrive(conn, callee, |_| Event::Called { conn, caller, callee });
        let member = self.config.member(caller).expect("a member");
        let addresses = member.election_addresses().collect();
        let initial = Initial { sid: caller, addresses };
        self.links(callee, links::Input::Accepted { conn, initial });
    }

    pub(super) fn called(&mut self, conn: Conn, caller: Sid, to: Sid) {
        let there = self.pipes.contains_key(&conn);
        let input =
            if there { links::Input::Connected { to, conn } } else { links::Input::Refused { to } };
        self.links(caller, input);
    }

    pub(super) fn frame(&mut self, conn: Conn, from: Sid, frame: Arc<[u8]>) {
        let Some(pipe) = self.pipes.get(&conn) else { return };
        let to = if pipe.caller == from { pipe.callee } else { pipe.caller };
        if self.is_blocked(from, to) {
            // Sent again until it gets through, or the connection breaks.
            self.after(Duration::from_millis(200), Event::Frame { conn, from, frame });
            return;
        }
        let now = self.now;
        let Some((election, links)) = &mut self.server(to).machines else { return };
        if links.owner(conn) != Some(from) {
            return;
        }
        let mut stream = FrameStream::new();
        stream.feed(&frame);
        let body = stream.next_frame().expect("a frame").expect("whole");
        let mut out = Vec::new();
        election.step(now, election::Input::Message { from, body }, &mut out).expect("a vote");
        self.elections(to, out);
    }

    /// Puts something on a connection, behind what is on it already.
    pub(super) fn arrive(&mut self, conn: Conn, from: Sid, event: impl FnOnce(Sid) -> Event) {
        let at = self.now + self.delay();
        let Some(pipe) = self.pipes.get_mut(&conn) else { return };
        let last = pipe.arrives.entry(from).or_default();
        *last = at.max(*last + Duration::from_micros(1));
        let wait = last.since(self.now);
        self.after(wait, event(from));
    }

    /// The other end of a connection closed it.
    pub(super) fn closing(&mut self, conn: Conn, from: Sid) {
        let Some(pipe) = self.pipes.get(&conn) else { return };
        let to = if pipe.caller == from { pipe.callee } else { pipe.caller };
        if self.is_blocked(from, to) {
            self.after(Duration::from_millis(200), Event::Closing { conn, from });
            return;
        }
        self.pipes.remove(&conn);
        self.links(to, links::Input::Closed { conn });
    }

    pub(super) fn is_blocked(&self, one: Sid, other: Sid) -> bool {
        self.blocked.contains(&(one, other)) || self.blocked.contains(&(other, one))
    }
}
