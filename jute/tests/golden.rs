//! Every record beside the reference's own bytes: `golden/NAME.bin` holds frames (a length, then the bytes) that
//! ZooKeeper 3.9.5 wrote, `golden/manifest.txt` a line per frame with the fields as it names them.
//!
//! Each frame is decoded, shown as the reference shows it, encoded again, and cut at every byte.
//! `golden/capture/run` captures them anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use jute::{
    AclEntry, AddWatchRequest, AuthPacket, CheckVersionRequest, CheckVersionTxn, ClientInfo,
    CloseSessionTxn, ConnectRequest, ConnectResponse, Create2Response, CreateContainerTxn,
    CreateRequest, CreateSessionTxn, CreateTtlRequest, CreateTtlTxn, CreateTxn, DecodeError,
    DeleteRequest, DeleteTxn, ErrorResponse, ErrorTxn, Field, GetAclResponse,
    GetAllChildrenNumberResponse, GetChildren2Response, GetDataResponse, List, MultiHeader,
    MultiOps, MultiTxn, Op, PathRequest, PathResponse, PathTypeRequest, PathWatchRequest, Perms,
    Reader, ReconfigRequest, ReplyHeader, RequestHeader, SaslRequest, SaslResponse, SessionId,
    SetAclRequest, SetAclTxn, SetDataRequest, SetDataTxn, SetWatches, SetWatches2, Stat,
    StatResponse, StringsResponse, SubTxn, TxnDigest, TxnHeader, WatcherEvent, WhoAmIResponse, Xid,
    Zxid,
};

/// What a frame holds: its fields as text, and its bytes as we write them.
#[derive(Default)]
struct Told {
    text: String,
    bytes: Vec<u8>,
}

/// A value as the capture program shows it.
trait Show {
    fn show(&self, out: &mut String);
}

macro_rules! show_numbers {
    ($($name:ty => $field:tt),*) => { $(
        impl Show for $name {
            fn show(&self, out: &mut String) {
                out.push_str(&self.$field.to_string());
            }
        }
    )* };
}
show_numbers!(Zxid => 0, SessionId => 0, Xid => 0, Perms => 0);

macro_rules! show_plain {
    ($($name:ty),*) => { $(
        impl Show for $name {
            fn show(&self, out: &mut String) {
                out.push_str(&self.to_string());
            }
        }
    )* };
}
show_plain!(bool, i32, i64);

impl Show for &[u8] {
    fn show(&self, out: &mut String) {
        out.push('"');
        for &byte in *self {
            if (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\' {
                out.push(char::from(byte));
            } else {
                out.push_str("\\x");
                out.extend(
                    [byte >> 4, byte & 15].map(|it| char::from(b"0123456789abcdef"[it as usize])),
                );
            }
        }
        out.push('"');
    }
}

impl Show for Option<&[u8]> {
    fn show(&self, out: &mut String) {
        match self {
            None => out.push_str("null"),
            Some(bytes) => bytes.show(out),
        }
    }
}

fn field(name: &str, value: &impl Show, out: &mut String) {
    out.extend([" ", name, "="]);
    value.show(out);
}

fn show_vector<T: Show>(values: impl Iterator<Item = T>, out: &mut String) {
    out.push('[');
    for value in values {
        out.push(' ');
        value.show(out);
    }
    out.push_str(" ]");
}

impl<'a, T: Field<'a> + Show> Show for List<'a, T> {
    fn show(&self, out: &mut String) {
        if self.is_null() { out.push_str("null") } else { show_vector(self.iter(), out) }
    }
}

impl Show for AclEntry<'_> {
    fn show(&self, out: &mut String) {
        out.push('(');
        field("perms", &self.perms, out);
        out.push_str(" id=(");
        field("scheme", &self.scheme, out);
        field("id", &self.id, out);
        out.push_str(" ) )");
    }
}

/// Names the fields of records as the reference does. The records in the second list also stand inside of others.
macro_rules! fields {
    ($($record:ty { $($name:literal = $field:ident),* })*) => { $(
        impl Fields for $record {
            fn fields(&self, out: &mut String) {
                $( field($name, &self.$field, out); )*
            }
        }
    )* };
}

