//! What a learner says of itself when it connects.

use alloc::vec::Vec;

use jute::{Field, Reader};

use crate::Sid;

/// The protocol of LEADERINFO and ACKEPOCH: ZAB 1.0. Older learners say less and are told less.
pub const PROTOCOL_VERSION: i32 = 0x1_0000;

/// ZAB 1.0, and that LEADERINFO to one that serves, of a later epoch, says that its leader goes on leading
/// in that one. To the reference it is ZAB 1.0 too.
pub const RESUMING_PROTOCOL: i32 = PROTOCOL_VERSION + 1;

/// What servers of ours say to one another: the same, and that an ACK or a COMMIT is of everything up to its zxid, so that a batch needs one. A leader
/// says so in LEADERINFO, to who has said it.
pub const BATCHING_PROTOCOL: i32 = RESUMING_PROTOCOL + 1;

/// The data of FOLLOWERINFO and OBSERVERINFO. 20 bytes; older learners send 12, 8 or none.
///
/// Source: `LearnerInfo` of zookeeper.jute, `LearnerHandler.run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerInfo {
    /// Who it is; `None`: it did not say.
    pub sid: Option<Sid>,
    /// What it speaks; 1 if it did not say.
    pub protocol: i32,
    /// The version of its agreed configuration; `None`: it did not say.
    pub config_version: Option<i64>,
}

impl LearnerInfo {
    /// What a server says that speaks all of `protocol`.
    pub fn new(sid: Sid, protocol: i32, config_version: i64) -> Self {
        Self { sid: Some(sid), protocol, config_version: Some(config_version) }
    }

    /// Reads as much as `data` holds.
    pub fn decode(data: Option<&[u8]>) -> Self {
        let mut reader = Reader::new(data.unwrap_or_default());
        let sid = reader.i64().ok().map(Sid);
        let protocol = reader.i32().unwrap_or(1);
        Self { sid, protocol, config_version: reader.i64().ok() }
    }

    /// Appends what is known, as far as it is known without a gap.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Some(sid) = self.sid else { return };
        sid.0.write(out);
        self.protocol.write(out);
        if let Some(version) = self.config_version {
            version.write(out);
        }
    }
}
