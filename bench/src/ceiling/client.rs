//! A connection of the bare servers: frames in, answers out.
//!
//! Invariant: answers leave in the order of the requests, but for pings and the handshake, which wait for nothing. Absent here: the epoll.

use std::os::fd::OwnedFd;

use jute::{Field as _, Op, Record as _, ReplyHeader, RequestHeader, SessionId, Xid, Zxid};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::answer::Answers;
use super::force::Force;

/// A connection.
pub(super) struct Client {
    pub(super) socket: OwnedFd,
    /// Whether its socket took not all, so that its having room again is to be told.
    pub(super) is_blocked: bool,
    /// Whether the handshake is done.
    open: bool,
    /// Whether it has said good-bye.
    closing: bool,
    /// The start of a frame.
    input: Vec<u8>,
    /// Answers to the requests of the batch that fills.
    filling: Vec<u8>,
    /// Answers to those of the batch that is being written.
    writing: Vec<u8>,
    /// Answers that may go.
    out: Vec<u8>,
}

impl Client {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            is_blocked: false,
            open: false,
            closing: false,
            input: Vec::new(),
            filling: Vec::new(),
            writing: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Whether it has answers in the batch that fills.
    pub(super) fn waits(&self) -> bool {
        !self.filling.is_empty()
    }

    /// The batch that filled is being written.
    pub(super) fn begun(&mut self) {
        std::mem::swap(&mut self.writing, &mut self.filling);
    }

    /// The batch that was being written is on the disk.
    pub(super) fn written(&mut self) {
        if self.out.is_empty() {
            std::mem::swap(&mut self.out, &mut self.writing);
        } else {
            self.out.append(&mut self.writing);
        }
    }

    /// Answers every whole frame; whether the client is to be kept. A new session gets the number `session`.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        answers: &Answers,
        mut force: Option<&mut Force>,
        session: SessionId,
    ) -> bool {
        let mut held = std::mem::take(&mut self.input);
        let bytes = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        let mut rest = bytes;
        while let Some((len, behind)) = rest.split_first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            if FRAME_LEN_MAX < len {
                return false;
            }
            let Some((frame, behind)) = behind.split_at_checked(len) else { break };
            rest = behind;
            let known = if self.open {
                self.request(frame, answers, force.as_deref_mut())
            } else {
                self.handshake(frame, session)
            };
            if known.is_err() {
                return false;
            }
        }
        self.input = rest.to_vec();
        true
    }

    fn handshake(&mut self, frame: &[u8], session: SessionId) -> Result<(), jute::DecodeError> {
        let response = Answers::handshake(frame, session)?;
        self.out.extend_from_slice(&(response.len() as u32).to_be_bytes());
        self.out.extend_from_slice(&response);
        self.open = true;
        Ok(())
    }

    fn request(
        &mut self,
        frame: &[u8],
        answers: &Answers,
        force: Option<&mut Force>,
    ) -> Result<(), jute::DecodeError> {
        let RequestHeader { xid, op } = RequestHeader::decode(frame)?;
        let out = match force {
            Some(force) if xid != Xid::PING => {
                force.add(frame);
                &mut self.filling
            }
            Some(_) | None => &mut self.out,
        };
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        ReplyHeader { xid, zxid: Zxid(1), err: 0 }.write(out);
        answers.body(op, &frame[HEADER_LEN..], out);
        let len = out.len() - start - 4;
        out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
        self.closing |= op == Op::CloseSession.number();
        Ok(())
    }

    /// Sends once; whether the client is to be kept.
    pub(super) fn send(&mut self) -> bool {
        if !self.out.is_empty() {
            match send(&self.socket, &self.out, SendFlags::NOSIGNAL) {
                Ok(len) if len == self.out.len() => self.out.clear(),
                Ok(len) => drop(self.out.drain(..len)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        self.is_blocked = !self.out.is_empty();
        let all_said = self.out.is_empty() && self.filling.is_empty() && self.writing.is_empty();
        !(self.closing && all_said)
    }
}

/// The longest request, as servers have it.
const FRAME_LEN_MAX: usize = 16 << 20;
/// Bytes of a request's header.
const HEADER_LEN: usize = 8;
