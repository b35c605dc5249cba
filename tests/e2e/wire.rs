//! A small client of our own, for what no well-behaved client does: it sends any bytes, pipelines, stops reading, vanishes.
//!
//! Written from the protocol, not from the server's own code, so that a mistake there is not made here too.

use std::io::{self, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Op codes used here.
pub(crate) mod op {
    pub(crate) const CREATE: i32 = 1;
    pub(crate) const DELETE: i32 = 2;
    pub(crate) const EXISTS: i32 = 3;
    pub(crate) const GET_DATA: i32 = 4;
    pub(crate) const SET_DATA: i32 = 5;
    pub(crate) const GET_CHILDREN: i32 = 8;
    pub(crate) const SYNC: i32 = 9;
    pub(crate) const MULTI: i32 = 14;
    pub(crate) const CREATE2: i32 = 15;
    pub(crate) const RECONFIG: i32 = 16;
    pub(crate) const SET_WATCHES: i32 = 101;
    pub(crate) const CLOSE_SESSION: i32 = -11;
}

/// The number of an event among replies, and of the reply to the watches that are set anew.
const EVENT: i32 = -1;
const WATCHES_SET: i32 = -8;

/// Bytes of a body being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A buffer, or a string: the same bytes.
    pub(crate) fn buffer(self, bytes: &[u8]) -> Self {
        let mut body = self.int(i32::try_from(bytes.len()).expect("a test's buffer is short"));
        body.0.extend(bytes);
        body
    }

    /// The access list that lets anyone do anything.
    pub(crate) fn open_acl(self) -> Self {
        self.int(1).int(31).buffer(b"world").buffer(b"anyone")
    }

    /// A create's body, with flags 0 (persistent), 1 (ephemeral) or 2 (sequential).
    pub(crate) fn create(self, path: &str, data: &[u8], flags: i32) -> Self {
        self.buffer(path.as_bytes()).buffer(data).open_acl().int(flags)
    }

    /// A multi's header before a sub-op.
    pub(crate) fn part(self, op: i32) -> Self {
        self.int(op).byte(0).int(-1)
    }

    /// The header that ends a multi.
    pub(crate) fn end(self) -> Self {
        self.int(-1).byte(1).int(-1)
    }

    /// With its length in front.
    pub(crate) fn frame(&self) -> Vec<u8> {
        Self::default().buffer(&self.0).0
    }
}

/// Bytes of a reply being read.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return Err(io::Error::new(ErrorKind::InvalidData, "a reply ends in the middle"));
        };
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn int(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().expect("four were taken")))
    }

    pub(crate) fn long(&mut self) -> io::Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into().expect("eight were taken")))
    }

    /// What counts of a stat: czxid, mzxid, and the data's version.
    pub(crate) fn stat(&mut self) -> io::Result<Stat> {
        let (czxid, mzxid) = (self.long()?, self.long()?);
        self.take(16)?;
        let version = self.int()?;
        self.take(32)?;
        Ok(Stat { czxid, mzxid, version })
    }

    /// Some strings.
    pub(crate) fn strings(&mut self) -> io::Result<Vec<String>> {
        let count = self.int()?;
        (0..count).map(|_| Ok(String::from_utf8_lossy(self.buffer()?).into_owned())).collect()
    }

    /// A buffer or string; null is empty.
    pub(crate) fn buffer(&mut self) -> io::Result<&'a [u8]> {
        let len = self.int()?;
        self.take(usize::try_from(len).unwrap_or(0))
    }
}

/// See [`Fields::stat`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) version: i32,
}

/// A session as its client knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: i64,
    pub(crate) password: Vec<u8>,
    /// Milliseconds, as the server gave it.
    pub(crate) timeout: i32,
}

/// One reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) err: i32,
    pub(crate) body: Vec<u8>,
}

/// One connection with a session.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
    /// The number of the last request. A reference server that follows confounds two of one session that have the same.
    pub(crate) xid: i32,
    pub(crate) session: Session,
    /// Paths of events that came before the last reply, oldest first.
    pub(crate) events: Vec<String>,
}

