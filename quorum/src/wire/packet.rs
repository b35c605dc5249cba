//! One record of the learner channel, cut from a stream that has no frames.

use alloc::vec::Vec;

use jute::{DecodeError, Field, Reader, Zxid};

use super::IdList;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// A client's request on its way to the leader.
    Request,
    /// A transaction, to followers.
    Proposal,
    /// Durable here.
    Ack,
    /// A quorum has it.
    Commit,
    /// Still there.
    Ping,
    /// Is this session alive.
    Revalidate,
    /// What was sent before is what `sync` waits for.
    Sync,
    /// A committed transaction, to observers.
    Inform,
    /// A committed reconfiguration, to followers.
    CommitAndActivate,
    /// The history is complete, up to outstanding proposals.
    NewLeader,
    /// A follower's first words.
    FollowerInfo,
    /// The learner may serve.
    UpToDate,
    /// What the learner lacks follows as proposals.
    Diff,
    /// The learner has too much.
    Trunc,
    /// The whole state follows.
    Snap,
    /// An observer's first words.
    ObserverInfo,
    /// The epoch that the leader proposes.
    LeaderInfo,
    /// The learner promises that epoch.
    AckEpoch,
    /// A committed reconfiguration, to observers.
    InformAndActivate,
    /// A number that nobody has given a meaning. Ignored wherever it comes.
    Other(i32),
}

/// The kinds by their numbers, from 1. Source: `Leader.java`.
const KINDS: [PacketKind; 19] = [
    PacketKind::Request,
    PacketKind::Proposal,
    PacketKind::Ack,
    PacketKind::Commit,
    PacketKind::Ping,
    PacketKind::Revalidate,
    PacketKind::Sync,
    PacketKind::Inform,
    PacketKind::CommitAndActivate,
    PacketKind::NewLeader,
    PacketKind::FollowerInfo,
    PacketKind::UpToDate,
    PacketKind::Diff,
    PacketKind::Trunc,
    PacketKind::Snap,
    PacketKind::ObserverInfo,
    PacketKind::LeaderInfo,
    PacketKind::AckEpoch,
    PacketKind::InformAndActivate,
];

impl PacketKind {
    /// The kind of this number.
    pub fn of(number: i32) -> Self {
        let idx = usize::try_from(i64::from(number) - 1).ok();
        idx.and_then(|idx| KINDS.get(idx).copied()).unwrap_or(Self::Other(number))
    }

    /// Its number on the wire.
    pub fn number(self) -> i32 {
        if let Self::Other(number) = self {
            return number;
        }
        KINDS.iter().position(|&it| it == self).map_or(0, |idx| idx as i32 + 1)
    }
}

/// A stream that holds no packets. The connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// More than both sides agreed on.
    #[error("a packet of {len} bytes or more, {len_max} are allowed")]
    TooLong {
        /// Its length, as far as it is known. Bytes.
        len: usize,
        /// The limit. Bytes.
        len_max: usize,
    },
    /// A field that cannot be.
    #[error(transparent)]
    Field(#[from] DecodeError),
}

/// One packet, as it stands on the wire.
///
/// Source: `QuorumPacket` of zookeeper.jute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumPacket<'a> {
    /// What it is.
    pub kind: PacketKind,
    /// What the kind makes of it; −1 where it means nothing.
    pub zxid: Zxid,
    /// What the kind makes of it; `None` is jute's null.
    pub data: Option<&'a [u8]>,
    /// Whose request this is; null but in REQUEST.
    pub authinfo: IdList<'a>,
}

impl<'a> QuorumPacket<'a> {
    /// Bytes of a packet without data and ids.
    pub const LEN_MIN: usize = 20;

    /// Cuts the first packet off `bytes`: it, and its length. `None` while it is incomplete.
    ///
    /// `len_max` bounds the data, and the ids; a longer packet is refused as soon as its length is known.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn split(bytes: &'a [u8], len_max: usize) -> Result<Option<(Self, usize)>, PacketError> {
        let mut reader = Reader::new(bytes);
        match Self::read_within(&mut reader, len_max) {
            Ok(packet) => Ok(Some((packet, bytes.len() - reader.rest().len()))),
            Err(PacketError::Field(DecodeError::Short { .. })) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Reads a packet; a length above `len_max` is met before the bytes it speaks of.
    fn read_within(reader: &mut Reader<'a>, len_max: usize) -> Result<Self, PacketError> {
        let kind = PacketKind::of(reader.i32()?);
        let zxid = Zxid::read(reader)?;
        check_len(reader, len_max)?;
        let data = reader.bytes()?;
        let mut ahead = reader.clone();
        let ids = ahead.rest();
        for _ in 0..ahead.count()?.unwrap_or(0) {
            for _ in ["scheme", "id"] {
                let read = ids.len() - ahead.rest().len();
                check_len(&ahead, len_max.saturating_sub(read))?;
                ahead.bytes()?;
            }
        }
        Ok(Self { kind, zxid, data, authinfo: IdList::read(reader)? })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.kind.number().write(out);
        self.zxid.write(out);
        self.data.write(out);
        self.authinfo.write(out);
    }
}

/// Refuses the buffer at the cursor if it says that it is longer than `len_max`.
fn check_len(reader: &Reader<'_>, len_max: usize) -> Result<(), PacketError> {
    let len = reader.clone().i32()?;
    match usize::try_from(len) {
        Ok(len) if len_max < len => Err(PacketError::TooLong { len, len_max }),
        _ => Ok(()),
    }
}
