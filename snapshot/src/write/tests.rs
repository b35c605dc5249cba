//! An image killed, or failing, at each of its operations: it is whole under its name, or the one before it is what loads.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use jute::Zxid;

use super::*;
use crate::format::{FileName, Label};
use crate::load::load;

/// A disk that keeps what was synced, and of the rest what chance leaves.
#[derive(Clone, Default)]
struct Disk {
    /// Operations so far; the one with number `fails_at` fails.
    steps: usize,
    fails_at: Option<usize>,
    file: Option<Vec<u8>>,
    /// Written since the last sync: offset, what was there before.
    undo: Vec<(usize, Vec<u8>)>,
    named: bool,
    name_is_durable: bool,
    /// The disk after each operation, if they are kept.
    history: Option<Vec<Self>>,
}

struct Shared(Rc<RefCell<Disk>>);

impl Shared {
    fn step(&self, act: impl FnOnce(&mut Disk)) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.steps += 1;
        if disk.fails_at == Some(disk.steps) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        act(&mut disk);
        let after = Disk { history: None, ..disk.clone() };
        if let Some(history) = &mut disk.history {
            history.push(after);
        }
        Ok(())
    }
}

impl Target for Shared {
    fn create(&mut self, len: u64) -> io::Result<()> {
        // What a preallocated file holds is not ours to know.
        self.step(|disk| disk.file = Some(vec![0x5a; len as usize]))
    }
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step(|disk| {
            let offset = offset as usize;
            let at = &mut disk.file.as_mut().unwrap()[offset..offset + bytes.len()];
            disk.undo.push((offset, at.to_vec()));
            at.copy_from_slice(bytes);
        })
    }
    fn sync(&mut self) -> io::Result<()> {
        self.step(|disk| disk.undo.clear())
    }
    fn publish(&mut self) -> io::Result<()> {
        self.step(|disk| disk.named = true)
    }
    fn sync_dir(&mut self) -> io::Result<()> {
        self.step(|disk| disk.name_is_durable = true)
    }
    fn remove(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        if !disk.named {
            disk.file = None;
        }
        Ok(())
    }
}

const OLD: Zxid = Zxid(5);
const NEW: Zxid = Zxid(9);
const PAGES: u64 = 1500;

/// Writes an image of pages that hold `value`.
fn write(target: impl Target, zxid: Zxid, value: u64) -> io::Result<()> {
    let header = ImageHeader { zxid, page_count: PAGES, label: Label::default() };
    let mut writing = Writing::begin(target, header)?;
    let page = vec![Block([value; PAGE_LEN / 8]); 250];
    while 0 < writing.left() {
        let first = PAGES - writing.left();
        if let Err(err) = writing.put(first, &page) {
            writing.abandon();
            return Err(err);
        }
    }
    writing.finish()
}

fn history() -> Vec<Disk> {
    let disk =
        Rc::new(RefCell::new(Disk { history: Some(vec![Disk::default()]), ..Disk::default() }));
    write(Shared(Rc::clone(&disk)), NEW, 2).unwrap();
    disk.borrow_mut().history.take().unwrap()
}

/// A directory with the old image, and the new one as `disk` has it.
fn directory(disk: &Disk) -> tempfile::TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    write(crate::disk::FileTarget::new(dir.path(), OLD), OLD, 1).unwrap();
    if let Some(bytes) = &disk.file {
        let name = if disk.named { FileName::Image(NEW) } else { FileName::Unfinished(NEW) };
        std::fs::write(dir.path().join(name.to_string()), bytes).unwrap();
    }
    dir
}

/// The image that loads, which must be whole: every word the value it was written with. Also the newest by name.
fn loaded(dir: &Path) -> (Zxid, Zxid) {
    let mut start = load(dir, 8 << 20).unwrap();
    let zxid = start.loaded.unwrap().zxid;
    let value = if zxid == NEW { 2_u64 } else { 1 };
    let words = start.region.bytes_mut()[..PAGES as usize * PAGE_LEN].as_chunks::<8>().0;
    assert!(words.iter().all(|it| it == value.as_bytes()));
    (zxid, start.newest_zxid)
}

#[test]
fn killed_after_any_operation_an_image_is_whole_or_not_there() {
    let history = history();
    assert!(12 < history.len());
    let mut chance = 1_u64;
    for (idx, disk) in history.iter().enumerate() {
        for _ in 0..12 {
            let mut crashed = disk.clone();
            for (offset, before) in &disk.undo {
                for (sector, old) in before.chunks(512).enumerate() {
                    chance = chance
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    if chance >> 63 == 0 {
                        let at = offset + 512 * sector;
                        crashed.file.as_mut().unwrap()[at..at + old.len()].copy_from_slice(old);
                    }
                }
            }
            crashed.named = disk.named && (disk.name_is_durable || chance >> 62 & 1 == 0);
            let dir = directory(&crashed);
            let (zxid, newest) = loaded(dir.path());
            assert_eq!(zxid, newest, "after operation {idx} a damaged image has its name");
            assert!(!disk.name_is_durable || zxid == NEW, "the image was done, and is not there");
            // What was unfinished is gone.
            assert_eq!(
                std::fs::read_dir(dir.path()).unwrap().count(),
                if crashed.named { 2 } else { 1 }
            );
        }
    }
}

#[test]
fn a_disk_that_fails_at_any_operation_leaves_the_old_image_and_nothing_else() {
    let whole = history().len() - 1;
    for fails_at in 1..=whole {
        let disk = Rc::new(RefCell::new(Disk { fails_at: Some(fails_at), ..Disk::default() }));
        let failed = write(Shared(Rc::clone(&disk)), NEW, 2);
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull, "operation {fails_at}");
        let disk = disk.borrow();
        // Only the very last one, the directory's sync, finds the image under its name already.
        assert_eq!(disk.file.is_some(), fails_at == whole, "operation {fails_at}");
        let (zxid, _) = loaded(directory(&disk).path());
        assert_eq!(zxid, if fails_at == whole { NEW } else { OLD });
    }
}

#[test]
fn an_image_cut_at_any_block_or_with_any_part_flipped_is_passed_over() {
    let dir = directory(history().last().unwrap());
    let path = dir.path().join(FileName::Image(NEW).to_string());
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(loaded(dir.path()).0, NEW);
    for cut in (0..whole.len()).step_by(PAGE_LEN * 97).chain(whole.len() - 3..whole.len()) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(loaded(dir.path()), (OLD, NEW), "cut at {cut}");
    }
    for byte in (0..whole.len()).step_by(99_991).chain([
        0,
        PAGE_LEN,
        whole.len() - PAGE_LEN,
        whole.len() - 1,
    ]) {
        let mut flipped = whole.clone();
        flipped[byte] ^= 0x10;
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(loaded(dir.path()), (OLD, NEW), "byte {byte}");
    }
    let mut longer = whole;
    longer.extend_from_slice(&[0; PAGE_LEN]);
    std::fs::write(&path, &longer).unwrap();
    assert_eq!(loaded(dir.path()), (OLD, NEW));
}
