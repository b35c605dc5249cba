//! Random requests: every op, with arguments that are mostly sensible and sometimes not.

use crate::wire::Body;

/// A xorshift generator: the same seed makes the same requests.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % limit as u64).expect("below a usize")
    }

    pub(super) fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The header's xid; none for the next number.
    pub(super) xid: Option<i32>,
    pub(super) op: i32,
    pub(super) body: Body,
    /// Whether the server may close the connection behind it, so that nothing is to follow.
    pub(super) last: bool,
    /// The znodes whose ACLs it changes, or by whose ACLs it is judged while the batch is under way.
    pub(super) guarded: Vec<String>,
    /// For people.
    pub(super) text: String,
}

const CREATES: [i32; 4] = [1, 15, 19, 21];
const ODD_PATHS: [&str; 18] = [
    "",
    "a",
    "/a/",
    "//",
    "/a//b",
    "/.",
    "/a/../b",
    "/a\0",
    "/\u{1}",
    "/é",
    "/\u{f8ff}",
    "/a b",
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/config",
    "/zookeeper/quota/a",
    "/zookeeper/x",
    "/",
];

/// Where the quotas of `/a` and `/b/c` are kept. What is in them is text that says one, or the reference stops.
const QUOTA_PATHS: [&str; 7] = [
    "/zookeeper/quota/a",
    "/zookeeper/quota/b",
    "/zookeeper/quota/b/c",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "/zookeeper/quota/b/c/zookeeper_limits",
    "/zookeeper/quota/b/c/zookeeper_stats",
];

const QUOTAS: [&str; 4] = [
    "count=0,bytes=0",
    "count=3,bytes=20",
    "count=-1,bytes=-1=;byteHardLimit=40;countHardLimit=3",
    "bytes=5,count=7",
];

/// Whether what is there counts as a quota or its usage.
fn is_quota(path: &str) -> bool {
    path.ends_with("/zookeeper_limits") || path.ends_with("/zookeeper_stats")
}

fn path(random: &mut Random) -> String {
    if random.one_in(25) {
        return (*random.pick(&ODD_PATHS)).to_owned();
    }
    if random.one_in(15) {
        return (*random.pick(&QUOTA_PATHS)).to_owned();
    }
    let mut path = String::new();
    for _ in 0..=random.below(3) {
        path.push('/');
        path.push(*random.pick(&['a', 'b', 'c', 'd']));
    }
    if random.one_in(12) {
        // What sequential creates may have left.
        path.push_str(&format!("{:010}", random.below(12)));
    }
    path
}

fn data(random: &mut Random, path: &str) -> Option<Vec<u8>> {
    if is_quota(path) {
        return Some(random.pick(&QUOTAS).as_bytes().to_vec());
    }
    match random.below(8) {
        0 => None,
        1 => Some(Vec::new()),
        len => Some(vec![b'a' + u8::try_from(len).expect("small"); len * 3]),
    }
}

trait Jute {
    fn null_or(self, bytes: Option<&[u8]>) -> Self;
    fn path(self, path: &str) -> Self;
    fn flag(self, flag: u8) -> Self;
}

impl Jute for Body {
    fn null_or(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            None => self.int(-1),
            Some(bytes) => self.buffer(bytes),
        }
    }

    fn path(self, path: &str) -> Self {
        self.buffer(path.as_bytes())
    }

    fn flag(self, flag: u8) -> Self {
        self.byte(flag)
    }
}

/// Digest ids of `u:a` and `v:b`, as the reference computes them.
const IDS: [(&str, &str); 9] = [
    ("world", "anyone"),
    ("auth", ""),
    ("ip", "127.0.0.1"),
    ("ip", "10.0.0.0/8"),
    ("digest", "u:Uyk6k1iQYwGDMPUyl6XwZHpFUyw="),
    ("digest", "v:1lUZdYWDQ0vq/t1UXa8rkPKGfy0="),
    ("digest", "broken"),
    ("world", "nobody"),
    ("nosuch", "x"),
];

fn acl(random: &mut Random, body: Body) -> Body {
    if random.below(4) != 0 {
        return body.open_acl();
    }
    if random.one_in(12) {
        return body.int(-1);
    }
    let count = random.below(4);
    let mut body = body.int(i32::try_from(count).expect("small"));
    for _ in 0..count {
        let (scheme, id) = random.pick(&IDS);
        let perms = *random.pick(&[31, 31, 1, 3, 15, 16, 0, 17, 64]);
        body = body.int(perms).buffer(scheme.as_bytes()).buffer(id.as_bytes());
    }
    body
}

