//! What becomes a transaction, and with what numbers.

use alloc::format;
use alloc::vec::Vec;

use jute::{
    AclEntry, AclList, Code, CreateRequest, CreateSessionTxn, CreateTtlRequest, DeleteRequest,
    ErrorTxn, Field as _, GetDataResponse, MultiHeader, Op, PathWatchRequest, Perms, Reader,
    Record as _, SessionId, SetDataRequest, TxnHeader, Xid, Zxid,
};

use super::{Prep, Prepared, Request, Room};
use crate::apply::{Effects, Replay};
use crate::arena::Memory;
use crate::auth::{AclCheck, AuthConfig, AuthIds, authenticate};
use crate::rules::{Digest, ExtendedTypes, Reconfig, Rules, TxnLenMax};
use crate::state::State;
use crate::tree::{Tree, TreeView};

const SESSION: SessionId = SessionId(7);

#[derive(Default)]
struct Body(Vec<u8>);

impl Effects for Body {
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
}

struct Server {
    state: State,
    prep: Prep,
}

impl Server {
    /// With a session.
    fn new(rules: Rules) -> Self {
        let state =
            State::new(Tree::format(Memory::leaked(1 << 18), [1, 2]).expect("as the test has it"));
        let prep = Prep::new(rules, &state);
        let mut server = Self { state, prep };
        let open = encoded(|out| CreateSessionTxn { timeout_ms: 4000 }.encode(out));
        assert_eq!(server.ask(Op::CreateSession, &open).0, Ok(Code::Ok));
        server
    }

    fn prepare(&mut self, op: Op, body: &[u8], out: &mut Vec<u8>) -> Prepared {
        let auth = AuthIds::default();
        let request = Request { session: SESSION, cxid: Xid(3), op, body, auth: &auth };
        self.prep.prepare(&self.state, 9, &request, out)
    }

