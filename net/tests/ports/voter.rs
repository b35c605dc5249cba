//! A server that elects and does nothing else.

use net::driver::KeepAlive;
use net::election::{ElectionPort, ElectionPortSettings};
use quorum::election::links::{self, Links};
use quorum::election::{Election, History, Input, Output, Reconfig, Settings, Timing};
use quorum::server;
use quorum::wire::ServerState;
use quorum::{Epoch, Moment, Sid, Views, Zxid};

use super::{PATIENCE, now, sleep};

/// What every server here has logged.
pub(crate) const HISTORY: History = History { last_logged: Zxid(0), current_epoch: Epoch(0) };

/// An election, its connections, and their port.
pub(crate) struct Voter {
    election: Election,
    links: Links,
    pub(crate) port: ElectionPort,
    /// What it is, and whom it has elected.
    pub(crate) elected: Option<(ServerState, Sid)>,
}

/// What the port says.
enum Heard {
    Connection(links::Input),
    Message(links::Conn, Vec<u8>),
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
        security: super::security(),
    }
}

impl Voter {
    /// Begins to elect.
    pub(crate) fn start(myid: i64, views: &Views) -> Self {
        Self::start_at(myid, views, HISTORY)
    }

    /// Begins to elect with this history.
    pub(crate) fn start_at(myid: i64, views: &Views, history: History) -> Self {
        Self::start_with(port_settings(myid, views), views, history)
    }

    /// Begins to elect, its port set like this.
    pub(crate) fn start_with(port: ElectionPortSettings, views: &Views, history: History) -> Self {
        let (myid, port) = (port.myid, ElectionPort::open(port).unwrap());
        let links = Links::new(myid, views.clone());
        let settings = Settings {
            myid,
            timing: Timing::default(),
            reconfig: Reconfig::Off,
            oracle: quorum::Oracle::None,
        };
        let election = Election::new(settings, views.clone(), history);
        let mut voter = Self { election, links, port, elected: None };
        voter.look(history);
        voter
    }

    /// Elects anew.
    pub(crate) fn look(&mut self, history: History) {
        self.elected = None;
        self.elect(now(), Input::Look { history });
    }

    /// One turn.
    pub(crate) fn turn(&mut self, now: Moment) {
        let mut heard = Vec::new();
        self.port.turn(now, &mut |input| {
            heard.push(match input {
                server::Input::Links(input) => Heard::Connection(input),
                server::Input::Frame { conn, body } => Heard::Message(conn, body.to_vec()),
                _ => unreachable!("of another port"),
            });
        });
        for heard in heard {
            match heard {
                Heard::Connection(input) => self.connect(now, input),
                Heard::Message(conn, body) => {
                    if let Some(from) = self.links.owner(conn) {
                        self.elect(now, Input::Message { from, body: &body });
                    }
                }
            }
        }
        self.connect(now, links::Input::Deadline);
        self.elect(now, Input::Deadline);
    }

    /// When it wants a turn.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        let all =
            [self.election.next_deadline(), self.links.next_deadline(), self.port.next_deadline()];
        all.into_iter().flatten().min()
    }

    /// The election takes one input; what comes of it is done.
    fn elect(&mut self, now: Moment, input: Input<'_>) {
        let mut out = Vec::new();
        self.election.step(now, input, &mut out).unwrap();
        for output in out {
            match output {
                Output::Send { to, frame } => self.connect(now, links::Input::Send { to, frame }),
                Output::Reconnect => self.connect(now, links::Input::Reconnect),
                Output::Elected { state, vote } => {
                    self.elected = Some((state, vote.candidate.leader));
                }
                Output::Activate { .. } => unreachable!("reconfiguration is off"),
            }
        }
    }

    /// The connections take one input; what comes of it is done.
    fn connect(&mut self, now: Moment, input: links::Input) {
        let mut out = Vec::new();
        self.links.step(now, input, &mut out);
        for output in out {
            match output {
                links::Output::Reached { sid } => self.elect(now, Input::Reached { sid }),
                links::Output::Lost { sid } => self.elect(now, Input::Lost { sid }),
                output => {
                    if let Some(input) = self.port.perform(now, output) {
                        self.connect(now, input);
                    }
                }
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
