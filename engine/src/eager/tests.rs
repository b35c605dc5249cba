//! What is refused early, and what is left to whoever makes transactions.

use alloc::vec::Vec;

use jute::Zxid;

use super::*;
use crate::arena::Memory;
use crate::tree::{Owner, StatPersisted, Tree};

/// The user `u` with every permission.
const LOCKED: &[u8] = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x06digest\0\0\0\x03u:x";

/// /locked, whose user is `u`, with the child /locked/open; and a root that anybody may change.
fn tree() -> Tree {
    let mut tree = Tree::format(Memory::leaked(1 << 16), [1, 2]).expect("a good size");
    let root = tree.look(TreeView::root);
    let stat = StatPersisted::created(Zxid(5), 1, Owner::Nobody);
    tree.begin();
    let locked = tree.create(root, b"/locked", None, Some(LOCKED), &stat).expect("room");
    tree.create(locked, b"/locked/open", None, None, &stat).expect("room");
    tree.commit(Zxid(5));
    tree
}

fn rules() -> Rules {
    Rules { eager_acl: EagerAcl::On, ..Rules::default() }
}

fn asked(rules: &Rules, user: &[u8], op: Op, body: &[u8]) -> Option<Code> {
    let mut auth = AuthIds::default();
    auth.add(b"digest", user);
    refusal(tree().view(), rules, &auth, (op, body)).expect("nobody writes")
}

fn refused(op: Op, body: &[u8]) -> Option<Code> {
    let said = asked(&rules(), b"v:y", op, body);
    assert_eq!(asked(&Rules::default(), b"v:y", op, body), None, "the key is off");
    if said == Some(Code::NoAuth) {
        assert_eq!(asked(&rules(), b"u:x", op, body), None, "whom the list names may");
    }
    said
}

fn create(path: &[u8], acl: AclList<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    CreateRequest { path: Some(path), data: None, acl, flags: 0 }.encode(&mut body);
    body
}

fn delete(path: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    DeleteRequest { path: Some(path), version: -1 }.encode(&mut body);
    body
}

fn set_data(path: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    SetDataRequest { path: Some(path), data: None, version: -1 }.encode(&mut body);
    body
}

fn set_acl(path: &[u8], acl: AclList<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    SetAclRequest { path: Some(path), acl, version: -1 }.encode(&mut body);
    body
}

#[test]
fn what_the_acl_forbids_is_refused_by_the_znode_or_its_parent() {
    let open = AclList::open();
    assert_eq!(refused(Op::Create, &create(b"/locked/new", open)), Some(Code::NoAuth));
    assert_eq!(refused(Op::Create2, &create(b"/locked/new", open)), Some(Code::NoAuth));
    assert_eq!(refused(Op::Delete, &delete(b"/locked/open")), Some(Code::NoAuth));
    assert_eq!(refused(Op::SetData, &set_data(b"/locked")), Some(Code::NoAuth));
    assert_eq!(refused(Op::SetAcl, &set_acl(b"/locked", open)), Some(Code::NoAuth));
    for (op, body) in [
        (Op::Create, create(b"/new", open)),
        (Op::Create, create(b"/locked/open/new", open)),
        (Op::Delete, delete(b"/locked")),
        (Op::SetData, set_data(b"/locked/open")),
        (Op::SetAcl, set_acl(b"/locked/open", open)),
    ] {
        assert_eq!(refused(op, &body), None, "{op:?}");
    }
}

#[test]
fn a_list_that_is_none_is_refused_even_where_no_znode_is() {
    let empty = AclList::decode(&[0; 4]).expect("an empty list");
    assert_eq!(refused(Op::Create, &create(b"/nowhere/new", empty)), Some(Code::InvalidAcl));
    assert_eq!(refused(Op::SetAcl, &set_acl(b"/nowhere", empty)), Some(Code::InvalidAcl));
}

#[test]
fn what_is_wrong_in_another_way_goes_its_way() {
    let (open, empty) = (AclList::open(), AclList::decode(&[0; 4]).expect("an empty list"));
    for (op, body) in [
        (Op::Create, create(b"/nowhere/new", open)),
        (Op::Create, create(b"no path", empty)),
        (Op::Create, create(b"/zookeeper/quota", empty)),
        (Op::Create, b"no request".to_vec()),
        (Op::Delete, delete(b"/")),
        (Op::SetData, set_data(b"/nowhere")),
        (Op::Multi, create(b"/locked/new", open)),
        (Op::CreateContainer, create(b"/locked/new", open)),
    ] {
        assert_eq!(refused(op, &body), None, "{op:?}");
    }
}