impl Client {
    /// How long it waits for an answer if nothing else is said.
    pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

    /// A new session, which lasts as long as the server lets it.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_within(Self::PATIENCE, address)
    }

    /// The same with less patience, for this answer and all that follow.
    pub(crate) fn connect_within(patience: Duration, address: SocketAddr) -> io::Result<Self> {
        let new = Session { timeout: 600_000, ..Session::default() };
        let client = Self::resume_within(patience, address, &new, 0)?;
        client.ok_or_else(|| io::Error::new(ErrorKind::ConnectionRefused, "no session was given"))
    }

    /// Claims a session, having seen `last_zxid`; `None` if the server says that it is no more.
    pub(crate) fn resume(
        address: SocketAddr,
        session: &Session,
        last_zxid: i64,
    ) -> io::Result<Option<Self>> {
        Self::resume_within(Self::PATIENCE, address, session, last_zxid)
    }

    /// The same with less patience, for this answer and all that follow.
    pub(crate) fn resume_within(
        patience: Duration,
        address: SocketAddr,
        session: &Session,
        last_zxid: i64,
    ) -> io::Result<Option<Self>> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let request = Body::default().int(0).long(last_zxid).int(session.timeout).long(session.id);
        let password =
            if session.password.is_empty() { vec![0; 16] } else { session.password.clone() };
        let request = request.buffer(&password).byte(0);
        let mut client = Self {
            stream: BufReader::new(stream),
            out: Vec::new(),
            xid: 0,
            session: Session::default(),
            events: Vec::new(),
        };
        client.stream.get_mut().write_all(&request.frame())?;
        let answer = client.frame()?;
        let mut fields = Fields(&answer);
        let _version = fields.int()?;
        let timeout = fields.int()?;
        let id = fields.long()?;
        client.session = Session { id, password: fields.buffer()?.to_vec(), timeout };
        Ok((0 < timeout).then_some(client))
    }

    /// Puts a request into the buffer; its number.
    pub(crate) fn put(&mut self, op: i32, body: &Body) -> i32 {
        self.xid += 1;
        let mut frame = Body::default().int(self.xid).int(op);
        frame.0.extend(&body.0);
        self.out.extend(frame.frame());
        self.xid
    }

    /// Sends what was put.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let result = self.stream.get_mut().write_all(&self.out);
        self.out.clear();
        result
    }

    /// The next reply, behind the events that come before it.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        loop {
            let frame = self.frame()?;
            let mut fields = Fields(&frame);
            let (xid, zxid, err) = (fields.int()?, fields.long()?, fields.int()?);
            if xid != EVENT {
                return Ok(Reply { xid, zxid, err, body: fields.0.to_vec() });
            }
            let (_kind, _state) = (fields.int()?, fields.int()?);
            self.events.push(String::from_utf8_lossy(fields.buffer()?).into_owned());
        }
    }

    /// Watches the data of `path` again, of which nothing is known behind `zxid`.
    pub(crate) fn watch_again(&mut self, path: &str, zxid: i64) -> io::Result<()> {
        let body = Body::default().int(WATCHES_SET).int(op::SET_WATCHES).long(zxid);
        let body = body.int(1).buffer(path.as_bytes()).int(0).int(0);
        self.stream.get_mut().write_all(&body.frame())?;
        let reply = self.reply()?;
        if (reply.xid, reply.err) != (WATCHES_SET, 0) {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{reply:?}")));
        }
        Ok(())
    }

    /// Asks and waits for the reply to it.
    pub(crate) fn ask(&mut self, op: i32, body: &Body) -> io::Result<Reply> {
        let xid = self.put(op, body);
        self.flush()?;
        let reply = self.reply()?;
        if reply.xid != xid {
            let text = format!("the reply to {} instead of {xid}", reply.xid);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        Ok(reply)
    }

    /// The socket, for what the protocol does not foresee.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let len = i32::from_be_bytes(len);
        let len = usize::try_from(len)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("a frame of {len}")))?;
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }
}

/// A small generator of numbers from a seed (xorshift64*): the same seed, the same run.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}
