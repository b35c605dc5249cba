//! What a member does for clients: nothing, or as leader, or as learner.

use quorum::PeerState;

use crate::pipeline::{Applier, Learning, Mode, Pipeline, ReadOnly};

/// The role. What applies outlives it.
#[derive(Debug)]
pub(crate) enum Role {
    /// It looks for a leader, or has one and does not serve yet.
    Idle(Box<Applier>),
    /// It leads and serves.
    Leading(Box<Pipeline>),
    /// It follows or observes, and serves.
    Learning(Box<Learning>),
    /// It looks for a leader, and serves those who read only.
    ReadOnly(Box<ReadOnly>),
    /// Between two.
    Changing,
}

impl Role {
    pub(crate) fn applier(&mut self) -> &mut Applier {
        match self {
            Self::Idle(applier) => applier,
            Self::Leading(pipeline) => pipeline.applier_mut(),
            Self::Learning(learning) => learning.applier_mut(),
            Self::ReadOnly(read_only) => read_only.applier_mut(),
            Self::Changing => unreachable!("a change of role is over at once"),
        }
    }

    /// Ends the role.
    pub(crate) fn take(&mut self) -> Applier {
        match std::mem::replace(self, Self::Changing) {
            Self::Idle(applier) => *applier,
            Self::Leading(pipeline) => pipeline.into_applier(),
            Self::Learning(learning) => learning.into_applier(),
            Self::ReadOnly(read_only) => read_only.into_applier(),
            Self::Changing => unreachable!("a change of role is over at once"),
        }
    }

    /// Whether requests may be taken.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::Leading(pipeline) => pipeline.has_room(),
            _ => true,
        }
    }
}

/// What clients and operators call it.
pub(crate) fn mode(state: PeerState) -> Mode {
    match state {
        PeerState::Looking => Mode::Looking,
        PeerState::Leading { .. } => Mode::Leader,
        PeerState::Following { .. } => Mode::Follower,
        PeerState::Observing { .. } => Mode::Observer,
    }
}
