//! A start: what a server makes of the bytes that it finds, or why it makes nothing of them.
//!
//! The order is the program's: the newest whole image, the log behind it, the epochs.

use std::io;
use std::path::Path;

use jute::Zxid;
use quorum::Epoch;
use quorum::epoch_file::{self, EpochFile};
use snapshot::format::{self, ImageHeader};
use snapshot::inspect::{Source, verify_from};
use wal::append::Appender;
use wal::frame::SegmentId;
use wal::replay::{Damage, Outcome, Place, Replayer, Verdict, begun_spare};
use wal::scan::Scan;
use wal::segment::{FIRST_FRAME_AT, FileName, SegmentHeader};
use wal::{Records, purge};

use super::super::medium::{Medium, Op};
use super::super::{Files, Image, Txn};
use super::{Job, Memory, Store, last_frame_at, log, spare};

/// Why a server does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There are images, and none is whole.
    #[error("no image is whole")]
    Images,
    /// The log.
    #[error("the log is damaged: {0}")]
    Log(Damage),
    /// Image and log do not reach to where a damaged image was.
    #[error("the log is too short")]
    TooShort,
    /// An epoch.
    #[error("the epochs are damaged")]
    Epochs,
}

/// An image's bytes, for the product's own check.
struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_blocks(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        let there = self.0.get(offset as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(there);
        Ok(())
    }
}

/// An image, and what its header says, if it is whole.
pub(super) fn image(medium: &Medium, zxid: Zxid) -> Option<(ImageHeader, Image)> {
    let name = super::image_name(zxid);
    let bytes = medium.read(&name)?;
    let header = verify_from(Path::new(&name), &Bytes(bytes)).ok()?;
    let word = |idx: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[ImageHeader::page_at(0) as usize + 8 * idx..][..8]);
        u64::from_be_bytes(word)
    };
    Some((header, Image { zxid: Zxid(word(0) as i64), count: word(1), digest: word(2) }))
}

impl Store {
    /// What a start finds.
    ///
    /// # Errors
    /// [`Refusal`]: the server does not start.
    pub fn open(&mut self) -> Result<Files, Refusal> {
        self.memory = Memory::default();
        let (header, image) = self.load()?;
        let void = header.map_or(0, |it| it.label.void_sequence);
        self.find_segments(void);
        let (log_after, log) = self.replay(image.zxid, void)?;
        let first_counter = self.keeping.first_counter;
        let mut files = Files { image, log_after, log, first_counter, ..Files::default() };
        let last = files.last();
        if self.memory.images.last().is_some_and(|&newest| last < newest) {
            return Err(Refusal::TooShort);
        }
        self.memory.void_sequence = void;
        files.accepted = self.epoch(EpochFile::Accepted, last)?;
        files.current = self.epoch(EpochFile::Current, last)?;
        if files.accepted < files.current {
            return Err(Refusal::Epochs);
        }
        self.medium.apply(&Op::SyncDir);
        Ok(files)
    }

    /// The newest image that is whole.
    fn load(&mut self) -> Result<(Option<ImageHeader>, Image), Refusal> {
        let names: Vec<String> = self.medium.names().map(str::to_owned).collect();
        for name in names {
            match format::FileName::parse(&name) {
                Some(format::FileName::Image(zxid)) => self.memory.images.push(zxid),
                Some(format::FileName::Unfinished(_) | format::FileName::Spare(_)) => {
                    self.medium.apply(&Op::Remove(name));
                }
                None => {}
            }
        }
        let images = &self.memory.images;
        match images.iter().rev().find_map(|&it| image(&self.medium, it)) {
            Some((header, image)) => Ok((Some(header), image)),
            None if images.is_empty() => Ok((None, Image::default())),
            None => Err(Refusal::Images),
        }
    }

    /// The segments, those among the spares named; void ones removed, the newest first.
    fn find_segments(&mut self, void: u64) {
        let names: Vec<String> = self.medium.names().map(str::to_owned).collect();
        for name in names {
            match FileName::parse(&name) {
                Some(FileName::Log(first_zxid)) => self.memory.segments.push(first_zxid),
                Some(FileName::Spare(number)) => self.find_spare(name, number),
                Some(FileName::Unfinished(_)) => self.medium.apply(&Op::Remove(name)),
                None => {}
            }
        }
        self.memory.segments.sort_unstable();
        while let Some(&newest) = self.memory.segments.last().filter(|_| 0 < void) {
            match SegmentHeader::decode(self.medium.read(&log(newest)).unwrap_or_default()) {
                Ok((header, _)) if header.sequence <= void => {}
                _ => break,
            }
            self.medium.apply(&Op::Remove(log(newest)));
            self.medium.apply(&Op::SyncDir);
            self.memory.segments.pop();
        }
    }

