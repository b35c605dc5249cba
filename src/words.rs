//! The four-letter words, gathered from every shard and answered.
//!
//! ZooKeeper: `org.apache.zookeeper.server.command`. The shapes are `net::words`'. On the control thread: a shard that
//! is busy delays the word, never the other way round.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use engine::session::ExpiryRow;
use jute::SessionId;
use net::admission::Admission;
use net::driver::{Order as ShardOrder, WordAsked};
use net::figures::PipelineFigures;
use net::ring::Letters;
use net::shard::{ShardGauges, ShardReport, WatchRows};
use net::words::{self, Dump, DumpSessions, Gauges, ServerRow, Serving, Word};

use crate::clock;
use crate::config::{ConfFigures, Config};
use crate::pipeline::{Applier, Mode};
use crate::pipeline_shard::Order;
use crate::report::{PipelineReport, SessionRows};
use crate::surroundings::{
    Surroundings, bytes_below, max_file_descriptor_count, open_file_descriptor_count,
};

/// The ZooKeeper release that clients take this server for, and this one's own version behind it.
pub(crate) const VERSION: &str =
    concat!("3.9.5-ringkeeper-", env!("CARGO_PKG_VERSION"), ", built on 2026-11-21 00:00 UTC");

/// How long a shard may take to report.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it takes to answer.
pub(crate) struct Words {
    pub(crate) config: Config,
    /// The port that clients connect to.
    pub(crate) client_port: u16,
    pub(crate) shards: Vec<Letters<ShardOrder>>,
    pub(crate) pipeline: Letters<Order>,
    pub(crate) admission: Arc<Admission>,
    /// Directories with what lies in them: images, then log.
    pub(crate) dirs: [PathBuf; 2],
    /// What `stmk` has set.
    pub(crate) trace_mask: i64,
}

impl Words {
    /// Answers one word.
    pub(crate) fn answer(&mut self, asked: WordAsked) {
        let text = self.text(asked).into_bytes();
        // The shard ends with the process.
        drop(self.shards[asked.shard].send(ShardOrder::Answer { conn: asked.conn, text }));
    }

    fn text(&mut self, asked: WordAsked) -> String {
        if words::needs_serving(asked.word) && !self.serves(self.mode()) {
            return words::NOT_SERVING.to_owned();
        }
        match asked.word {
            Word::Ruok => words::RUOK.to_owned(),
            Word::Isro => words::isro(match self.mode() {
                Mode::ReadOnly => Serving::ReadOnly,
                mode if self.serves(mode) => Serving::ReadWrite,
                _ => Serving::Not,
            })
            .to_owned(),
            Word::Gtmk => words::gtmk(self.trace_mask),
            Word::Stmk => {
                self.trace_mask = words::trace_mask(asked.argument);
                words::gtmk(self.trace_mask)
            }
            Word::Conf => self.conf(),
            Word::Envi => words::envi(&Surroundings::look().environment(VERSION)),
            Word::Dirs => {
                let [images, log] = self.dirs.each_ref().map(|it| bytes_below(it));
                words::dirs(images, log)
            }
            Word::Srvr | Word::Stat => self.server(asked.word),
            Word::Cons => {
                let reports = self.reports();
                words::cons(reports.iter().flat_map(|it| &it.rows))
            }
            Word::Mntr => self.mntr(),
            Word::Dump => self.dump(),
            Word::Wchs => self.wchs(),
            Word::Wchc => words::wchc(self.watch_rows().iter().flat_map(|it| &it.by_session)),
            Word::Wchp => words::wchp(&by_path(self.watch_rows())),
            Word::Hash => words::hash(&self.pipeline(|it| PipelineReport::of(it)).digests),
            Word::Srst => {
                self.tell(|| ShardOrder::ResetFigures);
                self.pipeline(|it| *it.figures_mut() = PipelineFigures::default());
                words::SRST.to_owned()
            }
            Word::Crst => {
                self.tell(|| ShardOrder::ResetConnections);
                words::CRST.to_owned()
            }
        }
    }

