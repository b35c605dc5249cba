//! Bytes as they come in, packets and frames as they become whole.

use alloc::vec::Vec;

use super::{FRAME_LEN_MAX, NotificationError, PacketError, QuorumPacket};

/// What has come in and was not taken yet.
#[derive(Clone, Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// Taken from the front, still there.
    taken: usize,
}

impl Inbox {
    fn feed(&mut self, bytes: &[u8]) {
        if self.bytes.len() <= 2 * self.taken {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

/// The learner channel's incoming half: bytes in, packets out, and the raw bytes of a snapshot between them.
#[derive(Clone, Debug)]
pub struct PacketStream {
    inbox: Inbox,
    len_max: usize,
}

impl PacketStream {
    /// A stream whose packets hold at most `len_max` bytes of data; it keeps at most one packet more than it is fed.
    pub fn new(len_max: usize) -> Self {
        Self { inbox: Inbox::default(), len_max }
    }

    /// Takes bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.inbox.feed(bytes);
    }

    /// The next packet, or `None` until more is fed.
    ///
    /// # Errors
    /// [`PacketError`]: from here on the stream makes no sense.
    pub fn next_packet(&mut self) -> Result<Option<QuorumPacket<'_>>, PacketError> {
        let rest = &self.inbox.bytes[self.inbox.taken..];
        let Some((packet, len)) = QuorumPacket::split(rest, self.len_max)? else {
            return Ok(None);
        };
        self.inbox.taken += len;
        Ok(Some(packet))
    }

    /// What has come and is not taken: the state itself, behind SNAP.
    pub fn raw(&self) -> &[u8] {
        self.inbox.rest()
    }

    /// Takes the first `len` bytes of [`PacketStream::raw`].
    pub fn take_raw(&mut self, len: usize) {
        assert!(len <= self.raw().len(), "{len} of {} bytes taken", self.raw().len());
        self.inbox.taken += len;
    }
}

/// An election connection's incoming half behind its first message: bytes in, notification bodies out.
#[derive(Clone, Debug, Default)]
pub struct FrameStream {
    inbox: Inbox,
}

impl FrameStream {
    /// A stream of which nothing has come.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.inbox.feed(bytes);
    }

    /// The next frame's body, or `None` until more is fed.
    ///
    /// # Errors
    /// [`NotificationError::Frame`]: the connection is closed.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, NotificationError> {
        let rest = &self.inbox.bytes[self.inbox.taken..];
        let Some((len, behind)) = rest.split_first_chunk() else { return Ok(None) };
        let len = i32::from_be_bytes(*len);
        let body_len = usize::try_from(len).unwrap_or(0);
        if body_len == 0 || FRAME_LEN_MAX < body_len {
            return Err(NotificationError::Frame { len });
        }
        let Some(body) = behind.get(..body_len) else { return Ok(None) };
        self.inbox.taken += size_of::<i32>() + body_len;
        Ok(Some(body))
    }
}
