//! Calls of other servers: names resolved, addresses tried one beside the other, the first that answers wins.
//!
//! ZooKeeper: `Learner.LeaderConnector`, `MultipleAddresses`. An address that is silent holds the others up for [`STAGGER`],
//! one that refuses not at all. A call ends in exactly one [`Dialled`], or none if it is replaced.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use quorum::{Address, Moment, Sid};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with, sockopt,
};

use super::names::Names;
use super::{PortError, Source, Watch};
use crate::driver::KeepAlive;

/// How long one address alone is waited for.
const STAGGER: Duration = Duration::from_millis(250);

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Dialled {
    Connected { to: Sid, socket: OwnedFd, at: Called },
    Failed { to: Sid, why: Error },
}

/// Where a call goes, and by what name; `None` if by an address.
pub(crate) type Called = (SocketAddr, Option<Box<str>>);

/// The calls of a port.
#[derive(Debug)]
pub(crate) struct Dials {
    names: Names,
    calls: Vec<Call>,
    /// Of the next socket.
    number: u64,
    timeout: Duration,
    keep_alive: KeepAlive,
    /// Calls that ended.
    pub(crate) ended: VecDeque<Dialled>,
}

/// One call.
#[derive(Debug)]
struct Call {
    to: Sid,
    until: Moment,
    /// Hosts whose addresses are being asked for.
    unknown: Vec<Address>,
    /// Not tried yet.
    untried: VecDeque<Called>,
    trying: Vec<Trying>,
    /// When the next is tried whatever the last does.
    next_at: Moment,
    /// What the last failure was.
    why: Error,
}

#[derive(Debug)]
struct Trying {
    number: u64,
    socket: OwnedFd,
    at: Called,
}

impl Dials {
    /// # Errors
    /// The system gives no descriptor.
    pub(crate) fn new(
        watch: &Watch,
        timeout: Duration,
        keep_alive: KeepAlive,
    ) -> Result<Self, PortError> {
        let names = Names::new()?;
        watch
            .add(names.fd(), Source::Names, EventFlags::IN)
            .map_err(|errno| PortError::System { what: "epoll", error: errno.into() })?;
        let (calls, ended) = (Vec::new(), VecDeque::new());
        Ok(Self { names, calls, number: 0, timeout, keep_alive, ended })
    }

    /// Calls `to`, at the first of `addresses` that answers, instead of any call before.
    pub(crate) fn call(&mut self, watch: &Watch, now: Moment, to: Sid, addresses: &[Address]) {
        self.calls.retain(|it| it.to != to);
        let mut call = Call {
            to,
            until: now + self.timeout,
            unknown: Vec::new(),
            untried: VecDeque::new(),
            trying: Vec::new(),
            next_at: now,
            why: ErrorKind::AddrNotAvailable.into(),
        };
        for address in addresses {
            if let Ok(ip) = address.host.parse::<IpAddr>() {
                call.untried.push_back(((ip, address.port).into(), None));
            } else {
                match self.names.ask(&address.host) {
                    Ok(()) => call.unknown.push(address.clone()),
                    Err(error) => call.why = error,
                }
            }
        }
        self.calls.push(call);
        self.go_on(watch, now);
    }

    /// Takes the names that were resolved.
    pub(crate) fn resolved(&mut self, watch: &Watch, now: Moment) {
        self.names.hush();
        while let Some((host, found)) = self.names.next() {
            for call in &mut self.calls {
                for address in call.unknown.extract_if(.., |it| it.host == host) {
                    match &found {
                        Ok(ips) => {
                            let at = |&ip| ((ip, address.port).into(), Some(host.clone()));
                            let found = ips.iter().map(at);
                            call.untried.extend(found);
                        }
                        // An error is not to be copied whole.
                        Err(error) => call.why = Error::new(error.kind(), error.to_string()),
                    }
                }
            }
        }
        self.go_on(watch, now);
    }

    /// Takes an event of a socket that connects.
    pub(crate) fn ready(&mut self, watch: &Watch, now: Moment, number: u64) {
        let holds = |it: &Call| it.trying.iter().any(|it| it.number == number);
        let Some(idx) = self.calls.iter().position(holds) else { return };
        let call = &mut self.calls[idx];
        let Some(at) = call.trying.iter().position(|it| it.number == number) else { return };
        let Trying { socket, at, .. } = call.trying.swap_remove(at);
        watch.forget(&socket);
        match outcome(&socket) {
            Ok(()) => {
                let to = call.to;
                self.calls.swap_remove(idx);
                self.ended.push_back(Dialled::Connected { to, socket, at });
            }
            Err(why) => {
                (call.why, call.next_at) = (why, now);
                self.go_on(watch, now);
            }
        }
    }

    /// When [`Dials::go_on`] is due, or a call that ended is to be taken up.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        if !self.ended.is_empty() {
            return Some(Moment::ZERO);
        }
        let due = |it: &Call| {
            if it.untried.is_empty() { it.until } else { it.until.min(it.next_at) }
        };
        self.calls.iter().map(due).min()
    }

    /// Tries what is due, and ends what is hopeless or late.
    pub(crate) fn go_on(&mut self, watch: &Watch, now: Moment) {
        let Self { calls, number, keep_alive, ended, .. } = self;
        calls.retain_mut(|call| {
            while call.next_at <= now || call.trying.is_empty() {
                let Some(at) = call.untried.pop_front() else { break };
                *number += 1;
                match dial(watch, *number, at.0, *keep_alive) {
                    Ok(socket) => {
                        call.trying.push(Trying { number: *number, socket, at });
                        call.next_at = now + STAGGER;
                    }
                    Err(errno) => call.why = errno.into(),
                }
            }
            let hopeless = call.trying.is_empty() && call.unknown.is_empty();
            if !hopeless && now < call.until {
                return true;
            }
            let late = Error::from(ErrorKind::TimedOut);
            let why = std::mem::replace(&mut call.why, late);
            let why = if hopeless { why } else { ErrorKind::TimedOut.into() };
            ended.push_back(Dialled::Failed { to: call.to, why });
            false
        });
    }
}

/// A socket on its way to `peer`; an event says when it is there.
fn dial(
    watch: &Watch,
    number: u64,
    peer: SocketAddr,
    keep_alive: KeepAlive,
) -> Result<OwnedFd, Errno> {
    let family = if peer.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, keep_alive == KeepAlive::On)?;
    match connect(&socket, &peer) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    watch.add(&socket, Source::Dial(number), EventFlags::OUT)?;
    Ok(socket)
}

/// Whether the socket is connected, and to somebody else.
///
/// A port that nobody listens on can be the very one that the system chose for our own end: then we would talk to ourselves.
fn outcome(socket: &OwnedFd) -> Result<(), Error> {
    sockopt::socket_error(socket)??;
    let ends = (getsockname(socket)?, getpeername(socket)?);
    if ends.1.is_some_and(|it| it == ends.0) {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}