    /// Whether a server of this mode serves clients.
    fn serves(&self, mode: Mode) -> bool {
        match mode {
            Mode::Looking => false,
            Mode::Leader => self.config.ensemble.as_ref().is_none_or(|it| it.leader_serves),
            Mode::Standalone | Mode::Follower | Mode::Observer | Mode::ReadOnly => true,
        }
    }

    fn mode(&self) -> Mode {
        self.pipeline(|it| it.mode())
    }

    fn conf(&self) -> String {
        let [images, log] = &self.dirs;
        self.config.conf(ConfFigures {
            client_port: self.client_port,
            data_dir: images,
            data_dir_size: bytes_below(images),
            data_log_dir: log,
            data_log_size: bytes_below(log),
            membership: self.pipeline(|it| it.member().map(|it| it.membership.clone())),
        })
    }

    fn server(&self, word: Word) -> String {
        let reports = self.reports();
        let pipeline = self.pipeline(|it| PipelineReport::of(it));
        let all = merged(&reports);
        let leader = pipeline.member.as_ref().and_then(|it| it.leader.as_ref());
        let row = ServerRow {
            version: VERSION,
            latency: &all.figures.latency,
            received: all.figures.packets_received,
            sent: all.figures.packets_sent,
            connections: all.gauges.connections as u64,
            outstanding: all.gauges.outstanding as u64,
            zxid: pipeline.zxid,
            mode: pipeline.mode.name(),
            znode_count: pipeline.znodes,
            proposal_size: leader.map(|it| &it.proposal_size),
        };
        match word {
            Word::Stat => words::stat(&row, reports.iter().flat_map(|it| &it.rows)),
            _ => words::srvr(&row),
        }
    }

    fn mntr(&self) -> String {
        let all = merged(&self.reports());
        let pipeline = self.pipeline(|it| PipelineReport::of(it));
        let gauges = Gauges {
            version: VERSION,
            server_state: pipeline.mode.name(),
            ephemerals_count: pipeline.ephemerals,
            num_alive_connections: all.gauges.connections as u64,
            outstanding_requests: all.gauges.outstanding as u64,
            znode_count: pipeline.znodes,
            global_sessions: pipeline.sessions,
            local_sessions: pipeline.local_sessions,
            connection_drop_probability: self.admission.drop_chance(),
            watch_count: all.gauges.watches as u64,
            max_file_descriptor_count: max_file_descriptor_count(),
            open_file_descriptor_count: open_file_descriptor_count(),
            approximate_data_size: pipeline.data_bytes,
            uptime_ms: pipeline.member.as_ref().map_or_else(clock::now_ms, |it| it.uptime_ms),
            quotas: &pipeline.quotas,
            member: pipeline.member.as_ref(),
        };
        words::mntr(&gauges, &all.figures, &pipeline.figures)
    }

    fn dump(&self) -> String {
        let rows = self.pipeline(|it| SessionRows::of(it));
        let offset_ms = wall_offset_ms();
        let sessions = wall_rows(rows.expiry, offset_ms);
        let mut connections: Vec<_> =
            self.reports().into_iter().flat_map(|it| it.closing).collect();
        connections.sort_by_key(|row| row.0);
        let sessions = match rows.mode {
            Mode::Follower | Mode::Observer | Mode::ReadOnly => DumpSessions::Global(&rows.global),
            Mode::Standalone | Mode::Leader | Mode::Looking => DumpSessions::Expiring(&sessions),
        };
        let local = rows.local.map(|rows| wall_rows(rows, offset_ms));
        let (local, ephemerals) = (local.as_deref(), &rows.ephemerals[..]);
        words::dump(&Dump { local, sessions, ephemerals, connections: &connections })
    }

