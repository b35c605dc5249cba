//! createSession and closeSession.

use alloc::vec::Vec;

use jute::{Code, CreateSessionTxn, Field as _, Op, Record as _, SessionId, parent};

use super::overlay::SessionState;
use super::{Ask, Prep, marshalling};
use crate::planted::{self, Bug};

/// Sessions that were found open lately, and not closed since.
///
/// A session is closed by a transaction only, and all of those are made here.
#[derive(Debug)]
pub(super) struct OpenSessions {
    slots: [SessionId; Self::LEN],
}

impl Default for OpenSessions {
    fn default() -> Self {
        Self { slots: [SessionId::NONE; Self::LEN] }
    }
}

impl OpenSessions {
    /// How many are remembered at most; each has one place that it can have.
    const LEN: usize = 256;

    fn slot(session: SessionId) -> usize {
        session.0 as usize % Self::LEN
    }

    pub(super) fn holds(&self, session: SessionId) -> bool {
        session != SessionId::NONE && self.slots[Self::slot(session)] == session
    }

    pub(super) fn add(&mut self, session: SessionId) {
        self.slots[Self::slot(session)] = session;
    }

    fn remove(&mut self, session: SessionId) {
        if self.holds(session) {
            self.slots[Self::slot(session)] = SessionId::NONE;
        }
    }
}

impl Prep {
    /// # Errors
    /// The body is none, or the session has no id or no time.
    pub(super) fn create_session(&mut self, ask: &Ask<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
        let txn = CreateSessionTxn::decode(ask.request.body).map_err(marshalling)?;
        if txn.timeout_ms <= 0 || ask.request.session == SessionId::NONE {
            return Err(Code::BadArguments);
        }
        ask.header(Op::CreateSession).write(out);
        txn.write(out);
        self.overlay.put_session(ask.request.session, ask.zxid, SessionState::Open);
        self.write_digest(out);
        Ok(())
    }

    /// The session ends with all the ephemerals that it will have by then. Nothing is checked: a session that is
    /// closing or not known can be closed.
    #[expect(clippy::unnecessary_wraps, reason = "one shape for all that become transactions")]
    pub(super) fn close_session(&mut self, ask: &Ask<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
        ask.header(Op::CloseSession).write(out);
        let session = ask.request.session;
        let mut paths = self.overlay.ephemerals(&ask.state.tree, session);
        if planted::has(Bug::ForgetOneEphemeral) {
            paths.pop();
        }
        (paths.len() as i32).write(out);
        for path in &paths {
            path.as_slice().write(out);
            let above = parent(path).expect("an ephemeral has a parent");
            let known = self.find(ask, path).expect("an ephemeral that will be there");
            let parent = self.find(ask, above).expect("the parent of what will be there");
            self.remove(ask, path, &known, above, parent);
        }
        self.open.remove(session);
        self.owned.forget(session);
        self.overlay.put_session(session, ask.zxid, SessionState::Closed);
        self.write_digest(out);
        Ok(())
    }
}
