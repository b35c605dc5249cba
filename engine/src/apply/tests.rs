//! What entries do to a tree, and what they say of it.

use alloc::vec::Vec;

use jute::{AclList, Code, CreateRequest, CreateSessionTxn, Op, Record as _, SessionId, Xid, Zxid};

use super::{Applied, Effects};
use crate::arena::Memory;
use crate::auth::AuthIds;
use crate::prep::{Prep, Prepared, Request};
use crate::rules::Rules;
use crate::state::State;
use crate::tree::{Tree, TreeView};

#[derive(Default)]
struct Body(Vec<u8>);

impl Effects for Body {
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
}

fn state() -> State {
    State::new(Tree::format(Memory::leaked(1 << 18), [1, 2]).expect("as the test has it"))
}

fn apply(state: &mut State, entry: &[u8], effects: &mut impl Effects) -> Applied {
    state.begin();
    let applied = state.apply(entry, effects).expect("as the test has it");
    state.commit(applied.header.zxid);
    applied
}

#[test]
fn a_created_znode_leaves_the_digest_of_the_reference() {
    let mut state = state();
    let session = SessionId(7);
    let mut body = Vec::new();
    CreateSessionTxn { timeout_ms: 4000 }.encode(&mut body);
    let auth = AuthIds::default();
    state.begin();
    state.commit(Zxid(0x1_0000_0000));
    let mut prep = Prep::new(Rules::default(), &state);
    let mut entry = Vec::new();
    let open = Request { session, cxid: Xid(0), op: Op::CreateSession, body: &body, auth: &auth };
    let prepared = prep.prepare(&state, 1, &open, &mut entry);
    assert_eq!(prepared, Prepared::Txn(Zxid(0x1_0000_0001)));
    apply(&mut state, &entry, &mut Body::default());
    prep.applied(Zxid(0x1_0000_0001));
    body.clear();
    let acl = AclList::open();
    CreateRequest { path: Some(b"/a"), data: Some(b"hello"), acl, flags: 0 }.encode(&mut body);
    let create = Request { session, cxid: Xid(1), op: Op::Create, body: &body, auth: &auth };
    entry.clear();
    prep.prepare(&state, 0x1a1_fb4f_44be, &create, &mut entry);
    assert_eq!(entry[entry.len() - 8..], 0x1_a527_1005_i64.to_be_bytes());
    let mut reply = Body::default();
    let applied = apply(&mut state, &entry, &mut reply);
    assert_eq!((applied.code, reply.0.as_slice()), (Code::Ok, b"\0\0\0\x02/a".as_slice()));
    assert_eq!(state.tree().look(TreeView::digest), 0x1_a527_1005);
}
