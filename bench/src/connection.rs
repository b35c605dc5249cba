//! One client connection: what is sent, what is awaited, since when.
//!
//! A connection shakes hands without blocking; who may block uses [`Connection::open`]. What comes in is handed out frame by
//! frame, straight from the buffer it was read into.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jute::{
    ConnectRequest, ConnectResponse, Field, Op, PASSWORD_LEN, Record, ReplyHeader, RequestHeader,
    SessionId, WatcherEvent, Xid, Zxid,
};
use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock;

/// What came in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incoming<'a> {
    /// The session is there.
    Connected,
    /// The session is refused: unknown or expired.
    Refused,
    /// The reply to the oldest request.
    Reply(Reply<'a>),
    /// A watch has fired.
    Event,
}

/// A reply, and what it replies to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    /// What was asked.
    pub(crate) asked: Asked,
    /// The outcome's number.
    pub(crate) err: i32,
    /// The record behind the header.
    pub(crate) body: &'a [u8],
}

/// What the asker wants to know again when the reply comes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// When the request was due, nanoseconds of [`clock`]. In a closed loop: when it was queued.
    pub(crate) due: u64,
    /// Which kind of request, in the asker's own numbers.
    pub(crate) tag: u8,
    /// Which znode, in the asker's own numbers.
    pub(crate) key: u64,
}

/// A session and how to come back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Whose; [`SessionId::NONE`] for a new one.
    pub(crate) session: SessionId,
    /// Its password.
    pub(crate) password: [u8; PASSWORD_LEN],
}

impl Ticket {
    /// A new session.
    pub(crate) const NEW: Self = Self { session: SessionId::NONE, password: [0; PASSWORD_LEN] };
}

/// A session on one socket with any number of requests in flight.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket, for registering it.
    pub(crate) socket: TcpStream,
    /// The session, once it is there.
    pub(crate) ticket: Ticket,
    /// When something was last sent, nanoseconds.
    pub(crate) sent_at: u64,
    /// Pings that were answered.
    pub(crate) pings: u64,
    /// Whether it has ended; then nothing is sent or read any more.
    pub(crate) ended: bool,
    open: bool,
    out: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    in_flight: VecDeque<(Xid, Asked)>,
    next_xid: i32,
}

impl Connection {
    /// Begins to connect, and queues the handshake.
    ///
    /// # Errors
    /// There is no socket to be had.
    pub(crate) fn start(server: SocketAddr, ticket: Ticket, timeout_ms: i32) -> Result<Self> {
        let socket = TcpStream::connect(server).context("connect")?;
        Self::with(socket, ticket, timeout_ms)
    }

