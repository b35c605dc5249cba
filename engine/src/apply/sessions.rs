//! What transactions do to sessions.
//!
//! ZooKeeper: `DataTree.killSession`, `ZooKeeperServer.processTxnForSessionEvents`.

use alloc::vec::Vec;

use jute::{CloseSessionTxn, CreateSessionTxn, Field as _, Reader, SessionId};

use super::{Apply, Effects, Stop};

impl<E: Effects> Apply<'_, E> {
    pub(super) fn create_session(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let CreateSessionTxn { timeout_ms } = CreateSessionTxn::read(reader)?;
        if timeout_ms <= 0 || self.header.client == SessionId::NONE {
            return Err(Stop::Number(timeout_ms.into()));
        }
        self.state.tree.open_session(self.header.client, timeout_ms as u32)?;
        self.effects.session_opened(self.header.client, timeout_ms);
        Ok(())
    }

    pub(super) fn close_session(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        // Old logs have no record behind the header.
        if !reader.is_empty() {
            for path in &CloseSessionTxn::read(reader)?.paths {
                self.delete_if_there(path)?;
            }
        }
        let session = self.header.client;
        let mut path = Vec::new();
        while let Some(known) = self.state.tree.look(|it| it.session(session)) {
            if known.ephemeral_count == 0 {
                break;
            }
            path.clear();
            let znode = self.state.tree.look(|it| it.ephemeral(known, 0));
            self.state.tree.look(|it| it.path(znode, &mut path));
            self.delete_if_there(&path)?;
        }
        self.state.tree.close_session(session);
        self.effects.session_closed(session);
        Ok(())
    }

    fn delete_if_there(&mut self, path: &[u8]) -> Result<(), Stop> {
        match self.delete_path(path) {
            Ok(()) | Err(Stop::Code(_)) => Ok(()),
            Err(stop) => Err(stop),
        }
    }
}
