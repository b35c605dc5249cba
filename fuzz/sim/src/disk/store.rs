//! A data directory as bytes: the log's segments, images, the two epochs; written and read by the product's own logic.
//!
//! What is pure in `wal`, `snapshot` and `quorum` is used as it is: where a frame goes and its bytes, how a log is cut, replay's
//! decision table, which segments are needed, an image's bytes and checks, the text of an epoch. What their drivers do with files
//! (`wal::open`, the preparer, `snapshot::load`, `Epochs`) is done here on a [`Medium`], in the same order.

mod damage;
mod opening;

use jute::Zxid;
use quorum::epoch_file::{self, EpochFile};
use snapshot::Label;
use snapshot::format::{self, ImageHeader, PAGE_LEN};
use snapshot::retain::{self, Validity};
use wal::append::Appender;
use wal::frame::{BLOCK, Chain, HEADER_LEN, SegmentId};
use wal::replay::End;
use wal::scan::Scan;
use wal::segment::{FIRST_FRAME_AT, FileName, SegmentHeader};
use wal::{Batch, cut, purge};

use super::medium::{Medium, Op, Sync};
use super::{DiskWrite, Image, Txn};
use crate::chance::Chance;
pub use damage::Struck;
pub use opening::Refusal;

/// Spares kept at most when segments are recycled, as the preparer keeps them.
const SPARES_MAX: usize = 2;

/// How a directory is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// Bytes of a segment.
    pub segment_len: usize,
    /// Images that stay.
    pub images: usize,
    /// An epoch's transactions are numbered from behind this counter.
    pub first_counter: u32,
}

/// A write cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// There is no room for another file.
    #[error("no room")]
    NoRoom,
    /// What is to be cut is damaged.
    #[error("the log is damaged where it is to be cut")]
    Damaged,
}

/// Whether there is room for another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Some,
    /// There is none.
    None,
}

/// What a server remembers of its directory while it runs.
#[derive(Clone, Debug)]
struct Memory {
    appender: Appender,
    /// The named segments by first zxid, ascending.
    segments: Vec<Zxid>,
    spares: Vec<u64>,
    next_spare: u64,
    /// The spare that is the newest segment, as long as it has no name.
    unnamed: Option<(u64, Zxid)>,
    /// Where the last frame is, in the newest segment.
    last_frame_at: usize,
    end_at: usize,
    /// Its life.
    newest_id: SegmentId,
    images: Vec<Zxid>,
    void_sequence: u64,
}

/// A data directory.
#[derive(Clone, Debug)]
pub struct Store {
    medium: Medium,
    keeping: Keeping,
    memory: Memory,
    is_scarred: bool,
}

/// Writes to make, in their order, and what is known when they are made.
#[derive(Clone, Debug)]
pub struct Job {
    ops: Vec<Op>,
    memory: Memory,
}

impl Default for Memory {
    fn default() -> Self {
        let none = End { last_zxid: Zxid::ZERO, chain: Chain(0), sequence: 0, position: None };
        Self {
            appender: Appender::new(&none, 0),
            segments: Vec::new(),
            spares: Vec::new(),
            next_spare: 0,
            unnamed: None,
            last_frame_at: 0,
            end_at: 0,
            newest_id: SegmentId(0),
            images: Vec::new(),
            void_sequence: 0,
        }
    }
}

fn log(first_zxid: Zxid) -> String {
    FileName::Log(first_zxid).to_string()
}

fn spare(number: u64) -> String {
    FileName::Spare(number).to_string()
}

fn image_name(zxid: Zxid) -> String {
    format::FileName::Image(zxid).to_string()
}

impl Job {
    /// The spare that was begun gets its name, as the preparer does a moment later.
    fn name(&mut self) {
        if let Some((number, first_zxid)) = self.memory.unnamed.take() {
            self.ops.push(Op::Rename(spare(number), log(first_zxid)));
            self.ops.push(Op::SyncDir);
        }
    }

