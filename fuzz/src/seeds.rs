//! Where the fuzzers start from: the golden vectors, which the reference wrote, in the shape each target reads; and what
//! no golden vector has.

use std::path::Path;
use std::{fs, io};

use engine::arena::Memory;
use engine::auth::AuthIds;
use jute::{
    ConnectRequest, CreateSessionTxn, Field as _, Op, Reader, RequestHeader, SessionId, TxnHeader,
    Xid, Zxid,
};
use net::words::Word;
use ringkeeper::config::KEYS;
use snapshot::format::{ImageHeader, Label, PAGE_LEN};

use crate::txn::Server;

/// An input for a target.
#[derive(Debug)]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// The input.
    pub bytes: Vec<u8>,
}

/// All seeds, made of the golden vectors in `golden` and of nothing.
///
/// # Errors
/// The vectors cannot be read.
pub fn seeds(golden: &Path) -> io::Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    for (record, op) in REQUESTS {
        for body in frames(golden, record)? {
            seeds.push(seed("request", &[&[op.number() as u8], &body]));
            if body.len() < 256 {
                seeds.push(seed("txn", &[&[op.number() as u8, 0, body.len() as u8], &body]));
                seeds.push(client(*op, &body));
            }
            if *record == "SetACLRequest" {
                // Behind path and before version.
                let path = Reader::new(&body).bytes().ok().flatten().map_or(0, <[u8]>::len);
                seeds.push(seed(
                    "acl",
                    &[&[31, 6, b'p', b'a', b't', b':', b'p', b'w'], &body[4 + path..]],
                ));
            }
        }
    }
    for record in ["ConnectRequest", "ConnectRequestOld", "ConnectResponse", "ConnectResponseOld"] {
        seeds.extend(frames(golden, record)?.iter().map(|body| seed("connect", &[body])));
    }
    seeds.extend(frames(golden, "MultiOperationRecord")?.iter().map(|body| seed("multi", &[body])));
    for (which, record) in (0..).zip(REPLIES) {
        seeds.extend(frames(golden, record)?.iter().map(|body| seed("reply", &[&[which], body])));
    }
    let entries = frames(golden, "Entry")?;
    seeds.extend(entries.iter().map(|body| seed("entry", &[&[0, body.len() as u8], body])));
    seeds.push(history());
    seeds.extend(Word::ALL.iter().map(|word| seed("word", &[word.name().as_bytes(), &[0; 8]])));
    seeds.extend(Word::ALL.iter().map(|word| seed("client", &[&[0, 4], word.name().as_bytes()])));
    seeds.push(segment());
    seeds.push(image());
    seeds.push(snap(golden)?);
    for key in KEYS {
        seeds.push(seed("zoo_cfg", &[key.name.as_bytes(), b"=", key.default.as_bytes()]));
    }
    Ok(seeds)
}

/// A connection whose session asks for one thing, while another does the same.
fn client(op: Op, body: &[u8]) -> Seed {
    let mut hello = Vec::new();
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 4_000,
        session: SessionId::NONE,
        password: Some(&[0; 16]),
        read_only: Some(false),
    };
    request.write(&mut hello);
    let mut asked = Vec::new();
    RequestHeader { xid: Xid(1), op: op.number() }.write(&mut asked);
    asked.extend_from_slice(body);
    let mut bytes = Vec::new();
    // Each piece is handed over, and its batch durable, before the next.
    for (who, frame) in [(0, &hello), (1, &hello), (0, &asked), (1, &asked)] {
        let mut piece = (frame.len() as u32).to_be_bytes().to_vec();
        piece.extend_from_slice(frame);
        for part in piece.chunks(255) {
            bytes.extend_from_slice(&[who, part.len() as u8]);
            bytes.extend_from_slice(part);
        }
    }
    Seed { target: "client", bytes }
}

