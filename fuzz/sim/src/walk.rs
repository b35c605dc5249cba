//! Every run of a small world: three servers, a few transactions, and things that go wrong, in every order that there is.
//!
//! The roles are the product's [`quorum::Peer`]s; the bytes of their packets wait on connections until they are taken, writes wait until
//! they are durable, and every choice of what happens next is followed. A state that was seen is not followed again. Whoever
//! searches may be told that it leads, or that any leader does: elections can do no worse, so that every end of one is in here.
//! Time stands still, but for a server that gives up waiting for all others.
//!
//! *Absent:* observers, images, `sync`, and the election's own messages.

mod happen;
mod state;

use std::collections::BTreeSet;

use crate::Violation;
use state::State;

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
}

/// What a walk saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// States, each once.
    pub states: u64,
    /// Ways from one to another.
    pub events: u64,
    /// The most that was committed in any.
    pub committed: usize,
    /// The highest epoch that was led in any.
    pub epochs: usize,
    /// Whether there was nothing more to see.
    pub is_whole: bool,
}

/// A rule that was broken, and how.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The rule.
    pub violation: Violation,
    /// What happened, from the beginning.
    pub path: Vec<Event>,
}

/// Follows every run, depth first, until there is none left or `states_max` were seen.
///
/// # Errors
/// The first rule that a run broke.
pub fn walk(start: State, states_max: u64) -> Result<Walked, Box<Broken>> {
    let mut walked = Walked { is_whole: true, ..Walked::default() };
    let mut seen = BTreeSet::from([start.fingerprint()]);
    // How each state was reached: the place of the one before, and what happened.
    let mut trail: Vec<(u32, Event)> = vec![(0, Event::Lead(0))];
    let mut open = vec![(start, 0_u32)];
    let mut events = Vec::new();
    while let Some((state, place)) = open.pop() {
        walked.states += 1;
        walked.committed = walked.committed.max(state.committed());
        walked.epochs = walked.epochs.max(state.epochs());
        if walked.states == states_max {
            walked.is_whole = false;
            break;
        }
        events.clear();
        state.events(&mut events);
        for &event in &events {
            walked.events += 1;
            let mut next = state.clone();
            next.happen(event);
            if let Some(violation) = next.violation() {
                let mut path = path(&trail, place);
                path.push(event);
                return Err(Box::new(Broken { violation, path }));
            }
            if seen.insert(next.fingerprint()) {
                trail.push((place, event));
                open.push((next, trail.len() as u32 - 1));
            }
        }
    }
    Ok(walked)
}

/// What happened up to a place of the trail.
fn path(trail: &[(u32, Event)], mut place: u32) -> Vec<Event> {
    let mut path = Vec::new();
    while place != 0 {
        let (before, event) = trail[place as usize];
        path.push(event);
        place = before;
    }
    path.reverse();
    path
}

pub use state::State as World;
