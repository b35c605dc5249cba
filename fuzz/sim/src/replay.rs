//! The history replayed: every transaction, in zxid order, by the dullest tree there is, from what clients asked.
//!
//! What a client is told is compared with it: the answer to a write with the result at its zxid, a read with the tree at the
//! zxid that its answer names, an event with the first change behind the watch. The tree is the model of the engine's own
//! tests (`engine/src/twin/model.rs`), which shares no line with the engine.

use std::collections::{BTreeMap, BTreeSet};

use engine::state::State;
use engine::tree::{Owner, TreeView};
use jute::{
    CloseSessionTxn, Code, CreateSessionTxn, DeleteTxn, ErrorTxn, EventType, Field as _, Op,
    Reader, SessionId, TxnHeader, Zxid,
};

use crate::locals::{Locals, makes_ephemeral};
use crate::model::{CONTAINER, Do, Model, Node, Who, above};
use crate::violation::Violation;

/// What a client was to be answered: the body, or the code.
pub(crate) type Outcome = Result<Vec<u8>, Code>;

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its transaction.
    pub(crate) zxid: Zxid,
    /// Its answer; `None`: replay cannot say (a change of members).
    pub(crate) outcome: Option<Outcome>,
}

/// A znode, as reads show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its data.
    pub(crate) data: Vec<u8>,
    /// Its stat's bytes.
    pub(crate) stat: Vec<u8>,
    /// Its children's names, sorted.
    pub(crate) children: Vec<String>,
}

/// What a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// The znode.
    Node,
    /// Its children, or its end.
    Children,
}

/// A transaction, a path, and the number of the [`EventType`] that a watch there would tell.
pub(crate) type Change = (Zxid, String, i32);

/// A client's request that may become a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// One that the model knows.
    Known(Do),
    /// A change of members.
    Members,
}

/// A session, from its first transaction to its last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// Milliseconds.
    pub(crate) timeout_ms: i32,
    /// Its last transaction.
    pub(crate) closed: Option<Zxid>,
}

/// The tree of the history so far, and what it was before.
#[derive(Debug)]
pub(crate) struct Replay {
    model: Model,
    /// Of each path, what it was from which transaction on.
    versions: BTreeMap<String, Vec<(Zxid, Option<Seen>)>>,
    /// What a watch left before would have told, by transaction.
    changes: BTreeMap<(String, Subject), Vec<(Zxid, EventType)>>,
    /// The same, of all paths, by transaction.
    all_changes: Vec<Change>,
    lives: BTreeMap<SessionId, Life>,
    /// What clients asked and nobody has heard the end of.
    asked: BTreeMap<(SessionId, i32), Asked>,
    done: BTreeMap<(SessionId, i32), Done>,
    /// The last request of each session that was not refused.
    last: BTreeMap<SessionId, i32>,
    /// Containers that ever had a child.
    used: BTreeSet<String>,
    /// When the time of a TTL znode first was over, wall milliseconds.
    ripe_ms: BTreeMap<String, i64>,
    /// Sessions that began as local ones.
    pub(crate) locals: Locals,
}

impl Default for Replay {
    fn default() -> Self {
        let mut replay = Self {
            model: Model::new(),
            versions: BTreeMap::new(),
            changes: BTreeMap::new(),
            all_changes: Vec::new(),
            lives: BTreeMap::new(),
            asked: BTreeMap::new(),
            done: BTreeMap::new(),
            last: BTreeMap::new(),
            used: BTreeSet::new(),
            ripe_ms: BTreeMap::new(),
            locals: Locals::default(),
        };
        replay.keep(Zxid::ZERO, "/");
        replay
    }
}

impl Replay {
    /// A client asks for something that may become a transaction.
    pub(crate) fn ask(&mut self, session: SessionId, xid: i32, asked: Asked) {
        if let Asked::Known(what) = &asked {
            self.locals.ask(session, what);
        }
        self.asked.insert((session, xid), asked);
    }

    /// Whether a session is one that only its server knows.
    pub(crate) fn is_local(&self, session: SessionId) -> bool {
        self.locals.has(session) && !self.lives.contains_key(&session)
    }