    /// Prepares and applies: the outcome, and the reply's body.
    fn ask(&mut self, op: Op, body: &[u8]) -> (Result<Code, Code>, Vec<u8>) {
        let mut entry = Vec::new();
        let zxid = match self.prepare(op, body, &mut entry) {
            Prepared::Txn(zxid) => zxid,
            Prepared::Refused(code) => {
                assert!(entry.is_empty());
                return (Err(code), Vec::new());
            }
        };
        let mut reply = Body::default();
        self.state.begin();
        let applied = self.state.apply(&entry, &mut reply).expect("as the test has it");
        self.state.commit(zxid);
        self.prep.applied(zxid);
        (Ok(applied.code), reply.0)
    }
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn create(path: &str, flags: i32) -> Vec<u8> {
    let path = Some(path.as_bytes());
    encoded(|out| CreateRequest { path, data: None, acl: AclList::open(), flags }.encode(out))
}

fn create_ttl(path: &str, flags: i32, ttl_ms: i64) -> Vec<u8> {
    let (path, acl) = (Some(path.as_bytes()), AclList::open());
    encoded(|out| CreateTtlRequest { path, data: None, acl, flags, ttl_ms }.encode(out))
}

fn set(path: &str) -> Vec<u8> {
    let path = Some(path.as_bytes());
    encoded(|out| SetDataRequest { path, data: Some(b"x"), version: -1 }.encode(out))
}

fn multi(ops: &[(Op, Vec<u8>)]) -> Vec<u8> {
    encoded(|out| {
        for (op, record) in ops {
            MultiHeader { op: op.number(), done: false, err: -1 }.write(out);
            out.extend(record);
        }
        MultiHeader::END.write(out);
    })
}

/// The op of a multi's first result, and its error.
fn first_result(body: &[u8]) -> (i32, i32) {
    let header = MultiHeader::read(&mut Reader::new(body)).expect("as the test has it");
    (header.op, header.err)
}

#[test]
fn only_documented_types_reach_the_log_whatever_is_asked() {
    let logged = [-11, -10, -1, 1, 2, 5, 7, 14, 15, 19, 20, 21];
    let bodies = [Vec::new(), [0; 64].to_vec(), [0xff; 64].to_vec(), create("/a", 0), set("/a")];
    for number in -20..=200 {
        let Some(op) = Op::from_number(number) else { continue };
        for body in &bodies {
            let mut server = Server::new(Rules::default());
            let mut entry = Vec::new();
            match server.prepare(op, body, &mut entry) {
                Prepared::Refused(_) => assert!(entry.is_empty()),
                Prepared::Txn(zxid) => {
                    let header = TxnHeader::decode(&entry).expect("as the test has it");
                    assert!(logged.contains(&header.op), "{op:?} became {}", header.op);
                    assert!([number, -1].contains(&header.op), "{op:?} became {}", header.op);
                    server.state.begin();
                    server.state.apply(&entry, &mut Replay).expect("as the test has it");
                    server.state.commit(zxid);
                }
            }
        }
    }
}

#[test]
fn bytes_that_are_no_request_take_no_zxid_but_in_a_multi_they_do() {
    let mut server = Server::new(Rules::default());
    let refused = (Err(Code::MarshallingError), Vec::new());
    for op in [Op::Create, Op::Delete, Op::SetData, Op::SetAcl, Op::CreateTtl, Op::Reconfig] {
        assert_eq!(server.ask(op, b"\0\0\0\x07/"), refused);
    }
    assert_eq!(server.prep.last_zxid(), Zxid(1));
    assert_eq!(server.ask(Op::Multi, b"\0\0\0\x01").0, Ok(Code::MarshallingError));
    assert_eq!(server.prep.last_zxid(), Zxid(2));
}

#[test]
fn an_error_is_a_transaction_without_a_digest() {
    let mut server = Server::new(Rules::default());
    let mut entry = Vec::new();
    server.prepare(Op::SetData, &set("/none"), &mut entry);
    let header = TxnHeader::decode(&entry).expect("as the test has it");
    assert_eq!((header.op, header.client, header.cxid), (-1, SESSION, 3));
    assert_eq!((header.zxid, header.time_ms), (Zxid(2), 9));
    let txn = ErrorTxn::decode(&entry[TxnHeader::LEN..]).expect("as the test has it");
    assert_eq!((txn.err, entry.len()), (Code::NoNode.number(), TxnHeader::LEN + 4));
}

#[test]
fn without_the_digest_an_entry_ends_with_its_record() {
    let off = Rules { digest: Digest::Off, ..Rules::default() };
    let lens = [Rules::default(), off].map(|rules| {
        let mut entry = Vec::new();
        Server::new(rules).prepare(Op::Create, &create("/a", 0), &mut entry);
        entry.len()
    });
    assert_eq!(lens[0], lens[1] + 12);
}

#[test]
fn flags_that_the_op_does_not_mean_leave_the_owner_that_applying_gives() {
    let on = Rules { extended_types: ExtendedTypes::On, ..Rules::default() };
    let mut server = Server::new(on);
    // Applying compares the digest, which covers the owner.
    assert_eq!(server.ask(Op::Create, &create("/a", 4)).0, Ok(Code::Ok));
    assert_eq!(server.ask(Op::Create2, &create("/b", 4)).0, Ok(Code::Ok));
    assert_eq!(server.ask(Op::CreateContainer, &create("/c", 0)).0, Ok(Code::Ok));
    assert_eq!(server.ask(Op::CreateContainer, &create("/d", 1)).0, Ok(Code::Ok));
    assert_eq!(server.ask(Op::CreateTtl, &create_ttl("/e", 0, -1)).0, Ok(Code::BadArguments));
    assert_eq!(server.ask(Op::Create, &create("/e", 5)).0, Ok(Code::BadArguments));
    let counters = server.state.tree().look(TreeView::counters);
    assert_eq!((counters.containers, counters.ephemerals, counters.ttls), (2, 0, 0));
}

#[test]
fn without_extended_types_a_ttl_is_not_available() {
    let mut server = Server::new(Rules::default());
    assert_eq!(server.ask(Op::CreateTtl, &create_ttl("/e", 5, 9)).0, Ok(Code::Unimplemented));
    assert_eq!(server.ask(Op::CreateTtl, &create_ttl("/e", 5, 0)).0, Ok(Code::Unimplemented));
    assert_eq!(server.ask(Op::CreateTtl, &create_ttl("/e", 9, 9)).0, Ok(Code::BadArguments));
}

#[test]
fn in_a_multi_the_flags_decide_what_a_create_becomes() {
    let on = Rules { extended_types: ExtendedTypes::On, ..Rules::default() };
    let result = |op, record: Vec<u8>| {
        let mut server = Server::new(on.clone());
        let (code, body) = server.ask(Op::Multi, &multi(&[(op, record)]));
        let counters = server.state.tree().look(TreeView::counters);
        code.map(|code| (code, first_result(&body), counters.containers, counters.ttls))
    };
    let whole = |code| Ok((code, (-1, -1), 0, 0));
    let create2 = |containers, ttls| Ok((Code::Ok, (15, 0), containers, ttls));
    assert_eq!(result(Op::Create, create("/a", 4)), create2(1, 0));
    assert_eq!(result(Op::Create2, create("/a", 4)), create2(1, 0));
    assert_eq!(result(Op::CreateContainer, create("/a", 0)), create2(1, 0));
    assert_eq!(result(Op::CreateTtl, create_ttl("/a", 5, 9)), create2(0, 1));
    assert_eq!(result(Op::CreateTtl, create_ttl("/a", 4, 9)), create2(1, 0));
    assert_eq!(result(Op::CreateTtl, create_ttl("/a", 0, 9)), Ok((Code::Ok, (1, 0), 0, 0)));
    let bad = Ok((Code::Ok, (-1, Code::BadArguments.number()), 0, 0));
    assert_eq!(result(Op::CreateTtl, create_ttl("/a", 9, 9)), bad);
    assert_eq!(result(Op::CreateTtl, create_ttl("/a", 5, 0)), bad);
    for (op, flags) in [(Op::Create, 5), (Op::Create2, 6), (Op::CreateContainer, 7)] {
        let mut server = Server::new(on.clone());
        let body = multi(&[(op, create("/a", flags))]);
        let (code, _) = server.ask(Op::Multi, &body);
        assert_eq!(code.map(|code| (code, (-1, -1), 0, 0)), whole(Code::MarshallingError));
    }
}

#[test]
fn a_multi_of_reads_or_without_a_path_fails_as_a_whole_and_takes_a_zxid() {
    let mut server = Server::new(Rules::default());
    let read = encoded(|out| PathWatchRequest { path: Some(b"/"), watch: false }.encode(out));
    let body = multi(&[(Op::GetData, read)]);
    assert_eq!(server.ask(Op::Multi, &body).0, Ok(Code::MarshallingError));
    let nowhere = encoded(|out| SetDataRequest { path: None, data: None, version: -1 }.encode(out));
    let body = multi(&[(Op::Create, create("/a", 0)), (Op::SetData, nowhere)]);
    assert_eq!(server.ask(Op::Multi, &body).0, Ok(Code::MarshallingError));
    assert_eq!(server.prep.last_zxid(), Zxid(3));
    assert_eq!(server.state.tree().look(|it| it.find(b"/a")), None);
    assert_eq!(server.prep.outstanding(), 0);
}

#[test]
fn a_null_path_is_no_path_for_setdata_and_no_request_for_the_others() {
    let mut server = Server::new(Rules::default());
    let set = encoded(|out| SetDataRequest { path: None, data: None, version: -1 }.encode(out));
    assert_eq!(server.ask(Op::SetData, &set).0, Ok(Code::BadArguments));
    let (path, acl) = (None, AclList::open());
    let create = encoded(|out| CreateRequest { path, data: None, acl, flags: 0 }.encode(out));
    assert_eq!(server.ask(Op::Create, &create).0, Ok(Code::MarshallingError));
    assert_eq!(server.ask(Op::Delete, &[0xff; 8]).0, Ok(Code::MarshallingError));
}

#[test]
fn a_counter_at_its_end_stays_and_its_name_is_given_once() {
    let mut server = Server::new(Rules::default());
    assert_eq!(server.ask(Op::Create, &create("/p", 0)).0, Ok(Code::Ok));
    let znode = server.state.tree().look(|it| it.find(b"/p")).expect("as the test has it");
    let mut stat = server.state.tree().look(|it| it.stat(znode));
    stat.cversion = i32::MAX - 1;
    server.state.begin();
    server.state.tree_mut().set_stat(znode, &stat);
    server.state.commit(Zxid(2));
    server.prep = Prep::new(Rules::default(), &server.state);
    let mut names = Vec::new();
    for _ in 0..4 {
        let (code, body) = server.ask(Op::Create, &create("/p/s-", 2));
        names.push((code, body.get(4..).map(<[u8]>::to_vec)));
    }
    let name = |text: &[u8]| (Ok(Code::Ok), Some(text.to_vec()));
    assert_eq!(names[0], name(b"/p/s-2147483646"));
    assert_eq!(names[1], name(b"/p/s-2147483647"));
    assert_eq!(names[2], (Ok(Code::NodeExists), None));
    assert_eq!(names[3], (Ok(Code::NodeExists), None));
}

#[test]
fn the_version_after_minus_two_is_zero() {
    let mut server = Server::new(Rules::default());
    assert_eq!(server.ask(Op::Create, &create("/p", 0)).0, Ok(Code::Ok));
    let znode = server.state.tree().look(|it| it.find(b"/p")).expect("as the test has it");
    let mut stat = server.state.tree().look(|it| it.stat(znode));
    stat.version = -2;
    server.state.begin();
    server.state.tree_mut().set_stat(znode, &stat);
    server.state.commit(Zxid(2));
    server.prep = Prep::new(Rules::default(), &server.state);
    assert_eq!(server.ask(Op::SetData, &set("/p")).0, Ok(Code::Ok));
    assert_eq!(server.state.tree().look(|it| it.stat(znode)).version, 0);
}

#[test]
fn without_room_only_what_frees_some_goes_on() {
    let mut server = Server::new(Rules::default());
    assert_eq!(server.ask(Op::Create, &create("/a", 0)).0, Ok(Code::Ok));
    server.prep.set_room(Room::Tight);
    let refused = Err(Code::OperationTimeout);
    assert_eq!(server.ask(Op::Create, &create("/b", 0)).0, refused);
    assert_eq!(server.ask(Op::SetData, &set("/a")).0, refused);
    let grows = multi(&[(Op::SetData, set("/a"))]);
    assert_eq!(server.ask(Op::Multi, &grows).0, refused);
    let delete = encoded(|out| {
        b"/a".as_slice().write(out);
        (-1_i32).write(out);
    });
    assert_eq!(server.ask(Op::Multi, &multi(&[(Op::Delete, delete)])).0, Ok(Code::Ok));
    assert_eq!(server.ask(Op::CloseSession, &[]).0, Ok(Code::Ok));
    server.prep.set_room(Room::Ample);
    assert_eq!(server.ask(Op::Create, &create("/b", 0)).0, Ok(Code::SessionExpired));
}

/// Asks for a reconfiguration, of which the ensemble says this.
fn reconfig(rules: Rules, said: Result<&[u8], Code>) -> (Code, Vec<u8>, Server) {
    let mut server = Server::new(rules);
    let body = [0xff; 20];
    let auth = AuthIds::default();
    let request =
        Request { session: SESSION, cxid: Xid(3), op: Op::Reconfig, body: &body, auth: &auth };
    let mut entry = Vec::new();
    let asked = |zxid| {
        assert_eq!(zxid, Zxid(2));
        said.map(<[u8]>::to_vec)
    };
    let prep = &mut server.prep;
    let done = prep.prepare_reconfig(&server.state, 9, &request, asked, &mut entry);
    assert_eq!(done, Prepared::Txn(Zxid(2)));
    let mut reply = Body::default();
    server.state.begin();
    let code = server.state.apply(&entry, &mut reply).expect("as the test has it").code;
    server.state.commit(Zxid(2));
    (code, reply.0, server)
}

#[test]
fn a_reconfiguration_is_refused_for_what_the_rules_say_then_the_ensemble_then_the_acl() {
    let text = b"version=2".as_slice();
    let on = Rules { reconfig: Reconfig::On, ..Rules::default() };
    assert_eq!(reconfig(Rules::default(), Ok(text)).0, Code::ReconfigDisabled);
    assert_eq!(reconfig(on.clone(), Err(Code::BadVersion)).0, Code::BadVersion);
    let (code, _, server) = reconfig(on.clone(), Ok(text));
    assert_eq!((code, server.prep.last_reconfig()), (Code::NoAuth, Zxid::ZERO));
    let mut server = Server::new(on);
    assert_eq!(server.ask(Op::Reconfig, &[0xff; 20]).0, Ok(Code::Unimplemented), "alone");
}

#[test]
fn a_reconfiguration_is_data_of_its_znode_and_its_answer_says_both() {
    let auth = AuthConfig { acl: AclCheck::Skip, ..AuthConfig::default() };
    let rules = Rules { reconfig: Reconfig::On, auth, ..Rules::default() };
    let (code, reply, server) = reconfig(rules, Ok(b"version=2"));
    assert_eq!(code, Code::Ok);
    let GetDataResponse { data, stat } = GetDataResponse::decode(&reply).expect("a response");
    assert_eq!(data, Some(b"version=2".as_slice()));
    assert_eq!((stat.version, stat.mzxid, stat.mtime), (-1, 2, 9));
    assert_eq!(server.prep.last_reconfig(), Zxid(2));
    let znode = server.state.tree().look(|it| it.find(crate::state::CONFIG));
    let znode = znode.expect("it is always there");
    assert_eq!(server.state.tree().look(|it| it.stat(znode)).mzxid, 2);
}

#[test]
fn a_configuration_that_came_without_a_transaction_is_shown_under_its_version() {
    let mut server = Server::new(Rules::default());
    let digest = server.state.tree().look(TreeView::digest);
    server.state.begin();
    server.state.show_config(b"version=100000000", 1 << 32, 77).expect("there is room");
    server.state.commit(Zxid(1));
    let znode = server.state.tree().look(|it| it.find(crate::state::CONFIG));
    let stat = server.state.tree().look(|it| it.stat(znode.expect("it is always there")));
    assert_eq!((stat.version, stat.mzxid, stat.mtime), (-1, 1 << 32, 77));
    assert_eq!(server.state.tree().look(TreeView::digest), digest);
    assert_eq!(server.state.tree().zxid(), Zxid(1));
}

/// Rules under which the end of the session may list so many paths of two bytes.
fn ends_with(paths: usize) -> Rules {
    let txn_len_max = TxnLenMax(TxnHeader::LEN + 4 + paths * (4 + 2) + 12);
    Rules { txn_len_max, ..Rules::default() }
}

fn delete(path: &str) -> Vec<u8> {
    let path = Some(path.as_bytes());
    encoded(|out| DeleteRequest { path, version: -1 }.encode(out))
}

#[test]
fn an_ephemeral_with_which_its_session_could_not_end_in_one_transaction_is_refused() {
    let mut server = Server::new(ends_with(3));
    for path in ["/a", "/b", "/c"] {
        assert_eq!(server.ask(Op::Create, &create(path, 1)).0, Ok(Code::Ok), "{path}");
    }
    let refused = Ok(Code::QuotaExceeded);
    assert_eq!(server.ask(Op::Create, &create("/d", 1)).0, refused);
    assert_eq!(server.ask(Op::Create, &create("/d", 0)).0, Ok(Code::Ok), "it stays for ever");
    // The next leader counts what it finds.
    server.prep = Prep::new(ends_with(3), &server.state);
    assert_eq!(server.ask(Op::Create, &create("/e", 1)).0, refused);
    assert_eq!(server.ask(Op::Delete, &delete("/b")).0, Ok(Code::Ok));
    assert_eq!(server.ask(Op::Create, &create("/long", 1)).0, refused);
    assert_eq!(server.ask(Op::Create, &create("/e", 1)).0, Ok(Code::Ok));
    let mut entry = Vec::new();
    server.prepare(Op::CloseSession, &[], &mut entry);
    assert_eq!(entry.len(), ends_with(3).txn_len_max.0);
}

#[test]
fn a_multi_that_fails_neither_takes_nor_gives_room_for_ephemerals() {
    let mut server = Server::new(ends_with(30));
    let paths: Vec<_> = (0..30).map(|it| format!("/{}", char::from(b'A' + it))).collect();
    for path in &paths[..29] {
        assert_eq!(server.ask(Op::Create, &create(path, 1)).0, Ok(Code::Ok), "{path}");
    }
    // The next leader has counted none of them when the multi begins.
    server.prep = Prep::new(ends_with(30), &server.state);
    let first = |body: &[u8]| first_result(body);
    let body = multi(&[
        (Op::Delete, delete("/A")),
        (Op::Create, create("/y", 1)),
        (Op::Create, create("/z", 1)),
        (Op::Delete, delete("/none")),
    ]);
    let (code, results) = server.ask(Op::Multi, &body);
    assert_eq!((code, first(&results)), (Ok(Code::Ok), (-1, 0)));
    server.prep.check_owned(&server.state.tree);
    let body = multi(&[(Op::Create, create("/y", 1)), (Op::Create, create("/z", 1))]);
    let (_, results) = server.ask(Op::Multi, &body);
    assert_eq!(first(&results), (-1, 0), "there is room for one");
    assert_eq!(server.ask(Op::Create, &create("/y", 1)).0, Ok(Code::Ok));
    assert_eq!(server.ask(Op::Create, &create("/z", 1)).0, Ok(Code::QuotaExceeded));
}

/// A connection with three digest ids asks.
fn ask_with_ids(server: &mut Server, op: Op, body: &[u8]) -> (Prepared, Vec<u8>) {
    let mut auth = AuthIds::default();
    for user in [&b"a:a"[..], b"b:b", b"c:c"] {
        authenticate(&AuthConfig::default(), &mut auth, Some(b"digest"), Some(user));
    }
    let mut entry = Vec::new();
    let request = Request { session: SESSION, cxid: Xid(3), op, body, auth: &auth };
    let prepared = server.prep.prepare(&server.state, 9, &request, &mut entry);
    (prepared, entry)
}

#[test]
fn what_own_ids_make_longer_than_a_transaction_may_be_is_refused() {
    let acl = encoded(|out| {
        4_i32.write(out);
        for perms in 1..=4 {
            let (scheme, id) = (Some(&b"auth"[..]), Some(&b""[..]));
            AclEntry { perms: Perms(perms), scheme, id }.write(out);
        }
    });
    let acl = AclList::decode(&acl).expect("as the test has it");
    let path = Some(&b"/a"[..]);
    let body = encoded(|out| CreateRequest { path, data: None, acl, flags: 0 }.encode(out));
    let outcome = |len_max, op, body: &[u8]| {
        let rules = Rules { txn_len_max: TxnLenMax(len_max), ..Rules::default() };
        let (prepared, entry) = ask_with_ids(&mut Server::new(rules), op, body);
        assert_eq!(prepared, Prepared::Txn(Zxid(2)));
        assert!(entry.len() <= len_max, "{} of {len_max}", entry.len());
        TxnHeader::decode(&entry).expect("as the test has it").op
    };
    let create = Op::Create.number();
    assert_eq!(outcome(1_000, Op::Create, &body), create);
    assert_eq!(outcome(700, Op::Create, &body), Op::Error.number());
    let twice = |number: usize| {
        let path = format!("/{number}");
        let path = Some(path.as_bytes());
        let body = encoded(|out| CreateRequest { path, data: None, acl, flags: 0 }.encode(out));
        (Op::Create, body)
    };
    let some = multi(&(0..8).map(twice).collect::<Vec<_>>());
    assert_eq!(outcome(8_000, Op::Multi, &some), Op::Multi.number());
    // It fails op by op where the codes fit, and else as a whole.
    let rules = Rules { txn_len_max: TxnLenMax(3_000), ..Rules::default() };
    let mut server = Server::new(rules);
    let (_, entry) = ask_with_ids(&mut server, Op::Multi, &some);
    assert!(entry.len() <= 3_000);
    assert_eq!(server.prep.outstanding(), 0);
    let many = multi(&(0..400).map(twice).collect::<Vec<_>>());
    assert_eq!(outcome(3_000, Op::Multi, &many), Op::Error.number());
}

#[test]
fn a_request_that_is_longer_than_a_transaction_may_be_takes_no_zxid() {
    let rules = Rules { txn_len_max: TxnLenMax(300), ..Rules::default() };
    let mut server = Server::new(rules);
    let path = format!("/{}", "x".repeat(300));
    assert_eq!(server.ask(Op::Create, &create(&path, 0)).0, Err(Code::BadArguments));
    assert_eq!(server.prep.last_zxid(), Zxid(1));
}

#[test]
fn what_was_an_ephemeral_for_a_part_of_a_multi_does_not_go_with_the_session() {
    let mut server = Server::new(Rules::default());
    let body = multi(&[
        (Op::Create, create("/a", 1)),
        (Op::Delete, delete("/a")),
        (Op::Create, create("/a", 0)),
    ]);
    let mut entry = Vec::new();
    server.prepare(Op::Multi, &body, &mut entry);
    entry.clear();
    // The multi is not applied yet.
    server.prepare(Op::CloseSession, &[], &mut entry);
    assert_eq!(entry[TxnHeader::LEN..][..4], 0_i32.to_be_bytes(), "it has no ephemeral");
}
