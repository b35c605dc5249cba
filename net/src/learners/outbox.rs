//! What waits to be sent: of each link its own bytes, and its place in the stream of its group.
//!
//! A packet for a group is encoded once, into the group's [`Stream`], and costs no more with more links: a link that has joined
//! only has a place in it. Bytes of one link stand in its [`Outbox`], each piece with the place in the stream that it comes
//! behind. So what is sent is sent in the order in which it was queued.
//!
//! *Invariants:* places only grow. A place of a link is never before the stream's first byte that is still there.
//! *Absent:* sockets, limits.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Memory that an empty buffer may keep. Bytes.
const KEPT: usize = 4 << 20;

/// Bytes with the front taken off.
#[derive(Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    taken: usize,
}

impl Bytes {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes `len` bytes off; memory is used again when all are off, or most.
    fn take(&mut self, len: usize) {
        self.taken += len;
        assert!(self.taken <= self.bytes.len(), "more was taken than there is");
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.taken = 0;
        } else if self.bytes.len() < 2 * self.taken {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }
}

/// What all links of a group get.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Bytes,
    /// The place of the first byte that is there.
    first: u64,
}

impl Stream {
    /// Where the next byte will stand.
    pub(super) fn end(&self) -> u64 {
        self.first + self.bytes.rest().len() as u64
    }

    /// Appends what `write` appends.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes.bytes);
    }

    /// Forgets what is before `place`.
    pub(super) fn forget(&mut self, place: u64) {
        assert!(self.first <= place && place <= self.end(), "{place} of {}", self.first);
        self.bytes.take((place - self.first) as usize);
        self.first = place;
    }

    fn between(&self, from: u64, to: u64) -> &[u8] {
        assert!(self.first <= from, "{from} is forgotten, {} is first", self.first);
        &self.bytes.rest()[(from - self.first) as usize..(to - self.first) as usize]
    }
}

/// What one link gets.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    own: Bytes,
    /// The pieces of `own`: behind which place of the stream, and how many bytes. Invariant: places ascend.
    pieces: VecDeque<(u64, usize)>,
    /// Up to where the stream has been sent; `None`: it has not joined.
    place: Option<u64>,
}

impl Outbox {
    /// Bytes that wait.
    pub(super) fn queued(&self, stream: Option<&Stream>) -> usize {
        let shared = self.place.zip(stream).map_or(0, |(place, it)| it.end() - place);
        self.own.rest().len() + shared as usize
    }

    /// Up to where the stream has been sent.
    pub(super) fn place(&self) -> Option<u64> {
        self.place
    }

    /// Gets what is appended to the stream from now on, behind its own.
    pub(super) fn join(&mut self, stream: &Stream) {
        assert!(self.place.is_none(), "a link has joined already");
        let end = stream.end();
        self.place = Some(end);
        for (place, _) in &mut self.pieces {
            *place = end;
        }
    }

    /// Gets nothing more of the stream but what is there; the stream may forget it.
    pub(super) fn leave(&mut self, stream: &Stream) {
        let mut bytes = Vec::new();
        while 0 < self.queued(Some(stream)) {
            let mut slices = [IoSlice::new(&[]); 16];
            let before = bytes.len();
            for slice in self.slices(Some(stream), &mut slices) {
                bytes.extend_from_slice(slice);
            }
            self.sent(bytes.len() - before);
        }
        self.place = None;
        if !bytes.is_empty() {
            self.append(None, |own| own.append(&mut bytes));
        }
    }

    /// Appends what `write` appends, for this link alone.
    pub(super) fn append(&mut self, stream: Option<&Stream>, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.own.bytes.len();
        write(&mut self.own.bytes);
        let len = self.own.bytes.len() - before;
        let place = self.place.zip(stream).map_or(0, |(_, it)| it.end());
        match self.pieces.back_mut() {
            Some((at, piece)) if *at == place => *piece += len,
            _ => self.pieces.push_back((place, len)),
        }
    }

    /// What is sent next, in order, as far as `slices` reach.
    pub(super) fn slices<'a, 's>(
        &'a self,
        stream: Option<&'a Stream>,
        slices: &'s mut [IoSlice<'a>],
    ) -> &'s [IoSlice<'a>] {
        let (mut count, mut own) = (0, self.own.rest());
        let mut push = |bytes: &'a [u8]| match slices.get_mut(count) {
            Some(slice) if !bytes.is_empty() => {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            _ => {}
        };
        let shared = self.place.zip(stream);
        let mut place = self.place.unwrap_or_default();
        for &(at, len) in &self.pieces {
            if let Some((_, stream)) = shared {
                push(stream.between(place, at));
                place = at;
            }
            let (piece, rest) = own.split_at(len);
            push(piece);
            own = rest;
        }
        if let Some((_, stream)) = shared {
            push(stream.between(place, stream.end()));
        }
        &slices[..count]
    }

    /// The first `len` bytes of the slices were sent.
    pub(super) fn sent(&mut self, len: usize) {
        let mut left = len;
        while let Some((at, piece)) = self.pieces.front_mut() {
            if let Some(place) = &mut self.place {
                let shared = left.min((*at - *place) as usize);
                *place += shared as u64;
                left -= shared;
                if *place < *at {
                    return;
                }
            }
            let own = left.min(*piece);
            left -= own;
            *piece -= own;
            let rest = *piece;
            self.own.take(own);
            if 0 < rest {
                return;
            }
            self.pieces.pop_front();
        }
        if let Some(place) = &mut self.place {
            *place += left as u64;
            left = 0;
        }
        assert!(left == 0, "{left} bytes more were sent than there were");
    }
}

#[cfg(test)]
mod tests;