    /// A segment is one no more.
    fn let_go(&mut self, first_zxid: Zxid, len: usize, keeping: Keeping) {
        let memory = &mut self.memory;
        if SPARES_MAX <= memory.spares.len() || len != keeping.segment_len {
            return self.ops.extend([Op::Remove(log(first_zxid)), Op::SyncDir]);
        }
        let number = memory.next_spare;
        memory.next_spare += 1;
        memory.spares.push(number);
        let unfinished = FileName::Unfinished(number).to_string();
        self.ops.extend([
            Op::Rename(log(first_zxid), unfinished.clone()),
            Op::SyncDir,
            Op::Write(unfinished.clone(), 0, vec![0; BLOCK], Sync::Now),
            Op::Rename(unfinished, spare(number)),
            Op::SyncDir,
        ]);
    }

    /// A file is replaced whole.
    fn replace(&mut self, name: &str, bytes: Vec<u8>) {
        let unfinished = format!("{name}.tmp");
        self.ops.extend([
            Op::Create(unfinished.clone(), bytes.len()),
            Op::Write(unfinished.clone(), 0, bytes, Sync::Later),
            Op::Sync(unfinished.clone()),
            Op::Rename(unfinished, name.to_owned()),
            Op::SyncDir,
        ]);
    }
}

impl Store {
    /// An empty directory.
    pub fn new(keeping: Keeping) -> Self {
        Self { medium: Medium::default(), keeping, memory: Memory::default(), is_scarred: false }
    }