    /// A begun one is a segment; a clean one is a spare; anything else is nothing.
    fn find_spare(&mut self, name: String, number: u64) {
        self.memory.next_spare = self.memory.next_spare.max(number + 1);
        let bytes = self.medium.read(&name).unwrap_or_default();
        let head = bytes.get(..FIRST_FRAME_AT).unwrap_or_default();
        let is_clean = !head.is_empty() && head.iter().all(|&it| it == 0);
        if is_clean && bytes.len() == self.keeping.segment_len {
            self.memory.spares.push(number);
        } else if let Some(FileName::Log(first_zxid)) = begun_spare(bytes) {
            self.medium.apply(&Op::Rename(spare(number), log(first_zxid)));
            self.memory.segments.push(first_zxid);
        } else {
            self.medium.apply(&Op::Remove(name));
        }
    }

    /// The log: what is in front of its oldest transaction, and all of it. What the image covers is read too, as learners may be
    /// sent it.
    fn replay(&mut self, image: Zxid, void: u64) -> Result<(Zxid, Vec<Txn>), Refusal> {
        let first = purge::unneeded(&self.memory.segments, image);
        let needed = self.memory.segments.split_off(first);
        self.memory.segments.clone_from(&needed);
        let mut replayer = Replayer::new(image, void);
        let (mut after, mut txns) = (image, Vec::new());
        let mut newest_len = 0;
        for (idx, &first_zxid) in needed.iter().enumerate() {
            let place = if idx + 1 == needed.len() { Place::Newest } else { Place::Older };
            let bytes = self.medium.read(&log(first_zxid)).unwrap_or_default();
            let mut none = |_: Records<'_>| Ok::<_, std::convert::Infallible>(());
            let Ok(Outcome { verdict, .. }) = replayer.segment(first_zxid, place, bytes, &mut none);
            match verdict {
                Verdict::Next => collect(bytes, &mut after, &mut txns),
                Verdict::Tail => {
                    newest_len = bytes.len();
                    collect(bytes, &mut after, &mut txns);
                    self.memory.last_frame_at = last_frame_at(bytes, bytes.len());
                }
                Verdict::Discard => {
                    let torn = format!("{}.torn", log(first_zxid));
                    self.medium.apply(&Op::Rename(log(first_zxid), torn));
                    self.memory.segments.pop();
                }
                Verdict::Refuse(damage) => return Err(Refusal::Log(damage)),
            }
        }
        let end = replayer.end();
        self.memory.appender = Appender::new(&end, newest_len as u64);
        self.memory.end_at = end.position.map_or(0, |it| it.offset as usize);
        self.memory.newest_id = end.position.map_or(SegmentId(0), |it| it.id);
        if end.position.is_none() {
            // What lies there ends in front of the image.
            (after, txns) = (end.last_zxid, Vec::new());
        }
        Ok((after, txns))
    }

    /// An epoch; a file that is missing is made with that of the last transaction.
    fn epoch(&mut self, which: EpochFile, last: Zxid) -> Result<Epoch, Refusal> {
        self.medium.apply(&Op::Remove(format!("{}.tmp", which.name())));
        if let Some(bytes) = self.medium.read(which.name()) {
            return epoch_file::read(which, bytes).map_err(|_| Refusal::Epochs);
        }
        let epoch = Epoch::of(last);
        let mut job = Job { ops: Vec::new(), memory: self.memory.clone() };
        job.replace(which.name(), epoch_file::text(which, epoch).into());
        self.finish(job);
        Ok(epoch)
    }
}

/// Takes a segment's transactions; a hole in front of it, which the image covers, begins them anew.
fn collect(bytes: &[u8], after: &mut Zxid, txns: &mut Vec<Txn>) {
    let Ok((header, chain)) = SegmentHeader::decode(bytes) else { return };
    if txns.last().is_none_or(|it| it.zxid != header.prev_zxid) {
        txns.clear();
        *after = header.prev_zxid;
    }
    for frame in Scan::new(bytes, header.id, chain, header.prev_zxid) {
        txns.extend(frame.records().map(|(zxid, record)| Txn { zxid, bytes: record.into() }));
    }
}