/// The entries of a short life, with the digests that a tree then has.
fn history() -> Seed {
    let mut server = Server::new();
    let mut bytes = Vec::new();
    let auth = AuthIds::default();
    let mut timeout = Vec::new();
    CreateSessionTxn { timeout_ms: 4_000 }.write(&mut timeout);
    let open = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone".as_slice();
    let create = [b"\0\0\0\x02/a\0\0\0\x01x".as_slice(), open, b"\0\0\0\x01"].concat();
    let steps: [(Op, &[u8]); 4] = [
        (Op::CreateSession, &timeout),
        (Op::Create, &create),
        (Op::SetData, b"\0\0\0\x02/a\0\0\0\x01y\xff\xff\xff\xff"),
        (Op::CloseSession, b""),
    ];
    for (op, body) in steps {
        server.ask(op, SessionId(1), body, &auth);
    }
    for entry in server.apply() {
        bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Seed { target: "entry", bytes }
}

/// Two frames, of one record and of two. The bytes are those that [`crate::segment`] seals.
fn segment() -> Seed {
    let record = |zxid: i64, body: &[u8]| {
        let mut record = (TxnHeader::LEN as u32 + body.len() as u32).to_be_bytes().to_vec();
        let (client, zxid, op) = (SessionId(7), Zxid(zxid), Op::SetData.number());
        TxnHeader { client, cxid: 1, zxid, time_ms: 1, op }.write(&mut record);
        [record.as_slice(), body].concat()
    };
    // Each frame: its length in fours, less one; count; first zxid less the last before; last less first.
    let one = record(10, b"x");
    let two = [record(11, b"x"), record(12, b"")].concat();
    seed("segment", &[&[0, 9, 0, 1], &[9, 1, 1, 0], &one, &[18, 2, 1, 1], &two])
}

/// The stream in a file of ZooKeeper's, with the signature that a leader sends.
fn snap(golden: &Path) -> io::Result<Seed> {
    let file = fs::read(golden.join("../../../snapshot/tests/golden/snapshot.44"))?;
    // Header, stream, and checksums with the digest and the last zxid.
    let stream = &file[16..file.len() - (13 + 20 + 13 + 8 + 13)];
    Ok(seed("snap", &[&[129], stream, b"\0\0\0\x0aBenWasHere"]))
}

/// Header, table and trailer of an image of the smallest region.
fn image() -> Seed {
    let page_count = (Memory::WORDS_MIN * 8 / PAGE_LEN) as u64;
    let label = Label { tree_digest: 7, begun_at_ms: 5, ..Label::default() };
    let header = ImageHeader { zxid: Zxid(9), page_count, label };
    let (mut block, mut trailer) = ([0; PAGE_LEN], [0; PAGE_LEN]);
    let mut table = vec![0; header.table_len()];
    header.encode(&mut block);
    header.encode_table(&vec![3; page_count as usize], &mut table);
    header.encode_trailer(&table, &mut trailer);
    seed("image", &[&block, &table, &trailer])
}

fn seed(target: &'static str, parts: &[&[u8]]) -> Seed {
    Seed { target, bytes: parts.concat() }
}

/// The frames of a file of golden vectors: a length, then the bytes.
fn frames(golden: &Path, record: &str) -> io::Result<Vec<Vec<u8>>> {
    let file = fs::read(golden.join(format!("{record}.bin")))?;
    let mut reader = Reader::new(&file);
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = reader.bytes() {
        frames.push(frame.to_vec());
    }
    Ok(frames)
}

const REQUESTS: &[(&str, Op)] = &[
    ("CreateRequest", Op::Create),
    ("CreateRequest", Op::Create2),
    ("CreateTTLRequest", Op::CreateTtl),
    ("DeleteRequest", Op::Delete),
    ("DeleteContainerRequest", Op::DeleteContainer),
    ("ExistsRequest", Op::Exists),
    ("GetDataRequest", Op::GetData),
    ("SetDataRequest", Op::SetData),
    ("GetACLRequest", Op::GetAcl),
    ("SetACLRequest", Op::SetAcl),
    ("GetChildrenRequest", Op::GetChildren),
    ("GetChildren2Request", Op::GetChildren2),
    ("SyncRequest", Op::Sync),
    ("CheckVersionRequest", Op::Check),
    ("MultiOperationRecord", Op::Multi),
    ("MultiOperationRecord", Op::MultiRead),
    ("ReconfigRequest", Op::Reconfig),
    ("CheckWatchesRequest", Op::CheckWatches),
    ("RemoveWatchesRequest", Op::RemoveWatches),
    ("AuthPacket", Op::Auth),
    ("SetWatches", Op::SetWatches),
    ("GetSASLRequest", Op::Sasl),
    ("GetEphemeralsRequest", Op::GetEphemerals),
    ("GetAllChildrenNumberRequest", Op::GetAllChildrenNumber),
    ("SetWatches2", Op::SetWatches2),
    ("AddWatchRequest", Op::AddWatch),
];

/// In the order of the target's numbers.
const REPLIES: [&str; 12] = [
    "ReplyHeader",
    "WatcherEvent",
    "CreateResponse",
    "Create2Response",
    "ExistsResponse",
    "GetDataResponse",
    "GetChildrenResponse",
    "GetChildren2Response",
    "GetACLResponse",
    "GetAllChildrenNumberResponse",
    "ErrorResponse",
    "WhoAmIResponse",
];