    /// What is to be done for writes that go together: transactions, or one of another kind.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn plan(
        &self,
        writes: &[DiskWrite],
        room: Room,
        chance: &mut Chance,
    ) -> Result<Job, WriteError> {
        let mut job = Job { ops: Vec::new(), memory: self.memory.clone() };
        job.name();
        match writes {
            [DiskWrite::Truncate(to)] => self.truncate(*to, &mut job)?,
            [DiskWrite::Accepted(epoch)] => {
                Self::has_room(room)?;
                job.replace(
                    EpochFile::Accepted.name(),
                    epoch_file::text(EpochFile::Accepted, *epoch).into(),
                );
            }
            [DiskWrite::Current(epoch)] => {
                Self::has_room(room)?;
                job.replace(
                    EpochFile::Current.name(),
                    epoch_file::text(EpochFile::Current, *epoch).into(),
                );
            }
            [DiskWrite::Install(image)] => {
                Self::has_room(room)?;
                self.install(*image, &mut job)?;
            }
            appends => self.append(appends, (room, chance), &mut job)?,
        }
        Ok(job)
    }

    fn has_room(room: Room) -> Result<(), WriteError> {
        if room == Room::None { Err(WriteError::NoRoom) } else { Ok(()) }
    }

    fn append(
        &self,
        writes: &[DiskWrite],
        (room, chance): (Room, &mut Chance),
        job: &mut Job,
    ) -> Result<(), WriteError> {
        let mut batch = Batch::default();
        for write in writes {
            let DiskWrite::Append(txn) = write else { unreachable!("they go together") };
            batch.push(txn.zxid, |out| out.extend_from_slice(&txn.bytes));
        }
        let memory = &mut job.memory;
        let mut name = memory.segments.last().map(|&it| log(it)).unwrap_or_default();
        if !memory.appender.fits(&batch) {
            let number = if let Some(number) = memory.spares.pop() {
                number
            } else {
                Self::has_room(room)?;
                let number = memory.next_spare;
                memory.next_spare += 1;
                job.ops.push(Op::Create(spare(number), self.keeping.segment_len));
                job.ops.push(Op::SyncDir);
                number
            };
            name = spare(number);
            let len = self.keeping.segment_len as u64;
            memory.newest_id = SegmentId(chance.draw());
            memory.appender.begin(memory.newest_id, len, 0);
            let first_zxid = batch.first_zxid().unwrap_or_default();
            memory.unnamed = Some((number, first_zxid));
            memory.segments.push(first_zxid);
        }
        let extent = memory.appender.extent(&batch);
        let mut bytes = vec![0; extent.len];
        let chain = memory.appender.encode(&batch, &mut bytes);
        memory.appender.durable(&batch, chain);
        memory.last_frame_at = extent.offset as usize;
        memory.end_at = extent.offset as usize + extent.len;
        job.ops.push(Op::Write(name, extent.offset as usize, bytes, Sync::Now));
        Ok(())
    }

    /// What seals a log that rests; none if it is sealed, or there is no place for a seal.
    pub fn plan_seal(&self) -> Option<Job> {
        let mut job = Job { ops: Vec::new(), memory: self.memory.clone() };
        job.name();
        let (extent, seal) = job.memory.appender.seal()?;
        let mut bytes = vec![0; extent.len];
        bytes[..HEADER_LEN].copy_from_slice(&seal.encode());
        let name = log(*job.memory.segments.last()?);
        job.ops.push(Op::Write(name, extent.offset as usize, bytes, Sync::Now));
        job.memory.appender.sealed();
        Some(job)
    }

    /// From the newest segment on, as the preparer does it.
    fn truncate(&self, to: Zxid, job: &mut Job) -> Result<(), WriteError> {
        // What all goes of need not be whole.
        let appender = &job.memory.appender;
        let is_logged = appender.chain() != Chain(0) && Zxid::ZERO <= to;
        let mut last = is_logged.then(|| appender.last_zxid());
        let mut before = None;
        while let Some(&first_zxid) = job.memory.segments.last() {
            let bytes = self.bytes_of(first_zxid).ok_or(WriteError::Damaged)?;
            if let Some(cut) = cut::choose(bytes, to, last).map_err(|_| WriteError::Damaged)? {
                for patch in &cut.patches {
                    let at = patch.offset as usize;
                    let block = patch.block.clone();
                    job.ops.push(Op::Write(log(first_zxid), at, block, Sync::Now));
                }
                job.memory.appender = Appender::new(&cut.end, bytes.len() as u64);
                job.memory.end_at = cut.end.position.map_or(0, |it| it.offset as usize);
                job.memory.newest_id = cut.end.position.map_or(SegmentId(0), |it| it.id);
                job.memory.last_frame_at = last_frame_at(bytes, job.memory.end_at);
                return Ok(());
            }
            let (header, _) = SegmentHeader::decode(bytes).map_err(|_| WriteError::Damaged)?;
            before = Some(header.prev_zxid);
            last = last.and(before);
            job.let_go(first_zxid, bytes.len(), self.keeping);
            job.memory.segments.pop();
        }
        let last = job.memory.appender.last_zxid();
        job.memory.appender.restart(before.unwrap_or(last));
        (job.memory.last_frame_at, job.memory.end_at) = (0, 0);
        Ok(())
    }

    fn install(&self, image: Image, job: &mut Job) -> Result<(), WriteError> {
        let void_sequence = job.memory.appender.sequence();
        job.memory.void_sequence = void_sequence;
        job.memory.images.retain(|&it| it < image.zxid);
        job.memory.images.push(image.zxid);
        job.replace(&image_name(image.zxid), image_bytes(image, void_sequence));
        self.truncate(Zxid(i64::MIN), job)?;
        job.memory.appender.restart(image.zxid);
        Ok(())
    }

    /// What an image of the state is to be written with: the image, then what it makes needless goes.
    ///
    /// # Errors
    /// [`WriteError`]: then nothing is done.
    pub fn plan_image(&self, image: Image, room: Room) -> Result<Job, WriteError> {
        Self::has_room(room)?;
        let mut job = Job { ops: Vec::new(), memory: self.memory.clone() };
        job.name();
        job.memory.images.retain(|&it| it != image.zxid);
        job.memory.images.push(image.zxid);
        // A damaged one that is newer stays.
        job.memory.images.sort_unstable();
        job.replace(&image_name(image.zxid), image_bytes(image, job.memory.void_sequence));
        let validity = |&zxid: &Zxid| {
            let is_whole = zxid == image.zxid || opening::image(&self.medium, zxid).is_some();
            (zxid, if is_whole { Validity::Valid } else { Validity::Damaged })
        };
        let images: Vec<_> = job.memory.images.iter().map(validity).collect();
        let retention = retain::choose(&images, self.keeping.images);
        for zxid in retention.remove {
            job.ops.extend([Op::Remove(image_name(zxid)), Op::SyncDir]);
            job.memory.images.retain(|&it| it != zxid);
        }
        if let Some(oldest) = retention.oldest_kept {
            for _ in 0..purge::unneeded(&job.memory.segments, oldest) {
                let first_zxid = job.memory.segments.remove(0);
                let len = self.bytes_of(first_zxid).map_or(0, <[u8]>::len);
                job.let_go(first_zxid, len, self.keeping);
            }
        }
        Ok(job)
    }

    /// All of a job is done.
    pub fn finish(&mut self, job: Job) {
        for op in &job.ops {
            self.medium.apply(op);
        }
        self.memory = job.memory;
    }

    /// The transactions behind `after` up to `upto`, as they lie in the log; none if they cannot be read.
    pub fn read(&self, after: Zxid, upto: Zxid) -> Option<Vec<Txn>> {
        let segments = &self.memory.segments;
        let first = segments.partition_point(|&it| it <= after).saturating_sub(1);
        let (mut txns, mut last) = (Vec::new(), after);
        for &first_zxid in segments[first..].iter().take_while(|it| **it <= upto) {
            let bytes = self.bytes_of(first_zxid)?;
            let (header, chain) = SegmentHeader::decode(bytes).ok()?;
            if last < header.prev_zxid {
                return None;
            }
            for frame in Scan::new(bytes, header.id, chain, header.prev_zxid) {
                let from = last;
                for (zxid, record) in frame.records().filter(|it| from < it.0 && it.0 <= upto) {
                    txns.push(Txn { zxid, bytes: record.into() });
                    last = zxid;
                }
            }
        }
        (last == upto || upto <= after).then_some(txns)
    }

    /// What is in front of the oldest transaction of the log; none if there is none.
    pub fn log_after(&self) -> Option<Zxid> {
        let bytes = self.bytes_of(*self.memory.segments.first()?)?;
        Some(SegmentHeader::decode(bytes).ok()?.0.prev_zxid)
    }

    /// The bytes of a segment, whatever it is called.
    fn bytes_of(&self, first_zxid: Zxid) -> Option<&[u8]> {
        let named = || self.medium.read(&log(first_zxid));
        match self.memory.unnamed {
            Some((number, it)) if it == first_zxid => self.medium.read(&spare(number)),
            _ => named(),
        }
    }
}

