//! Between a socket and who uses it: bytes as they are, or TLS.
//!
//! ZooKeeper: `UnifiedServerSocket.UnifiedSocket`. *Invariants:* no call waits; a plain line costs one system call and nothing else. Until the
//! handshake is over and the names have been compared nothing that came is handed out. What a line keeps is bounded: a record and a
//! handshake message coming in, [`UNSENT_MAX`] going out.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use quorum::Moment;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};
use tracing::debug;

use super::context::{Tls, reason};
use super::x509::Certificate;
use crate::port::{Incoming, PortError, Security};

/// Bytes that wait in a line for the kernel, before they are encrypted.
const UNSENT_MAX: usize = 256 << 10;
/// The header of a record, by which TLS is known.
const HEADER_LEN: usize = 5;

/// What reading brought.
#[derive(Debug)]
pub(crate) enum Read {
    /// Nothing yet.
    Nothing,
    /// So many bytes. There is more that the kernel does not know of iff the buffer is full of what came by TLS.
    Bytes { len: usize, more: bool },
    /// The other side says nothing more.
    Closed,
}

/// A line.
#[derive(Debug)]
pub(crate) enum Line {
    /// As the bytes are.
    Plain,
    /// Which of both, the first bytes say.
    Unknown(Box<Unknown>),
    /// Encrypted.
    Tls(Box<Session>),
}

/// A line that has said nothing yet, or little.
#[derive(Debug)]
pub(crate) struct Unknown {
    security: Security,
    peer: SocketAddr,
    bytes: [u8; HEADER_LEN],
    len: usize,
    /// From then on it is plain. `None` before something was read.
    plain_at: Option<Moment>,
}

/// An encrypted line.
#[derive(Debug)]
pub(crate) struct Session {
    conn: Connection,
    tls: Arc<Tls>,
    peer: SocketAddr,
    /// Whom we have called, if by a name.
    host: Option<Box<str>>,
    /// The handshake is over, and the names fit.
    is_up: bool,
    has_said_closed: bool,
}

impl Line {
    /// The line of who connected to us.
    pub(crate) fn accepted(security: &Security, peer: SocketAddr) -> Self {
        match security.incoming {
            Incoming::Plain => Self::Plain,
            Incoming::Tls | Incoming::Either => Self::Unknown(Box::new(Unknown {
                security: security.clone(),
                peer,
                bytes: [0; HEADER_LEN],
                len: 0,
                plain_at: None,
            })),
        }
    }

    /// The line of whom we connected to, by that name if it has one.
    ///
    /// # Errors
    /// There is no key, or no chance, for a handshake.
    pub(crate) fn connected(
        security: &Security,
        socket: &OwnedFd,
        (peer, host): (SocketAddr, Option<Box<str>>),
    ) -> Result<Self, PortError> {
        let Some(tls) = security.tls.as_ref().filter(|_| security.calls_tls) else {
            return Ok(Self::Plain);
        };
        let name = ServerName::IpAddress(peer.ip().to_canonical().into());
        let conn = ClientConnection::new(Arc::clone(&tls.sides().client), name)
            .map_err(PortError::handshake)?;
        let mut session = Session::new(conn.into(), tls, peer);
        session.host = host;
        session.flush(socket).map_err(|error| PortError::Broken { error })?;
        Ok(Self::Tls(Box::new(session)))
    }

