//! What a shard counts, and its rows of the four-letter words.
//!
//! ZooKeeper: `ServerStats`, `NIOServerCnxn.dumpConnectionInfo`, `WatchManager.dumpWatches`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use engine::watch::WatchSummary;
use jute::{SessionId, Zxid};

use super::connection::{Connection, Counts, Stage};
use super::outbound::Outbound;
use super::settings::ShardSettings;
use super::{Shard, Tree};
use crate::figures::ShardFigures;
use crate::message::Forward;
use crate::words::{CnxnRow, CnxnSession};

/// What the connections of a shard hold between them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Requests at the pipeline that the throttle counts.
    pub(crate) outstanding: usize,
    /// Bytes of the requests at the pipeline.
    pub(crate) in_flight_bytes: usize,
    /// Bytes of the large ones among them, headers included.
    pub(crate) large_bytes: usize,
    pub(crate) events: u64,
    pub(crate) handed_over: u64,
    pub(crate) oversize: u64,
}

impl Load {
    /// Whether connections that wait for others may go on.
    pub(crate) fn have_room(&self, settings: &ShardSettings, outbound: &Outbound) -> bool {
        self.outstanding < settings.outstanding_max.min(settings.throttle.requests_max)
            && self.in_flight_bytes < settings.in_flight_bytes_max
            && outbound.buffered < settings.buffered_bytes_max
    }

    /// Whether another request is taken from the connection. One that holds nothing may always go on, so that pings and
    /// handshakes do.
    pub(crate) fn can_take(
        &self,
        settings: &ShardSettings,
        outbound: &Outbound,
        forward: &Forward,
        connection: &Connection,
    ) -> bool {
        if !matches!(connection.stage, Stage::Fresh | Stage::Connected) || connection.ending {
            return false;
        }
        if settings.unsent_len_high < connection.out.len()
            || self.holds_back(&settings.throttle, connection)
        {
            return false;
        }
        let factor = match connection.stage {
            Stage::Fresh => IN_FLIGHT_FACTOR / 2,
            _ => IN_FLIGHT_FACTOR,
        };
        self.in_flight_bytes < IN_FLIGHT_FACTOR * settings.in_flight_bytes_max
            && forward.memory_len() < factor * settings.in_flight_bytes_max
            && (!connection.holds() || self.have_room(settings, outbound))
            && connection.pending.len() < PENDING_MAX
    }
}

/// At so many times the bound on bytes at the pipeline nobody is read, whatever it holds; the same for what the pipeline
/// has not taken yet, where at half of it nobody new is heard: a client can shake hands and go as often as it likes.
const IN_FLIGHT_FACTOR: usize = 4;

/// Requests of one connection that wait for their answers; with so many it is not read.
pub(crate) const PENDING_MAX: usize = 4_096;

/// What a shard holds now, and what it has counted besides the figures of `mntr`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardGauges {
    /// Connections there are.
    pub connections: usize,
    /// Requests at the pipeline.
    pub outstanding: usize,
    /// Watches, in both tables.
    pub watches: usize,
    /// The figures of `wchs`.
    pub watch_summary: WatchSummary,
    /// Bytes of unfinished requests and unsent replies.
    pub buffered_bytes: usize,
    /// Events written since the start.
    pub events: u64,
    /// Reads that the pipeline had to answer because the writer was in the way, since the start.
    pub handed_over: u64,
    /// Requests over the length limit since the start.
    pub oversize: u64,
}

/// Rows of `wchc` and `wchp`: the data table, as in the reference.
#[derive(Clone, Debug, Default)]
pub struct WatchRows {
    /// Sessions with the paths that they watch.
    pub by_session: Vec<(SessionId, Vec<Vec<u8>>)>,
    /// Paths with the sessions that watch them.
    pub by_path: Vec<(Vec<u8>, Vec<SessionId>)>,
}

