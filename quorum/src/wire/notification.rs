//! One server's view of an election, as it tells the others.

use alloc::vec::Vec;

use jute::{DecodeError, Field, Reader, Zxid};

use crate::{Epoch, Sid};

/// The longest frame of an election connection. Bytes, without the length. Source: `QuorumCnxManager.PACKETMAXSIZE`.
pub const FRAME_LEN_MAX: usize = 512 * 1024;

/// What a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerState {
    /// Searching for a leader.
    Looking,
    /// Behind a leader, voting on proposals.
    Following,
    /// The leader.
    Leading,
    /// Behind a leader, not voting.
    Observing,
}

impl ServerState {
    /// The state of this number.
    pub fn of(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Looking,
            1 => Self::Following,
            2 => Self::Leading,
            3 => Self::Observing,
            _ => return None,
        })
    }

    /// Its number on the wire.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// Bytes that are no notification. Unless it is the frame that is wrong, the message is dropped and the connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotificationError {
    /// No frame begins so.
    #[error("a frame of {len} bytes, 1 to {FRAME_LEN_MAX} are allowed")]
    Frame {
        /// The length as read.
        len: i32,
    },
    /// A state that no server is in.
    #[error("server state {state}")]
    State {
        /// The number as read.
        state: i32,
    },
    /// A configuration of impossible length.
    #[error("a configuration of {len} bytes in a message of {body_len}")]
    Config {
        /// The length as read.
        len: i32,
        /// The message's length.
        body_len: usize,
    },
    /// Too short.
    #[error(transparent)]
    Field(#[from] DecodeError),
}

/// A server's vote and what it is doing.
///
/// Source: `FastLeaderElection.buildMsg` and `WorkerReceiver.run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// What the sender is doing.
    pub state: ServerState,
    /// Whom it votes for.
    pub leader: Sid,
    /// The last transaction of the one it votes for.
    pub zxid: Zxid,
    /// The round it votes in: its logical clock.
    pub election_epoch: i64,
    /// The current epoch of the one it votes for.
    pub peer_epoch: Epoch,
    /// The form of the message: 0 before 3.4.6, 1 until 3.5, 2 since.
    pub version: i32,
    /// The sender's agreed configuration; only from form 2 on.
    pub config: Option<&'a [u8]>,
}

impl<'a> Notification<'a> {
    /// The form that is sent.
    pub const VERSION: i32 = 2;

    /// Reads a frame's body, of any form.
    ///
    /// # Errors
    /// [`NotificationError`]; the message is dropped.
    pub fn decode(body: &'a [u8]) -> Result<Self, NotificationError> {
        let mut reader = Reader::new(body);
        let state = reader.i32()?;
        let leader = Sid(reader.i64()?);
        let zxid = Zxid(reader.i64()?);
        let election_epoch = reader.i64()?;
        let (peer_epoch, version) = match body.len() {
            28 => (Epoch::of(zxid), 0),
            40 => (Epoch(reader.i64()?), 0),
            _ => (Epoch(reader.i64()?), reader.i32()?),
        };
        let config = if 1 < version { Some(config(&mut reader, body)?) } else { None };
        let state = ServerState::of(state).ok_or(NotificationError::State { state })?;
        Ok(Self { state, leader, zxid, election_epoch, peer_epoch, version, config })
    }

    /// Appends a whole frame in form 2, its length before it.
    ///
    /// The fields `version` and an absent `config` are not looked at: form 2 has both.
    pub fn encode_frame(&self, out: &mut Vec<u8>) {
        let config = self.config.unwrap_or_default();
        let body_len = 44 + config.len();
        assert!(body_len <= FRAME_LEN_MAX, "a notification of {body_len} bytes");
        (body_len as i32).write(out);
        self.state.number().write(out);
        self.leader.0.write(out);
        self.zxid.write(out);
        self.election_epoch.write(out);
        self.peer_epoch.0.write(out);
        Self::VERSION.write(out);
        config.write(out);
    }
}

/// Reads the configuration at the cursor.
fn config<'a>(reader: &mut Reader<'a>, body: &[u8]) -> Result<&'a [u8], NotificationError> {
    let len = reader.i32()?;
    match usize::try_from(len) {
        Ok(bytes) if bytes <= body.len() => Ok(reader.take(bytes)?),
        _ => Err(NotificationError::Config { len, body_len: body.len() }),
    }
}
