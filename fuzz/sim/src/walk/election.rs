//! Every election of three servers: the product's [`Election`]s, every order of their notifications, and things that go wrong.
//!
//! Between two servers frames come in order; one that waits may give way to a newer one, and a new connection begins with the last one
//! that was sent (`election::links`). A server searches as soon as it starts: one that starts late is one that is late to take what has
//! come. It searches again when it gives up whom it chose, at any time once that one has died. Where nothing else can happen, whoever follows
//! one that does not lead, or leads without a quorum, gives up, and who still searches asks again: in the end all must agree.
//!
//! In the manner `Every` a frame gives way at any time; else just before the one behind it is taken, since nobody could tell before, and what was seen where as
//! much and more may still go wrong is not followed (`seen`). Orders of what different servers do are not left out: for that it would have to be told apart
//! early what each takes next, and those states are more than the orders.
//!
//! *Absent:* ZAB. Its own walk lets any server lead that searches, so any end of an election is among its beginnings.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jute::Zxid;
use quorum::election::{Candidate, Election, History, Input, Output, Reconfig, Settings, Timing};
use quorum::wire::ServerState;
use quorum::{Epoch, Moment, QuorumConfig, Sid, Views};

use super::part::{Part, sum_of};
use super::state::{SERVERS, number_of, sid};
use super::{Left, Manner, Runs, Walked};
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

impl Bounds {
    fn left(self) -> Left {
        Left::new([self.crashes, self.cuts, 0, 0, self.timeouts])
    }

    /// Whether what one has sent last may be sent again.
    fn has_new_connections(self) -> bool {
        0 < self.crashes || 0 < self.cuts
    }
}

/// Who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Members {
    /// All three.
    Vote,
    /// All but the last.
    LastObserves,
}

impl Members {
    fn voters(self) -> std::ops::Range<u8> {
        match self {
            Self::Vote => 0..SERVERS,
            Self::LastObserves => 0..SERVERS - 1,
        }
    }

    fn views(self) -> Views {
        let line = |it: u8| {
            let role = if self.voters().contains(&it) { "participant" } else { "observer" };
            let sid = sid(it);
            format!("server.{sid}=10.0.0.{it}:2888:3888:{role}\n")
        };
        let text = (0..SERVERS).map(line).collect::<String>() + "version=0";
        let config = QuorumConfig::parse(&text).unwrap_or_else(|err| panic!("{err}"));
        Views::new(Arc::new(config))
    }
}

/// Something that can happen. Servers by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server whose leader is none searches.
    Look(u8),
    /// A server gives up its leader before it must.
    GiveUp(u8),
    /// The second takes the next frame of the first.
    Take(u8, u8),
    /// The next frame has given way to the one behind it.
    Skip(u8, u8),
    /// So have this many, and the second takes the one behind them.
    TakeBehind(u8, u8, u8),
    /// A server has waited long enough for a better vote.
    Decide(u8),
    /// A server asks again before it must.
    Ask(u8),
    /// A server asks again, since nothing else happens.
    AskAgain(u8),
    /// A server dies, and starts again.
    Crash(u8),
    /// The connection of two breaks.
    Cut(u8, u8),
}

#[derive(Clone, Debug, Hash)]
struct Server {
    election: Election,
    /// Whom it chose, and in which round, since it started.
    chosen: Option<(Sid, i64)>,
    /// Whether that one has died since.
    is_left: bool,
}

/// From one server to another.
#[derive(Clone, Debug, Default, Hash)]
struct Way {
    coming: VecDeque<Arc<[u8]>>,
    /// As long as it may be sent again.
    last: Option<Arc<[u8]>>,
}

/// Three servers, and what is between them.
#[derive(Clone, Debug)]
pub struct Elections {
    manner: Manner,
    members: Members,
    views: Views,
    histories: [History; SERVERS as usize],
    servers: [Part<Server>; SERVERS as usize],
    ways: [[Part<Way>; SERVERS as usize]; SERVERS as usize],
    left: Bounds,
    /// Questions that were asked again because nothing else could happen.
    asked: i64,
    /// Which voters have chosen whom in a round, a bit for each, since the last crash.
    choices: BTreeMap<(i64, Sid), u8>,
    broken: Option<Violation>,
    #[cfg(planted)]
    bug: Option<quorum::election::Bug>,
}

