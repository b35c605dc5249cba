//! The answers that list servers, connections, sessions, watches and surroundings.
//!
//! Source: `StatCommand`, `ServerCnxn.dumpConnectionInfo`, `DumpCommand`, `WatchManager`, `EnvCommand`, `DirsCommand`,
//! `DigestCommand`. Rows come in the order that they are shown in; the reference has none.

use core::net::SocketAddr;
use std::borrow::Cow;

use jute::{Op, SessionId, Zxid};

use super::java::{Address, Date, Double, push};
use crate::figures::{Sizes, Summary};

/// What `srvr` and `stat` show of the server.
#[derive(Clone, Copy, Debug)]
pub struct ServerRow<'a> {
    /// ZooKeeper release, build and date: `3.9.5-…, built on …`. Clients parse its beginning.
    pub version: &'a str,
    /// Of requests, in milliseconds.
    pub latency: &'a Summary,
    /// Frames received.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Client connections.
    pub connections: u64,
    /// Requests in flight.
    pub outstanding: u64,
    /// The last transaction applied.
    pub zxid: Zxid,
    /// `standalone`, `leader`, `follower`, `observer` or `read-only`.
    pub mode: &'a str,
    /// As the reference counts: the root twice.
    pub znode_count: u64,
    /// Of a leader: bytes of transactions proposed.
    pub proposal_size: Option<&'a Sizes>,
}

/// What `stat`, `cons` and `dump` show of a connection.
#[derive(Clone, Copy, Debug)]
pub struct CnxnRow {
    /// The client's side.
    pub remote: SocketAddr,
    /// What the server waits for at the socket: 1 to read, 4 to write.
    pub interest_ops: u32,
    /// Requests in flight.
    pub queued: u64,
    /// Frames received.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Its session, once it has one.
    pub session: Option<CnxnSession>,
}

/// What `cons` shows of a connection that has a session.
#[derive(Clone, Copy, Debug)]
pub struct CnxnSession {
    /// The session.
    pub id: SessionId,
    /// The last request answered; none before the first.
    pub last_op: Option<Op>,
    /// When the connection was made. Milliseconds since 1970.
    pub established_ms: i64,
    /// Session timeout. Milliseconds.
    pub timeout_ms: i32,
    /// The last request's number; shown from 0 up.
    pub last_cxid: i64,
    /// The zxid of the last reply.
    pub last_zxid: Zxid,
    /// When it was sent. Milliseconds of the monotonic clock.
    pub last_response_ms: u64,
    /// How long the last request took. Milliseconds.
    pub last_latency_ms: u64,
    /// How long requests took. Milliseconds.
    pub latency: Summary,
}

/// The sessions that `dump` shows.
#[derive(Clone, Copy, Debug)]
pub enum DumpSessions<'a> {
    /// By the moment they expire at, unless heard of: milliseconds since 1970.
    Expiring(&'a [(i64, Vec<SessionId>)]),
    /// With their timeouts, milliseconds: at a learner, which expires none.
    Global(&'a [(SessionId, i32)]),
}

impl Default for DumpSessions<'_> {
    fn default() -> Self {
        Self::Expiring(&[])
    }
}

/// What `dump` shows.
#[derive(Clone, Debug, Default)]
pub struct Dump<'a> {
    /// Where there may be local sessions: these, by the moment they expire at, milliseconds since 1970.
    pub local: Option<&'a [(i64, Vec<SessionId>)]>,
    /// The sessions, all but the local ones.
    pub sessions: DumpSessions<'a>,
    /// Ephemeral znodes by session.
    pub ephemerals: &'a [(SessionId, Vec<Vec<u8>>)],
    /// Connections by the moment they are closed at, unless heard of: milliseconds since 1970. No session is 0.
    pub connections: &'a [(i64, Vec<(SocketAddr, SessionId)>)],
}

/// What `envi` shows, line by line. What only a Java process has is `<NA>`.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// As in [`ServerRow`].
    pub version: &'a str,
    /// This machine's name.
    pub host_name: &'a str,
    /// `amd64` or `aarch64`.
    pub os_arch: &'a str,
    /// The kernel's release.
    pub os_version: &'a str,
    /// Whom the process runs as.
    pub user_name: &'a str,
    /// That user's home.
    pub user_home: &'a str,
    /// Working directory.
    pub user_dir: &'a str,
    /// Memory of the machine that is free, may be used, is used. MiB.
    pub memory_mib: [u64; 3],
}

/// Answer to `srvr`.
pub fn srvr(server: &ServerRow<'_>) -> String {
    let mut out = version_line(server);
    push_stats(&mut out, server);
    out
}

