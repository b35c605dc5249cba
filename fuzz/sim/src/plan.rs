//! What a seed makes: the ensemble, its settings, and how bad the weather is.

use std::sync::Arc;
use std::time::Duration;

use quorum::wire::{BATCHING_PROTOCOL, PROTOCOL_VERSION};
use quorum::zab::{ObserverMasters, Reconfig, Settings, WindowLimits};
use quorum::{QuorumConfig, Sid, Views};
use ringkeeper::pipeline::LocalPolicy;
use wal::frame::BLOCK;

use crate::chance::{Chance, Stream};
use crate::clock::Clock;
use crate::disk::Keeping;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Servers that vote; ids from 1.
    pub voters: usize,
    /// Servers that do not; ids behind those.
    pub observers: usize,
    /// Clients.
    pub clients: usize,
    /// Of those, the first so many are idle in calm weather: they show that they live, and read now and then.
    pub idlers: usize,
    /// Of those, the first so many never write: what others wait for at a leader that has lost its learners, they do not make.
    pub readers: usize,
    /// Every server's settings, but for the protocol that it speaks.
    pub settings: Settings,
    /// In a thousand: that a server speaks no more than the reference's do.
    pub plain_per_mille: u64,
    /// How long things go wrong.
    pub faults_for: Duration,
    /// Mean time between two faults.
    pub fault_every: Duration,
    /// Mean delay of a packet, microseconds.
    pub net_us: u64,
    /// Mean time of a write, microseconds.
    pub disk_us: u64,
    /// In a thousand: that a server crashes at a boundary of writes.
    pub crash_per_mille: u64,
    /// In a thousand: that a server that begins to search is told that anybody at all leads.
    pub odd_leader_per_mille: u64,
    /// Mean time between two wishes for other members; `None`: they do not change.
    pub change_every: Option<Duration>,
    /// How servers keep their files.
    pub keeping: Keeping,
    /// How long nothing is written to a log before it is sealed.
    pub seal_after: Duration,
    /// Voters whose disks may lose or change what was written, or be emptied: the first so many by `first_frail`, fewer than half.
    pub frail: usize,
    /// The first of them.
    pub first_frail: usize,
    /// In a thousand: that a frail disk has not done what it says.
    pub broken_per_mille: u64,
    /// In a thousand: that an error or a full disk strikes at a fault.
    pub ill_per_mille: u64,
    /// How far clocks are off, thousandths.
    pub drift: u64,
    /// What new sessions are.
    pub sessions: LocalPolicy,
}