trait Fields {
    fn fields(&self, out: &mut String);
}

macro_rules! nested {
    ($($record:ty),*) => { $(
        impl Show for $record {
            fn show(&self, out: &mut String) {
                out.push('(');
                self.fields(out);
                out.push_str(" )");
            }
        }
    )* };
}
nested!(Stat, ClientInfo<'_>, SubTxn<'_>);

fields! {
    RequestHeader { "xid" = xid, "type" = op }
    ReplyHeader { "xid" = xid, "zxid" = zxid, "err" = err }
    MultiHeader { "type" = op, "done" = done, "err" = err }
    AuthPacket<'_> { "type" = kind, "scheme" = scheme, "auth" = auth }
    SaslRequest<'_> { "token" = token }
    CreateRequest<'_> { "path" = path, "data" = data, "acl" = acl, "flags" = flags }
    CreateTtlRequest<'_> { "path" = path, "data" = data, "acl" = acl, "flags" = flags, "ttl" = ttl_ms }
    DeleteRequest<'_> { "path" = path, "version" = version }
    PathWatchRequest<'_> { "path" = path, "watch" = watch }
    SetDataRequest<'_> { "path" = path, "data" = data, "version" = version }
    SetAclRequest<'_> { "path" = path, "acl" = acl, "version" = version }
    CheckVersionRequest<'_> { "path" = path, "version" = version }
    AddWatchRequest<'_> { "path" = path, "mode" = mode }
    PathTypeRequest<'_> { "path" = path, "type" = kind }
    SetWatches<'_> {
        "relativeZxid" = relative_zxid, "dataWatches" = data, "existWatches" = exist,
        "childWatches" = child
    }
    SetWatches2<'_> {
        "relativeZxid" = relative_zxid, "dataWatches" = data, "existWatches" = exist,
        "childWatches" = child, "persistentWatches" = persistent,
        "persistentRecursiveWatches" = recursive
    }
    ReconfigRequest<'_> {
        "joiningServers" = joining, "leavingServers" = leaving, "newMembers" = members,
        "curConfigId" = config
    }
    WatcherEvent<'_> { "type" = kind, "state" = state, "path" = path }
    Stat {
        "czxid" = czxid, "mzxid" = mzxid, "ctime" = ctime, "mtime" = mtime, "version" = version,
        "cversion" = cversion, "aversion" = aversion, "ephemeralOwner" = ephemeral_owner,
        "dataLength" = data_length, "numChildren" = num_children, "pzxid" = pzxid
    }
    PathResponse<'_> { "path" = path }
    Create2Response<'_> { "path" = path, "stat" = stat }
    StatResponse { "stat" = stat }
    GetDataResponse<'_> { "data" = data, "stat" = stat }
    GetChildren2Response<'_> { "children" = children, "stat" = stat }
    GetAclResponse<'_> { "acl" = acl, "stat" = stat }
    GetAllChildrenNumberResponse { "totalNumber" = total }
    ErrorResponse { "err" = err }
    SaslResponse<'_> { "token" = token }
    ClientInfo<'_> { "authScheme" = scheme, "user" = user }
    TxnHeader { "clientId" = client, "cxid" = cxid, "zxid" = zxid, "time" = time_ms, "type" = op }
    TxnDigest { "version" = version, "treeDigest" = tree }
    CreateTxn<'_> {
        "path" = path, "data" = data, "acl" = acl, "ephemeral" = ephemeral,
        "parentCVersion" = parent_cversion
    }
    CreateTtlTxn<'_> {
        "path" = path, "data" = data, "acl" = acl, "parentCVersion" = parent_cversion,
        "ttl" = ttl_ms
    }
    CreateContainerTxn<'_> {
        "path" = path, "data" = data, "acl" = acl, "parentCVersion" = parent_cversion
    }
    DeleteTxn<'_> { "path" = path }
    SetDataTxn<'_> { "path" = path, "data" = data, "version" = version }
    SetAclTxn<'_> { "path" = path, "acl" = acl, "version" = version }
    CheckVersionTxn<'_> { "path" = path, "version" = version }
    CreateSessionTxn { "timeOut" = timeout_ms }
    CloseSessionTxn<'_> { "paths2Delete" = paths }
    ErrorTxn { "err" = err }
    SubTxn<'_> { "type" = op, "data" = record }
}