fn version(random: &mut Random) -> i32 {
    *random.pick(&[-1, -1, -1, -1, 0, 1, 2, 3, -2, i32::MAX])
}

fn create(random: &mut Random, op: i32, path: &str) -> (Body, String) {
    let usual = match op {
        19 => 4,
        21 => 5 + i32::from(random.one_in(2)),
        _ => *random.pick(&[0, 0, 0, 1, 2, 3]),
    };
    let flags = if random.one_in(20) { *random.pick(&[-1, 0, 1, 4, 5, 6, 7]) } else { usual };
    // An ephemeral quota ends at some place among its session's ephemerals, in the reference at any; docs/wire.md.
    let flags = if is_quota(path) { flags & !1 } else { flags };
    let data = data(random, path);
    let mut body = acl(random, Body::default().path(path).null_or(data.as_deref())).int(flags);
    let mut text = format!("create[{op}] {path} flags {flags}");
    if op == 21 {
        let mut ttl =
            *random.pick(&[100_000_000, 100_000_000, 100_000_000, 0, -1, 1 << 40, (1 << 40) - 1]);
        if (0..5).contains(&flags) {
            // Without a TTL the reference makes of it what no server can apply; docs/wire.md.
            ttl = ttl.max(0);
        }
        body = body.long(ttl);
        text.push_str(&format!(" ttl {ttl}"));
    }
    (body, text)
}

/// A write that can stand alone or in a multi; and where.
fn write(random: &mut Random) -> (i32, Body, String, String) {
    let at = path(random);
    let (op, body, text) = match random.below(10) {
        0..=3 => {
            let op = if random.one_in(3) { *random.pick(&CREATES) } else { 1 };
            let (body, text) = create(random, op, &at);
            (op, body, text)
        }
        4 | 5 => {
            let version = version(random);
            (2, Body::default().path(&at).int(version), format!("delete {at} {version}"))
        }
        _ => {
            let (data, version) = (data(random, &at), version(random));
            let body = Body::default().path(&at).null_or(data.as_deref()).int(version);
            (5, body, format!("setData {at} {version}"))
        }
    };
    (op, body, text, at)
}

/// The znode and its parent: a write is judged by the ACL of one of them.
fn guards(at: &str) -> Vec<String> {
    let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
    vec![at.to_owned(), if parent.is_empty() { "/".to_owned() } else { parent.to_owned() }]
}

fn multi(random: &mut Random) -> Request {
    let mut body = Body::default();
    let mut text = "multi".to_owned();
    let mut guarded = Vec::new();
    for _ in 0..random.below(5) {
        let (op, part, what, at) = if random.one_in(5) {
            let (at, version) = (path(random), version(random));
            (13, Body::default().path(&at).int(version), format!("check {at} {version}"), at)
        } else if random.one_in(150) {
            let at = path(random);
            (4, Body::default().path(&at).flag(0), format!("getData {at}"), at)
        } else {
            write(random)
        };
        guarded.extend(guards(&at));
        body = body.part(op);
        body.0.extend(part.0);
        text.push_str(&format!(" | {what}"));
    }
    Request { guarded, ..plain(14, body.end(), text) }
}

fn multi_read(random: &mut Random) -> (Body, String) {
    let mut body = Body::default();
    let mut text = "multiRead".to_owned();
    for _ in 0..random.below(5) {
        let (op, at) = (*random.pick(&[4, 8]), path(random));
        body = body.part(op).path(&at).flag(u8::from(random.one_in(2)));
        text.push_str(&format!(" | {op} {at}"));
    }
    (body.end(), text)
}

fn paths(random: &mut Random, body: Body) -> Body {
    let count = random.below(3);
    let mut body = body.int(i32::try_from(count).expect("small"));
    for _ in 0..count {
        body = body.path(&path(random));
    }
    body
}

fn plain(op: i32, body: Body, text: String) -> Request {
    Request { xid: None, op, body, last: false, guarded: Vec::new(), text }
}

