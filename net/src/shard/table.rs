//! The connections of a shard: slots that are used again, each use with its own generation.

use std::net::IpAddr;
use std::sync::Arc;

use engine::auth::AuthIds;

use super::connection::Connection;
use crate::message::ConnId;

/// Slots. Invariant: `free` holds exactly the slots without a connection.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, connection: None });
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.connection = Some(connection);
        ConnId { slot, generation: entry.generation }
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Connection> {
        let slot = self.slots.get_mut(conn.slot as usize)?;
        if slot.generation != conn.generation {
            return None;
        }
        let connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(conn.slot);
        Some(connection)
    }

    #[inline]
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Connection> {
        let slot = self.slots.get(conn.slot as usize)?;
        if slot.generation != conn.generation {
            return None;
        }
        slot.connection.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(conn.slot as usize)?;
        if slot.generation != conn.generation {
            return None;
        }
        slot.connection.as_mut()
    }

    /// The connection in `slot` now.
    pub(crate) fn at(&self, slot: u32) -> Option<ConnId> {
        let entry = self.slots.get(slot as usize)?;
        entry.connection.as_ref().map(|_| ConnId { slot, generation: entry.generation })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let conn = ConnId { slot: slot as u32, generation: entry.generation };
            entry.connection.as_ref().map(|connection| (conn, connection))
        })
    }

    pub(crate) fn for_each_mut(&mut self, mut visit: impl FnMut(&mut Connection)) {
        for slot in &mut self.slots {
            slot.connection.as_mut().map(&mut visit);
        }
    }

    /// The ids that a connection from `address` has from the start: shared with one that is there, if there is one.
    pub(crate) fn ids_of(&self, address: IpAddr, near: Option<ConnId>) -> Arc<AuthIds> {
        match near.and_then(|conn| self.get(conn)) {
            Some(other) if other.peer.ip() == address && other.auth.ids.len() == 1 => {
                Arc::clone(&other.auth)
            }
            _ => Arc::new(AuthIds::of_address(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::{Connection, Table};

    #[test]
    fn a_slot_used_again_has_another_generation() {
        let mut table = Table::default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let connect = |table: &mut Table| {
            let auth = table.ids_of(address, None);
            table.insert(Connection::new(0, SocketAddr::new(address, 1), auth))
        };
        let first = connect(&mut table);
        assert!(table.remove(first).is_some());
        assert!(table.remove(first).is_none());
        let second = connect(&mut table);
        assert_eq!(first.slot, second.slot);
        assert!(table.get(first).is_none());
        assert!(table.get(second).is_some());
        assert_eq!(table.len(), 1);
    }
}
