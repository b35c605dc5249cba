//! Every election of three servers: the product's [`Election`]s, every order of their notifications, and things that go wrong.
//!
//! Between two servers frames come in order; one that waits may give way to a newer one, and a new connection begins with the last one
//! that was sent (`election::links`). A server searches when it starts, and again when it gives up whom it chose. Where nothing
//! else can happen, whoever follows one that does not lead, or leads without a quorum, gives up, and who still searches asks again: in the
//! end all must agree.
//!
//! *Absent:* ZAB. Its own walk lets any server lead that searches, so any end of an election is among its beginnings.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jute::Zxid;
use quorum::election::{Candidate, Election, History, Input, Output, Reconfig, Settings, Timing};
use quorum::wire::ServerState;
use quorum::{Epoch, Moment, Sid};

use super::part::{Part, sum_of};
use super::state::{SERVERS, sid, views};
use super::{Runs, Walked};
use crate::Violation;

/// No server waits so long for a better vote, and every one so long before it asks again.
const ASKS_AGAIN: Duration = Duration::from_hours(1);

/// Rounds, and questions asked again, in which an election ends.
const ENDS_WITHIN: i64 = 16;

/// How much may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Servers that die, and start again.
    pub crashes: u8,
    /// Connections that break, and are made again.
    pub cuts: u8,
    /// Servers that give up whom they chose, or ask again, before they must.
    pub timeouts: u8,
}

/// Something that can happen. Servers by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server searches.
    Look(u8),
    /// The second takes the next frame of the first.
    Take(u8, u8),
    /// The next frame has given way to the one behind it.
    Skip(u8, u8),
    /// A server has waited long enough for a better vote.
    Decide(u8),
    /// A server asks again.
    Ask(u8),
    /// A server dies, and starts again.
    Crash(u8),
    /// The connection of two breaks.
    Cut(u8, u8),
}

#[derive(Clone, Debug, Hash)]
struct Server {
    election: Election,
    searches: bool,
    /// Whom it chose, and in which round, since it started.
    chosen: Option<(Sid, i64)>,
}

/// From one server to another.
#[derive(Clone, Debug, Default, Hash)]
struct Way {
    coming: VecDeque<Arc<[u8]>>,
    last: Option<Arc<[u8]>>,
}

/// Three servers, and what is between them.
#[derive(Clone, Debug)]
pub struct Elections {
    histories: [History; SERVERS as usize],
    servers: [Part<Server>; SERVERS as usize],
    ways: [[Part<Way>; SERVERS as usize]; SERVERS as usize],
    left: Bounds,
    /// Questions that were asked again because nothing else could happen.
    asked: i64,
    /// Whom a quorum chose in a round, since the last crash.
    leaders: BTreeMap<i64, Sid>,
    broken: Option<Violation>,
}

impl Elections {
    /// Three servers that have come so far: current epoch and last transaction of each.
    pub fn new(left: Bounds, histories: [(Epoch, Zxid); SERVERS as usize]) -> Self {
        let histories =
            histories.map(|(current_epoch, last_logged)| History { last_logged, current_epoch });
        let way = Part::new(Way::default());
        Self {
            histories,
            servers: std::array::from_fn(|it| Part::new(server(it as u8, histories[it]))),
            ways: std::array::from_fn(|_| std::array::from_fn(|_| way.clone())),
            left,
            asked: 0,
            leaders: BTreeMap::new(),
            broken: None,
        }
    }

    fn server(&self, number: u8) -> &Server {
        &self.servers[usize::from(number)]
    }

    fn way(&mut self, from: u8, to: u8) -> &mut Part<Way> {
        &mut self.ways[usize::from(from)][usize::from(to)]
    }

    fn step(&mut self, number: u8, now: Moment, input: Input<'_>) {
        let server = self.servers[usize::from(number)].edit();
        let mut out = Vec::new();
        if server.election.step(now, input, &mut out).is_err() {
            self.broken = Some(Violation::BadPacket);
        }
        if ENDS_WITHIN < server.election.clock() {
            self.broken = Some(Violation::NoProgress { wait_s: ASKS_AGAIN.as_secs() });
        }
        for output in out {
            match output {
                Output::Send { to, frame } => {
                    let way = self.way(number, to.0 as u8 - 1).edit();
                    way.coming.push_back(Arc::clone(&frame));
                    way.last = Some(frame);
                }
                Output::Elected { vote, .. } => {
                    self.elected(number, vote.candidate, vote.election_epoch);
                }
                // Connections come back by themselves.
                Output::Reconnect | Output::Activate { .. } => {}
            }
        }
    }

