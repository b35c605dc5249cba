//! What becomes of a directory's bytes: crashes, rot, writes that went astray; and what of that a start must see.

use wal::frame::{BLOCK, FrameHeader};
use wal::scan::Scan;
use wal::seal::Seal;
use wal::segment::SegmentHeader;

use super::super::medium::{Op, Sync};
use super::{Job, Memory, Store, log, spare};
use crate::chance::Chance;

/// What bytes changed by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// Those of a last frame that is sealed.
    LastFrame,
    /// Any.
    Anything,
}

impl Store {
    /// A job was said to be done; what its last write wrote is somewhere else, or nowhere.
    pub fn misdirect(&mut self, job: Job, chance: &mut Chance) {
        let Some(Op::Write(name, at, bytes, Sync::Now)) = job.ops.last().cloned() else {
            return self.finish(job);
        };
        self.finish(job);
        // As if it had not been: zeros.
        let was: Vec<u8> = bytes.clone();
        self.scar(&name, at, &was);
        let names: Vec<String> = self.medium.names().map(str::to_owned).collect();
        let other = &names[chance.index(names.len())];
        let blocks = self.medium.read(other).map_or(0, <[u8]>::len) / BLOCK;
        let (from, to) = (chance.index(blocks + 1) * BLOCK, bytes.len());
        if chance.hits(300) || blocks * BLOCK < from + to || *other == name {
            return;
        }
        let there = self.medium.read(other).unwrap_or_default();
        let xor: Vec<u8> = there[from..from + to].iter().zip(&bytes).map(|(a, b)| a ^ b).collect();
        let other = other.clone();
        self.scar(&other, from, &xor);
    }

    /// Some bytes of some file change by themselves; of a log that is sealed, now and then those of its last frame. Whether
    /// these were it.
    pub fn rot(&mut self, chance: &mut Chance) -> Struck {
        let newest = self.newest().filter(|name| self.is_proven(name) && chance.hits(300));
        let (name, place, struck) = if let Some(name) = newest {
            let Memory { last_frame_at, end_at, .. } = self.memory;
            (name, last_frame_at..end_at, Struck::LastFrame)
        } else {
            let names: Vec<String> = self.medium.names().map(str::to_owned).collect();
            if names.is_empty() {
                return Struck::Anything;
            }
            let name = names[chance.index(names.len())].clone();
            let len = self.medium.read(&name).map_or(0, <[u8]>::len);
            (name, 0..len, Struck::Anything)
        };
        if place.is_empty() {
            return Struck::Anything;
        }
        let at = place.start + chance.index(place.len());
        let xor: Vec<u8> = match chance.index(3) {
            0 => vec![1 << chance.index(8)],
            1 => (0..chance.within(1..64)).map(|_| chance.draw() as u8).collect(),
            // A sector of something else.
            _ => (0..512).map(|_| chance.draw() as u8).collect(),
        };
        self.scar(&name, at, &xor);
        struck
    }

    fn scar(&mut self, name: &str, at: usize, xor: &[u8]) {
        self.medium.scar(name, at, xor);
        self.is_scarred = true;
    }

    /// Whether anything was done to it that a disk must not do.
    pub fn is_scarred(&self) -> bool {
        self.is_scarred
    }

    /// The power is gone; `job` was under way.
    pub fn crash(&mut self, job: Option<Job>, chance: &mut Chance) {
        if let Some(job) = job {
            let count = chance.index(job.ops.len() + 1);
            for op in &job.ops[..count] {
                self.medium.apply(op);
            }
            if let Some(op) = job.ops.get(count) {
                self.medium.tear(op, chance);
            }
        }
        self.medium.crash(chance);
    }

    /// Turns back what was done to the last frame, and to the header that was written with it, if nothing proves that this frame was
    /// once whole: damage there cannot be told from a torn write (`docs/disk.md`), so it is not what is tried here.
    pub fn spare_last_frame(&mut self) {
        let Some(name) = self.newest() else { return };
        if !self.is_proven(&name) {
            self.medium.heal(&name, &(self.memory.last_frame_at..self.memory.end_at));
        }
    }

    /// Whether the last frame is bad though something proves that it was once whole.
    pub fn has_bad_end(&self) -> bool {
        let Some(name) = self.newest().filter(|it| self.is_proven(it)) else { return false };
        let bytes = self.medium.read(&name).unwrap_or_default();
        let Memory { last_frame_at, end_at, .. } = self.memory;
        let stops_at = SegmentHeader::decode(bytes).map_or(0, |(header, chain)| {
            let mut scan = Scan::new(bytes, header.id, chain, header.prev_zxid);
            while scan.next().is_some() {}
            scan.offset()
        });
        (last_frame_at..end_at).contains(&stops_at)
    }

    /// The file of the newest segment, as the server knows it; a crash may have come before or behind its name.
    fn newest(&self) -> Option<String> {
        let named = log(*self.memory.segments.last()?);
        let unnamed = self.memory.unnamed.map(|it| spare(it.0));
        unnamed.filter(|it| self.medium.read(it).is_some()).or(Some(named))
    }

