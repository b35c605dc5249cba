//! Records: what is read, is written so that it reads the same.

use std::net::{IpAddr, Ipv4Addr};

use engine::auth::{AuthConfig, AuthIds, authenticate, check_acl, fixup_acl, mask_acl};
use jute::{
    AclList, AddWatchRequest, AuthPacket, CheckVersionRequest, ConnectRequest, ConnectResponse,
    Create2Response, CreateRequest, CreateTtlRequest, DeleteRequest, ErrorResponse, GetAclResponse,
    GetAllChildrenNumberResponse, GetChildren2Response, GetDataResponse, MultiOps, Op, Path,
    PathRequest, PathResponse, PathTypeRequest, PathWatchRequest, Perms, ReconfigRequest,
    Record as _, ReplyHeader, RequestHeader, SaslRequest, SetAclRequest, SetDataRequest,
    SetWatches, SetWatches2, StatResponse, Strings, StringsResponse, WatcherEvent, WhoAmIResponse,
    parent,
};

/// Reads a record; if it is one, writes it, and reads and writes that again.
macro_rules! same {
    ($bytes:expr, $record:ident) => {
        if let Ok(record) = $record::decode($bytes) {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            record.encode(&mut once);
            assert!(once.len() <= $bytes.len(), "{record:?}");
            $record::decode(&once).expect("it was written here").encode(&mut twice);
            assert_eq!(once, twice);
            Some(record)
        } else {
            None
        }
    };
}

/// The handshake's records.
pub fn connect(bytes: &[u8]) {
    same!(bytes, ConnectRequest);
    same!(bytes, ConnectResponse);
}

/// The first byte says which op, the record follows.
pub fn request(bytes: &[u8]) {
    let Some((&op, bytes)) = bytes.split_first() else { return };
    same!(bytes, RequestHeader);
    match Op::from_number(i32::from(op as i8)) {
        Some(Op::Create | Op::Create2 | Op::CreateContainer) => {
            if let Some(record) = same!(bytes, CreateRequest) {
                whole_path(record.path);
                whole_list(record.acl);
            }
        }
        Some(Op::CreateTtl) => {
            same!(bytes, CreateTtlRequest);
        }
        Some(Op::Delete) => {
            if let Some(record) = same!(bytes, DeleteRequest) {
                whole_path(record.path);
            }
        }
        Some(Op::Exists | Op::GetData | Op::GetChildren | Op::GetChildren2) => {
            same!(bytes, PathWatchRequest);
        }
        Some(Op::SetData) => {
            same!(bytes, SetDataRequest);
        }
        Some(Op::SetAcl) => {
            same!(bytes, SetAclRequest);
        }
        Some(Op::Check) => {
            same!(bytes, CheckVersionRequest);
        }
        Some(Op::AddWatch) => {
            same!(bytes, AddWatchRequest);
        }
        Some(Op::CheckWatches | Op::RemoveWatches) => {
            same!(bytes, PathTypeRequest);
        }
        Some(Op::SetWatches) => {
            if let Some(record) = same!(bytes, SetWatches) {
                whole_strings(&[record.data, record.exist, record.child]);
            }
        }
        Some(Op::SetWatches2) => {
            if let Some(record) = same!(bytes, SetWatches2) {
                whole_strings(&[record.persistent, record.recursive]);
            }
        }
        Some(Op::Auth) => {
            same!(bytes, AuthPacket);
        }
        Some(Op::Sasl) => {
            same!(bytes, SaslRequest);
        }
        Some(Op::Reconfig) => {
            same!(bytes, ReconfigRequest);
        }
        _ => {
            same!(bytes, PathRequest);
        }
    }
}

/// multi and multiRead.
pub fn multi(bytes: &[u8]) {
    let Ok(ops) = MultiOps::decode(bytes) else { return };
    let (count, reads) = (ops.len(), ops.is_read());
    let mut walked = 0;
    for (op, record) in ops {
        assert_eq!(reads, matches!(op, Op::GetData | Op::GetChildren));
        assert!(record.len() <= bytes.len());
        walked += 1;
    }
    assert_eq!(walked, count);
}

/// What clients read.
pub fn reply(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else { return };
    match which % 12 {
        0 => drop(same!(bytes, ReplyHeader)),
        1 => drop(same!(bytes, WatcherEvent)),
        2 => drop(same!(bytes, PathResponse)),
        3 => drop(same!(bytes, Create2Response)),
        4 => drop(same!(bytes, StatResponse)),
        5 => drop(same!(bytes, GetDataResponse)),
        6 => drop(same!(bytes, StringsResponse)),
        7 => drop(same!(bytes, GetChildren2Response)),
        8 => drop(same!(bytes, GetAclResponse)),
        9 => drop(same!(bytes, GetAllChildrenNumberResponse)),
        10 => drop(same!(bytes, ErrorResponse)),
        _ => drop(same!(bytes, WhoAmIResponse)),
    }
}

/// An ACL, and who asks: a byte of permissions, a byte with the length of credentials, those, then the list.
pub fn acl(bytes: &[u8]) {
    let Some((&[perms, len], rest)) = bytes.split_first_chunk() else { return };
    let Some((credentials, list)) = rest.split_at_checked(len as usize) else { return };
    let Ok(list) = AclList::decode(list) else { return };
    whole_list(list);
    let config = AuthConfig {
        super_digest: Some(b"super:D/InIHSb7yEEbrWz8b9l71RjZJU=".to_vec()),
        ..AuthConfig::default()
    };
    let mut ids = AuthIds::of_address(IpAddr::V4(Ipv4Addr::new(10, perms, 0, 1)));
    authenticate(&config, &mut ids, Some(b"digest"), Some(credentials));
    let perms = Perms(perms.into());
    let passes = check_acl(&config, &ids, list, perms);
    let mut masked = Vec::new();
    mask_acl(list, &mut masked);
    assert_eq!(AclList::decode(&masked).expect("it was written here").len(), list.len());
    if let Ok(fixed) = fixup_acl(&config, &ids, list, 1 << 20) {
        let fixed = AclList::decode(&fixed).expect("it was written here");
        assert!(!fixed.is_empty());
        // Fixing takes nothing away from anybody.
        assert!(!passes || check_acl(&config, &ids, fixed, perms));
        let again =
            fixup_acl(&config, &ids, fixed, 1 << 20).expect("what is stored can be stored again");
        assert!(AclList::decode(&again).is_ok_and(|again| again.len() <= fixed.len()));
    }
}

fn whole_list(list: AclList<'_>) {
    assert_eq!(list.iter().count(), list.len());
}

fn whole_strings(lists: &[Strings<'_>]) {
    for list in lists {
        assert_eq!(list.iter().count(), list.len());
    }
}

fn whole_path(path: Option<&[u8]>) {
    let path = path.unwrap_or_default();
    let above = parent(path);
    if Path::parse(path).is_ok() && path != b"/" {
        assert!(above.is_some_and(|above| Path::parse(above).is_ok()));
    }
}