/// Answer to `stat`: `srvr` with every connection.
pub fn stat<'a>(
    server: &ServerRow<'_>,
    connections: impl IntoIterator<Item = &'a CnxnRow>,
) -> String {
    let mut out = version_line(server);
    out.push_str("Clients:\n");
    for row in connections {
        push_cnxn(&mut out, row);
        out.push_str(")\n");
    }
    out.push('\n');
    push_stats(&mut out, server);
    out
}

/// Answer to `cons`.
pub fn cons<'a>(connections: impl IntoIterator<Item = &'a CnxnRow>) -> String {
    let mut out = String::new();
    for row in connections {
        push_cnxn(&mut out, row);
        if let Some(session) = &row.session {
            push_cnxn_session(&mut out, session);
        }
        out.push_str(")\n");
    }
    out.push('\n');
    out
}

fn version_line(server: &ServerRow<'_>) -> String {
    let note = if server.mode == "read-only" { READ_ONLY } else { "" };
    format!("Zookeeper version: {}\n{note}", server.version)
}

/// What `srvr` and `stat` say of a server without a leader.
const READ_ONLY: &str = "READ-ONLY mode; serving only read-only clients\n";

fn push_stats(out: &mut String, it: &ServerRow<'_>) {
    let (min, avg, max) = (it.latency.min(), Double(it.latency.avg()), it.latency.max);
    push(out, format_args!("Latency min/avg/max: {min}/{avg}/{max}\n"));
    push(out, format_args!("Received: {}\nSent: {}\n", it.received, it.sent));
    push(out, format_args!("Connections: {}\nOutstanding: {}\n", it.connections, it.outstanding));
    push(out, format_args!("Zxid: {:#x}\nMode: {}\n", it.zxid.0, it.mode));
    push(out, format_args!("Node count: {}\n", it.znode_count));
    if let Some((last, min, max)) = it.proposal_size.map(Sizes::last_min_max) {
        push(out, format_args!("Proposal sizes last/min/max: {last}/{min}/{max}\n"));
    }
}

fn push_cnxn(out: &mut String, it: &CnxnRow) {
    let (remote, ops) = (Address(it.remote), it.interest_ops);
    let (queued, received, sent) = (it.queued, it.received, it.sent);
    push(out, format_args!(" {remote}[{ops:x}](queued={queued},recved={received},sent={sent}"));
}

fn push_cnxn_session(out: &mut String, it: &CnxnSession) {
    let op = last_operation(it.last_op);
    push(out, format_args!(",sid={:#x},lop={op}", it.id.0));
    push(out, format_args!(",est={},to={}", it.established_ms, it.timeout_ms));
    if 0 <= it.last_cxid {
        push(out, format_args!(",lcxid={:#x}", it.last_cxid));
    }
    push(out, format_args!(",lzxid={:#x},lresp={}", it.last_zxid.0, it.last_response_ms));
    let avg = it.latency.sum.checked_div(it.latency.count).unwrap_or(0);
    let (last, min, max) = (it.last_latency_ms, it.latency.min(), it.latency.max);
    push(out, format_args!(",llat={last},minlat={min},avglat={avg},maxlat={max}"));
}

/// How `cons` abbreviates an op. Source: `FinalRequestProcessor`; what it never answers is `NA`.
const fn last_operation(op: Option<Op>) -> &'static str {
    let Some(op) = op else { return "NA" };
    match op {
        Op::Ping => "PING",
        Op::CreateSession => "SESS",
        Op::Multi => "MULT",
        Op::MultiRead => "MLTR",
        Op::Create | Op::Create2 | Op::CreateTtl | Op::CreateContainer => "CREA",
        Op::Delete | Op::DeleteContainer => "DELE",
        Op::SetData => "SETD",
        Op::Reconfig => "RECO",
        Op::SetAcl => "SETA",
        Op::CloseSession => "CLOS",
        Op::Sync => "SYNC",
        Op::Check => "CHEC",
        Op::Exists => "EXIS",
        Op::GetData => "GETD",
        Op::SetWatches => "SETW",
        Op::SetWatches2 => "STW2",
        Op::AddWatch => "ADDW",
        Op::GetAcl => "GETA",
        Op::GetChildren | Op::GetChildren2 => "GETC",
        Op::GetAllChildrenNumber => "GETACN",
        Op::CheckWatches => "CHKW",
        Op::RemoveWatches => "REMW",
        Op::WhoAmI => "HOMI",
        Op::GetEphemerals => "GETE",
        Op::Notification | Op::Auth | Op::Sasl | Op::Error => "NA",
    }
}

