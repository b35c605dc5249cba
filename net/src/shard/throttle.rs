//! Requests that are held back: too many at the pipeline, too many bytes of large ones.
//!
//! ZooKeeper: `RequestThrottler`, `ZooKeeperServer.checkRequestSizeWhenMessageReceived`. Off unless configured.
//! Differs: a request that waits stays in its connection's buffer, and goes with it; so none is ever carried out for a
//! connection that has ended, and the connection's later requests wait behind it.

use jute::{Code, Op};

use super::connection::{Connection, Refused, Stage};
use super::report::Load;
use super::request::Request;
use super::settings::{RequestThrottle, StaleRequests};
use super::{Notice, Output, Shard, Tree};
use crate::message::ConnId;

/// Bytes of a request header, which a large request's length includes.
const HEADER_LEN: usize = 8;

impl Load {
    /// Whether no request is taken from a connection for those that are at the pipeline.
    pub(super) fn holds_back(&self, throttle: &RequestThrottle, connection: &Connection) -> bool {
        connection.stage == Stage::Connected && throttle.requests_max <= self.outstanding
    }

    /// A request with a body of `len` goes to the pipeline. Not if its bytes are too many.
    pub(super) fn depart(&mut self, throttle: &RequestThrottle, len: usize) -> bool {
        if throttle.is_large(len) {
            let large_bytes = self.large_bytes + len + HEADER_LEN;
            if throttle.large_bytes_max < large_bytes {
                return false;
            }
            self.large_bytes = large_bytes;
        }
        self.in_flight_bytes += len;
        true
    }

    /// It has been answered, or its connection has gone.
    pub(super) fn arrive(&mut self, throttle: &RequestThrottle, len: usize) {
        if throttle.is_large(len) {
            self.large_bytes -= len + HEADER_LEN;
        }
        self.in_flight_bytes -= len;
    }
}

impl RequestThrottle {
    fn is_large(&self, body_len: usize) -> bool {
        self.large_len < body_len + HEADER_LEN
    }
}

impl<T: Tree> Shard<T> {
    /// What was read of the connection waits from now on, if it does not already.
    pub(super) fn hold_back(&mut self, now_ms: u64, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if connection.held_back_ms.is_none() {
            connection.held_back_ms = Some(now_ms);
            self.figures.request_throttle_wait_count += 1;
        }
    }

    /// Whether a request is carried out in spite of how long it was held back. If not, it is done with.
    pub(super) fn is_in_time(&mut self, request: Request<'_>) -> bool {
        let Request { conn, op, started_ms, .. } = request;
        let Some(connection) = self.table.get(conn) else { return false };
        let Some(since_ms) = connection.held_back_ms else { return true };
        let waited_ms = started_ms.saturating_sub(since_ms);
        let throttle = self.settings.throttle;
        self.figures.request_throttle_queue_time_ms.add(waited_ms);
        let is_stale = connection.timeout_ms.max(0) as u64 <= waited_ms;
        if is_stale && throttle.stale == StaleRequests::Dropped {
            self.figures.stale_requests += 1;
            self.figures.stale_requests_dropped += 1;
            self.close(conn);
            return false;
        }
        let can_wait = matches!(op, Op::Ping | Op::CloseSession | Op::Auth | Op::Sasl);
        if can_wait || throttle.op_wait_ms.is_none_or(|max_ms| waited_ms <= max_ms) {
            return true;
        }
        self.figures.throttled_ops += 1;
        self.refuse(request, Refused::Answer(Code::ThrottledOp));
        false
    }

    /// Ends the connection whose large request is one too many.
    pub(super) fn refuse_large(&mut self, request: Request<'_>) {
        let Some(connection) = self.table.get(request.conn) else { return };
        self.figures.large_requests_rejected += 1;
        self.outputs.push_back(Output::Notice(Notice::Large {
            peer: connection.peer,
            session: connection.session,
            op: request.op,
            len: request.body.len() + HEADER_LEN,
            in_flight: self.load.large_bytes,
            len_max: self.settings.throttle.large_bytes_max,
        }));
        self.close(request.conn);
    }
}
