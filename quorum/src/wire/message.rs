//! What the packets of the learner channel say, with the numbers taken out of their data.

use alloc::vec::Vec;

use jute::{DecodeError, Field, Reader, SessionId, Zxid};

use super::{IdList, LearnerInfo, PacketKind, QuorumPacket};
use crate::{Epoch, Sid};

/// Data that the packet's kind cannot have. The connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Null where something belongs.
    #[error("{kind:?} without data")]
    Null {
        /// The packet's kind.
        kind: PacketKind,
    },
    /// Of a length that the kind does not have.
    #[error("{kind:?} with {len} bytes of data")]
    Length {
        /// The packet's kind.
        kind: PacketKind,
        /// Bytes of data.
        len: usize,
    },
    /// Too short.
    #[error(transparent)]
    Field(#[from] DecodeError),
}

/// A session that showed life at a learner, or is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The session.
    pub session: SessionId,
    /// How long it may be silent. Milliseconds.
    pub timeout_ms: i32,
}

/// The touches of a ping, 12 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touches<'a>(&'a [u8]);

impl<'a> Touches<'a> {
    /// Bytes of one.
    pub const LEN: usize = 12;
    /// None. Not jute's null, which only the leader sends.
    pub const EMPTY: Self = Self(&[]);

    /// The touches that `bytes` hold, as [`Touches::push`] makes them; `None` if the last is cut.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(Self::LEN).then_some(Self(bytes))
    }

    /// Appends one to `bytes`.
    pub fn push(bytes: &mut Vec<u8>, touch: Touch) {
        touch.session.write(bytes);
        touch.timeout_ms.write(bytes);
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = Touch> + use<'a> {
        self.0.chunks_exact(Self::LEN).map_while(|it| read_touch(&mut Reader::new(it)).ok())
    }
}

/// A packet, understood. Which ones a server may send is for the machines to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A client's request on its way to the leader.
    Request {
        /// Whose.
        session: SessionId,
        /// The client's number for it; 0 if it has none.
        cxid: i32,
        /// The op's number.
        op: i32,
        /// Behind the request's header, as the client sent it.
        body: &'a [u8],
        /// The ids of the client's connection.
        authinfo: IdList<'a>,
    },
    /// A transaction, to followers.
    Proposal {
        /// Its place.
        zxid: Zxid,
        /// Header, record, and mostly a digest.
        txn: &'a [u8],
    },
    /// Durable here, up to and including.
    Ack {
        /// The transaction, or the epoch's first zxid for NEWLEADER.
        zxid: Zxid,
    },
    /// A quorum has it.
    Commit {
        /// The transaction.
        zxid: Zxid,
    },
    /// Still there.
    Ping {
        /// The last proposed; the answer has the same.
        zxid: Zxid,
        /// The sessions that showed life; `None` from the leader.
        touches: Option<Touches<'a>>,
    },
    /// Is this session alive.
    Revalidate(Touch),
    /// Whether the session is alive.
    Revalidated {
        /// The session.
        session: SessionId,
        /// Whether it is, and now belongs to this learner.
        valid: bool,
    },
    /// What was sent before is what `sync` waits for.
    Sync,
    /// A committed transaction, to observers.
    Inform {
        /// Its place.
        zxid: Zxid,
        /// Header, record, and mostly a digest.
        txn: &'a [u8],
    },
    /// A committed reconfiguration, to followers.
    CommitAndActivate {
        /// The transaction.
        zxid: Zxid,
        /// Who should lead now.
        designated: Sid,
    },
    /// The history is complete, up to outstanding proposals.
    NewLeader {
        /// The new epoch.
        epoch: Epoch,
        /// The configuration to activate with it; `None` to old learners.
        config: Option<&'a [u8]>,
    },
    /// A follower's first words.
    FollowerInfo {
        /// The last epoch that it promised.
        accepted: Epoch,
        /// What it says of itself.
        info: LearnerInfo,
    },
    /// The learner may serve.
    UpToDate,
    /// What the learner lacks follows as proposals.
    Diff {
        /// The leader's last committed, or the learner's own last.
        zxid: Zxid,
    },
    /// The learner has too much.
    Trunc {
        /// The last that it keeps.
        zxid: Zxid,
    },
    /// The whole state follows, raw.
    Snap {
        /// The last transaction in it.
        zxid: Zxid,
    },
    /// An observer's first words.
    ObserverInfo {
        /// The last epoch that it promised.
        accepted: Epoch,
        /// What it says of itself.
        info: LearnerInfo,
    },
    /// The epoch that the leader proposes.
    LeaderInfo {
        /// The epoch.
        epoch: Epoch,
        /// What the leader speaks.
        protocol: i32,
    },
    /// The learner promises that epoch.
    AckEpoch {
        /// Its last logged transaction.
        zxid: Zxid,
        /// Its current epoch; `None` if it had promised this one before, and so does not count.
        current: Option<Epoch>,
    },
    /// A committed reconfiguration, to observers.
    InformAndActivate {
        /// The transaction's place.
        zxid: Zxid,
        /// Who should lead now.
        designated: Sid,
        /// Header, record, and mostly a digest.
        txn: &'a [u8],
    },
    /// A number that nobody has given a meaning. To be ignored.
    Other {
        /// The number.
        kind: i32,
    },
}