impl Elections {
    /// Three servers that have come so far: current epoch and last transaction of each.
    pub fn new(
        left: Bounds,
        members: Members,
        manner: Manner,
        histories: [(Epoch, Zxid); SERVERS as usize],
    ) -> Self {
        let histories =
            histories.map(|(current_epoch, last_logged)| History { last_logged, current_epoch });
        let way = Part::new(Way::default());
        let views = members.views();
        let mut elections = Self {
            manner,
            members,
            histories,
            servers: std::array::from_fn(|it| Part::new(server(it as u8, &views, histories[it]))),
            views,
            ways: std::array::from_fn(|_| std::array::from_fn(|_| way.clone())),
            left,
            asked: 0,
            choices: BTreeMap::new(),
            broken: None,
            #[cfg(planted)]
            bug: None,
        };
        (0..SERVERS).for_each(|it| elections.look(it));
        elections
    }

    /// The same with this bug in every server.
    #[cfg(planted)]
    #[must_use]
    pub fn with_bug(mut self, bug: quorum::election::Bug) -> Self {
        self.bug = Some(bug);
        self.ways.iter_mut().flatten().for_each(|it| *it = Part::new(Way::default()));
        (0..SERVERS).for_each(|it| self.start(it));
        self
    }

    fn server(&self, number: u8) -> &Server {
        &self.servers[usize::from(number)]
    }

    fn way(&mut self, from: u8, to: u8) -> &mut Part<Way> {
        &mut self.ways[usize::from(from)][usize::from(to)]
    }

    /// How many frames are on their way.
    fn coming(&self, from: u8, to: u8) -> usize {
        self.ways[usize::from(from)][usize::from(to)].coming.len()
    }

    fn start(&mut self, number: u8) {
        let at = usize::from(number);
        let server = server(number, &self.views, self.histories[at]);
        #[cfg(planted)]
        let server = Server { election: server.election.with_bug(self.bug), ..server };
        self.servers[at] = Part::new(server);
        self.look(number);
    }

    fn look(&mut self, number: u8) {
        let at = usize::from(number);
        self.servers[at].edit().is_left = false;
        self.step(number, Moment::ZERO, Input::Look { history: self.histories[at] });
    }