    /// A server has chosen.
    fn elected(&mut self, number: u8, candidate: Candidate, round: i64) {
        let server = self.servers[usize::from(number)].edit();
        let before = server.chosen.replace((candidate.leader, round));
        server.searches = false;
        // Who joins a leader that is there already may do so in that one's round, which it has left.
        let is_own = server.election.clock() == round;
        if is_own && before.is_some_and(|(_, it)| round <= it) {
            self.broken = Some(Violation::ChoseTwice { sid: sid(number), round });
        }
        let own = |it: u8| {
            let History { last_logged: zxid, current_epoch: peer_epoch } =
                self.histories[usize::from(it)];
            Candidate { peer_epoch, zxid, leader: sid(it) }
        };
        let quorum = (0..SERVERS).filter(|&it| own(it) <= candidate).count();
        if quorum < 2 || !(0..SERVERS).any(|it| own(it) == candidate) {
            self.broken =
                Some(Violation::NotTheNewest { sid: sid(number), leader: candidate.leader });
        }
        let chose = self.servers.iter().filter(|it| it.chosen == Some((candidate.leader, round)));
        if 2 <= chose.count() {
            let one = *self.leaders.entry(round).or_insert(candidate.leader);
            if one != candidate.leader {
                let (epoch, other) = (candidate.peer_epoch, candidate.leader);
                self.broken = Some(Violation::TwoLeaders { epoch, one, other });
            }
        }
    }

    fn crash(&mut self, number: u8) {
        let at = usize::from(number);
        self.servers[at] = Part::new(server(number, self.histories[at]));
        self.leaders.clear();
        for other in (0..SERVERS).filter(|&it| it != number) {
            *self.way(number, other) = Part::new(Way::default());
            self.connect(other, number);
        }
    }

    /// What was on its way is lost; a new connection begins with the last frame.
    fn connect(&mut self, from: u8, to: u8) {
        let way = self.way(from, to).edit();
        way.coming = way.last.clone().into_iter().collect();
    }

    /// Whether a server waits for a better vote.
    fn waits(&self, number: u8) -> bool {
        let deadline = self.server(number).election.next_deadline();
        deadline.is_some_and(|it| it < Moment::ZERO + ASKS_AGAIN)
    }

    fn events_of(&self, number: u8, out: &mut Vec<Event>) {
        let server = self.server(number);
        let is_looking = server.election.state() == ServerState::Looking;
        if self.waits(number) {
            out.push(Event::Decide(number));
        }
        if is_looking && !server.searches {
            out.push(Event::Look(number));
        } else if 0 < self.left.timeouts {
            out.push(if is_looking { Event::Ask(number) } else { Event::Look(number) });
        }
        if 0 < self.left.crashes {
            out.push(Event::Crash(number));
        }
        for from in (0..SERVERS).filter(|&it| it != number) {
            let coming = &self.ways[usize::from(from)][usize::from(number)].coming;
            if !coming.is_empty() {
                out.push(Event::Take(from, number));
            }
            if 1 < coming.len() {
                out.push(Event::Skip(from, number));
            }
            if from < number && 0 < self.left.cuts {
                out.push(Event::Cut(from, number));
            }
        }
    }

    /// Whether a server has to give up whom it chose.
    fn is_mistaken(&self, number: u8) -> bool {
        let state = |it: u8| self.server(it).election.state();
        let Some((leader, _)) = self.server(number).chosen else { return false };
        let with = (0..SERVERS).filter(|&it| {
            state(it) != ServerState::Looking
                && self.server(it).chosen.is_some_and(|(its, _)| its == leader)
        });
        state(number) != ServerState::Looking
            && (state(leader.0 as u8 - 1) != ServerState::Leading || with.count() < 2)
    }

    /// What happens when nothing else can: time passes.
    fn events_of_time(&self, out: &mut Vec<Event>) {
        out.extend((0..SERVERS).filter(|&it| self.is_mistaken(it)).map(Event::Look));
        if out.is_empty() {
            let searches = |it: &u8| self.server(*it).searches;
            out.extend((0..SERVERS).filter(searches).map(Event::Ask));
        }
    }

