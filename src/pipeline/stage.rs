//! One batch on its way: its transactions, and every answer that waits for its place behind them.

use std::ops::Range;

use jute::{Code, Op, SessionId, Xid};
use wal::Batch;

use super::connections::Owner;

/// Who gets the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// Where.
    pub(crate) owner: Owner,
    /// The client's number for it.
    pub(crate) xid: Xid,
}

/// What happens at one place in the order.
#[derive(Debug)]
pub(crate) enum Step {
    /// The batch's next transaction. `asker` is none for what the server asks itself.
    Txn { asker: Option<Asker> },
    /// A request that became no transaction.
    Refusal { asker: Asker, code: Code },
    /// A request that was refused before it could become one.
    Early { asker: Asker, code: Code },
    /// The batch's next transaction makes the session of a handshake.
    Open { owner: Owner, session: SessionId, timeout_ms: i32 },
    /// A handshake goes on with a session that is there.
    Attach { owner: Owner, session: SessionId, timeout_ms: i32 },
    /// A handshake is refused.
    Refuse { owner: Owner },
    /// A read behind writes, or a sync. The body is in the stage's bytes.
    Read { asker: Asker, session: SessionId, op: Op, body: Range<usize> },
    /// An empty answer.
    Echo { asker: Asker },
    /// A connection ends without a word.
    Close { owner: Owner },
}

/// A batch and its steps.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    /// The transactions.
    pub(crate) batch: Batch,
    /// Everything, in order; as many [`Step::Txn`] and [`Step::Open`] as the batch has entries.
    pub(crate) steps: Vec<Step>,
    /// The bodies of reads.
    pub(crate) bytes: Vec<u8>,
    /// The last `sync` among the steps, by number; 0 if there is none.
    pub(crate) last_sync: u64,
}

impl Stage {
    /// Keeps a body.
    pub(crate) fn keep(&mut self, body: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        start..self.bytes.len()
    }

    /// Empties the stage and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.steps.clear();
        self.bytes.clear();
        self.last_sync = 0;
    }
}