impl<'a> Message<'a> {
    /// Reads the packet's data as its kind has it.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn read(packet: &QuorumPacket<'a>) -> Result<Self, MessageError> {
        let QuorumPacket { kind, zxid, data, authinfo } = *packet;
        let epoch = Epoch::of(zxid);
        let wanted = || data.ok_or(MessageError::Null { kind });
        Ok(match kind {
            PacketKind::Request => request(wanted()?, authinfo)?,
            PacketKind::Proposal => Self::Proposal { zxid, txn: wanted()? },
            PacketKind::Ack => Self::Ack { zxid },
            PacketKind::Commit => Self::Commit { zxid },
            PacketKind::Ping => Self::Ping { zxid, touches: touches(data)? },
            PacketKind::Revalidate => revalidate(wanted()?)?,
            PacketKind::Sync => Self::Sync,
            PacketKind::Inform => Self::Inform { zxid, txn: wanted()? },
            PacketKind::CommitAndActivate => {
                Self::CommitAndActivate { zxid, designated: Sid(Reader::new(wanted()?).i64()?) }
            }
            PacketKind::NewLeader => Self::NewLeader { epoch, config: data },
            PacketKind::FollowerInfo => {
                Self::FollowerInfo { accepted: epoch, info: LearnerInfo::decode(data) }
            }
            PacketKind::UpToDate => Self::UpToDate,
            PacketKind::Diff => Self::Diff { zxid },
            PacketKind::Trunc => Self::Trunc { zxid },
            PacketKind::Snap => Self::Snap { zxid },
            PacketKind::ObserverInfo => {
                Self::ObserverInfo { accepted: epoch, info: LearnerInfo::decode(data) }
            }
            PacketKind::LeaderInfo => {
                Self::LeaderInfo { epoch, protocol: Reader::new(wanted()?).i32()? }
            }
            PacketKind::AckEpoch => {
                let current = Reader::new(wanted()?).i32()?;
                let current = (current != -1).then_some(Epoch(i64::from(current)));
                Self::AckEpoch { zxid, current }
            }
            PacketKind::InformAndActivate => {
                let mut reader = Reader::new(wanted()?);
                let designated = Sid(reader.i64()?);
                Self::InformAndActivate { zxid, designated, txn: reader.rest() }
            }
            PacketKind::Other(kind) => Self::Other { kind },
        })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let nothing = Zxid(-1);
        match *self {
            Self::Request { session, cxid, op, body, authinfo } => {
                head(out, PacketKind::Request, nothing);
                ((16 + body.len()) as i32).write(out);
                session.write(out);
                cxid.write(out);
                op.write(out);
                out.extend_from_slice(body);
                authinfo.write(out);
            }
            Self::Proposal { zxid, txn } => packet(out, PacketKind::Proposal, zxid, Some(txn)),
            Self::Ack { zxid } => packet(out, PacketKind::Ack, zxid, None),
            Self::Commit { zxid } => packet(out, PacketKind::Commit, zxid, None),
            Self::Ping { zxid, touches } => {
                packet(out, PacketKind::Ping, zxid, touches.map(|it| it.0));
            }
            Self::Sync => packet(out, PacketKind::Sync, Zxid::ZERO, None),
            Self::Inform { zxid, txn } => packet(out, PacketKind::Inform, zxid, Some(txn)),
            Self::UpToDate => packet(out, PacketKind::UpToDate, nothing, None),
            Self::Diff { zxid } => packet(out, PacketKind::Diff, zxid, None),
            Self::Trunc { zxid } => packet(out, PacketKind::Trunc, zxid, None),
            Self::Snap { zxid } => packet(out, PacketKind::Snap, zxid, None),
            Self::NewLeader { epoch, config } => {
                packet(out, PacketKind::NewLeader, epoch.zxid(), config);
            }
            Self::Other { kind } => packet(out, PacketKind::Other(kind), nothing, None),
            Self::Revalidate(_)
            | Self::Revalidated { .. }
            | Self::CommitAndActivate { .. }
            | Self::FollowerInfo { .. }
            | Self::ObserverInfo { .. }
            | Self::LeaderInfo { .. }
            | Self::AckEpoch { .. }
            | Self::InformAndActivate { .. } => self.encode_with_numbers(out),
        }
    }

    /// Appends a packet whose data is made of numbers.
    fn encode_with_numbers(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Revalidate(touch) => {
                head(out, PacketKind::Revalidate, Zxid(-1));
                with_len(out, |out| Touches::push(out, touch));
            }
            Self::Revalidated { session, valid } => {
                head(out, PacketKind::Revalidate, Zxid(-1));
                with_len(out, |out| {
                    session.write(out);
                    valid.write(out);
                });
            }
            Self::CommitAndActivate { zxid, designated } => {
                packet(out, PacketKind::CommitAndActivate, zxid, Some(&designated.0.to_be_bytes()));
                return;
            }
            Self::FollowerInfo { accepted, info } => {
                head(out, PacketKind::FollowerInfo, accepted.zxid());
                with_len(out, |out| info.encode(out));
            }
            Self::ObserverInfo { accepted, info } => {
                head(out, PacketKind::ObserverInfo, accepted.zxid());
                with_len(out, |out| info.encode(out));
            }
            Self::LeaderInfo { epoch, protocol } => {
                let data = protocol.to_be_bytes();
                packet(out, PacketKind::LeaderInfo, epoch.zxid(), Some(&data));
                return;
            }
            Self::AckEpoch { zxid, current } => {
                let data = current.map_or(-1, |it| it.0 as i32).to_be_bytes();
                packet(out, PacketKind::AckEpoch, zxid, Some(&data));
                return;
            }
            Self::InformAndActivate { zxid, designated, txn } => {
                head(out, PacketKind::InformAndActivate, zxid);
                with_len(out, |out| {
                    designated.0.write(out);
                    out.extend_from_slice(txn);
                });
            }
            _ => return,
        }
        IdList::NULL.write(out);
    }
}