    /// A request is answered and will be no transaction: one of a local session, that only its server looks at.
    pub(crate) fn take_unwritten(&mut self, session: SessionId, xid: i32, code: Code) -> bool {
        let Some(Asked::Known(what)) = self.asked.get(&(session, xid)) else { return false };
        let is_it = match code {
            Code::Ok => matches!(what, Do::Close) && self.is_local(session),
            Code::EphemeralOnLocalSession => {
                self.locals.are_refused() && self.is_local(session) && makes_ephemeral(what)
            }
            _ => false,
        };
        if is_it {
            self.asked.remove(&(session, xid));
        }
        is_it
    }

    /// What became of a request that is answered.
    pub(crate) fn take(&mut self, session: SessionId, xid: i32) -> Option<Done> {
        self.done.remove(&(session, xid))
    }

    /// A session, if it ever was.
    pub(crate) fn life(&self, session: SessionId) -> Option<Life> {
        self.lives.get(&session).copied()
    }

    /// The sessions that live.
    pub(crate) fn alive(&self) -> impl Iterator<Item = SessionId> {
        self.model.sessions.iter().map(|&it| SessionId(it))
    }

    /// How many sessions there ever were.
    pub(crate) fn session_count(&self) -> usize {
        self.lives.len()
    }

    /// How many of them had been local ones.
    pub(crate) fn upgrade_count(&self) -> usize {
        self.lives.keys().filter(|&&it| self.locals.has(it)).count()
    }