    fn is_quiet(&self) -> bool {
        let mut out = Vec::new();
        (0..SERVERS).for_each(|it| self.events_of(it, &mut out));
        out.iter().all(|it| !matches!(it, Event::Take(..) | Event::Decide(_) | Event::Skip(..)))
            && (0..SERVERS).all(|it| {
                self.server(it).searches || self.server(it).election.state() != ServerState::Looking
            })
    }
}

impl Runs for Elections {
    type Event = Event;

    fn events(&self, out: &mut Vec<Event>) {
        (0..SERVERS).for_each(|it| self.events_of(it, out));
        if self.is_quiet() {
            let mut of_time = Vec::new();
            self.events_of_time(&mut of_time);
            out.extend(
                of_time
                    .into_iter()
                    .filter(|it| self.left.timeouts == 0 || matches!(it, Event::Look(_))),
            );
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Look(number) => {
                let is_looking = self.server(number).election.state() == ServerState::Looking;
                let must = self.is_mistaken(number) && self.is_quiet();
                if !is_looking && !must {
                    self.left.timeouts -= 1;
                }
                let history = self.histories[usize::from(number)];
                self.servers[usize::from(number)].edit().searches = true;
                self.step(number, Moment::ZERO, Input::Look { history });
            }
            Event::Take(from, to) => {
                if let Some(frame) = self.way(from, to).edit().coming.pop_front() {
                    let input = Input::Message { from: sid(from), body: &frame[4..] };
                    self.step(to, Moment::ZERO, input);
                }
            }
            Event::Skip(from, to) => drop(self.way(from, to).edit().coming.pop_front()),
            Event::Decide(number) | Event::Ask(number) => {
                if matches!(event, Event::Ask(_)) {
                    if self.left.timeouts == 0 {
                        self.asked += 1;
                    }
                    self.left.timeouts = self.left.timeouts.saturating_sub(1);
                }
                let now = self.server(number).election.next_deadline().unwrap_or(Moment::ZERO);
                self.step(number, now, Input::Deadline);
                if ENDS_WITHIN < self.asked {
                    self.broken = Some(Violation::NoProgress { wait_s: ASKS_AGAIN.as_secs() });
                }
            }
            Event::Crash(number) => {
                self.left.crashes -= 1;
                self.crash(number);
            }
            Event::Cut(one, other) => {
                self.left.cuts -= 1;
                self.connect(one, other);
                self.connect(other, one);
            }
        }
    }

    fn fingerprint(&mut self) -> u64 {
        let servers = self.servers.each_mut().map(Part::sum);
        let ways = self.ways.each_mut().map(|it| it.each_mut().map(Part::sum));
        sum_of((servers, ways, self.left, self.asked, &self.leaders))
    }

    fn violation(&self) -> Option<Violation> {
        self.broken
    }

    fn note(&mut self, walked: &mut Walked) {
        let agree = self
            .servers
            .iter()
            .all(|it| it.chosen.is_some() && it.election.state() != ServerState::Looking);
        if agree && !(0..SERVERS).any(|it| self.is_mistaken(it)) {
            walked.ends += 1;
        }
    }
}

/// Current epoch and last transaction of three servers: all that differ in how votes for them compare.
pub fn histories() -> impl Iterator<Item = [(Epoch, Zxid); SERVERS as usize]> {
    let (one, two) = (Epoch::ZERO.next(), Epoch::ZERO.next().next());
    let (short, long) = (one.zxid().next(), one.zxid().next().next());
    // A longer log is better, and one that is shorter and of a later epoch is better still.
    let three = [(one, short), (one, long), (two, short)];
    (0..27).map(move |it| [three[it / 9], three[it / 3 % 3], three[it % 3]])
}

/// A server that has just started.
fn server(number: u8, history: History) -> Server {
    let soon = Duration::from_millis(1);
    let timing = Timing {
        resend_min: ASKS_AGAIN,
        resend_max: ASKS_AGAIN,
        finalize: soon,
        finalize_reached: soon,
    };
    let settings = Settings { myid: sid(number), timing, reconfig: Reconfig::Off };
    let election = Election::new(settings, views(), history);
    Server { election, searches: false, chosen: None }
}
