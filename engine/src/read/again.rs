//! setWatches: what a client has missed that sets its watches again.
//!
//! ZooKeeper: `DataTree.setWatches`. Leaving the watches, and telling of what was missed, is the caller's business.

use alloc::vec::Vec;

use jute::{EventType, SetWatches2, Strings, Zxid};

use super::{Read, Stop};
use crate::watch::WatchKind;

/// When a znode last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its data was last set.
    pub mzxid: Zxid,
    /// A child was last created or deleted.
    pub pzxid: Zxid,
}

/// The watches of a setWatches that fire once, in the order in which the answer of [`super::serve`] speaks of them: one byte
/// for each path, the number of the event that its client has missed, or 0 if it has missed nothing.
pub fn one_shot<'a>(record: &SetWatches2<'a>) -> [(WatchKind, Strings<'a>); 3] {
    [
        (WatchKind::Data, record.data),
        (WatchKind::Exist, record.exist),
        (WatchKind::Child, record.child),
    ]
}

/// What a client has missed that has seen everything up to `seen`, of a znode that last changed as told, or is not there.
pub fn missed(kind: WatchKind, changed: Option<Changed>, seen: Zxid) -> Option<EventType> {
    match (kind, changed) {
        (WatchKind::Exist, Some(_)) => Some(EventType::NodeCreated),
        (WatchKind::Data | WatchKind::Child, None) => Some(EventType::NodeDeleted),
        (WatchKind::Data, Some(changed)) if seen < changed.mzxid => {
            Some(EventType::NodeDataChanged)
        }
        (WatchKind::Child, Some(changed)) if seen < changed.pzxid => {
            Some(EventType::NodeChildrenChanged)
        }
        _ => None,
    }
}

impl<'a> Read<'_, '_, 'a> {
    /// Appends what [`one_shot`] says.
    pub(super) fn missed(&self, out: &mut Vec<u8>) -> Result<(), Stop<'a>> {
        let record = SetWatches2::decode_as(self.request.op, self.request.body)?;
        for (kind, paths) in one_shot(&record) {
            for path in &paths {
                let event = missed(kind, self.changed(path)?, record.relative_zxid);
                out.push(event.map_or(0, |event| event as u8));
            }
        }
        Ok(())
    }

    fn changed(&self, path: &[u8]) -> Result<Option<Changed>, Stop<'a>> {
        let Some(znode) = self.view.find(path)? else { return Ok(None) };
        let stat = self.view.stat(znode)?;
        Ok(Some(Changed { mzxid: Zxid(stat.mzxid), pzxid: Zxid(stat.pzxid) }))
    }
}
