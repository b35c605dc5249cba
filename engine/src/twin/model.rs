//! The reference's semantics in the dullest form: maps, strings, everything counted anew.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use jute::{Code, EventType};

/// Perms, scheme, id.
pub(super) type Acl = Vec<(i32, String, String)>;
/// Kind, path.
pub(super) type Happened = (EventType, String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) data: Option<Vec<u8>>,
    pub(super) acl: Acl,
    pub(super) xids: [i64; 3],
    pub(super) times: [i64; 2],
    pub(super) versions: [i32; 3],
    pub(super) owner: i64,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Do {
    Create { op: i32, path: String, data: Option<Vec<u8>>, acl: Acl, flags: i32, ttl: i64 },
    Delete { path: String, version: i32 },
    Reap { path: String },
    Set { path: String, data: Option<Vec<u8>>, version: i32 },
    SetAcl { path: String, acl: Acl, version: i32 },
    Check { path: String, version: i32 },
    Multi(Vec<Self>),
    Open { timeout: i32 },
    Close,
    Reconfig,
}

/// Who asks, and when.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) session: i64,
    pub(super) now: i64,
    pub(super) auth: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) sessions: BTreeSet<i64>,
    pub(super) zxid: i64,
    pub(super) enforce: bool,
    pub(super) events: Vec<Happened>,
}

pub(super) const CONTAINER: i64 = i64::MIN;

pub(super) fn anyone(perms: i32) -> Acl {
    vec![(perms, "world".to_string(), "anyone".to_string())]
}

fn node(acl: Acl, aversion: i32) -> Node {
    let versions = [0, 0, aversion];
    Node { data: Some(vec![]), acl, xids: [0; 3], times: [0; 2], versions, owner: 0 }
}

pub(super) fn above(path: &str) -> String {
    let slash = path.rfind('/').expect("as the test has it");
    if slash == 0 { "/".to_string() } else { path[..slash].to_string() }
}

impl Model {
    pub(super) fn new() -> Self {
        let mut nodes = BTreeMap::new();
        for path in ["/", "/zookeeper", "/zookeeper/quota"] {
            nodes.insert(path.to_string(), node(anyone(31), 0));
        }
        nodes.insert("/zookeeper/config".to_string(), node(anyone(1), -1));
        let sessions = BTreeSet::new();
        Self { nodes, sessions, zxid: 0, enforce: false, events: vec![] }
    }

    pub(super) fn ask(&mut self, who: &Who, what: &Do) -> Result<Vec<u8>, Code> {
        self.zxid += 1;
        self.events.clear();
        match what {
            Do::Open { .. } => {
                self.sessions.insert(who.session);
                Ok(vec![])
            }
            Do::Close => {
                self.sessions.remove(&who.session);
                let owned = |(path, node): (&String, &Node)| {
                    (node.owner == who.session).then(|| path.clone())
                };
                let paths: Vec<String> = self.nodes.iter().filter_map(owned).collect();
                for path in paths {
                    self.drop_node(&path);
                }
                Ok(vec![])
            }
            Do::Multi(subs) => Ok(self.multi(who, subs)),
            _ => {
                let result = self.change(who, what);
                result.map(|(_, body)| body)
            }
        }
    }

    fn multi(&mut self, who: &Who, subs: &[Do]) -> Vec<u8> {
        let before = self.clone();
        let mut body = vec![];
        let mut failed = None;
        for (i, sub) in subs.iter().enumerate() {
            match self.change(who, sub) {
                Ok((shown, result)) => {
                    header(&mut body, shown, 0);
                    body.extend(result);
                }
                Err(code) => {
                    failed = Some((i, code));
                    break;
                }
            }
        }
        if let Some((at, code)) = failed {
            *self = before;
            body.clear();
            for i in 0..subs.len() {
                let err = match i {
                    i if i < at => 0,
                    i if i == at => code.number(),
                    _ => -2,
                };
                header(&mut body, -1, err);
                body.extend(err.to_be_bytes());
            }
        }
        body.extend([0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]);
        body
    }