    fn wchs(&self) -> String {
        let (mut connections, mut paths, mut watches) = (0, 0, 0);
        let reports = self.reports();
        for report in &reports {
            let summary = report.gauges.watch_summary;
            connections += summary.watchers as u64;
            paths += summary.paths as u64;
            watches += summary.watches as u64;
        }
        if 1 < reports.len() {
            paths = once_each(self.ask(|to| ShardOrder::WatchedPaths { to })) as u64;
        }
        words::wchs(connections, paths, watches)
    }

    fn watch_rows(&self) -> Vec<WatchRows> {
        self.ask(|to| ShardOrder::WatchRows { to })
    }

    fn reports(&self) -> Vec<ShardReport> {
        let wall_offset_ms = wall_offset_ms();
        self.ask(|to| ShardOrder::Report { wall_offset_ms, to })
    }

    /// Asks every shard; one that does not answer in time is left out.
    fn ask<T>(&self, order: impl Fn(std::sync::mpsc::Sender<T>) -> ShardOrder) -> Vec<T> {
        let ask = |shard: &Letters<ShardOrder>| {
            let (to, answer): (_, Receiver<T>) = channel();
            drop(shard.send(order(to)));
            answer
        };
        let answers: Vec<_> = self.shards.iter().map(ask).collect();
        answers.into_iter().filter_map(|answer| answer.recv_timeout(PATIENCE).ok()).collect()
    }

    fn tell(&self, order: impl Fn() -> ShardOrder) {
        for shard in &self.shards {
            drop(shard.send(order()));
        }
    }

    /// Asks the pipeline; nothing but defaults if it does not answer in time.
    fn pipeline<T: Default + Send + 'static>(&self, look: fn(&mut Applier) -> T) -> T {
        let (to, answer) = channel();
        let look = Box::new(move |applier: &mut Applier| drop(to.send(look(applier))));
        drop(self.pipeline.send(Order::Look(look)));
        answer.recv_timeout(PATIENCE).unwrap_or_default()
    }
}

/// Sessions by the moment they expire at, milliseconds since 1970.
fn wall_rows(rows: Vec<ExpiryRow>, offset_ms: i64) -> Vec<(i64, Vec<SessionId>)> {
    rows.into_iter().map(|row| (row.expires_at as i64 + offset_ms, row.sessions)).collect()
}

fn merged(reports: &[ShardReport]) -> ShardReport {
    let mut all = ShardReport::default();
    for ShardReport { figures, gauges, .. } in reports {
        all.figures.merge(figures);
        all.gauges = ShardGauges {
            connections: all.gauges.connections + gauges.connections,
            outstanding: all.gauges.outstanding + gauges.outstanding,
            watches: all.gauges.watches + gauges.watches,
            ..all.gauges
        };
    }
    all
}

/// How many paths there are: one that is watched on several shards is one.
fn once_each(of_shards: Vec<Vec<Vec<u8>>>) -> usize {
    let mut paths: Vec<_> = of_shards.into_iter().flatten().collect();
    paths.sort_unstable();
    paths.dedup();
    paths.len()
}

/// One row for each path, whichever shards its watchers are on.
fn by_path(rows: Vec<WatchRows>) -> Vec<(Vec<u8>, Vec<SessionId>)> {
    let mut paths = BTreeMap::<_, Vec<_>>::new();
    for (path, sessions) in rows.into_iter().flat_map(|it| it.by_path) {
        paths.entry(path).or_default().extend(sessions);
    }
    paths.into_iter().collect()
}

fn wall_offset_ms() -> i64 {
    clock::wall_ms() - clock::now_ms() as i64
}

#[cfg(test)]
mod tests {
    use super::once_each;

    #[test]
    fn a_path_that_is_watched_on_several_shards_counts_once() {
        let path = |path: &str| path.as_bytes().to_vec();
        let shards = [vec![path("/b"), path("/a")], vec![], vec![path("/a"), path("/a/b")]];
        assert_eq!(once_each(shards.to_vec()), 3);
        assert_eq!(once_each(Vec::new()), 0);
    }
}