    /// The same from an address of this machine: one address has no more than some 28,000 ports.
    ///
    /// # Errors
    /// There is no socket to be had, or not from there.
    pub(crate) fn start_from(
        from: IpAddr,
        server: SocketAddr,
        ticket: Ticket,
        timeout_ms: i32,
    ) -> Result<Self> {
        let domain = Domain::for_address(server);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).context("socket")?;
        socket.bind(&SocketAddr::new(from, 0).into()).context("bind")?;
        socket.set_nonblocking(true)?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error).context("connect");
            }
            Ok(()) | Err(_) => {}
        }
        Self::with(TcpStream::from_std(socket.into()), ticket, timeout_ms)
    }

    fn with(socket: TcpStream, ticket: Ticket, timeout_ms: i32) -> Result<Self> {
        socket.set_nodelay(true)?;
        let mut out = vec![0; 4];
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms,
            session: ticket.session,
            password: Some(&ticket.password),
            read_only: Some(false),
        };
        request.write(&mut out);
        close_frame(&mut out, 0);
        Ok(Self {
            socket,
            ticket,
            sent_at: clock::now(),
            pings: 0,
            ended: false,
            open: false,
            out,
            sent: 0,
            input: Vec::new(),
            in_flight: VecDeque::new(),
            next_xid: 1,
        })
    }

    /// Connects and shakes hands, blocking for half a minute at most.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the session.
    pub(crate) fn open(server: SocketAddr, timeout_ms: i32) -> Result<Self> {
        Self::start(server, Ticket::NEW, timeout_ms)?.opened(Duration::from_secs(30))
    }

    /// The same, for a server that may still be starting: the reference takes connections that it never answers while it loads.
    ///
    /// # Errors
    /// The server cannot be reached, does not answer in time, or refuses the session.
    pub(crate) fn open_within(server: SocketAddr, patience: Duration) -> Result<Self> {
        Self::start(server, Ticket::NEW, 30_000)?.opened(patience)
    }

    fn opened(mut self, patience: Duration) -> Result<Self> {
        let start = Instant::now();
        let mut scratch = [0; 4096];
        let mut refused = false;
        while !self.open {
            ensure!(start.elapsed() < patience, "no handshake for {patience:?}");
            self.flush()?;
            self.receive(&mut scratch, |_, it| refused |= matches!(it, Incoming::Refused))?;
            ensure!(!refused, "the server refused the session");
            std::thread::sleep(Duration::from_micros(20));
        }
        Ok(self)
    }

    /// Sends what is queued and waits for one reply; its outcome's number.
    ///
    /// # Errors
    /// The connection has ended, or there is no reply for `patience`.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<i32> {
        let start = Instant::now();
        let mut scratch = vec![0; 64 << 10];
        let mut got = None;
        loop {
            self.flush()?;
            self.receive(&mut scratch, |_, it| {
                if let Incoming::Reply(reply) = it {
                    got = Some(reply.err);
                }
            })?;
            if let Some(err) = got {
                return Ok(err);
            }
            ensure!(start.elapsed() < patience, "no reply for {patience:?}");
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Whether the handshake is done.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Requests that wait for their reply.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Queues a request; `write` appends its record.
    pub(crate) fn request(&mut self, asked: Asked, op: Op, write: impl FnOnce(&mut Vec<u8>)) {
        let xid = Xid(self.next_xid);
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        RequestHeader { xid, op: op.number() }.write(&mut self.out);
        write(&mut self.out);
        close_frame(&mut self.out, start);
        self.in_flight.push_back((xid, asked));
    }

    /// Queues a ping.
    pub(crate) fn ping(&mut self) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        RequestHeader { xid: Xid::PING, op: Op::Ping.number() }.write(&mut self.out);
        close_frame(&mut self.out, start);
    }

    /// Sends what is queued, as far as the socket takes it; the rest goes when it is writable again.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(len) => self.sent += len,
                Err(error) if self.not_yet(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("send"),
            }
        }
        self.out.clear();
        self.sent = 0;
        self.sent_at = clock::now();
        Ok(())
    }

    fn not_yet(&self, error: &std::io::Error) -> bool {
        let connecting = !self.open && error.kind() == ErrorKind::NotConnected;
        connecting || error.kind() == ErrorKind::WouldBlock
    }

    /// Reads what there is and hands out every whole frame but the answers to pings.
    ///
    /// # Errors
    /// The connection has ended, or a reply is out of order.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        mut each: impl FnMut(&mut Self, Incoming<'_>),
    ) -> Result<()> {
        loop {
            let len = match self.socket.read(scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(len) => len,
                Err(error) if self.not_yet(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("receive"),
            };
            if self.input.is_empty() {
                let consumed = self.frames(&scratch[..len], &mut each)?;
                self.input.extend_from_slice(&scratch[consumed..len]);
            } else {
                let mut input = std::mem::take(&mut self.input);
                input.extend_from_slice(&scratch[..len]);
                let consumed = self.frames(&input, &mut each)?;
                input.drain(..consumed);
                self.input = input;
            }
            if len < scratch.len() {
                return Ok(());
            }
        }
    }

    /// Hands out the whole frames; how many bytes they were.
    fn frames(
        &mut self,
        input: &[u8],
        each: &mut impl FnMut(&mut Self, Incoming<'_>),
    ) -> Result<usize> {
        let mut consumed = 0;
        while let Some((len, rest)) = input[consumed..].split_first_chunk::<4>() {
            let Some(frame) = rest.get(..i32::from_be_bytes(*len) as usize) else { break };
            consumed += 4 + frame.len();
            if self.open {
                self.frame(frame, each)?;
            } else {
                let response = ConnectResponse::decode(frame)?;
                if response.timeout_ms <= 0 {
                    each(self, Incoming::Refused);
                    continue;
                }
                self.open = true;
                let password = response.password.and_then(|it| it.try_into().ok());
                self.ticket = Ticket {
                    session: response.session,
                    password: password.context("a password of another length")?,
                };
                each(self, Incoming::Connected);
            }
        }
        Ok(consumed)
    }

    fn frame(
        &mut self,
        frame: &[u8],
        each: &mut impl FnMut(&mut Self, Incoming<'_>),
    ) -> Result<()> {
        let header = ReplyHeader::decode(frame)?;
        let body = &frame[ReplyHeader::LEN..];
        if header.xid == Xid::PING {
            self.pings += 1;
        } else if header.xid.0 < 0 {
            WatcherEvent::decode(body)?;
            each(self, Incoming::Event);
        } else {
            let (xid, asked) = self.in_flight.pop_front().context("a reply to nothing")?;
            ensure!(xid == header.xid, "reply {:?} where {xid:?} was due", header.xid);
            each(self, Incoming::Reply(Reply { asked, err: header.err, body }));
        }
        Ok(())
    }
}

fn close_frame(out: &mut [u8], start: usize) {
    let len = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
