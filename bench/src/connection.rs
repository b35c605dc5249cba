//! One client connection of the load generator: what is sent, what is awaited, how long it took.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jute::{
    ConnectRequest, ConnectResponse, Field, Op, Record, ReplyHeader, RequestHeader, SessionId, Xid,
    Zxid,
};
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// A reply as the load sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    /// When the request was due: for a closed loop, when it was handed to the socket.
    pub(crate) due: Instant,
    /// The outcome's number.
    pub(crate) err: i32,
}

/// A session on one socket with any number of requests in flight.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket, for registering it.
    pub(crate) socket: TcpStream,
    out: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    consumed: usize,
    in_flight: VecDeque<(Xid, Instant)>,
    next_xid: i32,
    /// Pings that were answered.
    pub(crate) pings: u64,
}

impl Connection {
    /// Connects and shakes hands, blocking.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the session.
    pub(crate) fn open(server: SocketAddr, timeout_ms: i32) -> Result<Self> {
        Self::open_within(server, timeout_ms, Duration::from_secs(30))
    }

    /// The same, for a server that may still be starting: the reference takes connections that it never answers while it loads.
    ///
    /// # Errors
    /// The server cannot be reached, does not answer in time, or refuses the session.
    pub(crate) fn open_within(
        server: SocketAddr,
        timeout_ms: i32,
        patience: Duration,
    ) -> Result<Self> {
        let socket = std::net::TcpStream::connect(server).context("connect")?;
        Self::shake_hands(socket, timeout_ms, patience)
    }

    /// The same from an address of this machine: one address has no more than some 28,000 ports.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the session.
    pub(crate) fn open_from(from: IpAddr, server: SocketAddr, timeout_ms: i32) -> Result<Self> {
        let domain = Domain::for_address(server);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).context("socket")?;
        socket.bind(&SocketAddr::new(from, 0).into()).context("bind")?;
        socket.connect(&server.into()).context("connect")?;
        Self::shake_hands(socket.into(), timeout_ms, Duration::from_secs(30))
    }

    fn shake_hands(
        mut socket: std::net::TcpStream,
        timeout_ms: i32,
        patience: Duration,
    ) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        let mut frame = vec![0; 4];
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms,
            session: SessionId::NONE,
            password: Some(&[0; jute::PASSWORD_LEN]),
            read_only: Some(false),
        };
        request.write(&mut frame);
        close_frame(&mut frame, 0);
        socket.write_all(&frame)?;
        let mut len = [0; 4];
        socket.read_exact(&mut len).context("handshake")?;
        let mut body = vec![0; i32::from_be_bytes(len).clamp(0, 4096) as usize];
        socket.read_exact(&mut body)?;
        let response = ConnectResponse::decode(&body)?;
        ensure!(response.timeout_ms > 0, "the server refused the session");
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpStream::from_std(socket),
            out: Vec::new(),
            sent: 0,
            input: Vec::new(),
            consumed: 0,
            in_flight: VecDeque::new(),
            next_xid: 1,
            pings: 0,
        })
    }

    /// Sends what is queued and waits for one reply.
    ///
    /// # Errors
    /// The connection has ended, or there is no reply for `patience`.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Reply> {
        let start = Instant::now();
        let mut scratch = vec![0; 64 << 10];
        let mut got = None;
        loop {
            self.flush()?;
            self.receive(&mut scratch, |reply| got = Some(reply))?;
            if let Some(reply) = got {
                return Ok(reply);
            }
            ensure!(start.elapsed() < patience, "no reply for {patience:?}");
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Requests that wait for their reply.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Queues a request that was due at `due`; `write` appends its record.
    pub(crate) fn request(&mut self, due: Instant, op: Op, write: impl FnOnce(&mut Vec<u8>)) {
        let xid = Xid(self.next_xid);
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        RequestHeader { xid, op: op.number() }.write(&mut self.out);
        write(&mut self.out);
        close_frame(&mut self.out, start);
        self.in_flight.push_back((xid, due));
    }

    /// Queues a ping.
    pub(crate) fn ping(&mut self) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        RequestHeader { xid: Xid::PING, op: Op::Ping.number() }.write(&mut self.out);
        close_frame(&mut self.out, start);
    }

    /// Sends what is queued, as far as the socket takes it. Returns whether all is sent.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) fn flush(&mut self) -> Result<bool> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("send"),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Reads once and hands out every whole reply; events and pings are skipped.
    ///
    /// # Errors
    /// The connection has ended, or a reply is out of order.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        mut each: impl FnMut(Reply),
    ) -> Result<()> {
        match self.socket.read(scratch) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(len) => self.input.extend_from_slice(&scratch[..len]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error).context("receive"),
        }
        while let Some(frame) = next_frame(&self.input, &mut self.consumed) {
            let header = ReplyHeader::decode(frame)?;
            if header.xid == Xid::PING {
                self.pings += 1;
            }
            if header.xid.0 < 0 {
                continue;
            }
            let (xid, due) = self.in_flight.pop_front().context("a reply to nothing")?;
            ensure!(xid == header.xid, "reply {:?} where {xid:?} was due", header.xid);
            each(Reply { due, err: header.err });
        }
        self.input.drain(..self.consumed);
        self.consumed = 0;
        Ok(())
    }
}

fn next_frame<'a>(input: &'a [u8], consumed: &mut usize) -> Option<&'a [u8]> {
    let (len, rest) = input[*consumed..].split_first_chunk::<4>()?;
    let frame = rest.get(..i32::from_be_bytes(*len) as usize)?;
    *consumed += 4 + frame.len();
    Some(frame)
}

fn close_frame(out: &mut [u8], start: usize) {
    let len = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
