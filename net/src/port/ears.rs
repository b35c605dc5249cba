//! The listening sockets of a port.

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use quorum::{Address, Moment};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use tracing::warn;

use super::{Listening, PortError, Source, Watch};
use crate::driver::{ListenError, ListenSettings, Sharing, listen};

/// Connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 128;
/// Connections accepted before others have their turn.
const ACCEPTS: usize = 16;
/// How long nothing is accepted when the system has nothing left for a connection.
const REST: Duration = Duration::from_millis(100);

/// Where a port listens, and its sockets while it does.
#[derive(Debug)]
pub(crate) struct Ears {
    listening: Listening,
    /// Resolved once: who gets another address of its own starts anew.
    sockets_at: Vec<(Address, SocketAddr)>,
    open: Vec<TcpListener>,
    /// Nothing is accepted before.
    rest_until: Option<Moment>,
}

impl Ears {
    /// Finds out where to listen; this may wait for a name.
    ///
    /// # Errors
    /// [`PortError::NoAddress`], or [`PortError::Listen`] for a name that is unknown.
    pub(crate) fn new(listening: Listening) -> Result<Self, PortError> {
        let Listening { myid: sid, kind, .. } = listening;
        if listening.addresses.is_empty() {
            return Err(PortError::NoAddress { sid, kind });
        }
        let mut sockets_at = Vec::<(Address, SocketAddr)>::new();
        for address in &listening.addresses {
            let found = if listening.on_all || address.is_wildcard() {
                Ok(everywhere(address.port))
            } else {
                resolve(address)
            };
            let address = address.clone();
            match found {
                Ok(at) if sockets_at.iter().any(|it| it.1 == at) => {}
                Ok(at) => sockets_at.push((address, at)),
                Err(error) => return Err(PortError::Listen { sid, kind, address, error }),
            }
        }
        Ok(Self { listening, sockets_at, open: Vec::new(), rest_until: None })
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// [`PortError::Listen`]; then it listens nowhere.
    pub(crate) fn open(&mut self, watch: &Watch) -> Result<(), PortError> {
        self.close();
        match self.open_all(watch) {
            Ok(open) => self.open = open,
            Err((address, error)) => {
                let Listening { myid: sid, kind, .. } = self.listening;
                return Err(PortError::Listen { sid, kind, address, error });
            }
        }
        Ok(())
    }

    /// Listens elsewhere from now on, if it listens; the next time otherwise. This may wait for a name.
    ///
    /// # Errors
    /// [`PortError`]; then it stays where it was.
    pub(crate) fn move_to(&mut self, watch: &Watch, to: Listening) -> Result<(), PortError> {
        let mut ears = Self::new(to)?;
        if self.is_open() {
            // The old ones first: one of them may be among the new.
            self.close();
            if let Err(error) = ears.open(watch) {
                self.open(watch)?;
                return Err(error);
            }
        }
        *self = ears;
        Ok(())
    }

    fn open_all(&self, watch: &Watch) -> Result<Vec<TcpListener>, (Address, Error)> {
        let (keep_alive, sharing) = (self.listening.keep_alive, Sharing::Alone);
        let settings = ListenSettings { backlog: BACKLOG, keep_alive, sharing };
        let mut open = Vec::new();
        for (idx, (address, at)) in self.sockets_at.iter().enumerate() {
            let opened = listen_at(*at, settings).and_then(|it| {
                it.set_nonblocking(true)?;
                watch.add(&it, Source::Ear(idx as u64), EventFlags::IN)?;
                Ok(it)
            });
            open.push(opened.map_err(|error| (address.clone(), error))?);
        }
        Ok(open)
    }

    /// Whether it listens.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Listens no longer.
    pub(crate) fn close(&mut self) {
        self.open.clear();
        self.rest_until = None;
    }

    /// Accepts what waits at one of the sockets.
    pub(crate) fn accept(
        &mut self,
        watch: &Watch,
        now: Moment,
        ear: u64,
        mut accepted: impl FnMut(OwnedFd, SocketAddr),
    ) {
        for _ in 0..ACCEPTS {
            let Some(listener) = self.open.get(ear as usize) else { return };
            match acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, peer)) => {
                    // Who has gone already has no address; dropping the socket closes it.
                    if let Some(peer) = peer.and_then(|it| SocketAddr::try_from(it).ok()) {
                        accepted(socket, peer);
                    }
                }
                Err(Errno::AGAIN) => return,
                // The other side has gone before it was accepted.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(errno) => {
                    warn!("the {} accepts nothing for {REST:?}: {errno}", self.listening.kind);
                    self.rest_until = Some(now + REST);
                    return self.listen_for(watch, EventFlags::empty());
                }
            }
        }
    }

    /// When [`Ears::deadline`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.rest_until
    }

    /// Accepts again after a rest.
    pub(crate) fn deadline(&mut self, watch: &Watch, now: Moment) {
        if self.rest_until.is_some_and(|it| it <= now) {
            self.rest_until = None;
            self.listen_for(watch, EventFlags::IN);
        }
    }

    fn listen_for(&self, watch: &Watch, interest: EventFlags) {
        for (idx, listener) in self.open.iter().enumerate() {
            watch.change(listener, Source::Ear(idx as u64), interest);
        }
    }
}

fn listen_at(at: SocketAddr, settings: ListenSettings) -> Result<TcpListener, Error> {
    let listen = |at| listen(at, settings).map_err(|ListenError { error, .. }| error);
    match listen(at) {
        // There is no IPv6 here.
        Err(error) if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
            listen((Ipv4Addr::UNSPECIFIED, at.port()).into())
        }
        opened => opened,
    }
}

fn everywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

fn resolve(address: &Address) -> Result<SocketAddr, Error> {
    let mut found = (&*address.host, address.port).to_socket_addrs()?;
    found.next().ok_or_else(|| ErrorKind::AddrNotAvailable.into())
}