/// Everything a shard has to say.
#[derive(Clone, Debug, Default)]
pub struct ShardReport {
    /// What was counted since the reset.
    pub figures: ShardFigures,
    /// What there is now.
    pub gauges: ShardGauges,
    /// A row of `cons` and `stat` for each connection.
    pub rows: Vec<CnxnRow>,
    /// When which connections are closed unless heard of: milliseconds since 1970.
    pub closing: Vec<(i64, Vec<(SocketAddr, SessionId)>)>,
}

impl<T: Tree> Shard<T> {
    /// What was counted since the reset.
    pub fn figures(&self) -> &ShardFigures {
        &self.figures
    }

    /// What there is now.
    pub fn gauges(&self) -> ShardGauges {
        ShardGauges {
            connections: self.table.len(),
            outstanding: self.load.outstanding,
            watches: self.watches.count(),
            watch_summary: self.watches.summary(),
            buffered_bytes: self.outbound.buffered,
            events: self.load.events,
            handed_over: self.load.handed_over,
            oversize: self.load.oversize,
        }
    }

    /// Everything. Costs as much as there are connections. `wall_offset_ms` is what the wall clock, in milliseconds since
    /// 1970, is ahead of the monotonic one.
    pub fn report(&self, wall_offset_ms: i64) -> ShardReport {
        let rows = self.table.iter().map(|(_, it)| row(it, wall_offset_ms)).collect();
        let mut closing = BTreeMap::<i64, Vec<_>>::new();
        for (_, connection) in self.table.iter() {
            let at_ms = connection.due_ms as i64 + wall_offset_ms;
            closing.entry(at_ms).or_default().push((connection.peer, connection.session));
        }
        let closing = closing.into_iter().collect();
        ShardReport { figures: self.figures.clone(), gauges: self.gauges(), rows, closing }
    }

    /// Who watches what. Costs as much as there are watches.
    pub fn watch_rows(&self) -> WatchRows {
        let session = |slot: u32| {
            let connection = self.table.at(slot).and_then(|conn| self.table.get(conn));
            connection.map_or(SessionId::NONE, |connection| connection.session)
        };
        let own = |path: &[u8]| path.to_vec();
        let by_session = self
            .watches
            .by_watcher()
            .map(|(watcher, paths)| (session(watcher.0), paths.into_iter().map(own).collect()));
        let by_path = self.watches.by_path().map(|(path, watchers)| {
            (own(path), watchers.into_iter().map(|watcher| session(watcher.0)).collect())
        });
        WatchRows { by_session: by_session.collect(), by_path: by_path.collect() }
    }

    /// The paths that `wchs` counts, in any order. Costs as much as there are paths.
    pub fn watched_paths(&self) -> Vec<Vec<u8>> {
        self.watches.data_paths().map(<[u8]>::to_vec).collect()
    }

    /// Forgets what was counted for the server. Source: the word `srst`.
    pub fn reset_figures(&mut self) {
        self.figures = ShardFigures::default();
    }

    /// Forgets what was counted for each connection. Source: the word `crst`.
    pub fn reset_connections(&mut self) {
        self.table.for_each_mut(|connection| connection.counts = Counts::default());
    }
}

fn row(connection: &Connection, wall_offset_ms: i64) -> CnxnRow {
    let counts = &connection.counts;
    let reads = u32::from(!connection.paused);
    let writes = u32::from(!connection.out.is_empty());
    let session = CnxnSession {
        id: connection.session,
        last_op: counts.last_op,
        established_ms: connection.accepted_ms as i64 + wall_offset_ms,
        timeout_ms: connection.timeout_ms,
        last_cxid: counts.last_cxid.map_or(-1, |xid| i64::from(xid.0)),
        last_zxid: Zxid(counts.last_zxid),
        last_response_ms: counts.last_response_ms,
        last_latency_ms: counts.last_latency_ms,
        latency: counts.latency,
    };
    CnxnRow {
        remote: connection.peer,
        interest_ops: reads | writes << 2,
        queued: connection.pending.len() as u64,
        received: counts.received,
        sent: counts.sent,
        session: (connection.session != SessionId::NONE).then_some(session),
    }
}
