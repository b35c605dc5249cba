//! What is loaded is what the arena was at the image's one moment.

use jute::Zxid;
use snapshot::{LoadError, Outcome, Purger, load};

use crate::rig::{REGION_LEN, Rig, held};

#[test]
fn an_image_is_the_state_at_one_moment_whatever_changes_meanwhile() {
    for (pages, changes) in [(1, 0), (100, 0), (300, 50), (3000, 400), (3000, 20_000)] {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::new(pages, pages ^ changes);
        let zxid = rig.arena.zxid();
        let mut imager = rig.imager(dir.path());
        let (want, outcome) = rig.image(&mut imager, changes);
        assert!(matches!(outcome, Outcome::Written { zxid: it, .. } if it == zxid), "{outcome:?}");
        let start = load(dir.path(), REGION_LEN).unwrap();
        let loaded = start.loaded.unwrap();
        assert_eq!(
            (loaded.zxid, loaded.label.tree_digest, loaded.label.begun_at_ms),
            (zxid, 77, 5)
        );
        assert_eq!(loaded.page_count as usize, want.len() / 512);
        assert!(held(start.region, want.len()) == want, "{pages} pages, {changes} changes");
    }
}

#[test]
fn one_imager_writes_image_after_image_and_the_newest_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(200, 9);
    let mut imager = rig.imager(dir.path());
    let mut want = Vec::new();
    for _ in 0..5 {
        (want, _) = rig.image(&mut imager, 100);
    }
    let start = load(dir.path(), REGION_LEN).unwrap();
    assert!(held(start.region, want.len()) == want);
}

#[test]
fn an_empty_directory_gives_an_empty_region() {
    let dir = tempfile::tempdir().unwrap();
    let start = load(&dir.path().join("version-1"), REGION_LEN).unwrap();
    assert_eq!((start.loaded.as_ref(), start.newest_zxid), (None, Zxid(0)));
    start.check_reached(Zxid(0)).unwrap();
    assert!(held(start.region, 0).is_empty());
}

#[test]
fn a_cancelled_image_leaves_nothing_and_the_next_one_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(3000, 4);
    let mut imager = rig.imager(dir.path());
    let source = rig.arena.begin_image();
    imager.begin(source, snapshot::Label::default());
    imager.cancel();
    let outcome = loop {
        if let Some(outcome) = imager.poll() {
            break outcome;
        }
    };
    assert!(matches!(outcome, Outcome::Cancelled), "{outcome:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    rig.arena.end_image();
    let (_, outcome) = rig.image(&mut imager, 10);
    assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
}

#[test]
fn a_damaged_image_is_passed_over_kept_and_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(200, 9);
    let mut imager = rig.imager(dir.path());
    let mut images = Vec::new();
    for _ in 0..4 {
        images.push((rig.arena.zxid(), rig.image(&mut imager, 10).0));
    }
    let damage = |zxid: Zxid| {
        let path = dir.path().join(snapshot::format::FileName::Image(zxid).to_string());
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    damage(images[3].0);
    damage(images[2].0);
    let start = load(dir.path(), REGION_LEN).unwrap();
    assert_eq!(start.loaded.as_ref().unwrap().zxid, images[1].0);
    // The log has to make up for what the newest image held.
    assert!(matches!(start.check_reached(images[1].0), Err(LoadError::LogTooShort { .. })));
    start.check_reached(images[3].0).unwrap();
    assert!(held(start.region, images[1].1.len()) == images[1].1);
    // Two are wanted: the two that are whole.
    let mut purger = Purger::new(dir.path());
    assert_eq!(purger.purge(2).unwrap(), Some(images[0].0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
    assert_eq!(purger.purge(1).unwrap(), Some(images[1].0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    damage(images[1].0);
    assert!(matches!(load(dir.path(), REGION_LEN), Err(LoadError::AllDamaged { count: 3, .. })));
}
