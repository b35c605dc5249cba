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
mod part;
#[cfg(planted)]
pub mod planted;
mod state;

use std::collections::BTreeSet;

use crate::Violation;
use part::Seen;
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

/// Which of the runs that differ in nothing but the order of what has nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// All of them, packet by packet.
    Every,
    /// As few as are known to show the same (`fewer`).
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
    /// What servers came to, wherever nobody had a role and nothing was to be written: one number for each.
    pub rests: BTreeSet<u64>,
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

    /// A number that two states share only if they are the same.
    fn fingerprint(&mut self) -> u64;

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
}

impl<S: Runs> Open<S> {
    fn new(state: S, event: Option<S::Event>) -> Self {
        let mut left = Vec::new();
        state.events(&mut left);
        Self { state, event, left }
    }
}

/// Follows every run, depth first, until there is none left or `states_max` were seen.
///
/// # Errors
/// The first rule that a run broke.
pub fn walk<S: Runs>(mut start: S, states_max: u64) -> Result<Walked, Box<Broken<S::Event>>> {
    let mut walked = Walked { is_whole: true, states: 1, ..Walked::default() };
    let mut seen = Seen::new();
    seen.insert(start.fingerprint());
    let mut way = vec![Open::new(start, None)];
    while let Some(open) = way.last_mut() {
        let Some(event) = open.left.pop() else {
            way.pop();
            continue;
        };
        let mut next = open.state.clone();
        next.happen(event);
        walked.events += 1;
        if let Some(violation) = next.violation() {
            let path = way.iter().filter_map(|it| it.event).chain([event]).collect();
            return Err(Box::new(Broken { violation, path, states: walked.states }));
        }
        if !seen.insert(next.fingerprint()) {
            continue;
        }
        if walked.states == states_max {
            walked.is_whole = false;
            break;
        }
        walked.states += 1;
        walked.depth = walked.depth.max(way.len());
        next.note(&mut walked);
        way.push(Open::new(next, Some(event)));
    }
    Ok(walked)
}
