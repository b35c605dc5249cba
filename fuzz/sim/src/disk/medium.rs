//! A medium: files of bytes under names, what of them is durable, and what a crash makes of the rest.
//!
//! What it promises is what `docs/disk.md` assumes of a disk, and no more: what was synced stays; a write under way leaves any of its
//! sectors; what was written and not synced may be there in part; names change in their order, and a crash takes back the last
//! changes that were not synced.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::chance::Chance;

/// Bytes that are written whole or not at all.
const SECTOR: usize = 512;

/// When a write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When it is done: `O_DSYNC`.
    Now,
    /// When the file is synced.
    Later,
}

/// Something that is done to a medium.
#[derive(Clone, Debug)]
pub enum Op {
    /// A file of so many zeros, in place of any of that name.
    Create(String, usize),
    /// Bytes into a file, which grows if they reach behind its end.
    Write(String, usize, Vec<u8>, Sync),
    /// What was written to a file is durable.
    Sync(String),
    /// A file has another name, in place of any of that name.
    Rename(String, String),
    /// A file is gone.
    Remove(String),
    /// The names are durable.
    SyncDir,
}

/// How something is taken back that is not durable.
#[derive(Clone, Debug)]
enum Undo {
    Bytes(String, usize, Vec<u8>),
    Created(String, Option<File>),
    Renamed(String, String, Option<File>),
    Removed(String, File),
}

/// Bytes, and which of them are not what was written.
#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    scars: Vec<Scar>,
}

/// Bytes that are not what was written, and what turns them back.
#[derive(Clone, Debug)]
struct Scar {
    at: usize,
    xor: Vec<u8>,
}

impl Scar {
    /// Takes what lies within `place` out of the scar.
    fn take(&mut self, place: &Range<usize>) -> Self {
        let mut taken = Self { at: self.at, xor: vec![0; self.xor.len()] };
        for (idx, byte) in self.xor.iter_mut().enumerate() {
            if place.contains(&(self.at + idx)) {
                taken.xor[idx] = std::mem::take(byte);
            }
        }
        taken
    }
}

/// Files, by name.
#[derive(Clone, Debug, Default)]
pub struct Medium {
    files: BTreeMap<String, File>,
    /// In the order in which it was done.
    undo: Vec<Undo>,
}

impl Medium {
    /// The names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The bytes of a file; none if it is missing.
    pub fn read(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|it| it.bytes.as_slice())
    }

    /// Changes bytes of a file behind everybody's back, where it has that many.
    pub fn scar(&mut self, name: &str, at: usize, xor: &[u8]) {
        let Some(file) = self.files.get_mut(name) else { return };
        let xor = xor[..xor.len().min(file.bytes.len().saturating_sub(at))].to_vec();
        let scar = Scar { at, xor };
        change(&mut file.bytes, &scar);
        file.scars.push(scar);
    }

    /// A part of a file is again what was written there.
    pub fn heal(&mut self, name: &str, place: &Range<usize>) {
        let Some(file) = self.files.get_mut(name) else { return };
        for scar in &mut file.scars {
            change(&mut file.bytes, &scar.take(place));
        }
    }

    /// Does one thing.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(name, len) => {
                let file = File { bytes: vec![0; *len], scars: Vec::new() };
                let before = self.files.insert(name.clone(), file);
                self.undo.push(Undo::Created(name.clone(), before));
            }
            Op::Write(name, at, bytes, sync) => {
                let old = self.overwrite(name, *at, bytes);
                if *sync == Sync::Later {
                    self.undo.push(Undo::Bytes(name.clone(), *at, old));
                }
            }
            Op::Sync(name) => {
                self.undo.retain(|it| !matches!(it, Undo::Bytes(other, ..) if other == name));
            }
            Op::Rename(from, to) => {
                let Some(file) = self.files.remove(from) else { unreachable!("{from} is there") };
                let before = self.files.insert(to.clone(), file);
                self.undo.push(Undo::Renamed(from.clone(), to.clone(), before));
            }
            Op::Remove(name) => {
                if let Some(file) = self.files.remove(name) {
                    self.undo.push(Undo::Removed(name.clone(), file));
                }
            }
            Op::SyncDir => self.undo.retain(|it| matches!(it, Undo::Bytes(..))),
        }
    }

    /// Does a part of one thing: of a write, some sectors.
    pub fn tear(&mut self, op: &Op, chance: &mut Chance) {
        let Op::Write(name, at, bytes, _) = op else {
            if chance.hits(500) {
                self.apply(op);
            }
            return;
        };
        // A beginning, an end, or any.
        let (kind, cut) = (chance.index(3), chance.index(bytes.len() / SECTOR + 1));
        for (idx, sector) in bytes.chunks(SECTOR).enumerate() {
            let is_written = match kind {
                0 => idx < cut,
                1 => cut <= idx,
                _ => chance.hits(500),
            };
            if is_written {
                self.overwrite(name, at + idx * SECTOR, sector);
            }
        }
    }

    /// The power is gone: of what is not durable, some stays.
    pub fn crash(&mut self, chance: &mut Chance) {
        let names = self.undo.iter().filter(|it| !matches!(it, Undo::Bytes(..))).count();
        let mut taken_back = chance.index(names + 1);
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            if let Undo::Bytes(name, at, old) = undo {
                for (idx, sector) in old.chunks(SECTOR).enumerate() {
                    if chance.hits(500) && self.files.contains_key(&name) {
                        self.overwrite(&name, at + idx * SECTOR, sector);
                    }
                }
            } else if 0 < taken_back {
                taken_back -= 1;
                self.take_back(undo);
            }
        }
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Created(name, before) => {
                self.files.remove(&name);
                self.files.extend(before.map(|it| (name, it)));
            }
            Undo::Renamed(from, to, before) => {
                if let Some(file) = self.files.remove(&to) {
                    self.files.insert(from, file);
                }
                self.files.extend(before.map(|it| (to, it)));
            }
            Undo::Removed(name, file) => {
                self.files.insert(name, file);
            }
            Undo::Bytes(..) => unreachable!("sector by sector"),
        }
    }

    /// What was there before; what was not there was zeros.
    fn overwrite(&mut self, name: &str, at: usize, bytes: &[u8]) -> Vec<u8> {
        let Some(file) = self.files.get_mut(name) else { unreachable!("{name} is there") };
        let place = at..at + bytes.len();
        for scar in &mut file.scars {
            scar.take(&place);
        }
        if file.bytes.len() < place.end {
            file.bytes.resize(place.end, 0);
        }
        let there = &mut file.bytes[place];
        let old = there.to_vec();
        there.copy_from_slice(bytes);
        old
    }
}

