//! A switch of Ethernet frames in a thread of the harness, which loses and delays what it is told to: by sender, receiver and TCP port.
//!
//! Each port of it is a TAP device, whose other side is a machine's network card. Frames go where their address says, and a broadcast to all.
//! What is late stays in order between two machines. Address resolution always comes through, as behind a packet filter.
//! On request it keeps what it has passed on. Absent here: machines, which are in `namespaces`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::wire::Chance;

/// What happens to frames from one machine to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Obstacle {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Of TCP, at either end; none: all that is sent.
    pub(crate) port: Option<u16>,
    pub(crate) what: What,
}

/// See [`Obstacle`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// So many of a hundred are lost.
    Lost { percent: u64 },
    /// They come so much later, and up to `jitter_ms` more.
    Late { ms: u64, jitter_ms: u64 },
}

/// Everything is lost.
pub(crate) const ALL_LOST: What = What::Lost { percent: 100 };

/// A frame that was passed on, and who sent it.
pub(crate) type Passed = (usize, Vec<u8>);

/// The switch; it ends with this.
pub(crate) struct Switch {
    obstacles: Arc<Mutex<Vec<Obstacle>>>,
    /// None: nothing is kept.
    kept: Arc<Mutex<Option<Vec<Passed>>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// Joins these devices; machine `n` has the hardware address that [`hardware_address`] says.
    pub(crate) fn start(taps: Vec<File>) -> anyhow::Result<Self> {
        let obstacles = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let kept = Arc::new(Mutex::new(None));
        let running = Running {
            obstacles: Arc::clone(&obstacles),
            kept: Arc::clone(&kept),
            taps,
            late: BinaryHeap::new(),
            last: BTreeMap::new(),
            chance: Chance::new(7),
            numbered: 0,
        };
        let ends = Arc::clone(&over);
        let run = move || running.run(&ends);
        let thread = thread::Builder::new().name("switch".into()).spawn(run);
        Ok(Self {
            obstacles,
            kept,
            over,
            thread: Some(thread.context("no thread for the switch")?),
        })
    }

    /// From now on everything is kept that is passed on.
    pub(crate) fn keep(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was kept.
    pub(crate) fn kept(&self) -> Vec<Passed> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// From now on these obstacles are in the way, and no others.
    pub(crate) fn set(&self, obstacles: &[Obstacle]) {
        *self.obstacles.lock().unwrap_or_else(PoisonError::into_inner) = obstacles.to_vec();
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(!matches!(ended, Some(Err(_))) || thread::panicking(), "the switch panicked");
    }
}

/// The address of a machine's card.
pub(crate) fn hardware_address(number: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, number as u8 + 1]
}

/// A frame that waits: when it goes, the how manieth it is, and where to.
type Late = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Running {
    obstacles: Arc<Mutex<Vec<Obstacle>>>,
    kept: Arc<Mutex<Option<Vec<Passed>>>>,
    taps: Vec<File>,
    late: BinaryHeap<Late>,
    /// When the last late frame between two goes.
    last: BTreeMap<(usize, usize), Instant>,
    chance: Chance,
    numbered: u64,
}

impl Running {
    fn run(mut self, over: &AtomicBool) {
        let mut frame = vec![0; FRAME_MAX];
        while !over.load(Ordering::Relaxed) {
            for from in self.readable() {
                for _ in 0..BURST {
                    match self.taps[from].read(&mut frame) {
                        Ok(len) => self.pass(from, &frame[..len]),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        // The card is down: its machine has gone.
                        Err(_) => return,
                    }
                }
            }
            let now = Instant::now();
            while self.late.peek().is_some_and(|it| it.0.0 <= now) {
                let Some(Reverse((_, _, to, frame))) = self.late.pop() else { break };
                self.send(to, &frame);
            }
        }
    }

    /// Whose frames can be read, at the latest when a late one is due.
    fn readable(&self) -> Vec<usize> {
        let due =
            self.late.peek().map_or(TURN, |it| it.0.0.saturating_duration_since(Instant::now()));
        let wait = Timespec::try_from(due.min(TURN)).ok();
        let mut ready: Vec<_> = self.taps.iter().map(|it| PollFd::new(it, PollFlags::IN)).collect();
        if poll(&mut ready, wait.as_ref()).is_err() {
            return Vec::new();
        }
        let is_ready =
            |(number, it): (usize, &PollFd<'_>)| (!it.revents().is_empty()).then_some(number);
        ready.iter().enumerate().filter_map(is_ready).collect()
    }

    fn pass(&mut self, from: usize, frame: &[u8]) {
        let Some(address) = frame.first_chunk::<6>() else { return };
        let is_group = address[0] & 1 == 1;
        for to in 0..self.taps.len() {
            if to != from && (is_group || hardware_address(to) == *address) {
                self.pass_to(from, to, frame);
            }
        }
    }

    fn pass_to(&mut self, from: usize, to: usize, frame: &[u8]) {
        let mut wait = Duration::ZERO;
        if is_ip(frame) {
            let obstacles = self.obstacles.lock().unwrap_or_else(PoisonError::into_inner);
            for it in obstacles.iter().filter(|it| it.from == from && it.to == to) {
                if it.port.is_some_and(|port| !tcp_ports(frame).contains(&Some(port))) {
                    continue;
                }
                match it.what {
                    What::Lost { percent } if self.chance.below(100) < percent => return,
                    What::Lost { .. } => {}
                    What::Late { ms, jitter_ms } => {
                        wait += Duration::from_millis(ms + self.chance.below(jitter_ms + 1));
                    }
                }
            }
        }
        if let Some(kept) = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner) {
            kept.push((from, frame.to_vec()));
        }
        let now = Instant::now();
        let before = self.last.get(&(from, to)).copied().filter(|it| now < *it);
        if wait.is_zero() && before.is_none() {
            return self.send(to, frame);
        }
        let due = before.map_or(now + wait, |it| it.max(now + wait));
        self.last.insert((from, to), due);
        self.numbered += 1;
        self.late.push(Reverse((due, self.numbered, to, frame.to_vec())));
    }

    /// A card that takes no more loses it, as cards do.
    fn send(&mut self, to: usize, frame: &[u8]) {
        drop(self.taps[to].write(frame));
    }
}

/// Whether it is IPv4.
fn is_ip(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[8, 0])
}

/// The ports of TCP, the sender's first.
fn tcp_ports(frame: &[u8]) -> [Option<u16>; 2] {
    let packet = frame.get(14..).unwrap_or_default();
    let header_len = packet.first().map_or(0, |it| usize::from(it & 15) * 4);
    if packet.get(9) != Some(&6) {
        return [None, None];
    }
    [0, 2].map(|at| {
        let port = packet.get(header_len + at..header_len + at + 2)?;
        Some(u16::from_be_bytes([port[0], port[1]]))
    })
}

/// Longer than what the cards send.
const FRAME_MAX: usize = 2048;

/// Frames of one machine before others get their turn.
const BURST: usize = 64;

/// How often the switch looks whether it is over.
const TURN: Duration = Duration::from_millis(20);
