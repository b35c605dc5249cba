//! Images that are written over older ones: what is loaded is the arena at one moment all the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use faulty::{Disk, Fault};
use rustix::fs::{FlockOperation, flock};
use snapshot::{Imager, Outcome, Purger, inspect, load};

use crate::faults::with_each_fault;
use crate::rig::{REGION_LEN, Rig, held};

const PAGES: u64 = 2000;
const RETAIN: usize = 2;

/// An image with `changes` batches before it and as many meanwhile, which must be what loads. The bytes of pages that were written.
fn image(rig: &mut Rig, imager: &mut Imager, dir: &Path, changes: u64) -> u64 {
    for _ in 0..changes {
        rig.change(16);
    }
    let (want, outcome) = rig.image(imager, changes);
    let Outcome::Written { zxid, anew, .. } = outcome else { panic!("{outcome:?}") };
    let start = load(dir, REGION_LEN).unwrap();
    assert_eq!(start.loaded.as_ref().unwrap().zxid, zxid, "another image was loaded");
    assert!(held(start.region, want.len()) == want, "image {zxid}");
    anew
}

fn names(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    names.filter(|it| it.extension().is_some_and(|it| it == ending)).collect()
}

#[test]
fn only_what_changed_is_written_and_every_retained_image_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(PAGES, 5);
    let mut imager = rig.purged_imager(dir.path(), RETAIN);
    let mut purger = Purger::new(dir.path());
    for round in 0..24 {
        if round % 5 == 0 {
            rig.grow(1 + round);
        }
        let anew = image(&mut rig, &mut imager, dir.path(), round % 4);
        let all = PAGES * 4096;
        if round <= RETAIN as u64 {
            assert!(all <= anew, "{anew} bytes, there is nothing to write over");
        } else {
            // At most 3 intervals of 6 batches of 16 pages each, with up to 7 between two of them, and what came new.
            assert!(anew < all, "{anew} bytes of {all}");
        }
        if round % 4 == 0 && 4 < round {
            assert!(anew < all / 2, "{anew} bytes of {all}");
        }
        let images = inspect::images(dir.path()).unwrap();
        assert_eq!(images.len(), RETAIN.min(round as usize + 1));
        for image in &images {
            inspect::verify(image).unwrap();
        }
        assert!(purger.purge(RETAIN).unwrap().is_some());
        assert_eq!(inspect::images(dir.path()).unwrap(), images, "nothing was left to purge");
        assert_eq!(names(dir.path(), "spare").len(), usize::from(RETAIN <= round as usize));
    }
    // Another process knows nothing of the spare.
    drop(imager);
    let mut imager = rig.purged_imager(dir.path(), RETAIN);
    assert!(PAGES * 4096 <= image(&mut rig, &mut imager, dir.path(), 0));
    assert_eq!(names(dir.path(), "spare"), <[PathBuf; 0]>::default());
}

#[test]
fn without_a_purge_no_image_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(200, 5);
    let mut imager = rig.imager(dir.path());
    for _ in 0..6 {
        assert!(200 * 4096 <= image(&mut rig, &mut imager, dir.path(), 1));
    }
    assert_eq!(inspect::images(dir.path()).unwrap().len(), 6);
}

#[test]
fn an_image_that_somebody_reads_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(PAGES, 6);
    let mut imager = rig.purged_imager(dir.path(), RETAIN);
    image(&mut rig, &mut imager, dir.path(), 1);
    let path = inspect::images(dir.path()).unwrap().remove(0);
    let read = File::open(&path).unwrap();
    flock(&read, FlockOperation::LockShared).unwrap();
    let before = fs::read(&path).unwrap();
    for _ in 0..2 {
        image(&mut rig, &mut imager, dir.path(), 1);
    }
    let anew = image(&mut rig, &mut imager, dir.path(), 1);
    assert!(PAGES * 4096 <= anew, "a file was written over that is being read");
    let mut after = Vec::new();
    std::io::Read::read_to_end(&mut &read, &mut after).unwrap();
    assert!(before == after);
    // The next file has no reader.
    assert!(image(&mut rig, &mut imager, dir.path(), 1) < PAGES * 4096);
}