/// Where the last frame begins that ends at or in front of `end_at`; the first one was written with the header.
fn last_frame_at(bytes: &[u8], end_at: usize) -> usize {
    let Ok((header, chain)) = SegmentHeader::decode(bytes) else { return 0 };
    let mut scan = Scan::new(bytes, header.id, chain, header.prev_zxid);
    let mut last_at = 0;
    loop {
        let at = scan.offset();
        if end_at <= at || scan.next().is_none() {
            return last_at;
        }
        last_at = if at == FIRST_FRAME_AT { 0 } else { at };
    }
}

/// An image's file.
fn image_bytes(image: Image, void_sequence: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE_LEN];
    for (place, word) in page.chunks_mut(8).zip([image.zxid.0 as u64, image.count, image.digest]) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    let label = Label { tree_digest: image.digest, void_sequence, ..Label::default() };
    let header = ImageHeader { zxid: image.zxid, page_count: 1, label };
    let mut bytes = vec![0; header.file_len() as usize];
    header.encode(&mut bytes[..PAGE_LEN]);
    bytes[PAGE_LEN..2 * PAGE_LEN].copy_from_slice(&page);
    let (table_at, trailer_at) = (header.table_at() as usize, header.trailer_at() as usize);
    let (front, trailer) = bytes.split_at_mut(trailer_at);
    let table = &mut front[table_at..];
    header.encode_table(&[crc32c::crc32c(&page)], table);
    header.encode_trailer(table, trailer);
    bytes
}