    /// Whether the last frame that the server knows to be durable has a seal of its segment behind it, or a frame.
    fn is_proven(&self, name: &str) -> bool {
        let Memory { newest_id, end_at, .. } = self.memory;
        let behind = self.medium.read(name).and_then(|it| it.get(end_at..)).unwrap_or_default();
        let seal = Seal::decode(behind).map(|it| (it.segment, it.offset));
        let frame = || FrameHeader::decode(behind).map(|(it, _)| (it.segment, it.offset));
        seal.or_else(frame) == Some((newest_id, end_at as u64))
    }
}

#[cfg(test)]
mod tests {
    use jute::Zxid;
    use quorum::zab::WriteId;
    use wal::replay::Damage;

    use super::*;
    use crate::chance::Stream;
    use crate::disk::{Disk, DiskWrite, Ended, Faith, Files, Keeping, Refusal, Txn};

    /// Transactions that are written before anything goes wrong, each in a frame.
    const WRITTEN: i64 = 3;

    fn txn(number: i64) -> Txn {
        let zxid = Zxid(1 << 32 | number);
        let mut bytes = vec![number as u8; 40];
        bytes[12..20].copy_from_slice(&zxid.0.to_be_bytes());
        Txn { zxid, bytes: bytes.into() }
    }

    fn append(disk: &mut Disk, number: i64, faith: Faith, chance: &mut Chance) {
        disk.order(WriteId(number as u64), DiskWrite::Append(txn(number)));
        assert!(disk.begin(chance));
        assert_eq!(disk.end(faith, chance), Ok(Ended::Durable(WriteId(number as u64))));
    }

    fn seal(disk: &mut Disk, chance: &mut Chance) {
        assert!(disk.seal() && !disk.begin(chance));
        assert_eq!(disk.end(Faith::Kept, chance), Ok(Ended::Sealed));
        assert!(!disk.seal(), "once is enough");
    }

    /// A disk with these; the last one as well as `faith` says.
    fn written(faith: Faith, chance: &mut Chance) -> Disk {
        let mut disk = Disk::new(Keeping { segment_len: 16 * BLOCK, images: 1, first_counter: 0 });
        for number in 1..WRITTEN {
            append(&mut disk, number, Faith::Kept, chance);
        }
        append(&mut disk, WRITTEN, faith, chance);
        disk
    }

    /// A crash, and the start behind it.
    fn start(disk: &mut Disk, chance: &mut Chance) -> Result<Files, Refusal> {
        assert_eq!(disk.crash(chance), Ok(()));
        disk.open()
    }

    fn scar_last_frame(disk: &mut Disk, at: usize) {
        let from = disk.store.memory.last_frame_at;
        let name = disk.store.newest().unwrap();
        disk.store.scar(&name, from + at, &[1]);
    }

    #[test]
    fn a_server_does_not_start_with_a_sealed_last_frame_that_has_rotted() {
        // Every byte of the header, and of a record.
        for at in 0..104 {
            let mut chance = Chance::new(1, Stream::Damage);
            let mut disk = written(Faith::Kept, &mut chance);
            scar_last_frame(&mut disk, at);
            let unsealed = start(&mut disk.clone(), &mut chance).unwrap();
            assert_eq!(unsealed.last(), txn(WRITTEN).zxid, "what cannot be told is not tried");
            seal(&mut disk, &mut chance);
            let refused = start(&mut disk, &mut chance).map(|it| it.last());
            assert_eq!(refused, Err(Refusal::Log(Damage::Frame)), "byte {at}");
            assert!(disk.has_bad_end());
        }
    }

    #[test]
    fn a_server_does_not_start_without_a_sealed_last_frame_that_went_astray() {
        for seed in 0..50 {
            let mut chance = Chance::new(seed, Stream::Damage);
            let mut disk = written(Faith::Broken, &mut chance);
            seal(&mut disk, &mut chance);
            let refused = start(&mut disk, &mut chance).map(|it| it.last());
            assert_eq!(refused, Err(Refusal::Log(Damage::Frame)), "seed {seed}");
        }
    }

    #[test]
    fn a_seal_that_is_torn_and_a_frame_that_is_torn_over_it_cost_nothing() {
        for seed in 0..500 {
            let mut chance = Chance::new(seed, Stream::Damage);
            let mut disk = written(Faith::Kept, &mut chance);
            assert!(disk.seal());
            let found = start(&mut disk, &mut chance).map(|it| it.last());
            assert_eq!(found, Ok(txn(WRITTEN).zxid), "seed {seed}, the seal");
            if disk.seal() {
                assert_eq!(disk.end(Faith::Kept, &mut chance), Ok(Ended::Sealed));
            }
            disk.order(WriteId(9), DiskWrite::Append(txn(WRITTEN + 1)));
            assert!(disk.begin(&mut chance));
            let found = start(&mut disk, &mut chance).map(|it| it.last()).unwrap();
            assert!(txn(WRITTEN).zxid <= found, "seed {seed}, the frame");
            assert!(!disk.is_scarred());
        }
    }
}