#[test]
fn a_spare_that_is_damaged_around_its_pages_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    // In the header, the table, the trailer.
    for from_end in [usize::MAX, 4096 + 7, 100] {
        let mut rig = Rig::new(PAGES, 6);
        let mut imager = rig.purged_imager(dir.path(), RETAIN);
        for _ in 0..3 {
            image(&mut rig, &mut imager, dir.path(), 1);
        }
        let spare = names(dir.path(), "spare").remove(0);
        let mut bytes = fs::read(&spare).unwrap();
        let at = bytes.len().saturating_sub(from_end);
        bytes[at] ^= 1;
        fs::write(&spare, bytes).unwrap();
        assert!(PAGES * 4096 <= image(&mut rig, &mut imager, dir.path(), 1), "byte {at}");
        drop(imager);
        for path in inspect::images(dir.path()).unwrap() {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_page_that_rots_in_a_spare_is_found_when_the_image_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(PAGES, 7);
    let mut imager = rig.purged_imager(dir.path(), RETAIN);
    let mut want = Vec::new();
    for _ in 0..=RETAIN {
        rig.grow(1);
        (want, _) = rig.image(&mut imager, 0);
    }
    let spare = names(dir.path(), "spare").remove(0);
    let mut bytes = fs::read(&spare).unwrap();
    bytes[PAGES as usize * 2048] ^= 1;
    fs::write(&spare, bytes).unwrap();
    rig.grow(1);
    let (_, outcome) = rig.image(&mut imager, 0);
    assert!(matches!(outcome, Outcome::Written { anew: ..=40_960, .. }), "{outcome:?}");
    let start = load(dir.path(), REGION_LEN).unwrap();
    assert!(start.loaded.as_ref().unwrap().zxid < start.newest_zxid);
    assert!(held(start.region, want.len()) == want, "the one before it is loaded");
}

#[test]
fn images_of_one_moment_and_of_a_history_taken_back_leave_the_newest_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(20, 7);
    let mut imager = rig.purged_imager(dir.path(), RETAIN);
    for _ in 0..3 * RETAIN {
        image(&mut rig, &mut imager, dir.path(), 0);
        assert_eq!(inspect::images(dir.path()).unwrap().len(), 1);
    }
    for _ in 0..3 * RETAIN {
        rig.change(1);
        image(&mut rig, &mut imager, dir.path(), 0);
    }
    assert_eq!(inspect::images(dir.path()).unwrap().len(), RETAIN);
    // A leader's tree is taken over, older than what was here, whose images go.
    for path in inspect::images(dir.path()).unwrap() {
        fs::remove_file(path).unwrap();
    }
    rig.back(3 * RETAIN as i64);
    for round in 1..=3 * RETAIN {
        image(&mut rig, &mut imager, dir.path(), 0);
        assert_eq!(inspect::images(dir.path()).unwrap().len(), RETAIN.min(round));
        rig.change(1);
    }
}

#[test]
fn a_cancelled_image_takes_the_file_with_it_and_the_next_one_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(PAGES, 8);
    let mut imager = rig.purged_imager(dir.path(), RETAIN);
    for _ in 0..4 {
        image(&mut rig, &mut imager, dir.path(), 5);
    }
    for _ in 0..3 {
        let source = rig.arena.begin_image();
        imager.begin(source, snapshot::Label::default());
        rig.change(16);
        assert!(imager.give_up().is_some());
        rig.arena.end_image();
        for _ in 0..3 {
            image(&mut rig, &mut imager, dir.path(), 1);
        }
    }
    assert_eq!(names(dir.path(), "tmp"), <[PathBuf; 0]>::default());
}

/// Images of which the third, over a spare, meets a fault. What failed.
fn fail_once(disk: &Disk, fault: Fault) -> Vec<String> {
    let dir = disk.path().join("over");
    fs::create_dir(&dir).unwrap();
    let mut rig = Rig::new(100, 3);
    let mut imager = rig.purged_imager(&dir, 1);
    let two = |rig: &mut Rig, imager: &mut Imager| {
        for _ in 0..2 {
            rig.change(16);
            let (_, outcome) = rig.image(imager, 2);
            assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
        }
    };
    two(&mut rig, &mut imager);
    let second = load(&dir, REGION_LEN).unwrap();
    rig.change(16);
    let third_zxid = rig.arena.zxid();
    disk.fail(fault);
    let (third, outcome) = rig.image(&mut imager, 3);
    let failed = disk.heal();
    let start = load(&dir, REGION_LEN).unwrap();
    let loaded = start.loaded.as_ref().unwrap().zxid;
    assert_eq!(loaded, start.newest_zxid, "{fault:?}, {failed:?}: a damaged image has its name");
    if loaded == third_zxid {
        assert!(held(start.region, third.len()) == third, "{fault:?}, {failed:?}");
    } else {
        assert!(matches!(outcome, Outcome::Failed(_)), "{fault:?}, {failed:?}: {outcome:?}");
        assert_eq!(loaded, second.newest_zxid, "{fault:?}, {failed:?}");
    }
    two(&mut rig, &mut imager);
    for image in inspect::images(&dir).unwrap() {
        inspect::verify(&image).unwrap();
    }
    assert_eq!(names(&dir, "tmp"), <[PathBuf; 0]>::default(), "{fault:?}, {failed:?}");
    drop(imager);
    fs::remove_dir_all(&dir).unwrap();
    failed
}

#[test]
fn whatever_operation_fails_over_a_spare_what_is_retained_is_whole() {
    let count = with_each_fault(fail_once);
    assert!(50 <= count, "only {count} operations failed");
}