/// Answer to `dump`.
pub fn dump(it: &Dump<'_>) -> String {
    let mut out = String::from("SessionTracker dump:\n");
    if let Some(local) = it.local {
        out.push_str("Local ");
        push_sessions(&mut out, DumpSessions::Expiring(local));
        if let DumpSessions::Expiring(_) = it.sessions {
            out.push_str("Global ");
        }
    }
    push_sessions(&mut out, it.sessions);
    out.push_str("ephemeral nodes dump:\n");
    push(&mut out, format_args!("Sessions with Ephemerals ({}):\n", it.ephemerals.len()));
    for (id, paths) in it.ephemerals {
        push(&mut out, format_args!("{:#x}:\n", id.0));
        for path in paths {
            push(&mut out, format_args!("\t{}\n", shown(path)));
        }
    }
    out.push_str("Connections dump:\n");
    let count: usize = it.connections.iter().map(|(_, rows)| rows.len()).sum();
    push(&mut out, format_args!("Connections Sets ({})/({count}):\n", it.connections.len()));
    for (at, rows) in it.connections {
        push(&mut out, format_args!("{} expire at {}:\n", rows.len(), Date(*at)));
        for (remote, id) in rows {
            let remote = Address(*remote);
            push(&mut out, format_args!("\tip: {remote} sessionId: {:#x}\n", id.0));
        }
    }
    out
}

fn push_sessions(out: &mut String, sessions: DumpSessions<'_>) {
    match sessions {
        DumpSessions::Expiring(rows) => {
            let count: usize = rows.iter().map(|(_, ids)| ids.len()).sum();
            push(out, format_args!("Session Sets ({})/({count}):\n", rows.len()));
            for (at, ids) in rows {
                push(out, format_args!("{} expire at {}:\n", ids.len(), Date(*at)));
                for id in ids {
                    push(out, format_args!("\t{:#x}\n", id.0));
                }
            }
        }
        DumpSessions::Global(rows) => {
            push(out, format_args!("Global Sessions({}):\n", rows.len()));
            for (id, timeout_ms) in rows {
                push(out, format_args!("{:#x}\t{timeout_ms}ms\n", id.0));
            }
        }
    }
}

/// Answer to `wchs`.
pub fn wchs(connections: u64, paths: u64, watches: u64) -> String {
    format!("{connections} connections watching {paths} paths\nTotal watches:{watches}\n")
}

/// Answer to `wchc`: paths by session.
pub fn wchc<'a, P: AsRef<[u8]> + 'a>(
    rows: impl IntoIterator<Item = &'a (SessionId, Vec<P>)>,
) -> String {
    let mut out = String::new();
    for (id, paths) in rows {
        push(&mut out, format_args!("{:#x}\n", id.0));
        for path in paths {
            push(&mut out, format_args!("\t{}\n", shown(path)));
        }
    }
    out.push('\n');
    out
}

/// Answer to `wchp`: sessions by path.
pub fn wchp<'a, P: AsRef<[u8]> + 'a>(
    rows: impl IntoIterator<Item = &'a (P, Vec<SessionId>)>,
) -> String {
    let mut out = String::new();
    for (path, ids) in rows {
        push(&mut out, format_args!("{}\n", shown(path)));
        for id in ids {
            push(&mut out, format_args!("\t{:#x}\n", id.0));
        }
    }
    out.push('\n');
    out
}

/// A path is UTF-8; this does not depend on it.
fn shown(path: &impl AsRef<[u8]>) -> Cow<'_, str> {
    String::from_utf8_lossy(path.as_ref())
}

/// Answer to `dirs`: bytes of the snapshots and of the log.
pub fn dirs(datadir_size: u64, logdir_size: u64) -> String {
    format!("datadir_size: {datadir_size}\nlogdir_size: {logdir_size}\n")
}

/// Answer to `hash`: the digests kept, oldest first.
pub fn hash<'a>(digests: impl IntoIterator<Item = &'a (Zxid, u64)>) -> String {
    let mut out = String::new();
    for (zxid, digest) in digests {
        push(&mut out, format_args!("{:x}: {}\n", zxid.0, *digest as i64));
    }
    out
}

/// Answer to `envi`.
pub fn envi(it: &Environment<'_>) -> String {
    const ABSENT: &str = "<NA>";
    let mut out = String::from("Environment:\n");
    for (key, value) in [
        ("zookeeper.version", it.version),
        ("host.name", it.host_name),
        ("java.version", ABSENT),
        ("java.vendor", ABSENT),
        ("java.home", ABSENT),
        ("java.class.path", ABSENT),
        ("java.library.path", ABSENT),
        ("java.io.tmpdir", ABSENT),
        ("java.compiler", ABSENT),
        ("os.name", "Linux"),
        ("os.arch", it.os_arch),
        ("os.version", it.os_version),
        ("user.name", it.user_name),
        ("user.home", it.user_home),
        ("user.dir", it.user_dir),
    ] {
        push(&mut out, format_args!("{key}={value}\n"));
    }
    for (key, mib) in ["free", "max", "total"].iter().zip(it.memory_mib) {
        push(&mut out, format_args!("os.memory.{key}={mib}MB\n"));
    }
    out
}