    /// The type of the result within a multi, and the body.
    fn change(&mut self, who: &Who, what: &Do) -> Result<(i32, Vec<u8>), Code> {
        match what {
            Do::Create { .. } => self.create(who, what),
            Do::Delete { path, version } => {
                self.alive(who)?;
                let parent = deletable(path)?;
                let above = self.nodes.get(&parent).ok_or(Code::NoNode)?;
                permit(who, &above.acl, 8)?;
                let node = self.nodes.get(path).ok_or(Code::NoNode)?;
                matching(node.versions[0], *version)?;
                self.childless(path)?;
                self.drop_node(path);
                Ok((2, vec![]))
            }
            Do::Reap { path } => {
                deletable(path)?;
                let node = self.nodes.get(path).ok_or(Code::NoNode)?;
                self.childless(path)?;
                if node.owner != CONTAINER && node.owner >> 56 != -1 {
                    return Err(Code::BadVersion);
                }
                self.drop_node(path);
                Ok((2, vec![]))
            }
            Do::Set { path, data, version } => {
                self.alive(who)?;
                well_formed(path)?;
                let node = self.nodes.get(path).ok_or(Code::NoNode)?;
                permit(who, &node.acl, 2)?;
                let grown = size(data.as_ref()) - size(node.data.as_ref());
                self.quota(path, 0, grown)?;
                matching(node.versions[0], *version)?;
                let next = next(node.versions[0]);
                let (zxid, now) = (self.zxid, who.now);
                let node = self.nodes.get_mut(path).expect("as the test has it");
                node.data.clone_from(data);
                node.versions[0] = next;
                node.xids[1] = zxid;
                node.times[1] = now;
                let body = self.stat(path);
                self.used(path, 0, grown);
                self.events.push((EventType::NodeDataChanged, path.clone()));
                Ok((5, body))
            }
            Do::SetAcl { path, acl, version } => {
                self.alive(who)?;
                well_formed(path)?;
                let acl = fixed(who, acl)?;
                let node = self.nodes.get_mut(path).ok_or(Code::NoNode)?;
                permit(who, &node.acl, 16)?;
                matching(node.versions[2], *version)?;
                node.versions[2] = next(node.versions[2]);
                node.acl = acl;
                Ok((7, self.stat(path)))
            }
            Do::Check { path, version } => {
                self.alive(who)?;
                well_formed(path)?;
                let node = self.nodes.get(path).ok_or(Code::NoNode)?;
                permit(who, &node.acl, 1)?;
                matching(node.versions[0], *version)?;
                Ok((13, vec![]))
            }
            Do::Reconfig => Err(Code::ReconfigDisabled),
            Do::Multi(_) | Do::Open { .. } | Do::Close => unreachable!(),
        }
    }

    fn create(&mut self, who: &Who, what: &Do) -> Result<(i32, Vec<u8>), Code> {
        let Do::Create { op, path, data, acl, flags, ttl } = what else { unreachable!() };
        if !(0..=6).contains(flags) {
            return Err(Code::BadArguments);
        }
        let with_ttl = 5 <= *flags;
        let fine = if with_ttl { 0 < *ttl && *ttl < 1 << 40 } else { *op != 21 };
        if !fine {
            return Err(Code::BadArguments);
        }
        self.alive(who)?;
        if !path.contains('/') || path.contains('\0') {
            return Err(Code::BadArguments);
        }
        let acl = fixed(who, acl)?;
        let parent = above(path);
        let node = self.nodes.get(&parent).ok_or(Code::NoNode)?;
        permit(who, &node.acl, 4)?;
        let counter = node.versions[1];
        let sequential = [2, 3, 6].contains(flags);
        let path = if sequential { format!("{path}{counter:010}") } else { path.clone() };
        well_formed(&path)?;
        if self.nodes.contains_key(&path) {
            return Err(Code::NodeExists);
        }
        if is_ephemeral(node.owner) {
            return Err(Code::NoChildrenForEphemerals);
        }
        self.quota(&path, 1, size(data.as_ref()))?;
        let owner = match (op, flags) {
            (19, _) => CONTAINER,
            (21, _) => (0xff << 56) | ttl,
            (_, 1 | 3) => who.session,
            _ => 0,
        };
        let zxid = self.zxid;
        let born = self.nodes.get_mut(&parent).expect("as the test has it");
        if born.versions[1] < born.versions[1].wrapping_add(1) {
            born.versions[1] += 1;
            born.xids[2] = zxid;
        }
        let (xids, times) = ([zxid; 3], [who.now; 2]);
        let new = Node { data: data.clone(), acl, xids, times, versions: [0; 3], owner };
        self.nodes.insert(path.clone(), new);
        let mut body = (path.len() as i32).to_be_bytes().to_vec();
        body.extend(path.as_bytes());
        if *op != 1 {
            body.extend(self.stat(&path));
        }
        if let Some(root) = quota_of(&path, "zookeeper_stats") {
            self.count_anew(&root);
        }
        self.used(&path, 1, size(data.as_ref()));
        self.events.push((EventType::NodeCreated, path));
        Ok((if *op == 1 { 1 } else { 15 }, body))
    }

