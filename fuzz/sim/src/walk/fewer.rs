//! Which of the things that can happen have to be tried, so that nothing is missed that servers could come to.
//!
//! What happens to a server changes that server, takes from the front of what comes to it and adds behind what goes out. So what happens to
//! different servers commutes, and one server can go first, if nothing is forgotten that could happen to it *before* what is tried. That is why
//! three things are told apart early which the whole world would only show later:
//! - [`Event::Deaf`]: it takes nothing more from its leader before the connection ends;
//! - [`Event::Slow`]: its next write is not durable before a packet was taken or the connection has ended;
//! - [`Event::Stay`]: it follows none of those that lead now.
//!
//! With these everything that may come next is among what is tried of a follower, or of one that searches: a packet, a write, an end. They go
//! first, in the order in which the state is known by its number, until they wait for others; then all else is tried. Nobody but a leader sends
//! to a follower, so each turn ends, and no server is put off for ever.
//!
//! Some orders are left out because a later one shows the same or more:
//! - A server that dies takes first what has come to it. Its disk is the same, the packets that it sends need not be taken by anybody, and what
//!   it commits only binds others more.
//! - A follower whose role ends takes the next packet first, if that changes nothing of what is left of it; both are tried, and compared.
//! - To start comes with the crash, to call the leader with finding it: a server that is down, or has not called, is one that does nothing.
//! - A connection that breaks is one that its follower drops, behind the last packet and the last write of which it did something on it: from then on it
//!   has done nothing that others could see. What it sends has been sent, and the leader hears of the end whenever it would have: what comes from the
//!   follower later is lost with that, what the leader sends is lost too. The follower has until then what it needs to find a leader again, and one
//!   that it has found and sends nothing to is as one that it has not. So no leader drops a connection.
//! - So only a leader that dies, or gives up, ends the connection of a follower that is deaf. One to which somebody is deaf is to do so: what it needs for
//!   that is kept for it, and the deaf follower does nothing but its writes until then. A run in which that does not come about is one in which the
//!   follower's packets come late, which is tried, too.
//!
//! Source: persistent sets, as in P. Godefroid's book on partial orders. The other manner, `Every`, does none of this; a test compares both.

use quorum::PeerState;

use super::state::{SERVERS, State};
use super::{Event, Manner, Runs};

impl State {
    /// What is to be tried.
    pub(super) fn few_events(&self, out: &mut Vec<Event>) {
        match self.manner {
            Manner::Every | Manner::Alike => self.all_events(out),
            Manner::Fewer => {
                for number in self.order {
                    if self.follows(number) {
                        self.events_of_follower(number, out);
                    } else {
                        self.events_of_searcher(number, out);
                    }
                    if !out.is_empty() {
                        return;
                    }
                }
                for number in 0..SERVERS {
                    self.events_of_others(number, out);
                }
            }
        }
    }

    fn follows(&self, number: u8) -> bool {
        let peer = self.nodes[usize::from(number)].peer.as_ref();
        peer.is_some_and(|it| matches!(it.state(), PeerState::Following { .. }))
    }

    /// A learner's connection.
    fn link_of(&self, number: u8) -> Option<u8> {
        let mut pipes = self.pipes.iter();
        pipes.find(|(_, it)| it.ends[0] == number && !it.is_gone[0]).map(|(&number, _)| number)
    }

    /// What is to be tried of a follower, if it is its turn: nothing that others do can come between.
    fn events_of_follower(&self, number: u8, out: &mut Vec<Event>) {
        let node = &self.nodes[usize::from(number)];
        let Some(link) = self.link_of(number) else { return };
        let pipe = &self.pipes[&link];
        let takes = !pipe.coming[0].is_empty();
        let writes = !node.pending.is_empty() && !node.is_slow;
        if !takes && !pipe.is_cut && !writes {
            return;
        }
        let left = self.left;
        if writes {
            out.push(Event::Disk(number));
        }
        let may_die = !pipe.is_deaf && self.may_die(number);
        let may_break = 0 < left.cuts && !pipe.is_deaf && !pipe.is_cut;
        let may_be_deaf = !pipe.is_deaf && !pipe.is_cut && self.may_die(pipe.ends[1]);
        let can_end = may_be_deaf || may_break || may_die && 0 < left.timeouts || pipe.is_cut;
        if can_end && !(takes && self.may_take_first(number, link)) {
            if pipe.is_cut {
                out.push(Event::Hear(link, 0));
            } else if takes && may_be_deaf {
                out.push(Event::Deaf(link));
            }
            if may_break {
                out.push(Event::Break(link, 0));
            }
            if may_die && 0 < left.timeouts {
                out.push(Event::GiveUp(number));
            }
        }
        if takes {
            out.push(Event::Take(link, 0));
        } else {
            if may_die && 0 < left.crashes {
                out.push(Event::Crash(number));
            }
            if writes && !pipe.is_cut {
                out.push(Event::Slow(number));
            }
        }
    }

