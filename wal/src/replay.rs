//! Replay: from segments to transactions, and the decision table on damage.
//!
//! ZooKeeper: `FileTxnLog.FileTxnIterator`, `FileTxnSnapLog.fastForwardFromEdits`. **Differs:** ZooKeeper takes any damage for the end of
//! the file. Here damage is the end only where a torn write can have made it; anywhere else replay refuses, because data that was
//! acknowledged would be gone. Pure: segments come in as bytes.
//!
//! Invariant: no record is delivered that was not written, and none out of order.

use core::fmt;

use jute::Zxid;

use crate::batch::Records;
use crate::frame::{Chain, SegmentId};
use crate::scan::{Behind, Frame, Scan, Stop, Walk};
use crate::segment::{FileName, HeaderFault, SegmentHeader};

/// Is there a segment behind this one?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No: the log ends here, and the last write may be torn.
    Newest,
    /// Yes: so all of this one was durable once.
    Older,
}

/// What a segment's header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFact {
    /// Whole, and the file is named after it.
    Good,
    /// Whole, but the file has another one's name.
    Misnamed,
    /// Not whole.
    Fault(HeaderFault),
}

/// How a segment follows what was read before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It begins where the log before it, or the image, ends.
    Joins,
    /// Its first zxid is not above the last one before it.
    Backwards,
    /// Zxids between are missing.
    Hole,
    /// The zxids fit, but the last frame before it is not the one that it was written after.
    Unchained,
}

/// What is known of one segment, once it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Newest or older.
    pub place: Place,
    /// The header block.
    pub header: HeaderFact,
    /// Counts only with a good header.
    pub link: Link,
    /// Whether at least one good frame was read.
    pub frames: bool,
    /// Why reading stopped.
    pub stop: Stop,
    /// Whether a frame of the log, or its seal, stands behind the stop, or behind a header that is not good.
    pub live_behind: bool,
}

/// What to do about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good: go on with the next one.
    Next,
    /// Good up to the stop, and appending goes on there.
    Tail,
    /// Nothing in it was ever acknowledged: set it aside, the log ends with the one before.
    Discard,
    /// Acknowledged data may be gone: do not start.
    Refuse(Damage),
}

/// Why replay refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The header block is missing or damaged, though frames or segments follow.
    Header,
    /// Written by a newer version.
    Version(u32),
    /// The file's name is not that of the segment in it.
    Misnamed,
    /// Transactions between this segment and the ones before are missing.
    Hole,
    /// The end of the segment before is not what this one was written after.
    Unchained,
    /// A zxid is not above the one before it.
    Backwards,
    /// A damaged frame with a good one behind it, or with its seal.
    Frame,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => {
                f.write_str("the segment's header is damaged, and the log goes on behind it")
            }
            Self::Version(version) => {
                write!(f, "written in format version {version}, newer than this program knows")
            }
            Self::Misnamed => {
                f.write_str("the file was renamed: its header names another first zxid")
            }
            Self::Hole => f.write_str("transactions between it and the log before it are missing"),
            Self::Unchained => f.write_str("the segment before it has lost its last frames"),
            Self::Backwards => f.write_str("its zxids go back"),
            Self::Frame => f.write_str(
                "a damaged frame that was once whole: behind it stands a good one, or its seal",
            ),
        }
    }
}

/// The decision table.
pub fn choose(facts: &Facts) -> Verdict {
    use Damage as D;
    let newest = facts.place == Place::Newest;
    match facts.header {
        HeaderFact::Fault(HeaderFault::Version(version)) => {
            return Verdict::Refuse(D::Version(version));
        }
        HeaderFact::Misnamed => return Verdict::Refuse(D::Misnamed),
        HeaderFact::Fault(HeaderFault::Missing | HeaderFault::Damaged) => {
            let never_begun = newest && !facts.live_behind;
            return if never_begun { Verdict::Discard } else { Verdict::Refuse(D::Header) };
        }
        HeaderFact::Good => {}
    }
    match facts.link {
        Link::Backwards => return Verdict::Refuse(D::Backwards),
        Link::Hole => return Verdict::Refuse(D::Hole),
        Link::Unchained => return Verdict::Refuse(D::Unchained),
        Link::Joins => {}
    }
    match facts.stop {
        Stop::Backwards(_) => Verdict::Refuse(D::Backwards),
        Stop::Unchained => Verdict::Refuse(D::Frame),
        Stop::FileEnd | Stop::Zeros | Stop::Sealed | Stop::Stale | Stop::Bad
            if facts.live_behind =>
        {
            Verdict::Refuse(D::Frame)
        }
        Stop::FileEnd | Stop::Zeros | Stop::Sealed | Stop::Stale | Stop::Bad => {
            match (newest, facts.frames) {
                // Whether the end of an older one is whole, the next one's link says.
                (false, _) => Verdict::Next,
                (true, true) => Verdict::Tail,
                (true, false) => Verdict::Discard,
            }
        }
    }
}