    fn drop_node(&mut self, path: &str) {
        let zxid = self.zxid;
        let parent = self.nodes.get_mut(&above(path)).expect("as the test has it");
        parent.xids[2] = parent.xids[2].max(zxid);
        let node = self.nodes.remove(path).expect("as the test has it");
        self.used(path, -1, -size(node.data.as_ref()));
        self.events.push((EventType::NodeDeleted, path.to_string()));
    }

    pub(super) fn children(&self, path: &str) -> Vec<String> {
        let all = self.nodes.keys().filter(|it| *it != "/" && above(it) == path);
        all.map(|it| it[it.rfind('/').expect("as the test has it") + 1..].to_string()).collect()
    }

    pub(super) fn stat(&self, path: &str) -> Vec<u8> {
        let node = &self.nodes[path];
        let children = self.children(path).len() as i32;
        let mut out = vec![];
        for long in [node.xids[0], node.xids[1], node.times[0], node.times[1]] {
            out.extend(long.to_be_bytes());
        }
        let cversion = node.versions[1].wrapping_mul(2).wrapping_sub(children);
        for int in [node.versions[0], cversion, node.versions[2]] {
            out.extend(int.to_be_bytes());
        }
        let owner = if is_ephemeral(node.owner) { node.owner } else { 0 };
        out.extend(owner.to_be_bytes());
        out.extend((size(node.data.as_ref()) as i32).to_be_bytes());
        out.extend(children.to_be_bytes());
        out.extend(node.xids[2].to_be_bytes());
        out
    }

    /// The tree's digest, counted anew.
    pub(super) fn digest(&self) -> u64 {
        let digested = self.nodes.iter().filter(|it| !it.0.starts_with("/zookeeper/"));
        let share = |(path, node): (&String, &Node)| {
            let path = if path == "/" { "" } else { path.as_str() };
            let mut bytes = path.as_bytes().to_vec();
            bytes.extend(node.data.clone().unwrap_or_default());
            for long in node.xids.iter().chain(&node.times) {
                bytes.extend(long.to_be_bytes());
            }
            for int in node.versions {
                bytes.extend(int.to_be_bytes());
            }
            bytes.extend(node.owner.to_be_bytes());
            u64::from(crc32(&bytes))
        };
        digested.map(share).fold(0, u64::wrapping_add)
    }

    fn alive(&self, who: &Who) -> Result<(), Code> {
        let alive = self.sessions.contains(&who.session);
        if alive { Ok(()) } else { Err(Code::SessionExpired) }
    }

    fn childless(&self, path: &str) -> Result<(), Code> {
        if self.children(path).is_empty() { Ok(()) } else { Err(Code::NotEmpty) }
    }

    fn quota_root(&self, path: &str) -> Option<String> {
        let limits = self.nodes.keys().filter_map(|it| quota_of(it, "zookeeper_limits"));
        let holds = |root: &String| path == root || path.starts_with(&format!("{root}/"));
        limits.filter(holds).max_by_key(String::len)
    }

    fn text(&self, root: &str, name: &str) -> Option<BTreeMap<String, i64>> {
        let node = self.nodes.get(&format!("/zookeeper/quota{root}/{name}"))?;
        let text = String::from_utf8(node.data.clone()?).expect("as the test has it");
        let pair = |it: &str| {
            let (key, value) = it.split_once('=')?;
            let value = value.trim_end_matches('=');
            Some((key.to_string(), value.parse().ok()?))
        };
        Some(text.split([',', ';']).filter_map(pair).collect())
    }

    fn quota(&self, path: &str, count: i64, bytes: i64) -> Result<(), Code> {
        let Some(root) = self.quota_root(path).filter(|_| self.enforce) else { return Ok(()) };
        let limits = self.text(&root, "zookeeper_limits");
        let usage = self.text(&root, "zookeeper_stats");
        let (Some(limits), Some(usage)) = (limits, usage) else { return Ok(()) };
        let pairs = [("count", "countHardLimit", count), ("bytes", "byteHardLimit", bytes)];
        for (used, hard, grown) in pairs {
            let hard = limits.get(hard).copied().unwrap_or(-1);
            let used = usage.get(used).copied().unwrap_or(-1);
            if grown != 0 && hard != -1 && hard < used + grown {
                return Err(Code::QuotaExceeded);
            }
        }
        Ok(())
    }