    /// The paths that are there now, of those that clients may change.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &String> {
        self.model.nodes.keys().filter(|it| *it != "/" && !it.starts_with("/zookeeper"))
    }

    /// The version of a znode's data now.
    pub(crate) fn version(&self, path: &str) -> i32 {
        self.model.nodes.get(path).map_or(0, |it| it.versions[0])
    }

    /// What was at a path after `zxid`.
    pub(crate) fn at(&self, path: &str, zxid: Zxid) -> Option<&Seen> {
        let versions = self.versions.get(path)?;
        let idx = versions.partition_point(|it| it.0 <= zxid).checked_sub(1)?;
        versions[idx].1.as_ref()
    }

    /// The first change behind `after` that a watch tells of.
    pub(crate) fn change(
        &self,
        path: &str,
        subject: Subject,
        after: Zxid,
    ) -> Option<(Zxid, EventType)> {
        let changes = self.changes.get(&(path.to_owned(), subject))?;
        changes.get(changes.partition_point(|it| it.0 <= after)).copied()
    }

    /// The changes behind `after`, up to `upto`.
    pub(crate) fn changes_between(&self, after: Zxid, upto: Zxid) -> &[Change] {
        let from = self.all_changes.partition_point(|it| it.0 <= after);
        let end = self.all_changes.partition_point(|it| it.0 <= upto);
        &self.all_changes[from..end.max(from)]
    }

    /// The next transaction of the history.
    pub(crate) fn apply(&mut self, txn: &[u8]) -> Result<(), Violation> {
        let mut reader = Reader::new(txn);
        let Ok(header) = TxnHeader::read(&mut reader) else { return Err(Violation::BadPacket) };
        let TxnHeader { client: session, cxid, zxid, time_ms, op } = header;
        let who = Who { session: session.0, now: time_ms, auth: Vec::new() };
        self.model.zxid = zxid.0 - 1;
        self.model.events.clear();
        match Op::from_number(op) {
            Some(Op::CreateSession) => self.open(&who, zxid, &mut reader),
            Some(Op::CloseSession) => self.close(&who, cxid, zxid, &mut reader),
            Some(Op::DeleteContainer) => self.reap(&who, zxid, &mut reader),
            Some(Op::Error) => {
                let error = ErrorTxn::read(&mut reader).map_err(|_| Violation::BadPacket)?;
                // Of its own accord a leader only reaps, and may come too late for that.
                let late = [Code::NoNode, Code::NotEmpty, Code::BadVersion].map(Code::number);
                if session == SessionId::NONE && late.contains(&error.err) {
                    return Ok(());
                }
                self.request(&who, cxid, zxid, error.err)
            }
            _ => {
                let before = self.last.insert(session, cxid);
                if before.is_some_and(|it| cxid <= it) {
                    return Err(Violation::SessionOrder { session, zxid });
                }
                self.request(&who, cxid, zxid, 0)
            }
        }
    }

    fn open(&mut self, who: &Who, zxid: Zxid, reader: &mut Reader<'_>) -> Result<(), Violation> {
        let session = SessionId(who.session);
        let timeout_ms = CreateSessionTxn::read(reader).map_or(0, |it| it.timeout_ms);
        let life = Life { timeout_ms, closed: None };
        if !self.locals.may_be_made(session) {
            return Err(Violation::LocalLogged { session, zxid });
        }
        if self.lives.insert(session, life).is_some() {
            return Err(Violation::SessionTwice { session, zxid });
        }
        self.model.sessions.insert(session.0);
        Ok(())
    }

    /// The end of a session takes its ephemerals, and nothing else.
    fn close(
        &mut self,
        who: &Who,
        cxid: i32,
        zxid: Zxid,
        reader: &mut Reader<'_>,
    ) -> Result<(), Violation> {
        let session = SessionId(who.session);
        if self.is_local(session) {
            return Err(Violation::LocalLogged { session, zxid });
        }
        let owned = self.model.nodes.iter().filter(|it| it.1.owner == session.0);
        let owned: BTreeSet<Vec<u8>> = owned.map(|it| it.0.as_bytes().to_vec()).collect();
        let txn = CloseSessionTxn::read(reader).map_err(|_| Violation::BadPacket)?;
        let named: BTreeSet<Vec<u8>> = txn.paths.iter().map(<[u8]>::to_vec).collect();
        if named != owned {
            return Err(Violation::EphemeralsLeft { session, zxid });
        }
        self.model.zxid = zxid.0 - 1;
        let outcome = self.model.ask(who, &Do::Close);
        self.changed(zxid);
        if let Some(life) = self.lives.get_mut(&session) {
            life.closed.get_or_insert(zxid);
        }
        if cxid != 0 {
            if self.asked.remove(&(session, cxid)).is_none() {
                return Err(Violation::NobodyAsked { session, zxid });
            }
            self.done.insert((session, cxid), Done { zxid, outcome: Some(outcome) });
        }
        Ok(())
    }

    /// A container goes that had a child and has none, and a TTL znode whose time is over. Between that and the transaction others may have
    /// made it anew.
    fn reap(&mut self, who: &Who, zxid: Zxid, reader: &mut Reader<'_>) -> Result<(), Violation> {
        let txn = DeleteTxn::read(reader).map_err(|_| Violation::BadPacket)?;
        let path = String::from_utf8_lossy(txn.path).into_owned();
        let is_ripe = self.ripe_ms.get(&path).is_some_and(|&it| it < who.now);
        if !is_ripe && !self.used.contains(&path) {
            return Err(Violation::ReapedEarly { zxid });
        }
        if let Err(code) = self.model.ask(who, &Do::Reap { path }) {
            return Err(Violation::OtherOutcome { zxid, expected: code.number(), found: 0 });
        }
        self.changed(zxid);
        Ok(())
    }

    /// A container that is to go: what left it empty, up to that transaction.
    pub(crate) fn unreaped(&self, upto: Zxid) -> Option<Zxid> {
        let is_due = |(path, node): &(&String, &Node)| {
            node.owner == CONTAINER
                && node.versions[1] != 0
                && node.xids[2] <= upto.0
                && self.model.children(path).is_empty()
        };
        self.model.nodes.iter().find(is_due).map(|it| Zxid(it.1.xids[2]))
    }

    /// The containers there are.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &String> {
        self.model.nodes.iter().filter(|it| it.1.owner == CONTAINER).map(|it| it.0)
    }

    /// A request has the outcome that its place in the order gives it.
    fn request(&mut self, who: &Who, cxid: i32, zxid: Zxid, code: i32) -> Result<(), Violation> {
        let session = SessionId(who.session);
        let asked = self.asked.remove(&(session, cxid));
        let outcome = match asked {
            None => return Err(Violation::NobodyAsked { session, zxid }),
            Some(Asked::Members) => None,
            // Its client is elsewhere, and has nothing to do with it any more.
            Some(Asked::Known(_)) if code == Code::SessionMoved.number() => return Ok(()),
            // A learner's client is told so before the ops of its multi are looked at.
            Some(Asked::Known(_))
                if code == Code::SessionExpired.number()
                    && !self.is_local(session)
                    && !self.model.sessions.contains(&session.0) =>
            {
                Some(Err(Code::SessionExpired))
            }
            Some(Asked::Known(what)) => {
                // Whoever leads takes the word of the server that knows it.
                let is_local = self.is_local(session) && self.model.sessions.insert(session.0);
                let outcome = self.model.ask(who, &what);
                let expected = outcome.as_ref().map_or_else(|it| it.number(), |_| 0);
                if expected != code {
                    return Err(Violation::OtherOutcome { zxid, expected, found: code });
                }
                if is_local {
                    self.model.sessions.remove(&session.0);
                    if self.model.nodes.values().any(|it| it.owner == session.0) {
                        return Err(Violation::EphemeralOfLocal { session, zxid });
                    }
                }
                self.changed(zxid);
                Some(outcome)
            }
        };
        self.done.insert((session, cxid), Done { zxid, outcome });
        Ok(())
    }

    /// Keeps what the model's last request changed.
    fn changed(&mut self, zxid: Zxid) {
        let events = std::mem::take(&mut self.model.events);
        for (kind, path) in events {
            let parent = above(&path);
            self.all_changes.push((zxid, path.clone(), kind as i32));
            if kind != EventType::NodeDataChanged {
                let kind = EventType::NodeChildrenChanged as i32;
                self.all_changes.push((zxid, parent.clone(), kind));
            }
            let is_made = kind == EventType::NodeCreated;
            if is_made && self.model.nodes.get(&parent).is_some_and(|it| it.owner == CONTAINER) {
                self.used.insert(parent.clone());
            }
            if let Some(node) = self.model.nodes.get(&path)
                && node.owner >> 56 == -1
            {
                let ripe_ms = node.times[1] + (node.owner & Owner::TTL_MASK);
                let before = self.ripe_ms.entry(path.clone()).or_insert(ripe_ms);
                *before = ripe_ms.min(*before);
            }
            if kind == EventType::NodeDataChanged {
                self.tell(zxid, &path, Subject::Node, kind);
            } else {
                self.tell(zxid, &path, Subject::Node, kind);
                if kind == EventType::NodeDeleted {
                    self.tell(zxid, &path, Subject::Children, kind);
                }
                self.tell(zxid, &parent, Subject::Children, EventType::NodeChildrenChanged);
                self.keep(zxid, &parent);
            }
            self.keep(zxid, &path);
        }
    }

    fn tell(&mut self, zxid: Zxid, path: &str, subject: Subject, kind: EventType) {
        self.changes.entry((path.to_owned(), subject)).or_default().push((zxid, kind));
    }

    fn keep(&mut self, zxid: Zxid, path: &str) {
        let seen = self.model.nodes.get(path).map(|node| Seen {
            data: node.data.clone().unwrap_or_default(),
            stat: self.model.stat(path),
            children: self.model.children(path),
        });
        let versions = self.versions.entry(path.to_owned()).or_default();
        match versions.last_mut() {
            Some(last) if last.0 == zxid => last.1 = seen,
            _ => versions.push((zxid, seen)),
        }
    }

    /// Whether a tree at the end of the history is what replay makes of it: every znode, and every session.
    pub(crate) fn is(&self, state: &State) -> bool {
        let tree = state.tree();
        let mut count = 0;
        for (path, node) in &self.model.nodes {
            if path.starts_with("/zookeeper") {
                continue;
            }
            count += 1;
            let Some(znode) = tree.look(|it| it.find(path.as_bytes())) else { return false };
            let (mut data, mut stat) = (Vec::new(), Vec::new());
            tree.look(|it| it.data(znode, &mut data));
            tree.look(|it| it.encode_stat(znode, &mut stat));
            // The root's children are also those that servers keep.
            let same = path == "/" || stat == self.model.stat(path);
            if !same || node.data.as_ref() != Some(&data) {
                return false;
            }
        }
        let root = tree.look(TreeView::root);
        let below = tree.look(|it| it.descendant_count(root));
        let servers = self.model.nodes.len() - count;
        let mut sessions = BTreeSet::new();
        for at in 0..tree.look(TreeView::session_count) {
            let session = tree.look(|it| it.session_at(at));
            if session.timeout_ms != 0 {
                sessions.insert(session.id.0);
            }
        }
        below as usize + 1 == count + servers && sessions == self.model.sessions
    }
}