impl Plan {
    /// Draws a plan.
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed, Stream::World);
        let voters = [3, 3, 3, 3, 5, 5, 4, 7][chance.index(8)];
        let observers = [0, 0, 0, 1, 1, 2][chance.index(6)];
        let mut members = Chance::new(seed, Stream::Members);
        let change_ms = [0, 0, 0, 100, 400, 1_500][members.index(6)];
        let change_every = Some(Duration::from_millis(change_ms)).filter(|it| !it.is_zero());
        let epoch_len = Self::epoch_len(seed);
        let settings = Settings {
            tick: Duration::from_millis(chance.within(40..120)),
            init_limit: 10,
            sync_limit: 5,
            connect_pause: Duration::from_millis(100),
            window: WindowLimits {
                count_max: [4, 16, 64, 4_096][chance.index(4)],
                bytes_max: 1 << 20,
            },
            reconfig: change_every.map_or(Reconfig::Disabled, |_| Reconfig::Enabled),
            first_counter: epoch_len.map_or(0, |len| u32::MAX - 1 - len),
            observer_masters: Self::observer_masters(seed),
            ..Settings::default()
        };
        let mut damage = Chance::new(seed, Stream::Damage);
        // Where members change, a majority may come to be one whose disks are not what they should be.
        let is_frail = change_every.is_none() && damage.hits(600);
        let keeping = Keeping {
            segment_len: [4, 8, 32, 128][damage.index(4)] * BLOCK,
            images: 1 + damage.index(3),
            first_counter: settings.first_counter,
        };
        let mut clocks = Chance::new(seed, Stream::Clocks);
        Self {
            seed,
            keeping,
            frail: if is_frail { (voters - 1) / 2 } else { 0 },
            first_frail: damage.index(voters),
            broken_per_mille: [0, 1, 10][damage.index(3)],
            ill_per_mille: [0, 0, 200, 1_000][damage.index(4)],
            seal_after: Duration::from_millis([5, 20, 100, 1_000][damage.index(4)]),
            drift: [0, 0, 1, 50, 300][clocks.index(5)],
            voters,
            observers,
            idlers: usize::from(Chance::new(seed, Stream::Idlers).hits(100)),
            readers: 0,
            clients: 2 + chance.index(4),
            settings,
            plain_per_mille: [0, 0, 300, 1_000][Chance::new(seed, Stream::Protocols).index(4)],
            faults_for: Duration::from_millis(chance.within(3_000..15_000)),
            fault_every: Duration::from_millis([80, 200, 500, 1_500][chance.index(4)]),
            net_us: [100, 500, 3_000][chance.index(3)],
            disk_us: [50, 500, 5_000, 20_000][chance.index(4)],
            sessions: Self::sessions(seed),
            crash_per_mille: [0, 0, 1, 5, 20][chance.index(5)],
            odd_leader_per_mille: [0, 0, 100, 500][chance.index(4)],
            change_every,
        }
        .with_readers()
    }

    /// In every fourth world one client writes, and the others only read.
    fn with_readers(mut self) -> Self {
        if Chance::new(self.seed, Stream::Readers).hits(250) {
            self.readers = self.clients - 1;
        }
        self
    }

    /// What new sessions are.
    fn sessions(seed: u64) -> LocalPolicy {
        match Chance::new(seed, Stream::Locals).index(16) {
            0 => LocalPolicy::Refusing,
            1 | 2 => LocalPolicy::Upgrading,
            _ => LocalPolicy::Off,
        }
    }

    /// Whether followers tell observers, where there are observers.
    fn observer_masters(seed: u64) -> ObserverMasters {
        if Chance::new(seed, Stream::Masters).hits(400) {
            ObserverMasters::On
        } else {
            ObserverMasters::Off
        }
    }

    /// How many transactions an epoch has at most, where its counter ends soon.
    fn epoch_len(seed: u64) -> Option<u32> {
        let mut counters = Chance::new(seed, Stream::Counters);
        let longest = [5, 50, 300, 300][counters.index(4)];
        counters.hits(125).then(|| 1 + counters.index(longest) as u32)
    }

    /// In a thousand: that a client asks for something at its turn, in calm weather. A session has its whole timeout anew whenever somebody
    /// begins to lead, so where epochs are so short that clients end them sooner than that, no silent session would ever end.
    pub fn asks_per_mille(&self) -> u64 {
        match self.settings.first_counter {
            0 => 1_000,
            first => u64::from(u32::MAX - first).min(1_000),
        }
    }

    /// A server's settings.
    pub fn settings_of(&self, node: usize) -> Settings {
        let mut protocols = Chance::new(self.seed ^ (1 << (32 + node)), Stream::Protocols);
        let is_plain = protocols.hits(self.plain_per_mille);
        let protocol = if is_plain { PROTOCOL_VERSION } else { BATCHING_PROTOCOL };
        Settings { protocol, ..self.settings }
    }

    /// Servers in all.
    pub fn servers(&self) -> usize {
        self.voters + self.observers
    }

    /// Whether a server's disk may lose or change what was written.
    pub fn is_frail(&self, node: usize) -> bool {
        let behind = (node + self.voters - self.first_frail) % self.voters;
        node < self.voters && behind < self.frail
    }

    /// A server's clock.
    pub fn clock(&self, chance: &mut Chance) -> Clock {
        Clock::new(chance.within(1_000 - self.drift..1_001 + self.drift))
    }

    /// The id of a server.
    pub fn sid(node: usize) -> Sid {
        Sid(node as i64 + 1)
    }

    /// The configuration that all know at first.
    ///
    /// # Panics
    /// If the text made here is no configuration.
    pub fn views(&self) -> Views {
        let mut text = String::new();
        for node in 0..self.servers() {
            let role = if node < self.voters { "participant" } else { "observer" };
            let sid = Self::sid(node);
            text.push_str(&format!("server.{sid}=10.0.0.{sid}:2888:3888:{role}\n"));
        }
        text.push_str("version=0");
        let config = QuorumConfig::parse(&text).unwrap_or_else(|err| panic!("{err}"));
        Views::new(Arc::new(config))
    }
}
