//! A crash at every operation that the log does on its directory, with the last write torn in many ways: what was acknowledged is there,
//! and what was not is there whole or not at all.
//!
//! The operations come from the writer's pure part, in the order of the drivers; the files are then put on a real file system as the crash would
//! have left them, and opened.

use std::collections::BTreeMap;
use std::path::Path;

use jute::Zxid;
use wal::append::Appender;
use wal::frame::{BLOCK, Chain, SegmentId};
use wal::replay::{End, begun_spare};
use wal::segment::FileName;
use wal::{Log, Options, cut, purge};

use crate::rig::{Chance, assert_records, batch, open, run, shm, small};

const SEGMENT_LEN: usize = 32 << 10;
const BODY_LEN: usize = 700;

/// One thing done to the directory.
enum Step {
    /// A spare is there: whole, because it was filled under another name.
    Spare(FileName, Vec<u8>),
    /// A frame; acknowledged, up to this zxid, when it is over.
    Write {
        file: FileName,
        offset: usize,
        bytes: Vec<u8>,
        acked: i64,
    },
    Rename(FileName, FileName),
    Erase(FileName),
    /// Everything up to here is in an image.
    Image(i64),
}

#[derive(Clone, Default)]
struct World {
    files: BTreeMap<FileName, Vec<u8>>,
    acked: i64,
    image: i64,
}

impl World {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Spare(name, bytes) => drop(self.files.insert(*name, bytes.clone())),
            Step::Write { file, offset, bytes, acked } => {
                self.put(*file, *offset, bytes);
                self.acked = *acked;
            }
            Step::Rename(from, to) => {
                let bytes = self.files.remove(from).unwrap();
                assert!(self.files.insert(*to, bytes).is_none());
            }
            Step::Erase(file) => self.put(*file, 0, &[0; BLOCK]),
            Step::Image(zxid) => self.image = *zxid,
        }
    }

    fn put(&mut self, file: FileName, offset: usize, bytes: &[u8]) {
        let held = self.files.get_mut(&file).unwrap();
        held[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// The write happens in some sectors only.
    fn tear(&mut self, step: &Step, chance: &mut Chance) {
        let Step::Write { file, offset, bytes, .. } = step else { return };
        let sectors = bytes.len() / 512;
        let kind = chance.below(4);
        let edge = chance.below(sectors as u64 + 1) as usize;
        for (sector, part) in bytes.chunks(512).enumerate() {
            let there = match kind {
                0 => sector < edge,
                1 => edge <= sector,
                2 => chance.below(2) == 0,
                _ => sector != edge,
            };
            if there {
                self.put(*file, offset + sector * 512, part);
            }
        }
    }

    fn save(&self, dir: &Path) {
        for (name, bytes) in &self.files {
            std::fs::write(dir.join(name.to_string()), bytes).unwrap();
        }
    }
}

/// What log and preparer do for `batches` batches of one to twelve records. A begun spare gets its name some batches late.
fn script(batches: usize, chance: &mut Chance) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut appender =
        Appender::new(&End { last_zxid: Zxid(0), chain: Chain(0), sequence: 0, position: None }, 0);
    let mut spares: Vec<FileName> = Vec::new();
    let (mut numbers, mut zxid) = (0.., 0);
    let mut segments: Vec<Zxid> = Vec::new();
    let mut current = FileName::Spare(0);
    let mut unnamed: Option<(FileName, FileName)> = None;
    for _ in 0..batches {
        let batch = batch(zxid + 1..=zxid + 1 + chance.below(12) as i64, BODY_LEN);
        let (first, last) = (batch.first_zxid().unwrap(), batch.last_zxid().unwrap());
        if chance.below(3) == 0
            && let Some((from, to)) = unnamed.take()
        {
            steps.push(Step::Rename(from, to));
            current = to;
        }
        if !appender.fits(&batch) {
            if let Some((from, to)) = unnamed.take() {
                steps.push(Step::Rename(from, to));
            }
            current = spares.pop().unwrap_or_else(|| {
                let name = FileName::Spare(numbers.next().unwrap());
                steps.push(Step::Spare(name, vec![0; SEGMENT_LEN]));
                name
            });
            appender.begin(SegmentId(chance.next()), SEGMENT_LEN as u64, 0);
            unnamed = Some((current, FileName::Log(first)));
            segments.push(first);
        }
        let extent = appender.extent(&batch);
        let mut bytes = vec![0; extent.len];
        let chain = appender.encode(&batch, &mut bytes);
        appender.durable(&batch, chain);
        steps.push(Step::Write {
            file: current,
            offset: extent.offset as usize,
            bytes,
            acked: last.0,
        });
        zxid = last.0;
        if unnamed.is_none() && chance.below(8) == 0 {
            steps.push(Step::Image(zxid - 3));
            for _ in 0..purge::unneeded(&segments, Zxid(zxid - 3)) {
                let number = numbers.next().unwrap();
                let (log, tmp) = (FileName::Log(segments.remove(0)), FileName::Unfinished(number));
                steps.push(Step::Rename(log, tmp));
                steps.push(Step::Erase(tmp));
                steps.push(Step::Rename(tmp, FileName::Spare(number)));
                spares.push(FileName::Spare(number));
            }
        }
    }
    steps
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_every_step() {
    let mut chance = Chance(11);
    let options = small(SEGMENT_LEN as u64);
    let mut torn_seen = 0;
    for round in 0..6 {
        let steps = script(80, &mut chance);
        let mut world = World::default();
        for (idx, step) in steps.iter().enumerate() {
            for tear in 0..5 {
                let mut crashed = world.clone();
                if 0 < tear {
                    crashed.tear(step, &mut chance);
                }
                let dir = shm();
                crashed.save(dir.path());
                let in_flight = match step {
                    Step::Write { acked, .. } if 0 < tear => *acked,
                    _ => world.acked,
                };
                let (got, tail, report) = open(dir.path(), &options, world.image)
                    .unwrap_or_else(|err| panic!("round {round}, step {idx}: {err}"));
                let end = tail.last_zxid().0;
                assert!(
                    end == world.acked || end == in_flight,
                    "round {round}, step {idx}: {end}, acked {}",
                    world.acked
                );
                assert_records(&got, world.image + 1..=end, BODY_LEN);
                torn_seen += usize::from(report.cut.is_some());
                if idx % 16 == round && tear < 2 {
                    goes_on(dir.path(), tail, (world.image, end), &options);
                }
            }
            world.step(step);
        }
    }
    assert!(100 < torn_seen, "only {torn_seen} torn frames were cut");
}

/// What the preparer does to end the log with `to`: newest segments first, then the patches of the one that stays.
fn truncation(world: &World, to: i64) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, (name, bytes)) in (900..).zip(world.files.iter().rev()) {
        let FileName::Log(_) = name else { continue };
        if let Some(cut) = cut::choose(bytes, Zxid(to), None).expect("the log is whole") {
            steps.extend(cut.patches.into_iter().map(|it| Step::Write {
                file: *name,
                offset: it.offset as usize,
                bytes: it.block,
                acked: to,
            }));
            break;
        }
        let (tmp, spare) = (FileName::Unfinished(number), FileName::Spare(number));
        steps.extend([Step::Rename(*name, tmp), Step::Erase(tmp), Step::Rename(tmp, spare)]);
    }
    steps
}

