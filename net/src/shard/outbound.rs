//! The way out: reply and event frames into a connection's send buffer, and which connections have something to send.

use jute::{Code, Field as _, ReplyHeader, Xid, Zxid};

use super::connection::{Connection, SendBuffer};
use super::frame::LENGTH_LEN;
use crate::message::ConnId;

/// Send buffers that are in use, those that wait for use, and whom to send to.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// Connections with something new to send, each once.
    dirty: Vec<ConnId>,
    /// Empty buffers.
    pool: Vec<Vec<u8>>,
    /// Unsent bytes of all connections and bytes of their unfinished requests.
    pub(crate) buffered: usize,
    /// Bytes of the frame written last, without the four of its length.
    pub(crate) last_len: usize,
}

/// Where a frame began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameStart(usize);

impl Outbound {
    /// Begins a reply in the connection's buffer: the caller writes the body behind it, then calls
    /// [`Outbound::end_reply`] or [`Outbound::undo`].
    pub(crate) fn begin_reply(&mut self, connection: &mut Connection) -> FrameStart {
        let bytes = self.open(connection);
        let start = bytes.len();
        bytes.resize(start + LENGTH_LEN + ReplyHeader::LEN, 0);
        FrameStart(start)
    }

    /// Where the body of a reply that was begun starts.
    pub(crate) fn body_at(start: FrameStart) -> usize {
        start.0 + LENGTH_LEN + ReplyHeader::LEN
    }

    /// Ends a reply: what stands behind its beginning is its body. Without `Code::Ok` the body goes.
    pub(crate) fn end_reply(
        &mut self,
        conn: ConnId,
        connection: &mut Connection,
        start: FrameStart,
        header: ReplyHeader,
    ) {
        let bytes = &mut connection.out.bytes;
        if header.err != Code::Ok.number() {
            bytes.truncate(Self::body_at(start));
        }
        let frame = &mut bytes[start.0..];
        let len = (frame.len() - LENGTH_LEN) as i32;
        let added = frame.len();
        frame[..4].copy_from_slice(&len.to_be_bytes());
        frame[4..8].copy_from_slice(&header.xid.0.to_be_bytes());
        frame[8..16].copy_from_slice(&header.zxid.0.to_be_bytes());
        frame[16..20].copy_from_slice(&header.err.to_be_bytes());
        self.added(conn, connection, added);
    }

    /// Takes a reply back that was begun.
    pub(crate) fn undo(&mut self, connection: &mut Connection, start: FrameStart) {
        connection.out.bytes.truncate(start.0);
        if connection.out.is_empty() {
            self.release(&mut connection.out);
        }
    }

    /// A whole reply.
    pub(crate) fn reply(
        &mut self,
        conn: ConnId,
        connection: &mut Connection,
        header: ReplyHeader,
        body: &[u8],
    ) {
        let start = self.begin_reply(connection);
        connection.out.bytes.extend_from_slice(body);
        self.end_reply(conn, connection, start, header);
    }

    /// An event. `zxid` is −1 where no transaction of now triggered it.
    pub(crate) fn event(
        &mut self,
        conn: ConnId,
        connection: &mut Connection,
        zxid: Zxid,
        event: jute::WatcherEvent<'_>,
    ) {
        let start = self.begin_reply(connection);
        event.write(&mut connection.out.bytes);
        let header = ReplyHeader::new(Xid::NOTIFICATION, zxid, Code::Ok);
        self.end_reply(conn, connection, start, header);
    }

    /// Bytes as they are, behind a length if they are a record.
    pub(crate) fn raw(&mut self, conn: ConnId, connection: &mut Connection, parts: [&[u8]; 2]) {
        let bytes = self.open(connection);
        for part in parts {
            bytes.extend_from_slice(part);
        }
        let added = parts.iter().map(|part| part.len()).sum();
        self.added(conn, connection, added);
    }

    /// The socket took `len` bytes.
    pub(crate) fn sent(&mut self, connection: &mut Connection, len: usize) {
        let out = &mut connection.out;
        assert!(len <= out.len(), "{len} bytes sent of {}", out.len());
        self.buffered -= len;
        out.sent += len;
        if out.is_empty() {
            self.release(out);
        } else if COMPACT_AT < out.sent && out.bytes.len() / 2 < out.sent {
            out.bytes.drain(..out.sent);
            out.sent = 0;
        }
    }

    /// Throws away what is unsent.
    pub(crate) fn forget(&mut self, connection: &mut Connection) {
        self.buffered -= connection.out.len();
        self.release(&mut connection.out);
    }

    /// The next connection with something new to send.
    pub(crate) fn next_dirty(&mut self) -> Option<ConnId> {
        self.dirty.pop()
    }

    /// An empty buffer.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.pool.pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        if 0 < buffer.capacity()
            && buffer.capacity() <= POOLED_LEN_MAX
            && self.pool.len() < POOL_MAX
        {
            buffer.clear();
            self.pool.push(buffer);
        }
    }

    fn open<'a>(&mut self, connection: &'a mut Connection) -> &'a mut Vec<u8> {
        if connection.out.bytes.capacity() == 0 {
            connection.out.bytes = self.buffer();
        }
        &mut connection.out.bytes
    }

    fn added(&mut self, conn: ConnId, connection: &mut Connection, len: usize) {
        self.buffered += len;
        self.last_len = len.saturating_sub(LENGTH_LEN);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(conn);
        }
    }

    fn release(&mut self, out: &mut SendBuffer) {
        let buffer = std::mem::take(&mut out.bytes);
        out.sent = 0;
        self.give_back(buffer);
    }
}

/// Bytes before the unsent ones that are worth moving the rest for.
const COMPACT_AT: usize = 64 << 10;
/// A buffer with more room than this goes back to the allocator.
const POOLED_LEN_MAX: usize = 64 << 10;
/// More buffers than this are not kept.
const POOL_MAX: usize = 128;
