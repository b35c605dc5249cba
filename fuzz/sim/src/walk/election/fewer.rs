//! Which orders of an election have to be tried, so that nothing is missed that its servers could come to.
//!
//! What a server does changes that server, takes from the front of what comes to it and adds behind what goes out. So what two servers do
//! commutes, and one can go first, if nothing is forgotten that could come to it *before* what is tried. That is why it is told apart early what
//! the whole world would only show later:
//! - [`Event::Await`]: next it takes a frame of a server from which none has come yet;
//! - [`Event::Pass`]: it never takes the frame that is there, since a newer one takes its place, and that is what it takes next;
//! - [`Event::Hold`]: it does nothing before the next crash or broken connection.
//!
//! With these everything that a server could do next is among what is tried, so the first that can do something goes first, until all wait. Then
//! something may break, but only where nobody still awaits a frame: who holds says the same.
//! - A server that dies has done what it could: nothing of it is left, and what it sent need not be taken by anybody.
//! - A connection that breaks is nothing to the third server: it has done what it could.
//!
//! Each turn ends, since nobody sends to itself: no server is put off for ever. A promise that is never kept is a run that ends there: the same
//! without it is walked, too. Source: persistent sets, as in P. Godefroid's book on partial orders.

use super::{Elections, Event, SERVERS};

impl Elections {
    /// What is to be tried.
    pub(super) fn few_events(&self, out: &mut Vec<Event>) {
        for number in 0..SERVERS {
            self.events_of_turn(number, out);
            if !out.is_empty() {
                return;
            }
        }
        let can_act = |it: &u8| !self.server(*it).holds && self.server(*it).awaits.is_none();
        out.extend((0..SERVERS).filter(can_act).filter_map(|it| self.early_event_of(it)));
        if self.servers.iter().any(|it| it.awaits.is_some()) {
            return;
        }
        for number in (0..SERVERS).filter(can_act) {
            if 0 < self.left.crashes {
                out.push(Event::Crash(number));
            }
            if 0 < self.left.cuts {
                let mut others = (0..SERVERS).filter(|&it| it != number);
                if let (Some(one), Some(other)) = (others.next(), others.next()) {
                    out.push(Event::Cut(one, other));
                }
            }
        }
    }

    /// What is to be tried of a server, if there is something that it can do.
    fn events_of_turn(&self, number: u8, out: &mut Vec<Event>) {
        let server = self.server(number);
        if server.holds {
            return;
        }
        if let Some(from) = server.awaits {
            if 0 < self.coming(from, number) {
                out.extend([Event::Take(from, number), Event::Pass(from, number)]);
            }
            return;
        }
        self.events_of(number, out);
        let others = || (0..SERVERS).filter(|&it| it != number);
        for from in others().filter(|&it| 0 < self.coming(it, number)) {
            out.extend([Event::Take(from, number), Event::Pass(from, number)]);
        }
        if out.is_empty() {
            return;
        }
        out.extend(self.early_event_of(number));
        for from in others().filter(|&it| self.coming(it, number) == 0) {
            out.push(Event::Await(from, number));
        }
        if self.left.has_new_connections() {
            out.push(Event::Hold(number));
        }
    }
}
