//! Bytes of the learner channel and of the election port.
//!
//! ZooKeeper: `QuorumPacket` and `LearnerInfo` of zookeeper.jute, `FastLeaderElection.buildMsg`,
//! `QuorumCnxManager.InitialMessage`. Everything borrows from the bytes it was read from.

mod ids;
mod initial;
mod learner_info;
mod message;
mod notification;
mod packet;
mod stream;

pub use ids::{Id, IdList};
pub use initial::{Initial, InitialError};
pub use learner_info::{BATCHING_PROTOCOL, LearnerInfo, PROTOCOL_VERSION, RESUMING_PROTOCOL};
pub use message::{Message, MessageError, Touch, Touches};
pub use notification::{FRAME_LEN_MAX, Notification, NotificationError, ServerState};
pub use packet::{PacketError, PacketKind, QuorumPacket};
pub use stream::{FrameStream, PacketStream};

#[cfg(test)]
mod tests;