    fn step(&mut self, number: u8, now: Moment, input: Input<'_>) {
        let may_be_sent_again = self.left.has_new_connections();
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
                    let way = self.way(number, number_of(to)).edit();
                    if may_be_sent_again {
                        way.last = Some(Arc::clone(&frame));
                    }
                    way.coming.push_back(frame);
                }
                Output::Elected { vote, .. } => {
                    self.elected(number, vote.candidate, vote.election_epoch);
                }
                // Connections come back by themselves.
                Output::Reconnect | Output::Activate { .. } => {}
            }
        }
    }

    /// The second takes the next frame of the first.
    fn take(&mut self, from: u8, to: u8) {
        if let Some(frame) = self.way(from, to).edit().coming.pop_front() {
            let input = Input::Message { from: sid(from), body: &frame[4..] };
            self.step(to, Moment::ZERO, input);
        }
    }

    /// A server has chosen.
    fn elected(&mut self, number: u8, candidate: Candidate, round: i64) {
        let Candidate { leader, peer_epoch: epoch, .. } = candidate;
        let server = self.servers[usize::from(number)].edit();
        let before = server.chosen.replace((leader, round));
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
        let quorum = self.members.voters().filter(|&it| own(it) <= candidate).count();
        if quorum < 2 || !self.members.voters().any(|it| own(it) == candidate) {
            self.broken = Some(Violation::NotTheNewest { sid: sid(number), leader });
        }
        if self.members.voters().contains(&number) {
            *self.choices.entry((round, leader)).or_default() |= 1 << number;
        }
        let of_round = self.choices.range((round, Sid(i64::MIN))..=(round, Sid(i64::MAX)));
        let mut quorums = of_round.filter(|(_, voters)| 2 <= voters.count_ones());
        if let (Some((&(_, one), _)), Some((&(_, other), _))) = (quorums.next(), quorums.next()) {
            self.broken = Some(Violation::TwoLeaders { epoch, one, other });
        }
    }

    fn crash(&mut self, number: u8) {
        self.choices.clear();
        for server in &mut self.servers {
            let follows = server.chosen.is_some_and(|(it, _)| it == sid(number));
            if follows && server.election.state() != ServerState::Looking {
                server.edit().is_left = true;
            }
        }
        for other in (0..SERVERS).filter(|&it| it != number) {
            *self.way(number, other) = Part::new(Way::default());
            self.connect(other, number);
        }
        self.start(number);
    }

    /// What was on its way is lost; a new connection begins with the last frame.
    fn connect(&mut self, from: u8, to: u8) {
        let way = self.way(from, to).edit();
        way.coming = way.last.clone().into_iter().collect();
    }

    /// Something has broken.
    fn go_on(&mut self) {
        if !self.left.has_new_connections() {
            for way in self.ways.iter_mut().flatten().filter(|it| it.last.is_some()) {
                way.edit().last = None;
            }
        }
    }

    fn searches(&self, number: u8) -> bool {
        self.server(number).election.state() == ServerState::Looking
    }

    /// Whether a server waits for a better vote.
    fn waits(&self, number: u8) -> bool {
        let deadline = self.server(number).election.next_deadline();
        deadline.is_some_and(|it| it < Moment::ZERO + ASKS_AGAIN)
    }

    /// What a server does by itself, and what uses up what may happen.
    fn events_of(&self, number: u8, out: &mut Vec<Event>) {
        if self.waits(number) {
            out.push(Event::Decide(number));
        }
        if self.server(number).is_left {
            out.push(Event::Look(number));
        }
    }

    /// What a server may do before it must.
    fn early_event_of(&self, number: u8) -> Option<Event> {
        let event = if self.searches(number) { Event::Ask } else { Event::GiveUp };
        (0 < self.left.timeouts).then(|| event(number))
    }

    /// All that can happen before time has to pass.
    fn all_events(&self, out: &mut Vec<Event>) {
        for number in 0..SERVERS {
            self.events_of(number, out);
            out.extend(self.early_event_of(number));
            if 0 < self.left.crashes {
                out.push(Event::Crash(number));
            }
            for from in (0..SERVERS).filter(|&it| it != number) {
                let coming = self.coming(from, number);
                if 0 < coming {
                    out.push(Event::Take(from, number));
                }
                if self.manner != Manner::Every {
                    let behind = 1..coming as u8;
                    out.extend(behind.map(|it| Event::TakeBehind(from, number, it)));
                } else if 1 < coming {
                    out.push(Event::Skip(from, number));
                }
                if from < number && 0 < self.left.cuts {
                    out.push(Event::Cut(from, number));
                }
            }
        }
    }

    /// Whether a server has to give up whom it chose.
    fn is_mistaken(&self, number: u8) -> bool {
        let state = |it: u8| self.server(it).election.state();
        let Some((leader, _)) = self.server(number).chosen else { return false };
        let with = self.members.voters().filter(|&it| {
            state(it) != ServerState::Looking
                && self.server(it).chosen.is_some_and(|(its, _)| its == leader)
        });
        state(number) != ServerState::Looking
            && (state(number_of(leader)) != ServerState::Leading || with.count() < 2)
    }

    /// What happens when nothing else can: time passes.
    fn events_of_time(&self, out: &mut Vec<Event>) {
        let before = out.len();
        out.extend((0..SERVERS).filter(|&it| self.is_mistaken(it)).map(Event::Look));
        if out.len() == before {
            out.extend((0..SERVERS).filter(|&it| self.searches(it)).map(Event::AskAgain));
        }
    }

    /// Whether nothing more happens until time has passed.
    fn is_quiet(&self) -> bool {
        let mut out = Vec::new();
        (0..SERVERS).for_each(|it| self.events_of(it, &mut out));
        out.is_empty() && self.ways.iter().flatten().all(|it| it.coming.is_empty())
    }
}

impl Runs for Elections {
    type Event = Event;

