//! Names to addresses, on one thread that may block; it starts with the first name that is none of numbers.
//!
//! Nothing is kept: whoever comes back at another address is found there at the next attempt.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

use super::PortError;

/// Names that may wait for the thread; a further one is refused.
const WAITING_MAX: usize = 256;

/// Added to the count of an eventfd; any number but zero does.
const RING: [u8; 8] = [1; 8];

/// What came of a name.
pub(super) type Found = std::io::Result<Vec<IpAddr>>;

/// Asks for names.
#[derive(Debug)]
pub(super) struct Names {
    /// To the thread; `None` as long as there is none.
    ask: Option<Sender<Box<str>>>,
    tell: Sender<(Box<str>, Found)>,
    told: Receiver<(Box<str>, Found)>,
    /// Asked and not told. Invariant: at most [`WAITING_MAX`].
    waiting: BTreeSet<Box<str>>,
    /// Readable when something was told.
    bell: Arc<OwnedFd>,
}

impl Names {
    /// # Errors
    /// The system gives no descriptor.
    pub(super) fn new() -> Result<Self, PortError> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| PortError::System { what: "no eventfd", error: errno.into() })?;
        let (tell, told) = channel();
        Ok(Self { ask: None, tell, told, waiting: BTreeSet::new(), bell: Arc::new(bell) })
    }

    /// Readable when [`Names::next`] has something.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Asks for a name, unless it is asked for already.
    ///
    /// # Errors
    /// Too many wait, or there is no thread.
    pub(super) fn ask(&mut self, host: &str) -> std::io::Result<()> {
        if self.waiting.contains(host) {
            return Ok(());
        }
        if WAITING_MAX <= self.waiting.len() {
            return Err(std::io::Error::from(std::io::ErrorKind::QuotaExceeded));
        }
        let ask = match self.ask.take() {
            Some(it) => it,
            None => self.start()?,
        };
        // Its end lives as long as this one.
        drop(ask.send(host.into()));
        self.ask = Some(ask);
        self.waiting.insert(host.into());
        Ok(())
    }

    /// What came of a name that was asked for.
    pub(super) fn next(&mut self) -> Option<(Box<str>, Found)> {
        let (host, found) = self.told.try_recv().ok()?;
        self.waiting.remove(&host);
        Some((host, found))
    }

    /// Makes the descriptor unreadable; to be called before the last [`Names::next`].
    pub(super) fn hush(&self) {
        // Nothing to read: nobody has rung.
        read(&self.bell, &mut [0; 8]).ok();
    }

    fn start(&self) -> std::io::Result<Sender<Box<str>>> {
        let (ask, asked) = channel::<Box<str>>();
        let (tell, bell) = (self.tell.clone(), Arc::clone(&self.bell));
        let resolve = move || {
            for host in asked {
                let found = (&*host, 0).to_socket_addrs();
                let found = found.map(|it| it.map(|address| address.ip()).collect());
                if tell.send((host, found)).is_err() {
                    return;
                }
                // It can only be full of rings.
                write(&bell, &RING).ok();
            }
        };
        std::thread::Builder::new().name("names".into()).spawn(resolve)?;
        Ok(ask)
    }
}
