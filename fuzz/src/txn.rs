//! Transactions: made of requests, applied, read back.
//!
//! Invariant: what prep has made, apply takes, and the tree then has the digest that prep said.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use engine::apply::{Effects, Event, Replay};
use engine::auth::{AuthIds, authenticate};
use engine::prep::{Prep, Prepared, Request};
use engine::read::{ReadRequest, serve};
use engine::rules::{ExtendedTypes, QuotaCheck, Rules};
use engine::state::State;
use engine::tree::TreeView;
use jute::{
    CreateSessionTxn, EventType, Field as _, Op, PathRequest, Record as _, SessionId, TxnHeader,
    Xid, Zxid,
};

use crate::memory::state;

/// Prep and apply, with what is under way between them.
pub(crate) struct Server {
    state: State,
    prep: Prep,
    rules: Rules,
    /// Prepared, not applied.
    under_way: VecDeque<Vec<u8>>,
    /// Applied.
    applied: Vec<Vec<u8>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let state = state();
        let rules =
            Rules { extended_types: ExtendedTypes::On, quota: QuotaCheck::On, ..Rules::default() };
        let prep = Prep::new(rules.clone(), &state);
        Self { state, prep, rules, under_way: VecDeque::new(), applied: Vec::new() }
    }

    /// Makes a request a transaction, if it is one.
    pub(crate) fn ask(&mut self, op: Op, session: SessionId, body: &[u8], auth: &AuthIds) {
        let request = Request { session, cxid: Xid(1), op, body, auth };
        let mut entry = Vec::new();
        match self.prep.prepare(&self.state, NOW_WALL_MS, &request, &mut entry) {
            Prepared::Refused(_) => assert!(entry.is_empty()),
            Prepared::Txn(zxid) => {
                assert_eq!(zxid, self.prep.last_zxid());
                self.under_way.push_back(entry);
            }
        }
    }

    /// Applies everything that is under way, as one batch; every entry so far.
    pub(crate) fn apply(&mut self) -> &[Vec<u8>] {
        if self.under_way.is_empty() {
            return &self.applied;
        }
        self.state.begin();
        for entry in self.under_way.drain(..) {
            if let Err(error) = self.state.apply(&entry, &mut Watching::default()) {
                panic!("{error}: {entry:?}");
            }
            self.applied.push(entry);
        }
        let zxid = self.prep.last_zxid();
        self.state.commit(zxid);
        self.prep.applied(zxid);
        assert_eq!(self.prep.outstanding(), 0);
        &self.applied
    }
}

/// Somebody who listens to everything.
#[derive(Default)]
struct Watching {
    last: Zxid,
    body: Vec<u8>,
}

impl Effects for Watching {
    fn event(&mut self, event: Event<'_>) {
        assert!(self.last <= event.zxid && event.path.first() == Some(&b'/'), "{event:?}");
        assert!(!matches!(event.kind, EventType::None | EventType::NodeChildrenChanged));
        self.last = event.zxid;
    }

    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.body)
    }
}

/// Requests of two sessions: a byte with the op; one that says whose, and whether what is under way is applied then; one
/// with the length of the record, and that.
pub fn txn(bytes: &[u8]) {
    let mut server = Server::new();
    let mut auth = AuthIds::of_address(Ipv4Addr::LOCALHOST.into());
    authenticate(&server.rules.auth, &mut auth, Some(b"digest"), Some(b"pat:pw"));
    let mut timeout = Vec::new();
    CreateSessionTxn { timeout_ms: 4_000 }.encode(&mut timeout);
    for session in [1, 2] {
        server.ask(Op::CreateSession, SessionId(session), &timeout, &auth);
    }
    let mut rest = bytes;
    while let Some((&[op, who, len], tail)) = rest.split_first_chunk() {
        let (body, tail) = tail.split_at(tail.len().min(len as usize));
        rest = tail;
        let session = SessionId(1 + i64::from(who & 1));
        match Op::from_number(i32::from(op as i8)) {
            None | Some(Op::CreateSession) => continue,
            Some(Op::DeleteContainer) => {
                server.ask(Op::DeleteContainer, SessionId::NONE, body, &auth)
            }
            Some(op) => server.ask(op, session, body, &auth),
        }
        if who & 2 == 0 {
            server.apply();
        }
    }
    let entries = server.apply().to_vec();
    let digest = server.state.tree().look(TreeView::digest);
    drop(server);
    // The entries alone make the same tree. It lies where the other one lay.
    let mut twin = state();
    for entry in &entries {
        let header = TxnHeader::decode(entry).expect("it was made here");
        twin.begin();
        let applied = twin.apply(entry, &mut Replay);
        twin.commit(header.zxid);
        assert!(applied.is_ok(), "{applied:?}");
    }
    assert_eq!(twin.tree().look(TreeView::digest), digest);
}

/// Entries of a log, each behind two bytes of length. Their zxids are put right: replay has looked at those.
pub fn entry(bytes: &[u8]) {
    let mut state = state();
    let mut rest = bytes;
    while let Some((&[high, low], tail)) = rest.split_first_chunk() {
        let len = usize::from(high) << 8 | usize::from(low);
        let (entry, tail) = tail.split_at(tail.len().min(len));
        rest = tail;
        let zxid = state.tree().zxid().next();
        let mut entry = entry.to_vec();
        if let Some(place) = entry.get_mut(12..20) {
            place.copy_from_slice(&zxid.0.to_be_bytes());
        }
        state.begin();
        let applied = state.apply(&entry, &mut Replay);
        state.commit(zxid);
        if let Err(error) = applied {
            assert!(!error.to_string().is_empty());
            // Nothing may be served from this tree any more.
            return;
        }
    }
    let (mut answer, mut body) = (Vec::new(), Vec::new());
    PathRequest { path: Some(b"/") }.write(&mut body);
    let auth = AuthIds::default();
    for op in [Op::GetAllChildrenNumber, Op::GetEphemerals, Op::GetAcl] {
        let read = ReadRequest { op, body: &body, session: SessionId(1), auth: &auth };
        state.tree().look(|view| serve(view, &Rules::default(), &read, &mut answer).map(drop));
    }
}

const NOW_WALL_MS: i64 = 1_700_000_000_000;