    /// Whether a server's role may end by itself: as many as some are deaf to are to end so.
    fn may_die(&self, number: u8) -> bool {
        let is_unheard = |leader: u8| {
            self.pipes.values().any(|it| it.is_deaf && !it.is_cut && it.ends[1] == leader)
        };
        let others = (0..SERVERS).filter(|&it| it != number && is_unheard(it)).count();
        others < usize::from(self.left.crashes + self.left.timeouts)
    }

    /// What is to be tried of a server that searches while others lead.
    fn events_of_searcher(&self, number: u8, out: &mut Vec<Event>) {
        let node = &self.nodes[usize::from(number)];
        let searches = node.peer.as_ref().is_some_and(|it| it.state() == PeerState::Looking);
        let leaders = || (0..SERVERS).filter(|&it| self.leads(it));
        if !searches || node.stays || self.is_like_another(number) || leaders().next().is_none() {
            return;
        }
        if !node.pending.is_empty() {
            out.push(Event::Disk(number));
        }
        if 0 < self.left.leaders {
            out.extend([Event::Lead(number), Event::Stay(number)]);
        }
        out.extend(leaders().map(|it| Event::Follow(number, it)));
    }

    /// Whether a follower that loses its connection is the same if it takes the next packet before.
    fn may_take_first(&self, number: u8, link: u8) -> bool {
        let at = usize::from(number);
        let mut lost = self.clone();
        lost.happen(Event::Hear(link, 0));
        let mut taken = self.clone();
        taken.happen(Event::Take(link, 0));
        if taken.follows(number) {
            taken.happen(Event::Hear(link, 0));
        }
        taken.violation().is_none() && lost.sums_of_nodes()[at] == taken.sums_of_nodes()[at]
    }

    /// What is to be tried of any server when no follower has a turn.
    fn events_of_others(&self, number: u8, out: &mut Vec<Event>) {
        let node = &self.nodes[usize::from(number)];
        let Some(peer) = &node.peer else { return };
        if self.is_like_another(number) {
            return;
        }
        let left = self.left;
        let may_die = self.may_die(number);
        if self.follows(number) {
            let Some(link) = self.link_of(number).filter(|it| !self.pipes[it].is_deaf) else {
                return;
            };
            if 0 < left.cuts {
                out.push(Event::Break(link, 0));
            }
            if may_die && 0 < left.crashes {
                out.push(Event::Crash(number));
            }
            if may_die && 0 < left.timeouts {
                out.push(Event::GiveUp(number));
            }
            return;
        }
        if !node.pending.is_empty() {
            out.push(Event::Disk(number));
        }
        if peer.state() == PeerState::Looking {
            if 0 < left.leaders {
                out.push(Event::Lead(number));
            }
            if may_die && 0 < left.crashes {
                out.push(Event::Crash(number));
            }
            return;
        }
        self.events_of_leader(number, out);
        if may_die && 0 < left.timeouts {
            out.push(Event::GiveUp(number));
        }
        if 0 < left.txns && peer.next_zxid().is_some() {
            out.push(Event::Propose(number));
        }
    }

    fn events_of_leader(&self, number: u8, out: &mut Vec<Event>) {
        let mut takes = false;
        for (&link, pipe) in &self.pipes {
            if pipe.ends[1] != number || pipe.is_gone[1] {
                continue;
            }
            if !pipe.coming[1].is_empty() {
                takes = true;
                out.push(Event::Take(link, 1));
            }
            if pipe.is_cut {
                out.push(Event::Hear(link, 1));
            }
        }
        // A leader that dies may as well have taken what was there: nothing of it is left.
        if 0 < self.left.crashes && self.may_die(number) && !takes {
            out.push(Event::Crash(number));
        }
    }
}