    fn events(&self, out: &mut Vec<Event>) {
        self.all_events(out);
        if self.is_quiet() {
            self.events_of_time(out);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Look(number) => self.look(number),
            Event::GiveUp(number) => {
                self.left.timeouts -= 1;
                self.look(number);
            }
            Event::Take(from, to) => self.take(from, to),
            Event::TakeBehind(from, to, count) => {
                self.way(from, to).edit().coming.drain(..usize::from(count));
                self.take(from, to);
            }
            Event::Skip(from, to) => drop(self.way(from, to).edit().coming.pop_front()),
            Event::Decide(number) | Event::Ask(number) | Event::AskAgain(number) => {
                self.left.timeouts -= u8::from(matches!(event, Event::Ask(_)));
                self.asked += i64::from(matches!(event, Event::AskAgain(_)));
                let now = self.server(number).election.next_deadline().unwrap_or(Moment::ZERO);
                self.step(number, now, Input::Deadline);
                if ENDS_WITHIN < self.asked {
                    self.broken = Some(Violation::NoProgress { wait_s: ASKS_AGAIN.as_secs() });
                }
            }
            Event::Crash(number) => {
                self.left.crashes -= 1;
                self.crash(number);
                self.go_on();
            }
            Event::Cut(one, other) => {
                self.left.cuts -= 1;
                self.connect(one, other);
                self.connect(other, one);
                self.go_on();
            }
        }
    }

    fn left(&self) -> Left {
        if self.manner == Manner::Every { Left::default() } else { self.left.left() }
    }

    fn uses(&self, event: Event) -> bool {
        let uses = match event {
            Event::GiveUp(_) | Event::Ask(_) | Event::Crash(_) | Event::Cut(..) => true,
            Event::Look(_)
            | Event::Decide(_)
            | Event::AskAgain(_)
            | Event::Take(..)
            | Event::Skip(..)
            | Event::TakeBehind(..) => false,
        };
        uses && self.manner != Manner::Every
    }

    fn number(&mut self) -> u64 {
        let servers = self.servers.each_mut().map(Part::sum);
        let ways = self.ways.each_mut().map(|it| it.each_mut().map(Part::sum));
        let all = (servers, ways, self.asked, &self.choices);
        if self.manner == Manner::Every { sum_of((all, self.left)) } else { sum_of(all) }
    }

    fn violation(&self) -> Option<Violation> {
        self.broken
    }

    fn note(&mut self, walked: &mut Walked) {
        if !self.is_quiet() {
            return;
        }
        let servers = self.servers.each_mut().map(Part::sum);
        let ways = self.ways.each_mut().map(|it| it.each_mut().map(Part::sum));
        walked.rests.insert((sum_of((servers, ways)), self.left.left()));
        let searches = |it| self.searches(it) || self.is_mistaken(it);
        walked.ends += u64::from(!(0..SERVERS).any(searches));
    }
}

/// Current epoch and last transaction of three servers, in each order in which they can be: nothing else is ever asked of candidates.
///
/// The worst has the longest log, of an older epoch.
fn orders() -> impl Iterator<Item = [(Epoch, Zxid); SERVERS as usize]> {
    let (one, two) = (Epoch::ZERO.next(), Epoch::ZERO.next().next());
    let zxid = |count| Zxid(one.zxid().0 + count);
    let three = [(one, zxid(3)), (two, zxid(1)), (two, zxid(2))];
    (0..27)
        .map(move |it| [three[it / 9], three[it / 3 % 3], three[it % 3]])
        .filter(|[one, two, three]| one != two && two != three && one != three)
}

/// What there is to walk: three voters in each order, and two beside an observer, whose history is the longest.
pub fn worlds() -> impl Iterator<Item = (Members, [(Epoch, Zxid); SERVERS as usize])> {
    let three = orders().map(|it| (Members::Vote, it));
    let last_is_best = |[one, two, last]: &[_; 3]| one < last && two < last;
    three.chain(orders().filter(last_is_best).map(|it| (Members::LastObserves, it)))
}

/// A server that has just started.
fn server(number: u8, views: &Views, history: History) -> Server {
    let soon = Duration::from_millis(1);
    let timing = Timing {
        resend_min: ASKS_AGAIN,
        resend_max: ASKS_AGAIN,
        finalize: soon,
        finalize_reached: soon,
    };
    let settings = Settings {
        myid: sid(number),
        timing,
        reconfig: Reconfig::Off,
        oracle: quorum::Oracle::None,
    };
    let election = Election::new(settings, views.clone(), history);
    Server { election, chosen: None, is_left: false }
}