/// A read, or something about watches.
fn read(random: &mut Random) -> Request {
    let at = path(random);
    let watch = u8::from(random.one_in(3));
    let watched = Body::default().path(&at).flag(watch);
    match random.below(16) {
        0 | 1 => plain(3, watched, format!("exists {at} {watch}")),
        2..=4 => plain(4, watched, format!("getData {at} {watch}")),
        5 => plain(6, Body::default().path(&at), format!("getACL {at}")),
        6 => plain(8, watched, format!("getChildren {at} {watch}")),
        7 => plain(12, watched, format!("getChildren2 {at} {watch}")),
        8 => plain(9, Body::default().path(&at), format!("sync {at}")),
        9 => plain(103, Body::default().path(&at), format!("getEphemerals {at}")),
        10 => plain(104, Body::default().path(&at), format!("getAllChildrenNumber {at}")),
        11 => plain(107, Body::default(), "whoAmI".to_owned()),
        12 => {
            let mode = *random.pick(&[0, 0, 1, 1, 1, 2]);
            plain(106, Body::default().path(&at).int(mode), format!("addWatch {at} {mode}"))
        }
        13 => {
            let (op, kind) = (*random.pick(&[17, 18]), *random.pick(&[1, 2, 3, 4, 5, 3, 0, 6]));
            plain(op, Body::default().path(&at).int(kind), format!("watches[{op}] {at} {kind}"))
        }
        14 => {
            let (body, text) = multi_read(random);
            plain(22, body, text)
        }
        _ => {
            let (op, at) = (*random.pick(&[3, 4]), path(random));
            plain(op, Body::default().path(&at).flag(1), format!("watch[{op}] {at}"))
        }
    }
}

/// A client that has come back sets its watches again. `zxid` is about where the server is.
fn set_watches(random: &mut Random, zxid: i64) -> Request {
    let seen = zxid - i64::try_from(random.below(20)).expect("small");
    let (op, tables) = if random.one_in(2) { (101, 3) } else { (105, 5) };
    let mut body = Body::default().long(seen);
    for _ in 0..tables {
        body = paths(random, body);
    }
    Request { xid: Some(-8), ..plain(op, body, format!("setWatches[{op}] {seen}")) }
}

fn set_acl(random: &mut Random) -> Request {
    let (at, version) = (path(random), version(random));
    let body = acl(random, Body::default().path(&at)).int(version);
    let text = format!("setACL {at} {version}");
    Request { guarded: vec![at], ..plain(7, body, text) }
}

/// What ends a connection, or changes who it is; alone in its batch.
pub(super) fn rare(random: &mut Random) -> Request {
    let last = |op, body, text: &str| Request { last: true, ..plain(op, body, text.to_owned()) };
    match random.below(9) {
        0 => last(-11, Body::default(), "closeSession"),
        1 => last(13, Body::default().path("/a").int(-1), "a bare check"),
        2 => last(*random.pick(&[0, 10, 23, 99, 108, 1000, -2, -1]), Body::default(), "no such op"),
        3 => {
            let (scheme, proof) = random.pick(&[("digest", "u:a"), ("digest", "v:b"), ("ip", "x")]);
            let body = Body::default().int(0).buffer(scheme.as_bytes()).buffer(proof.as_bytes());
            Request { xid: Some(-4), ..plain(100, body, format!("auth {scheme} {proof}")) }
        }
        4 => {
            let body = Body::default().int(0).buffer(b"nosuch").buffer(b"x");
            Request { xid: Some(-4), last: true, ..plain(100, body, "auth nosuch".to_owned()) }
        }
        5 => {
            let body = Body::default().int(-1).int(-1).int(-1).long(-1);
            plain(16, body, "reconfig".to_owned())
        }
        6 => {
            let body = Body::default().buffer(b"server.1=x:1:2").int(-1).int(-1).long(3);
            plain(16, body, "reconfig".to_owned())
        }
        7 => {
            // Cut short: the body holds no such request.
            let op = *random
                .pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 19, 21, 22, 103, 104, 106]);
            plain(op, Body::default().int(100).byte(1), format!("a broken body of op {op}"))
        }
        _ => Request { xid: Some(-2), ..plain(11, Body::default(), "ping".to_owned()) },
    }
}

/// The next request of a batch whose setACLs were of the znodes `changed`. `zxid` is about where the server is.
///
/// None is judged by one of their ACLs: that would be the old one in the reference, the new one in ours; docs/wire.md.
pub(super) fn next(random: &mut Random, zxid: i64, changed: &mut Vec<String>) -> Request {
    let request = loop {
        let request = any(random, zxid);
        if !request.guarded.iter().any(|it| changed.contains(it)) {
            break request;
        }
    };
    if request.op == 7 {
        changed.extend_from_slice(&request.guarded);
    }
    request
}

fn any(random: &mut Random, zxid: i64) -> Request {
    match random.below(22) {
        0..=7 => {
            let (op, body, text, at) = write(random);
            Request { guarded: guards(&at), ..plain(op, body, text) }
        }
        8 | 9 => multi(random),
        10 => set_acl(random),
        11 => set_watches(random, zxid),
        _ => read(random),
    }
}
