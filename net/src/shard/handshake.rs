//! The first record of a connection, or the four-letter word in its place.
//!
//! ZooKeeper: `ZooKeeperServer.processConnectRequest`, `finishSessionInit`, `NIOServerCnxn.checkFourLetterWord`.

use engine::planted::{self, Bug};
use jute::{ConnectRequest, ConnectResponse, Field as _, Record as _, SessionId};

use super::connection::Stage;
use super::frame::LENGTH_LEN;
use super::{Notice, Output, Shard, Tree};
use crate::admission::Handshake;
use crate::message::{ConnId, ForwardItem};
use crate::words::{Opening, Serving, TRACE_MASK_LEN, Word, opening, refusal};

/// The longest handshake, bytes: nobody who has not shaken hands makes us keep more.
///
/// Differs: the reference has `jute.maxbuffer` here; the longest that clients send are 45 bytes.
const HANDSHAKE_LEN_MAX: i64 = 4 << 10;

impl<T: Tree> Shard<T> {
    /// Takes what a fresh connection sends first; how many bytes that was. 0: more is needed, or nothing is left of it.
    pub(super) fn greet(&mut self, now_ms: u64, conn: ConnId, input: &[u8]) -> usize {
        if let Some(first) = input.first_chunk::<4>() {
            match opening(*first, self.settings.words) {
                Opening::Frame => {}
                Opening::Word(word) => return self.word(conn, word, &input[4..]),
                Opening::Refused(word) => {
                    self.figures.packets_received += 1;
                    self.figures.bytes_received_count += LENGTH_LEN as u64;
                    self.answer(conn, refusal(word).as_bytes());
                    return 0;
                }
                Opening::Telnet => {
                    self.finish(conn);
                    return 0;
                }
            }
        }
        // Any length is told at once: who sends such a one is no client, and may send no more.
        let Some(length) = input.first_chunk::<4>() else { return 0 };
        let len = i64::from(i32::from_be_bytes(*length));
        if !(0..=HANDSHAKE_LEN_MAX).contains(&len) {
            return self.refuse_length(conn, len);
        }
        let Some(body) = input.get(4..4 + len as usize) else { return 0 };
        self.shake_hands(now_ms, conn, body);
        4 + body.len()
    }

    /// Closes over a length; 0 bytes are taken.
    pub(super) fn refuse_length(&mut self, conn: ConnId, len: i64) -> usize {
        if let Some(connection) = self.table.get(conn) {
            let (peer, session) = (connection.peer, connection.session);
            self.outputs.push_back(Output::Notice(Notice::Length { peer, session, len }));
        }
        self.close(conn);
        0
    }

    fn word(&mut self, conn: ConnId, word: Word, rest: &[u8]) -> usize {
        let Some(connection) = self.table.get_mut(conn) else { return 0 };
        let argument_len = if word == Word::Stmk { TRACE_MASK_LEN } else { 0 };
        let Some(given) = rest.get(..argument_len) else {
            // As the reference: a mask that has not come with its word ends the connection.
            self.finish(conn);
            return 0;
        };
        let mut argument = [0; TRACE_MASK_LEN];
        argument[..given.len()].copy_from_slice(given);
        connection.stage = Stage::Word;
        connection.counts.received += 1;
        self.figures.packets_received += 1;
        // A word is as long as a length.
        self.figures.bytes_received_count += LENGTH_LEN as u64;
        self.outputs.push_back(Output::Word { conn, word, argument });
        4 + given.len()
    }

    fn shake_hands(&mut self, now_ms: u64, conn: ConnId, body: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let peer = connection.peer;
        let request = match ConnectRequest::decode(body) {
            Ok(request) => request,
            Err(error) => return self.refuse_record(conn, error),
        };
        connection.counts.received += 1;
        self.figures.packets_received += 1;
        self.figures.bytes_received_count += (LENGTH_LEN + body.len()) as u64;
        self.figures.connection_request_count += 1;
        self.figures.connection_revalidate_count += u64::from(request.session != SessionId::NONE);
        self.figures.connection_token_deficit.add(self.admission.deficit());
        let kind = match request.session {
            SessionId::NONE => Handshake::New,
            _ => Handshake::Renewed,
        };
        if !self.admission.lets_in(now_ms, kind) {
            self.figures.connection_rejected += 1;
            self.outputs.push_back(Output::Notice(Notice::Throttled { peer }));
            return self.finish(conn);
        }
        let is_let_in = match self.serving {
            Serving::ReadWrite => true,
            Serving::ReadOnly => request.read_only == Some(true),
            Serving::Not => false,
        };
        if !is_let_in {
            // As the reference: the client tries the next server.
            return self.finish(conn);
        }
        let here = self.tree.zxid().unwrap_or(self.applied).max(self.applied);
        if here < request.last_zxid_seen && !planted::has(Bug::LetInTheAhead) {
            let seen = request.last_zxid_seen;
            self.outputs.push_back(Output::Notice(Notice::Ahead { peer, seen, here }));
            return self.finish(conn);
        }
        let (min, max) = (self.settings.timeout_ms_min, self.settings.timeout_ms_max);
        let timeout_ms = request.timeout_ms.min(max).max(min);
        connection.says_read_only = request.read_only.is_some();
        connection.timeout_ms = timeout_ms;
        connection.stage = Stage::Connecting;
        connection.asked_for_session = true;
        let start = self.forward.bytes.len() as u32;
        self.forward.bytes.extend_from_slice(request.password.unwrap_or_default());
        let password = start..self.forward.bytes.len() as u32;
        let (session, auth) = (request.session, connection.auth.clone());
        self.forward.items.push(ForwardItem::Connect { conn, session, password, timeout_ms, auth });
    }

    /// Closes over a record.
    pub(super) fn refuse_record(&mut self, conn: ConnId, error: jute::DecodeError) {
        if let Some(connection) = self.table.get(conn) {
            let (peer, session) = (connection.peer, connection.session);
            self.outputs.push_back(Output::Notice(Notice::Record { peer, session, error }));
        }
        self.close(conn);
    }

    /// The pipeline has the session.
    pub(super) fn connected(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
    ) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        assert!(connection.stage == Stage::Connecting, "nobody shook hands on {conn:?}");
        connection.stage = Stage::Connected;
        connection.session = session;
        connection.timeout_ms = timeout_ms;
        connection.heard_ms = now_ms;
        connection.reported_ms = now_ms;
        let password = jute::password(session);
        self.respond(conn, session, timeout_ms, &password);
        // Its moment until now was that of a connection without a session.
        self.look_at(conn, now_ms + timeout_ms.max(1) as u64);
        self.wake(conn);
    }

    /// The pipeline does not have the session.
    pub(super) fn refused(&mut self, conn: ConnId) {
        self.respond(conn, SessionId::NONE, 0, &[0; jute::PASSWORD_LEN]);
        self.close(conn);
    }

    fn respond(&mut self, conn: ConnId, session: SessionId, timeout_ms: i32, password: &[u8]) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let response = ConnectResponse {
            protocol_version: 0,
            timeout_ms,
            session,
            password: Some(password),
            read_only: connection.says_read_only.then_some(self.serving == Serving::ReadOnly),
        };
        let mut body = self.outbound.buffer();
        response.write(&mut body);
        let len = (body.len() as i32).to_be_bytes();
        self.outbound.raw(conn, connection, [&len, &body]);
        self.outbound.give_back(body);
        connection.counts.sent += 1;
        self.figures.packets_sent += 1;
    }
}
