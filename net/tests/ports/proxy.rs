//! A way between two servers that can be cut after any byte, and silenced in one direction.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Which way bytes go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// From who connects.
    There = 0,
    /// To who connects.
    Back = 1,
}

/// A way.
pub(crate) struct Proxy {
    port: u16,
    faults: Arc<Faults>,
}

struct Faults {
    /// What the next connection may carry, both ways together, before it is cut; `i64::MAX`: everything.
    next: AtomicI64,
    has_cut: AtomicBool,
    /// By [`Way`].
    silent: [AtomicBool; 2],
    closed: AtomicBool,
}

impl Proxy {
    /// A way to `target`, which may not be there yet.
    pub(crate) fn new(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults {
            next: AtomicI64::new(i64::MAX),
            has_cut: AtomicBool::new(false),
            silent: [AtomicBool::new(false), AtomicBool::new(false)],
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&faults);
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                // Where nobody listens the other side learns it by an end without a byte.
                let Ok(there) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
                let left = Arc::new(AtomicI64::new(shared.next.swap(i64::MAX, Ordering::SeqCst)));
                for (way, from, to) in [(Way::There, &here, &there), (Way::Back, &there, &here)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (faults, left) = (Arc::clone(&shared), Arc::clone(&left));
                    std::thread::spawn(move || carry(way, (from, to), &left, &faults));
                }
            }
        });
        Self { port, faults }
    }

    /// Where to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The next connection is cut when it has carried so many bytes, both ways together.
    pub(crate) fn cut_next_after(&self, len: i64) {
        self.faults.has_cut.store(false, Ordering::SeqCst);
        self.faults.next.store(len, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.faults.has_cut.load(Ordering::SeqCst)
    }

    /// Loses everything that goes this way from now on, or no longer.
    pub(crate) fn lose(&self, way: Way, loses: impl Into<Option<()>>) {
        self.faults.silent[way as usize].store(loses.into().is_some(), Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.faults.closed.store(true, Ordering::SeqCst);
        // Its thread waits for somebody to come.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

fn carry(way: Way, ends: (TcpStream, TcpStream), left: &AtomicI64, faults: &Faults) {
    let (mut from, mut to) = ends;
    let mut bytes = [0; 4_096];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if faults.silent[way as usize].load(Ordering::SeqCst) {
            continue;
        }
        let before = left.fetch_sub(len as i64, Ordering::SeqCst);
        let pass = len.min(before.max(0) as usize);
        if to.write_all(&bytes[..pass]).is_err() {
            break;
        }
        if pass < len {
            faults.has_cut.store(true, Ordering::SeqCst);
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
