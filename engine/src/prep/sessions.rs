//! createSession and closeSession.

use alloc::vec::Vec;

use jute::{Code, CreateSessionTxn, Field as _, Op, Record as _, parent};

use super::overlay::SessionState;
use super::{Ask, Prep, marshalling};

impl Prep {
    /// # Errors
    /// The body is none.
    pub(super) fn create_session(&mut self, ask: &Ask<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
        let txn = CreateSessionTxn::decode(ask.request.body).map_err(marshalling)?;
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
        let paths = self.overlay.ephemerals(&ask.state.tree, session);
        (paths.len() as i32).write(out);
        for path in &paths {
            path.as_slice().write(out);
            let above = parent(path).expect("an ephemeral has a parent");
            let known = self.find(ask, path).expect("an ephemeral that will be there");
            let parent = self.find(ask, above).expect("the parent of what will be there");
            self.remove(ask, path, &known, above, parent);
        }
        self.overlay.put_session(session, ask.zxid, SessionState::Closed);
        self.write_digest(out);
        Ok(())
    }
}