impl Fields for ConnectRequest<'_> {
    fn fields(&self, out: &mut String) {
        field("protocolVersion", &self.protocol_version, out);
        field("lastZxidSeen", &self.last_zxid_seen, out);
        field("timeOut", &self.timeout_ms, out);
        field("sessionId", &self.session, out);
        field("passwd", &self.password, out);
        self.read_only.iter().for_each(|it| field("readOnly", it, out));
    }
}

impl Fields for ConnectResponse<'_> {
    fn fields(&self, out: &mut String) {
        field("protocolVersion", &self.protocol_version, out);
        field("timeOut", &self.timeout_ms, out);
        field("sessionId", &self.session, out);
        field("passwd", &self.password, out);
        self.read_only.iter().for_each(|it| field("readOnly", it, out));
    }
}

type Tell = fn(&mut Reader<'_>, &mut Told) -> Result<(), DecodeError>;

macro_rules! tell {
    ($record:ident) => {
        |reader, told| {
            let record = $record::read(reader)?;
            record.fields(&mut told.text);
            record.write(&mut told.bytes);
            Ok(())
        }
    };
    // A record of one field, under the reference's name for it.
    ($record:ident, $name:literal, $field:ident) => {
        |reader, told| {
            let record = $record::read(reader)?;
            field($name, &record.$field, &mut told.text);
            record.write(&mut told.bytes);
            Ok(())
        }
    };
}

/// The record that the reference calls `name`.
fn tell(name: &str) -> Option<Tell> {
    Some(match name {
        "RequestHeader" => tell!(RequestHeader),
        "ReplyHeader" => tell!(ReplyHeader),
        "MultiHeader" => tell!(MultiHeader),
        "ConnectRequest" | "ConnectRequestOld" => tell!(ConnectRequest),
        "ConnectResponse" | "ConnectResponseOld" => tell!(ConnectResponse),
        "AuthPacket" => tell!(AuthPacket),
        "GetSASLRequest" | "SetSASLRequest" => tell!(SaslRequest),
        "SetSASLResponse" => tell!(SaslResponse),
        "Entry" => tell_entry,
        "MultiOperationRecord" => tell_multi,
        "MultiResponse" => tell_multi_response,
        _ => return tell_request(name).or_else(|| tell_response(name)).or_else(|| tell_txn(name)),
    })
}

fn tell_request(name: &str) -> Option<Tell> {
    Some(match name {
        "CreateRequest" => tell!(CreateRequest),
        "CreateTTLRequest" => tell!(CreateTtlRequest),
        "DeleteRequest" => tell!(DeleteRequest),
        "ExistsRequest" | "GetDataRequest" | "GetChildrenRequest" | "GetChildren2Request" => {
            tell!(PathWatchRequest)
        }
        "GetACLRequest"
        | "SyncRequest"
        | "GetAllChildrenNumberRequest"
        | "DeleteContainerRequest" => {
            tell!(PathRequest, "path", path)
        }
        "GetEphemeralsRequest" => tell!(PathRequest, "prefixPath", path),
        "SetDataRequest" => tell!(SetDataRequest),
        "SetACLRequest" => tell!(SetAclRequest),
        "CheckVersionRequest" => tell!(CheckVersionRequest),
        "AddWatchRequest" => tell!(AddWatchRequest),
        "CheckWatchesRequest" | "RemoveWatchesRequest" => tell!(PathTypeRequest),
        "SetWatches" => tell!(SetWatches),
        "SetWatches2" => tell!(SetWatches2),
        "ReconfigRequest" => tell!(ReconfigRequest),
        _ => return None,
    })
}

fn tell_response(name: &str) -> Option<Tell> {
    Some(match name {
        "WatcherEvent" => tell!(WatcherEvent),
        "Stat" => tell!(Stat),
        "CreateResponse" | "SyncResponse" => tell!(PathResponse),
        "Create2Response" => tell!(Create2Response),
        "ExistsResponse" | "SetDataResponse" | "SetACLResponse" => tell!(StatResponse),
        "GetDataResponse" => tell!(GetDataResponse),
        "GetChildrenResponse" => tell!(StringsResponse, "children", strings),
        "GetEphemeralsResponse" => tell!(StringsResponse, "ephemerals", strings),
        "GetChildren2Response" => tell!(GetChildren2Response),
        "GetACLResponse" => tell!(GetAclResponse),
        "GetAllChildrenNumberResponse" => tell!(GetAllChildrenNumberResponse),
        "ErrorResponse" => tell!(ErrorResponse),
        "WhoAmIResponse" => tell!(WhoAmIResponse, "clientInfo", ids),
        _ => return None,
    })
}

fn tell_txn(name: &str) -> Option<Tell> {
    Some(match name {
        "TxnHeader" => tell!(TxnHeader),
        "TxnDigest" => tell!(TxnDigest),
        "CreateTxn" => tell!(CreateTxn),
        "CreateTTLTxn" => tell!(CreateTtlTxn),
        "CreateContainerTxn" => tell!(CreateContainerTxn),
        "DeleteTxn" => tell!(DeleteTxn),
        "SetDataTxn" => tell!(SetDataTxn),
        "SetACLTxn" => tell!(SetAclTxn),
        "CheckVersionTxn" => tell!(CheckVersionTxn),
        "CreateSessionTxn" => tell!(CreateSessionTxn),
        "CloseSessionTxn" => tell!(CloseSessionTxn),
        "ErrorTxn" => tell!(ErrorTxn),
        "MultiTxn" => tell!(MultiTxn, "txns", txns),
        _ => return None,
    })
}

/// A record inside of a sequence.
fn tell_inside(name: &str, reader: &mut Reader<'_>, told: &mut Told) -> Result<(), DecodeError> {
    told.text.push_str(" (");
    if let Some(tell) = tell(name) {
        tell(reader, told)?;
    }
    told.text.push_str(" )");
    Ok(())
}

/// A log's entry: header, record, and a digest if anything is left.
fn tell_entry(reader: &mut Reader<'_>, told: &mut Told) -> Result<(), DecodeError> {
    let header = TxnHeader::read(&mut reader.clone())?;
    let record = tell_txn(match Op::from_number(header.op) {
        Some(Op::CreateSession) => "CreateSessionTxn",
        Some(Op::CloseSession) => "CloseSessionTxn",
        Some(Op::Create | Op::Create2) => "CreateTxn",
        Some(Op::CreateContainer) => "CreateContainerTxn",
        Some(Op::CreateTtl) => "CreateTTLTxn",
        Some(Op::Delete | Op::DeleteContainer) => "DeleteTxn",
        Some(Op::SetData) => "SetDataTxn",
        Some(Op::SetAcl) => "SetACLTxn",
        Some(Op::Multi) => "MultiTxn",
        Some(Op::Error) => "ErrorTxn",
        _ => return Err(DecodeError::Op { op: header.op }),
    });
    for tell in [tell_txn("TxnHeader"), record].into_iter().flatten() {
        tell(reader, told)?;
    }
    match tell_txn("TxnDigest") {
        Some(tell) if !reader.is_empty() => tell(reader, told),
        _ => Ok(()),
    }
}

fn tell_multi(reader: &mut Reader<'_>, told: &mut Told) -> Result<(), DecodeError> {
    let ops = MultiOps::decode(reader.rest())?;
    let expected = ops.len();
    let mut count = 0;
    for (op, record) in ops {
        let header = MultiHeader { op: op.number(), done: false, err: -1 };
        write_header(header, told);
        let name = match op {
            Op::Create | Op::Create2 | Op::CreateContainer => "CreateRequest",
            Op::CreateTtl => "CreateTTLRequest",
            Op::Delete => "DeleteRequest",
            Op::SetData => "SetDataRequest",
            Op::Check => "CheckVersionRequest",
            _ => "GetDataRequest",
        };
        tell_inside(name, &mut Reader::new(record), told)?;
        count += 1;
    }
    assert_eq!(count, expected);
    write_header(MultiHeader::END, told);
    reader.take(told.bytes.len()).map(drop)
}

fn tell_multi_response(reader: &mut Reader<'_>, told: &mut Told) -> Result<(), DecodeError> {
    loop {
        let header = MultiHeader::read(reader)?;
        write_header(header, told);
        if header.done {
            return Ok(());
        }
        let name = match Op::from_number(header.op) {
            Some(Op::Create) => "CreateResponse",
            Some(Op::Create2) => "Create2Response",
            Some(Op::SetData) => "SetDataResponse",
            Some(Op::GetData) => "GetDataResponse",
            Some(Op::GetChildren) => "GetChildrenResponse",
            Some(Op::Error) => "ErrorResponse",
            _ => continue,
        };
        tell_inside(name, reader, told)?;
    }
}

fn write_header(header: MultiHeader, told: &mut Told) {
    told.text.push_str(" (");
    header.fields(&mut told.text);
    told.text.push_str(" )");
    header.write(&mut told.bytes);
}

/// A frame and its line.
type Vector = (Vec<u8>, String);

/// The frames of every file with their lines, in order.
fn vectors() -> io::Result<BTreeMap<String, Vec<Vector>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut vectors: BTreeMap<String, Vec<Vector>> = BTreeMap::new();
    for line in fs::read_to_string(folder.join("manifest.txt"))?.lines() {
        let (name, _) = line.split_once(' ').unwrap_or((line, ""));
        vectors.entry(name.to_owned()).or_default().push((Vec::new(), line.to_owned()));
    }
    for (name, frames) in &mut vectors {
        let file = fs::read(folder.join(format!("{name}.bin")))?;
        let mut reader = Reader::new(&file);
        for (frame, _) in frames {
            let bytes = reader.bytes().map_err(|_| io::ErrorKind::InvalidData)?;
            *frame = bytes.unwrap_or_default().to_vec();
        }
        assert!(reader.is_empty(), "{name}.bin has more frames than the manifest has lines");
    }
    Ok(vectors)
}