/// Where the log ends, and appending goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last zxid, in the log or in the image.
    pub last_zxid: Zxid,
    /// Checksum of the last frame's header.
    pub chain: Chain,
    /// Of the last segment; 0 before the first.
    pub sequence: u64,
    /// Room in the last segment; `None` if a new one must be begun.
    pub position: Option<Position>,
}

/// A place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Names the segment.
    pub first_zxid: Zxid,
    /// Its life.
    pub id: SegmentId,
    /// Where the next frame goes, bytes.
    pub offset: u64,
}

/// Where reading one segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What to do.
    pub verdict: Verdict,
    /// Byte of the stop, or of the damage.
    pub offset: u64,
    /// Why it stopped there; `None` if it stopped at the header.
    pub stop: Option<Stop>,
}

/// Reads segments in order and keeps the thread between them.
#[derive(Debug)]
pub struct Replayer {
    /// The image holds everything up to here.
    image_zxid: Zxid,
    begun: bool,
    end: End,
    /// Good frames read.
    pub frames: u64,
    /// Records delivered: those above the image.
    pub records: u64,
}

impl Replayer {
    /// To go on from an image at `image_zxid`, or from nothing at 0, with segments of higher numbers than `sequence`.
    pub fn new(image_zxid: Zxid, sequence: u64) -> Self {
        let end = End { last_zxid: image_zxid, chain: Chain(0), sequence, position: None };
        Self { image_zxid, begun: false, end, frames: 0, records: 0 }
    }

    /// Reads one segment, `bytes` of the file named after `first_zxid`, and delivers the records above the image to `apply`, those of
    /// a frame at a time.
    ///
    /// # Errors
    /// Whatever `apply` returns, at once.
    pub fn segment<E>(
        &mut self,
        first_zxid: Zxid,
        place: Place,
        bytes: &[u8],
        apply: &mut impl FnMut(Records<'_>) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let mut segment = self.begin(first_zxid, place);
        self.window(&mut segment, bytes, Behind::Nothing, apply)?;
        Ok(self.finish(&segment))
    }

    fn deliver<E>(
        &mut self,
        frame: &Frame<'_>,
        apply: &mut impl FnMut(Records<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.frames += 1;
        if frame.header.last_zxid <= self.image_zxid {
            return Ok(());
        }
        let records = frame.records().after(self.image_zxid);
        let count = records.clone().count() as u64;
        apply(records)?;
        self.records += count;
        Ok(())
    }

    fn ended(&mut self, verdict: Verdict, first_zxid: Zxid, header: &SegmentHeader, walk: &Walk) {
        if matches!(verdict, Verdict::Next | Verdict::Tail) {
            self.begun = true;
            let position = Position { first_zxid, id: header.id, offset: walk.at as u64 };
            self.end = End {
                last_zxid: walk.last_zxid,
                chain: walk.chain,
                sequence: header.sequence,
                position: Some(position),
            };
        }
    }

    /// Where the log ends. If the image is ahead of it, it goes on in a new segment behind the image.
    pub fn end(&self) -> End {
        if self.image_zxid <= self.end.last_zxid {
            return self.end;
        }
        End { last_zxid: self.image_zxid, chain: Chain(0), position: None, ..self.end }
    }

    fn link(&self, header: &SegmentHeader) -> Link {
        let covered_by_image = header.prev_zxid <= self.image_zxid;
        if !self.begun {
            return if covered_by_image { Link::Joins } else { Link::Hole };
        }
        if header.first_zxid <= self.end.last_zxid {
            return Link::Backwards;
        }
        if header.prev_zxid == self.end.last_zxid && header.chain == self.end.chain {
            return Link::Joins;
        }
        match (covered_by_image, header.prev_zxid == self.end.last_zxid) {
            (true, _) => Link::Joins,
            (false, true) => Link::Unchained,
            (false, false) => Link::Hole,
        }
    }
}

/// Whether a spare was begun, so that it is the next segment under another name: its header is whole and a frame is in it.
/// Gives the name it should have. `None`: nothing in it was ever acknowledged.
pub fn begun_spare(bytes: &[u8]) -> Option<FileName> {
    let (header, chain) = SegmentHeader::decode(bytes).ok()?;
    let mut scan = Scan::new(bytes, header.id, chain, header.prev_zxid);
    let begun = scan.next().is_some() || scan.live_behind().is_some();
    begun.then_some(FileName::Log(header.first_zxid))
}

#[cfg(test)]
mod tests;

mod segment;

pub use self::segment::SegmentReplay;
