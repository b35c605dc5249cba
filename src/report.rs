//! What the pipeline has to say for the four-letter words. Asked by the control thread, between two batches.

use engine::quota::QuotaUse;
use engine::session::ExpiryRow;
use engine::tree::TreeView;
use jute::{SessionId, Zxid};
use net::figures::PipelineFigures;
use net::words::{MemberGauges, QuotaRow};

use crate::pipeline::{Applier, Mode};

/// Cheap figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct PipelineReport {
    /// What the server is.
    pub(crate) mode: Mode,
    pub(crate) figures: PipelineFigures,
    pub(crate) zxid: Zxid,
    pub(crate) znodes: u64,
    pub(crate) ephemerals: u64,
    /// Those of the tree.
    pub(crate) sessions: u64,
    /// Those that this server alone knows.
    pub(crate) local_sessions: u64,
    pub(crate) data_bytes: u64,
    /// Top-level znodes with a quota on them or below them.
    pub(crate) quotas: Vec<QuotaRow>,
    /// Some of the tree's digests, with their zxids.
    pub(crate) digests: Vec<(Zxid, u64)>,
    /// How the server stands in its ensemble, if it is one of one.
    pub(crate) member: Option<MemberGauges>,
}

impl PipelineReport {
    pub(crate) fn of(applier: &Applier) -> Self {
        let tree = applier.state().tree();
        let counters = tree.look(TreeView::counters);
        Self {
            mode: applier.mode(),
            figures: applier.figures().clone(),
            zxid: tree.zxid(),
            znodes: counters.znodes,
            ephemerals: counters.ephemerals,
            sessions: tree.look(TreeView::session_count) as u64,
            local_sessions: applier.local_count() as u64,
            data_bytes: counters.data_bytes,
            quotas: by_namespace(&applier.state().quotas().uses(tree)),
            digests: applier.digests().collect(),
            member: applier.member().filter(|_| applier.mode() != Mode::ReadOnly).cloned(),
        }
    }
}

/// Quotas summed by top-level znode. Source: `QuotaMetricsUtils`.
fn by_namespace(uses: &[QuotaUse]) -> Vec<QuotaRow> {
    let mut rows: Vec<QuotaRow> = Vec::new();
    for it in uses {
        let name = it.root.split(|&byte| byte == b'/').find(|name| !name.is_empty());
        let namespace = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
        let sum = QuotaRow {
            namespace,
            count_limit: it.count_limit,
            bytes_limit: it.bytes_limit,
            count_usage: it.count,
            bytes_usage: it.bytes,
        };
        // By path, so those of one top-level znode follow each other.
        match rows.last_mut().filter(|row| row.namespace == sum.namespace) {
            Some(row) => {
                row.count_limit = row.count_limit.saturating_add(sum.count_limit);
                row.bytes_limit = row.bytes_limit.saturating_add(sum.bytes_limit);
                row.count_usage = row.count_usage.saturating_add(sum.count_usage);
                row.bytes_usage = row.bytes_usage.saturating_add(sum.bytes_usage);
            }
            None => rows.push(sum),
        }
    }
    rows
}

/// The rows of `dump`. Cost as much as there are sessions and ephemerals.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionRows {
    /// What the server is.
    pub(crate) mode: Mode,
    /// When which sessions expire, monotonic milliseconds. At a learner, which expires none, this says nothing.
    pub(crate) expiry: Vec<ExpiryRow>,
    /// When which local sessions expire, likewise; `None` if there are to be none.
    pub(crate) local: Option<Vec<ExpiryRow>>,
    /// Every session of the tree with its timeout, milliseconds.
    pub(crate) global: Vec<(SessionId, i32)>,
    /// The ephemerals of each session that has some.
    pub(crate) ephemerals: Vec<(SessionId, Vec<Vec<u8>>)>,
}

impl SessionRows {
    pub(crate) fn of(applier: &Applier) -> Self {
        let tree = applier.state().tree();
        let (mut ephemerals, mut global) = (Vec::new(), Vec::new());
        for at in 0..tree.look(TreeView::session_count) {
            let session = tree.look(|view| view.session_at(at));
            global.push((session.id, session.timeout_ms as i32));
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
        let expiry = applier.sessions().expiry_rows();
        let local = applier.local_rows();
        Self { mode: applier.mode(), expiry, local, global, ephemerals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_below_one_top_level_znode_are_summed() {
        let quota = |root: &str, count_limit, count| QuotaUse {
            root: root.into(),
            count_limit,
            bytes_limit: -1,
            count,
            bytes: 10,
        };
        let rows = by_namespace(&[quota("/a", 5, 2), quota("/a/b", 7, 1), quota("/ab", -1, 4)]);
        let shown: Vec<_> = rows
            .iter()
            .map(|it| (it.namespace.as_str(), it.count_limit, it.count_usage, it.bytes_usage))
            .collect();
        assert_eq!(shown, [("a", 12, 3, 20), ("ab", -1, 4, 10)]);
        assert_eq!(by_namespace(&[]), []);
    }
}
