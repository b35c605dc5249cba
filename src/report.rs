//! What the pipeline has to say for the four-letter words. Asked by the control thread, between two batches.

use engine::session::ExpiryRow;
use engine::tree::TreeView;
use jute::{SessionId, Zxid};
use net::figures::PipelineFigures;

use crate::pipeline::Pipeline;

/// Cheap figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct PipelineReport {
    pub(crate) figures: PipelineFigures,
    pub(crate) zxid: Zxid,
    pub(crate) znodes: u64,
    pub(crate) ephemerals: u64,
    pub(crate) sessions: u64,
    pub(crate) data_bytes: u64,
    /// Some of the tree's digests, with their zxids.
    pub(crate) digests: Vec<(Zxid, u64)>,
}

impl PipelineReport {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let tree = pipeline.state().tree();
        let counters = tree.look(TreeView::counters);
        Self {
            figures: pipeline.figures().clone(),
            zxid: tree.zxid(),
            znodes: counters.znodes,
            ephemerals: counters.ephemerals,
            sessions: pipeline.sessions().len() as u64,
            data_bytes: counters.data_bytes,
            digests: pipeline.digests().collect(),
        }
    }
}

/// The rows of `dump`. Cost as much as there are sessions and ephemerals.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionRows {
    /// When which sessions expire, monotonic milliseconds.
    pub(crate) expiry: Vec<ExpiryRow>,
    /// The ephemerals of each session that has some.
    pub(crate) ephemerals: Vec<(SessionId, Vec<Vec<u8>>)>,
}

impl SessionRows {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let tree = pipeline.state().tree();
        let mut ephemerals = Vec::new();
        for at in 0..tree.look(TreeView::session_count) {
            let session = tree.look(|view| view.session_at(at));
            if session.ephemeral_count == 0 {
                continue;
            }
            let path = |at| {
                let mut path = Vec::new();
                let znode = tree.look(|view| view.ephemeral(session, at));
                tree.look(|view| view.path(znode, &mut path));
                path
            };
            ephemerals.push((session.id, (0..session.ephemeral_count).map(path).collect()));
        }
        Self { expiry: pipeline.sessions().expiry_rows(), ephemerals }
    }
}