/// Scars bytes, or turns a scar back.
fn change(bytes: &mut [u8], scar: &Scar) {
    for (byte, xor) in bytes.iter_mut().skip(scar.at).zip(&scar.xor) {
        *byte ^= xor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Stream;

    #[test]
    fn what_was_synced_stays_and_what_was_not_may_go() {
        let (mut lost, mut kept) = (0, 0);
        for seed in 0..100 {
            let mut chance = Chance::new(seed, Stream::Disk);
            let mut medium = Medium::default();
            for op in [
                Op::Create("a".into(), 1024),
                Op::SyncDir,
                Op::Write("a".into(), 0, vec![1; 512], Sync::Now),
                Op::Write("a".into(), 512, vec![2; 512], Sync::Later),
                Op::Rename("a".into(), "b".into()),
            ] {
                medium.apply(&op);
            }
            medium.crash(&mut chance);
            let bytes = medium.read("a").or_else(|| medium.read("b")).unwrap_or_default();
            assert_eq!(bytes[..512], [1; 512]);
            assert_eq!(medium.names().count(), 1);
            if bytes[512] == 2 { kept += 1 } else { lost += 1 }
        }
        assert!(0 < lost && 0 < kept, "{lost} lost, {kept} kept");
    }

    #[test]
    fn a_scar_goes_where_its_file_goes_and_ends_where_that_is_written_anew() {
        let mut medium = Medium::default();
        let create = |name: &str| Op::Create(name.into(), 1024);
        for op in [create("a"), Op::Write("a".into(), 0, vec![1; 1024], Sync::Now)] {
            medium.apply(&op);
        }
        medium.scar("a", 500, &[7; 600]);
        medium.apply(&Op::Rename("a".into(), "b".into()));
        medium.apply(&create("a"));
        medium.apply(&Op::Write("b".into(), 512, vec![2; 256], Sync::Now));
        assert_eq!(
            medium.read("b").unwrap_or_default()[498..514],
            [[1; 2].as_slice(), &[6; 12], &[2; 2]].concat()
        );
        medium.heal("a", &(0..1024));
        medium.heal("b", &(0..1000));
        assert_eq!(medium.read("a"), Some([0; 1024].as_slice()));
        let whole = [[1; 512].as_slice(), &[2; 256], &[1; 232], &[6; 24]].concat();
        assert_eq!(medium.read("b"), Some(whole.as_slice()));
    }

    #[test]
    fn a_torn_write_leaves_whole_sectors() {
        for seed in 0..100 {
            let mut chance = Chance::new(seed, Stream::Disk);
            let mut medium = Medium::default();
            medium.apply(&Op::Create("a".into(), 4096));
            medium.apply(&Op::SyncDir);
            medium.tear(&Op::Write("a".into(), 0, vec![1; 4096], Sync::Now), &mut chance);
            let bytes = medium.read("a").unwrap_or_default();
            assert!(bytes.chunks(SECTOR).all(|it| it == [0; SECTOR] || it == [1; SECTOR]));
        }
    }
}