#[test]
fn every_record_is_read_and_written_as_the_reference_has_it() {
    let (mut records, mut count) = (0, 0);
    for (name, frames) in vectors().unwrap() {
        let tell = tell(&name).unwrap_or_else(|| panic!("no record here is {name}"));
        for (frame, line) in frames {
            let mut told = Told::default();
            let mut reader = Reader::new(&frame);
            tell(&mut reader, &mut told).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(format!("{name}{}", told.text), line);
            assert_eq!(told.bytes, frame, "{line}");
            assert!(reader.is_empty(), "{line}");
            count += 1;
        }
        records += 1;
    }
    assert_eq!((records, count), (64, 1_210));
}

#[test]
fn a_record_that_is_cut_anywhere_is_refused() {
    for (name, frames) in vectors().unwrap() {
        // Old clients leave out the last byte; an entry may be without digest.
        let optional = match name.as_str() {
            "ConnectRequest" | "ConnectResponse" => 1,
            "Entry" => TxnDigest::LEN,
            _ => 0,
        };
        let tell = tell(&name).unwrap();
        for (frame, line) in frames {
            for cut in 0..frame.len() {
                let told = tell(&mut Reader::new(&frame[..cut]), &mut Told::default());
                if told.is_ok() {
                    assert_eq!(cut, frame.len() - optional, "{line}");
                }
            }
        }
    }
}

#[test]
fn bytes_behind_a_record_are_left_alone() {
    for (name, frames) in vectors().unwrap() {
        if name.starts_with("Connect") || name == "Entry" {
            continue;
        }
        let tell = tell(&name).unwrap();
        for (mut frame, line) in frames {
            frame.extend([0xff; 3]);
            let mut reader = Reader::new(&frame);
            assert!(tell(&mut reader, &mut Told::default()).is_ok(), "{line}");
            assert_eq!(reader.rest(), [0xff; 3], "{line}");
        }
    }
}