/// Appends kind and zxid.
fn head(out: &mut Vec<u8>, kind: PacketKind, zxid: Zxid) {
    kind.number().write(out);
    zxid.write(out);
}

/// Appends a packet without ids.
fn packet(out: &mut Vec<u8>, kind: PacketKind, zxid: Zxid, data: Option<&[u8]>) {
    QuorumPacket { kind, zxid, data, authinfo: IdList::NULL }.encode(out);
}

/// Appends what `write` appends, its length before it.
fn with_len(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    0_i32.write(out);
    write(out);
    let len = (out.len() - at - size_of::<i32>()) as i32;
    out[at..at + size_of::<i32>()].copy_from_slice(&len.to_be_bytes());
}

/// Reads the data of REQUEST.
fn request<'a>(data: &'a [u8], authinfo: IdList<'a>) -> Result<Message<'a>, MessageError> {
    let mut reader = Reader::new(data);
    let session = SessionId(reader.i64()?);
    let (cxid, op) = (reader.i32()?, reader.i32()?);
    Ok(Message::Request { session, cxid, op, body: reader.rest(), authinfo })
}

/// Reads the data of PING.
fn touches(data: Option<&[u8]>) -> Result<Option<Touches<'_>>, MessageError> {
    let Some(data) = data else { return Ok(None) };
    let bad = MessageError::Length { kind: PacketKind::Ping, len: data.len() };
    Touches::decode(data).map(Some).ok_or(bad)
}

/// Reads the data of REVALIDATE: 12 bytes ask, 9 bytes answer.
fn revalidate(data: &[u8]) -> Result<Message<'_>, MessageError> {
    let mut reader = Reader::new(data);
    match data.len() {
        12 => Ok(Message::Revalidate(read_touch(&mut reader)?)),
        9 => {
            let session = SessionId(reader.i64()?);
            Ok(Message::Revalidated { session, valid: reader.bool()? })
        }
        len => Err(MessageError::Length { kind: PacketKind::Revalidate, len }),
    }
}

/// Reads a session and its timeout.
fn read_touch(reader: &mut Reader<'_>) -> Result<Touch, DecodeError> {
    Ok(Touch { session: SessionId(reader.i64()?), timeout_ms: reader.i32()? })
}
