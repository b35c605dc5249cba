//! Every run of a small world: three servers, a few transactions, and things that go wrong, in every order that there is.
//!
//! The roles are the product's [`quorum::Peer`]s; the bytes of their packets wait on connections until they are taken, writes wait until
//! they are durable, and every choice of what happens next is followed. A state that was seen is not followed again. Whoever
//! searches may be told that it leads, or that any leader does: elections can do no worse, so that every end of one is in here.
//! Time stands still, but for a server that gives up waiting for all others.
//!
//! *Absent:* observers, images, `sync`, and the election's own messages.

pub mod election;
mod fewer;
mod happen;
mod names;
mod part;
#[cfg(planted)]
pub mod planted;
mod seen;
mod state;

use std::collections::BTreeSet;

use crate::Violation;
pub use seen::Left;
use seen::{Seen, Visit};
pub use state::State as World;

/// How much may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Servers that die.
    pub crashes: u8,
    /// Connections that break.
    pub cuts: u8,
    /// Transactions.
    pub txns: u8,
    /// Servers that are told that they lead.
    pub leaders: u8,
    /// Servers that give up waiting.
    pub timeouts: u8,
}

impl Bounds {
    fn left(self) -> Left {
        Left::new([self.crashes, self.cuts, self.txns, self.leaders, self.timeouts])
    }
}

/// Which of the runs that differ in nothing but the order of what has nothing to do with each other, and of those that differ in names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// All of them, packet by packet.
    Every,
    /// Every order, but one of the states that differ in what things are called only (`names`), and none in which less may happen than in one
    /// like it.
    Alike,
    /// Of these as few as are known to show the same (`fewer`).
    Fewer,
}

/// Something that can happen. Servers and connections by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A searching server is elected.
    Lead(u8),
    /// A searching server finds a leader.
    Follow(u8, u8),
    /// It reaches that leader.
    Call(u8),
    /// An end takes the next packet.
    Take(u8, u8),
    /// An end hears that its connection is no more.
    Hear(u8, u8),
    /// The next write is durable.
    Disk(u8),
    /// A server dies.
    Crash(u8),
    /// It starts.
    Start(u8),
    /// A connection breaks.
    Cut(u8),
    /// A leader proposes.
    Propose(u8),
    /// A server has heard nobody for too long.
    GiveUp(u8),
    /// A connection breaks, and this end is the first to hear of it.
    Break(u8, u8),
    /// Its learner takes nothing more from this connection.
    Deaf(u8),
    /// A server's next write takes longer than what comes next.
    Slow(u8),
    /// A searching server finds none of those that lead now.
    Stay(u8),
}

/// What a walk saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// States, each once.
    pub states: u64,
    /// Ways from one to another.
    pub events: u64,
    /// The most that was committed in any.
    pub committed: usize,
    /// The highest epoch that was led in any.
    pub epochs: usize,
    /// States of elections in which all servers agree; 0 of other walks.
    pub ends: u64,
    /// The longest way into a state that was followed.
    pub depth: usize,
    /// Whether there was nothing more to see.
    pub is_whole: bool,
    /// What servers came to, wherever nobody had a role and nothing was to be written: one number for each, and what might still have happened.
    pub rests: BTreeSet<(u64, Left)>,
}

/// A rule that was broken, and how.
#[derive(Clone, Debug)]
pub struct Broken<E> {
    /// The rule.
    pub violation: Violation,
    /// What happened, from the beginning.
    pub path: Vec<E>,
    /// States that were seen before.
    pub states: u64,
}

/// A state of a world that can be walked.
pub trait Runs: Clone {
    /// What can happen.
    type Event: Copy;

    /// What is to be tried.
    fn events(&self, out: &mut Vec<Self::Event>);

    /// Something happens.
    fn happen(&mut self, event: Self::Event);

    /// A number that two states share only if the same comes of them, as far as what is left allows it.
    fn number(&mut self) -> u64;

    /// What may still happen; nothing if that is in the number.
    fn left(&self) -> Left;

    /// Whether less may happen after this.
    fn uses(&self, event: Self::Event) -> bool;

    /// The rule that was broken.
    fn violation(&self) -> Option<Violation>;

    /// Tells what there is to see.
    fn note(&mut self, walked: &mut Walked);
}

/// A state on the way, and what is left to be tried in it.
struct Open<S: Runs> {
    state: S,
    /// What led to it.
    event: Option<S::Event>,
    left: Vec<S::Event>,
    /// How much of what may happen has happened.
    used: u16,
}

/// A walk under way.
struct Walk<S: Runs> {
    walked: Walked,
    seen: Seen,
    states_max: u64,
    /// What may happen at all.
    total: u16,
    way: Vec<Open<S>>,
    /// States of earlier turns that were met in this one.
    again: u64,
}

/// Follows every run, depth first, until there is none left or `states_max` were seen.
///
/// In turns: first the runs in which nothing goes wrong, then those in which one thing does, and so on. So wherever things have gone wrong and
/// come to nothing, that is known; each turn finds the states of the earlier ones again on its way.
///
/// # Errors
/// The first rule that a run broke.
pub fn walk<S: Runs>(start: &S, states_max: u64) -> Result<Walked, Box<Broken<S::Event>>> {
    let walked = Walked { is_whole: true, ..Walked::default() };
    let total = start.left().total();
    let mut walk = Walk { walked, seen: Seen::new(), states_max, total, way: Vec::new(), again: 0 };
    for turn in 0..=total {
        let before = walk.walked.states;
        walk.again = 0;
        walk.turn(start.clone(), turn)?;
        if !walk.walked.is_whole {
            break;
        }
        assert_eq!(walk.again, before, "turn {turn} has lost states on its way");
    }
    Ok(walk.walked)
}

impl<S: Runs> Walk<S> {
    /// Follows the runs in which so much happens.
    fn turn(&mut self, start: S, turn: u16) -> Result<(), Box<Broken<S::Event>>> {
        self.meet(start, None, turn);
        while let Some(open) = self.way.last_mut() {
            let Some(event) = open.left.pop() else {
                self.way.pop();
                continue;
            };
            let is_first = open.used == turn || open.used + 1 == turn && open.state.uses(event);
            let mut next = open.state.clone();
            next.happen(event);
            self.walked.events += u64::from(is_first);
            if let Some(violation) = next.violation() {
                let path = self.way.iter().filter_map(|it| it.event).chain([event]).collect();
                return Err(Box::new(Broken { violation, path, states: self.walked.states }));
            }
            self.meet(next, Some(event), turn);
            if !self.walked.is_whole {
                break;
            }
        }
        Ok(())
    }

    /// A state on the way, to be followed if it was not.
    fn meet(&mut self, mut state: S, event: Option<S::Event>, turn: u16) {
        let (number, left) = (state.number(), state.left());
        match self.seen.visit(number, left, turn) {
            Visit::Known => return,
            Visit::Again => self.again += 1,
            Visit::New if self.walked.states == self.states_max => {
                self.walked.is_whole = false;
                return;
            }
            Visit::New => {
                self.walked.states += 1;
                self.walked.depth = self.walked.depth.max(self.way.len());
                state.note(&mut self.walked);
            }
        }
        let used = self.total - left.total();
        let mut left = Vec::new();
        state.events(&mut left);
        if used == turn {
            left.retain(|&it| !state.uses(it));
        }
        self.way.push(Open { state, event, left, used });
    }
}