    /// Whether what is sent goes out, and is not held back for a handshake.
    pub(crate) fn is_up(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Unknown(_) => false,
            Self::Tls(session) => session.is_up,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Whether to write when the socket takes bytes, if so much waits outside.
    pub(crate) fn wants_write(&self, waiting: usize) -> bool {
        match self {
            Self::Plain => 0 < waiting,
            Self::Unknown(_) => false,
            Self::Tls(session) => session.conn.wants_write() || session.is_up && 0 < waiting,
        }
    }

    /// Reads what there is, once.
    ///
    /// # Errors
    /// The connection is broken, or what came is not what it has to be.
    pub(crate) fn read(
        &mut self,
        socket: &OwnedFd,
        now: Moment,
        scratch: &mut [u8],
    ) -> Result<Read, PortError> {
        match self {
            Self::Plain => match recv(socket, scratch, RecvFlags::empty()) {
                Ok((0, _)) => Ok(Read::Closed),
                Ok((len, _)) => Ok(Read::Bytes { len, more: false }),
                Err(Errno::AGAIN | Errno::INTR) => Ok(Read::Nothing),
                Err(errno) => Err(PortError::Broken { error: errno.into() }),
            },
            Self::Unknown(unknown) => match unknown.read(socket, now)? {
                Known::NotYet => Ok(Read::Nothing),
                Known::Closed => Ok(Read::Closed),
                Known::Plain => {
                    let (len, first) = (unknown.len, unknown.bytes);
                    scratch[..len].copy_from_slice(&first[..len]);
                    *self = Self::Plain;
                    Ok(Read::Bytes { len, more: false })
                }
                Known::Tls(session) => {
                    *self = Self::Tls(session);
                    self.read(socket, now, scratch)
                }
            },
            Self::Tls(session) => session.read(socket, scratch),
        }
    }

    /// Writes the first of `slices` that the kernel has room for; how many bytes were taken.
    ///
    /// # Errors
    /// The connection is broken; [`ErrorKind::WouldBlock`] if there is no room.
    pub(crate) fn write(&mut self, socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Plain, []) | (Self::Unknown(_), _) => Ok(0),
            (Self::Plain, slices) => send_slices(socket, slices),
            (Self::Tls(session), slices) => session.write(socket, slices),
        }
    }

    /// Says that nothing more comes, as far as the line itself has words for that; whether they have gone.
    pub(crate) fn say_closed(&mut self, socket: &OwnedFd) -> bool {
        let Self::Tls(session) = self else { return true };
        if !session.has_said_closed {
            session.has_said_closed = true;
            session.conn.send_close_notify();
        }
        // A broken line has nothing to say either.
        session.flush(socket).is_err() || !session.conn.wants_write()
    }
}

/// What a line turned out to be.
enum Known {
    NotYet,
    Closed,
    Plain,
    Tls(Box<Session>),
}

impl Unknown {
    fn read(&mut self, socket: &OwnedFd, now: Moment) -> Result<Known, PortError> {
        let plain_at = *self.plain_at.get_or_insert(now + self.security.detection_timeout);
        let may_be_plain = self.security.incoming == Incoming::Either;
        match recv(socket, &mut self.bytes[self.len..], RecvFlags::empty()) {
            Ok((0, _)) => return Ok(Known::Closed),
            Ok((len, _)) => self.len += len,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Known::NotYet),
            Err(errno) => return Err(PortError::Broken { error: errno.into() }),
        }
        if !begins_tls(&self.bytes[..self.len]) {
            return if may_be_plain { Ok(Known::Plain) } else { Err(PortError::NotTls) };
        }
        let Some(tls) = &self.security.tls else { return Err(PortError::NotTls) };
        if self.len < HEADER_LEN {
            let late = may_be_plain && plain_at <= now;
            return Ok(if late { Known::Plain } else { Known::NotYet });
        }
        let conn = ServerConnection::new(Arc::clone(&tls.sides().server));
        let mut session = Session::new(conn.map_err(PortError::handshake)?.into(), tls, self.peer);
        let fed = session.conn.read_tls(&mut &self.bytes[..]);
        assert!(fed.is_ok_and(|it| it == HEADER_LEN), "a header fits in");
        Ok(Known::Tls(Box::new(session)))
    }
}

/// Whether a record of TLS may begin so. Source: `SslHandler.isEncrypted`.
fn begins_tls(bytes: &[u8]) -> bool {
    let (kind, major) = (bytes.first(), bytes.get(1));
    kind.is_none_or(|it| (20..=24).contains(it)) && major.is_none_or(|&it| it == 3)
}

impl Session {
    fn new(mut conn: Connection, tls: &Arc<Tls>, peer: SocketAddr) -> Self {
        conn.set_buffer_limit(Some(UNSENT_MAX));
        let tls = Arc::clone(tls);
        Self { conn, tls, peer, host: None, is_up: false, has_said_closed: false }
    }

