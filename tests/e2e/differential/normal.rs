//! Replies and events as text in which two servers can be compared: times and session ids are taken out, and what has no
//! order in the reference is sorted.

use std::collections::BTreeMap;
use std::io;

use crate::wire::Fields;

/// Session ids of one server, each with a name that both servers' have in common.
pub(super) type Names = BTreeMap<i64, String>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A buffer, where null shows.
fn buffer(fields: &mut Fields<'_>) -> io::Result<String> {
    let null = fields.0.starts_with(&[0xff; 4]);
    let bytes = fields.buffer()?;
    Ok(if null { "null".to_owned() } else { format!("{:?}", text(bytes)) })
}

fn strings(fields: &mut Fields<'_>) -> io::Result<String> {
    let count = fields.int()?;
    let mut all = Vec::new();
    for _ in 0..count.max(0) {
        all.push(buffer(fields)?);
    }
    all.sort();
    Ok(format!("{count} {}", all.join(",")))
}

fn stat(fields: &mut Fields<'_>, names: &Names, shift: i64) -> io::Result<String> {
    let (czxid, mzxid) = (fields.long()? + shift, fields.long()? + shift);
    let (_ctime, _mtime) = (fields.long()?, fields.long()?);
    let versions = [fields.int()?, fields.int()?, fields.int()?];
    let owner = fields.long()?;
    let (len, children) = (fields.int()?, fields.int()?);
    let pzxid = fields.long()? + shift;
    let owner = names.get(&owner).cloned().unwrap_or_else(|| owner.to_string());
    Ok(format!("{czxid}/{mzxid}/{pzxid} v{versions:?} owner {owner} {len}B {children} children"))
}

fn acl(fields: &mut Fields<'_>) -> io::Result<String> {
    let count = fields.int()?;
    let mut all = Vec::new();
    for _ in 0..count.max(0) {
        all.push(format!("{}:{}:{}", fields.int()?, buffer(fields)?, buffer(fields)?));
    }
    // What `auth` stands for comes in the order of a hash table there.
    all.sort();
    Ok(format!("{count} {}", all.join(",")))
}

fn multi(fields: &mut Fields<'_>, names: &Names, shift: i64) -> io::Result<String> {
    let mut out = String::new();
    loop {
        let (op, done, err) = (fields.int()?, fields.byte()?, fields.int()?);
        out.push_str(&format!("[{op} {done} {err}]"));
        if done != 0 {
            return Ok(out);
        }
        let result = match op {
            -1 => fields.int()?.to_string(),
            _ => body(op, fields, names, shift)?,
        };
        out.push_str(&result);
    }
}

fn body(op: i32, fields: &mut Fields<'_>, names: &Names, shift: i64) -> io::Result<String> {
    Ok(match op {
        1 | 9 => buffer(fields)?,
        4 | 15 | 16 | 19 | 21 => format!("{} {}", buffer(fields)?, stat(fields, names, shift)?),
        3 | 5 | 7 => stat(fields, names, shift)?,
        6 => format!("{} {}", acl(fields)?, stat(fields, names, shift)?),
        8 | 103 => strings(fields)?,
        12 => format!("{} {}", strings(fields)?, stat(fields, names, shift)?),
        14 | 22 => multi(fields, names, shift)?,
        104 | 106 => fields.int()?.to_string(),
        107 => {
            let mut all = Vec::new();
            for _ in 0..fields.int()? {
                all.push(format!("{}:{}", buffer(fields)?, buffer(fields)?));
            }
            all.sort();
            all.join(",")
        }
        _ => String::new(),
    })
}

/// One frame from the server. `op` is that of the request it answers; events need none. `shift` is added to zxids.
pub(super) fn frame(bytes: &[u8], op: Option<i32>, names: &Names, shift: i64) -> String {
    let whole = || -> io::Result<String> {
        let mut fields = Fields(bytes);
        let (xid, zxid, err) = (fields.int()?, fields.long()?, fields.int()?);
        let zxid = if 0 < zxid { zxid + shift } else { zxid };
        if xid == -1 {
            let (kind, state) = (fields.int()?, fields.int()?);
            return Ok(format!("event {kind} state {state} {} at {zxid}", buffer(&mut fields)?));
        }
        let shown = match op {
            Some(op) if !fields.0.is_empty() => body(op, &mut fields, names, shift)?,
            _ => String::new(),
        };
        let rest = fields.0;
        Ok(format!("xid {xid} zxid {zxid} err {err} {shown} +{rest:?}"))
    };
    whole().unwrap_or_else(|error| format!("unreadable ({error}): {bytes:?}"))
}
