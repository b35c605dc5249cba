//! A server that elects and does nothing else.

use net::driver::KeepAlive;
use net::election::{ElectionPort, ElectionPortSettings, Heard};
use quorum::election::{Election, History, Input, Output, Reconfig, Settings, Timing};
use quorum::wire::ServerState;
use quorum::{Epoch, Moment, Sid, Views, Zxid};

use super::{PATIENCE, now, sleep};

/// What every server here has logged.
pub(crate) const HISTORY: History = History { last_logged: Zxid(0), current_epoch: Epoch(0) };

/// An election and its port.
pub(crate) struct Voter {
    pub(crate) election: Election,
    pub(crate) port: ElectionPort,
    /// What it is, and whom it has elected.
    pub(crate) elected: Option<(ServerState, Sid)>,
    out: Vec<Output>,
}

/// Settings of the port of `myid`.
pub(crate) fn port_settings(myid: i64, views: &Views) -> ElectionPortSettings {
    let own = views.committed().member(Sid(myid)).unwrap();
    ElectionPortSettings {
        myid: Sid(myid),
        own_addresses: own.election_addresses().collect(),
        listen_on_all: false,
        connect_timeout: std::time::Duration::from_secs(5),
        handshake_timeout: std::time::Duration::from_secs(5),
        keep_alive: KeepAlive::Off,
    }
}

impl Voter {
    /// Begins to elect.
    pub(crate) fn start(myid: i64, views: &Views) -> Self {
        Self::start_at(myid, views, HISTORY)
    }

    /// Begins to elect with this history.
    pub(crate) fn start_at(myid: i64, views: &Views, history: History) -> Self {
        let port = ElectionPort::open(port_settings(myid, views), views.clone(), now()).unwrap();
        let settings =
            Settings { myid: Sid(myid), timing: Timing::default(), reconfig: Reconfig::Off };
        let election = Election::new(settings, views.clone(), history);
        let mut voter = Self { election, port, elected: None, out: Vec::new() };
        voter.look(history);
        voter
    }

    /// Elects anew.
    pub(crate) fn look(&mut self, history: History) {
        self.elected = None;
        self.step(now(), Input::Look { history });
    }

    /// One turn.
    pub(crate) fn turn(&mut self, now: Moment) {
        let Self { election, port, out, .. } = self;
        port.turn(now, &mut |heard| {
            let input = match heard {
                Heard::Message { from, body } => Input::Message { from, body },
                Heard::Reached { sid } => Input::Reached { sid },
                Heard::Lost { sid } => Input::Lost { sid },
            };
            election.step(now, input, out).unwrap();
        });
        self.step(now, Input::Deadline);
    }

    /// When it wants a turn.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        [self.election.next_deadline(), self.port.next_deadline()].into_iter().flatten().min()
    }

    /// Takes one input, and does what comes of it and of those before.
    pub(crate) fn step(&mut self, now: Moment, input: Input<'_>) {
        self.election.step(now, input, &mut self.out).unwrap();
        for output in self.out.drain(..) {
            match output {
                Output::Send { to, frame } => self.port.send(now, to, frame),
                Output::Reconnect => self.port.reconnect(now),
                Output::Elected { state, vote } => {
                    self.elected = Some((state, vote.candidate.leader));
                }
                Output::Activate { .. } => unreachable!("reconfiguration is off"),
            }
        }
    }
}

/// Turns of all until `done`.
pub(crate) fn turn_until(voters: &mut [Voter], done: impl Fn(&[Voter]) -> bool) {
    let late = now() + PATIENCE;
    while !done(voters) {
        let now = now();
        assert!(now < late, "{:?}", voters.iter().map(|it| it.elected).collect::<Vec<_>>());
        for it in voters.iter_mut() {
            it.turn(now);
        }
        let deadline = voters.iter().filter_map(Voter::next_deadline).min();
        let fds: Vec<_> = voters.iter().map(|it| it.port.fd()).collect();
        sleep(&fds, deadline);
    }
}

/// Whether all have elected `leader`, and each is what it should be.
pub(crate) fn all_elected(voters: &[Voter], leader: i64) -> bool {
    voters.iter().all(|it| it.elected.is_some_and(|(_, sid)| sid == Sid(leader)))
}