#[test]
fn a_crash_at_every_step_of_a_cut_leaves_a_log_that_ends_there_or_behind() {
    let mut chance = Chance(5);
    let options = small(SEGMENT_LEN as u64);
    for _ in 0..6 {
        let mut whole = World::default();
        for step in script(40, &mut chance) {
            whole.step(&step);
        }
        // The preparer gives every segment its name before it cuts.
        for (name, bytes) in std::mem::take(&mut whole.files) {
            let named = begun_spare(&bytes).unwrap_or(name);
            whole.files.insert(named, bytes);
        }
        let (base, last) = (whole.image, whole.acked);
        for _ in 0..12 {
            let to = last - chance.below((last - base) as u64) as i64;
            let mut world = whole.clone();
            let mut ended = last;
            for step in truncation(&whole, to) {
                for tear in 0..4 {
                    let mut crashed = world.clone();
                    if 0 < tear {
                        crashed.tear(&step, &mut chance);
                    }
                    let dir = shm();
                    crashed.save(dir.path());
                    let (got, tail, _) = open(dir.path(), &options, base).unwrap();
                    let end = tail.last_zxid().0;
                    assert!(to <= end && end <= ended, "to {to}, {ended}: ends with {end}");
                    assert_records(&got, base + 1..=end, BODY_LEN);
                    ended = if tear == 0 { end } else { ended };
                }
                world.step(&step);
            }
            let dir = shm();
            world.save(dir.path());
            let (got, tail, _) = open(dir.path(), &options, base).unwrap();
            assert_eq!(tail.last_zxid(), Zxid(to));
            assert_records(&got, base + 1..=to, BODY_LEN);
            goes_on(dir.path(), tail, (base, to), &options);
        }
    }
}

/// The log takes more after the crash, and both are there after opening once more.
fn goes_on(dir: &Path, tail: wal::LogTail, range: (i64, i64), options: &Options) {
    let (image, end) = range;
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        for first in [end + 1, end + 3, end + 5] {
            log.append(&batch(first..=first + 1, BODY_LEN)).unwrap();
        }
    });
    let (got, _, _) = open(dir, options, image).unwrap();
    assert_records(&got, image + 1..=end + 6, BODY_LEN);
}
