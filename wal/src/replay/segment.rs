//! One segment under replay: its bytes come in windows, so that a log of any length is read through little memory.
//!
//! Pure. A frame that lies across windows is put together first; everything else is looked at where it lies.

use jute::Zxid;

use super::{Facts, HeaderFact, Link, Outcome, Place, Replayer, choose};
use crate::batch::Records;
use crate::frame::BLOCK;
use crate::scan::{Behind, Step, Stop, Walk, first_live_from};
use crate::segment::{FIRST_FRAME_AT, SegmentHeader};

/// How far replay is in one segment. See [`Replayer::begin`].
#[derive(Debug)]
pub struct SegmentReplay {
    pub(super) first_zxid: Zxid,
    pub(super) facts: Facts,
    /// Where the next bytes are from.
    at: usize,
    stage: Stage,
    /// The begin of what needs more bytes than have come.
    pending: Vec<u8>,
    /// How many it needs in all.
    wanted: usize,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The header block comes next.
    Header,
    /// Frames come.
    Frames(SegmentHeader, Walk),
    /// Reading has stopped; whether something behind it is the log's is still to be seen, from this byte on.
    Behind(Option<(SegmentHeader, Walk)>, usize),
    /// Nothing more is to be seen.
    Over(Option<(SegmentHeader, Walk)>),
}

impl SegmentReplay {
    pub(super) fn new(first_zxid: Zxid, place: Place) -> Self {
        let facts = Facts {
            place,
            header: HeaderFact::Good,
            link: Link::Joins,
            frames: false,
            stop: Stop::FileEnd,
            live_behind: false,
        };
        Self { first_zxid, facts, at: 0, stage: Stage::Header, pending: Vec::new(), wanted: 0 }
    }

    /// Where reading stopped, with the header; `None` if the header itself did not do.
    pub(super) fn end(&self) -> Option<(SegmentHeader, Walk)> {
        match self.stage {
            Stage::Header => None,
            Stage::Frames(header, walk) => Some((header, walk)),
            Stage::Behind(end, _) | Stage::Over(end) => end,
        }
    }
}

impl Replayer {
    /// Begins with the file named after `first_zxid`.
    pub fn begin(&self, first_zxid: Zxid, place: Place) -> SegmentReplay {
        SegmentReplay::new(first_zxid, place)
    }

    /// Takes the next bytes of the segment, whole blocks but for the last, and delivers the records above the image to `apply`, those of a frame at a
    /// time. Behind the last, which come once and may be none, there is [`Behind::Nothing`].
    ///
    /// # Errors
    /// Whatever `apply` returns, at once.
    pub fn window<E>(
        &mut self,
        segment: &mut SegmentReplay,
        mut bytes: &[u8],
        behind: Behind,
        apply: &mut impl FnMut(Records<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !segment.pending.is_empty() {
            let missing = segment.wanted.saturating_sub(segment.pending.len());
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            segment.pending.extend_from_slice(part);
            bytes = rest;
            let now = if bytes.is_empty() { behind } else { Behind::More };
            if segment.pending.len() < segment.wanted && now == Behind::More {
                return Ok(());
            }
            let mut pending = core::mem::take(&mut segment.pending);
            let taken = self.look(segment, &pending, now, apply)?;
            pending.drain(..taken);
            segment.pending = pending;
        }
        let taken = self.look(segment, bytes, behind, apply)?;
        segment.pending.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// What to do about the segment, all of whose bytes have come.
    pub fn finish(&mut self, segment: &SegmentReplay) -> Outcome {
        let verdict = choose(&segment.facts);
        let Some((header, walk)) = segment.end() else {
            return Outcome { verdict, offset: 0, stop: None };
        };
        self.ended(verdict, segment.first_zxid, &header, &walk);
        Outcome { verdict, offset: walk.at as u64, stop: walk.stop }
    }

    /// Looks at bytes from [`SegmentReplay::at`] on; gives how many it has done with.
    fn look<E>(
        &mut self,
        segment: &mut SegmentReplay,
        bytes: &[u8],
        behind: Behind,
        apply: &mut impl FnMut(Records<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let begun_at = segment.at;
        loop {
            let rest = bytes.get(segment.at - begun_at..).unwrap_or_default();
            match &mut segment.stage {
                Stage::Header => {
                    if rest.len() < BLOCK && behind == Behind::More {
                        segment.wanted = BLOCK;
                        return Ok(0);
                    }
                    segment.stage = self.head(segment.first_zxid, rest, &mut segment.facts);
                    segment.at = FIRST_FRAME_AT;
                }
                Stage::Frames(header, walk) => match walk.step(rest, behind) {
                    Step::Frame(frame) => {
                        segment.at = walk.at;
                        segment.facts.frames = true;
                        self.deliver(&frame, apply)?;
                    }
                    Step::More(wanted) => {
                        segment.wanted = wanted;
                        return Ok(segment.at - begun_at);
                    }
                    Step::Stopped => {
                        segment.facts.stop = walk.stop.unwrap_or(Stop::FileEnd);
                        let from = walk.live_from(rest);
                        segment.stage = Stage::Behind(Some((*header, *walk)), from);
                    }
                },
                Stage::Behind(end, from) => {
                    let from = (*from).max(segment.at);
                    let rest = bytes.get(from - begun_at..).unwrap_or_default();
                    let (own, last_zxid) = (end.map(|it| it.0.id), self.end.last_zxid);
                    let live = first_live_from(rest, from, |id, zxid| match own {
                        Some(own) => id == own,
                        None => last_zxid < zxid,
                    });
                    if live.is_some() {
                        segment.facts.live_behind = true;
                        segment.stage = Stage::Over(*end);
                    }
                    break;
                }
                Stage::Over(_) => break,
            }
        }
        segment.at = begun_at + bytes.len();
        Ok(bytes.len())
    }

    /// What the header block leads to.
    fn head(&self, first_zxid: Zxid, bytes: &[u8], facts: &mut Facts) -> Stage {
        let (header, chain) = match SegmentHeader::decode(bytes) {
            Ok((header, chain)) if header.first_zxid == first_zxid => (header, chain),
            Ok(_) => {
                facts.header = HeaderFact::Misnamed;
                return Stage::Behind(None, FIRST_FRAME_AT);
            }
            Err(fault) => {
                facts.header = HeaderFact::Fault(fault);
                return Stage::Behind(None, FIRST_FRAME_AT);
            }
        };
        facts.link = self.link(&header);
        if facts.link == Link::Joins {
            Stage::Frames(header, Walk::new(header.id, chain, header.prev_zxid))
        } else {
            Stage::Over(None)
        }
    }
}