    fn read(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> Result<Read, PortError> {
        let mut len = 0;
        let more = loop {
            // What has been decrypted goes first: the kernel does not know of it.
            match self.decrypted(&mut scratch[len..])? {
                Some(0) if len == 0 => return Ok(Read::Closed),
                // It is said again, once this has been taken.
                Some(0) => break true,
                Some(more) => {
                    len += more;
                    if len == scratch.len() {
                        break true;
                    }
                    continue;
                }
                None => {}
            }
            match self.conn.read_tls(&mut Socket(socket)) {
                Ok(0) if len == 0 => return Ok(Read::Closed),
                Ok(0) => break false,
                Ok(_) => self.process(socket)?,
                Err(error) if would_block(&error) => break false,
                Err(error) if len == 0 => return Err(PortError::Broken { error }),
                // Said again by the next read.
                Err(_) => break false,
            }
        };
        if len == 0 { Ok(Read::Nothing) } else { Ok(Read::Bytes { len, more }) }
    }

    /// How many bytes came out; 0: the other side has said that nothing more comes.
    fn decrypted(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, PortError> {
        if !self.is_up {
            return Ok(None);
        }
        match self.conn.reader().read(scratch) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            // The connection ended without saying so.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Some(0)),
            Err(error) => Err(PortError::Broken { error }),
        }
    }

    fn process(&mut self, socket: &OwnedFd) -> Result<(), PortError> {
        let processed = self.conn.process_new_packets();
        // Answers, and the alert that says what we do not like.
        let flushed = self.flush(socket);
        processed.map_err(PortError::handshake)?;
        if let Err(error) = flushed {
            return Err(PortError::Broken { error });
        }
        if !self.is_up && !self.conn.is_handshaking() {
            self.check_names()?;
            self.is_up = true;
            let (version, suite) =
                (self.conn.protocol_version(), self.conn.negotiated_cipher_suite());
            debug!(peer = %self.peer, ?version, suite = ?suite.map(|it| it.suite()), "TLS");
        }
        Ok(())
    }

    /// Whether the other side's certificate is for where it is, or for the name that it was called by.
    ///
    /// Source: `ZKTrustManager.performHostVerification`, without `allowReverseDnsLookup`.
    fn check_names(&self) -> Result<(), PortError> {
        let checks = self.tls.names();
        let is_called = matches!(self.conn, Connection::Client(_));
        let due = if is_called { checks.servers } else { checks.clients };
        let Some([certificate, ..]) = self.conn.peer_certificates().filter(|_| due) else {
            return Ok(());
        };
        let ip = self.peer.ip().to_canonical().to_string();
        let name = || PortError::Name { host: self.host.clone(), names: String::new() };
        let certificate = Certificate::read(certificate).map_err(|_| name())?;
        let mut names = [Some(&*ip), self.host.as_deref()].into_iter().flatten();
        if names.any(|it| certificate.is_for(it).unwrap_or(false)) {
            return Ok(());
        }
        Err(PortError::Name { host: self.host.clone(), names: certificate.names() })
    }

    fn write(&mut self, socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        let is_nothing = slices.iter().all(|it| it.is_empty());
        if is_nothing || !self.is_up || self.conn.wants_write() {
            return Ok(0);
        }
        let taken = self.conn.writer().write_vectored(slices)?;
        self.flush(socket)?;
        Ok(taken)
    }

    /// Gives the kernel what it takes.
    fn flush(&mut self, socket: &OwnedFd) -> io::Result<()> {
        while self.conn.wants_write() {
            match self.conn.write_tls(&mut Socket(socket)) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn send_slices(socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let sent = match slices {
        [slice] => send(socket, slice, SendFlags::NOSIGNAL),
        slices => {
            let mut nothing = SendAncillaryBuffer::default();
            sendmsg(socket, slices, &mut nothing, SendFlags::NOSIGNAL)
        }
    };
    sent.map_err(Into::into)
}

/// A socket as `rustls` wants it.
struct Socket<'a>(&'a OwnedFd);

impl io::Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (len, _) = recv(self.0, bytes, RecvFlags::empty())?;
        Ok(len)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send_slices(self.0, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // More than the kernel takes at once is an error there.
        send_slices(self.0, &slices[..slices.len().min(SLICES_MAX)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pieces that one call sends.
const SLICES_MAX: usize = 64;

impl PortError {
    /// A handshake, or a record behind it, that went wrong.
    pub(crate) fn handshake(error: rustls::Error) -> Self {
        Self::Tls { why: reason(&error), error: error.into() }
    }
}