    fn used(&mut self, path: &str, count: i64, bytes: i64) {
        let Some(root) = self.quota_root(path) else { return };
        let stats = format!("/zookeeper/quota{root}/zookeeper_stats");
        if !self.nodes.contains_key(&stats) {
            return;
        }
        let mut usage = self.text(&root, "zookeeper_stats").unwrap_or_default();
        let count = usage.remove("count").unwrap_or(-1) + count;
        let bytes = usage.remove("bytes").unwrap_or(-1) + bytes;
        let text = format!("count={count},bytes={bytes}");
        assert!(usage.is_empty(), "the tests write no limits there");
        self.nodes.get_mut(&stats).expect("as the test has it").data = Some(text.into_bytes());
    }

    fn count_anew(&mut self, root: &str) {
        let below = |it: &&String| *it == root || it.starts_with(&format!("{root}/"));
        let count = self.nodes.keys().filter(below).count();
        let nodes = self.nodes.iter().filter(|it| below(&it.0));
        let bytes: i64 = nodes.map(|it| size(it.1.data.as_ref())).sum();
        let stats = format!("/zookeeper/quota{root}/zookeeper_stats");
        let text = format!("count={count},bytes={bytes}").into_bytes();
        self.nodes.get_mut(&stats).expect("as the test has it").data = Some(text);
    }
}

fn quota_of(path: &str, name: &str) -> Option<String> {
    let root = path.strip_prefix("/zookeeper/quota")?.strip_suffix(name)?.strip_suffix('/')?;
    root.starts_with('/').then(|| root.to_string())
}

fn header(out: &mut Vec<u8>, op: i32, err: i32) {
    out.extend(op.to_be_bytes());
    out.push(0);
    out.extend(err.to_be_bytes());
}

fn size(data: Option<&Vec<u8>>) -> i64 {
    data.map_or(0, Vec::len) as i64
}

pub(super) fn is_ephemeral(owner: i64) -> bool {
    owner != 0 && owner != CONTAINER && owner >> 56 != -1
}

fn next(version: i32) -> i32 {
    if version == -2 { 0 } else { version.wrapping_add(1) }
}

fn matching(version: i32, expected: i32) -> Result<(), Code> {
    if expected == -1 || expected == version { Ok(()) } else { Err(Code::BadVersion) }
}

fn deletable(path: &str) -> Result<String, Code> {
    let special = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];
    if !path.contains('/') || path.contains('\0') || special.contains(&path) {
        return Err(Code::BadArguments);
    }
    Ok(above(path))
}

fn well_formed(path: &str) -> Result<(), Code> {
    let parts = path.strip_prefix('/').map(|it| it.split('/').collect::<Vec<_>>());
    let fine = path == "/"
        || parts.is_some_and(|it| it.iter().all(|it| !["", ".", ".."].contains(it)))
            && !path.chars().any(char::is_control);
    if fine { Ok(()) } else { Err(Code::BadArguments) }
}

pub(super) fn permit(who: &Who, acl: &Acl, perm: i32) -> Result<(), Code> {
    let is_super = who.auth.iter().any(|it| it.0 == "super");
    let fits = |(perms, scheme, id): &(i32, String, String)| {
        let mine = who.auth.contains(&(scheme.clone(), id.clone()));
        perms & perm != 0 && (scheme == "world" && id == "anyone" || scheme == "digest" && mine)
    };
    let passes = acl.is_empty() || is_super || acl.iter().any(fits);
    if passes { Ok(()) } else { Err(Code::NoAuth) }
}

fn fixed(who: &Who, acl: &Acl) -> Result<Acl, Code> {
    let mut out: Acl = vec![];
    let mut seen: Acl = vec![];
    for entry in acl {
        if seen.contains(entry) {
            continue;
        }
        seen.push(entry.clone());
        let (perms, scheme, id) = entry;
        match scheme.as_str() {
            "world" if id == "anyone" => out.push(entry.clone()),
            "digest" if id.matches(':').count() == 1 => out.push(entry.clone()),
            "auth" => {
                let mine: Vec<_> = who.auth.iter().filter(|it| it.0 == "digest").collect();
                if mine.is_empty() {
                    return Err(Code::InvalidAcl);
                }
                out.extend(mine.iter().map(|it| (*perms, it.0.clone(), it.1.clone())));
            }
            _ => return Err(Code::InvalidAcl),
        }
    }
    if out.is_empty() { Err(Code::InvalidAcl) } else { Ok(out) }
}

/// Bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
