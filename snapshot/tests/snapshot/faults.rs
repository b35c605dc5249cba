//! A full disk under a real imager: the image is given up, the one before stays, and the next one is written when there is room.

use std::fs;
use std::process::Command;

use faulty::{Disk, Fault, How, with_disk};
use snapshot::{Outcome, load};

use crate::rig::{REGION_LEN, Rig, held};

#[test]
fn a_full_disk_gives_up_one_image_and_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m", "none"])
        .arg(dir.path())
        .output();
    if !mounted.is_ok_and(|it| it.status.success()) {
        println!("not run: this process may not mount");
        return;
    }
    let mut rig = Rig::new(400, 3);
    let mut imager = rig.imager(dir.path());
    let (first, outcome) = rig.image(&mut imager, 10);
    assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
    let (_, outcome) = rig.image(&mut imager, 10);
    let Outcome::Failed(err) = outcome else { panic!("{outcome:?}") };
    assert_eq!(err.source.raw_os_error(), Some(28), "{err}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let start = load(dir.path(), REGION_LEN).unwrap();
    assert!(held(start.region, first.len()) == first);

    Command::new("mount").args(["-o", "remount,size=8m"]).arg(dir.path()).output().unwrap();
    let (third, outcome) = rig.image(&mut imager, 10);
    assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
    let start = load(dir.path(), REGION_LEN).unwrap();
    assert!(held(start.region, third.len()) == third);
    Command::new("umount").arg("-l").arg(dir.path()).output().unwrap();
}

/// Three images, of which the second meets a fault. What failed.
fn fail_once(disk: &Disk, fault: Fault) -> Vec<String> {
    let dir = disk.path().join("images");
    fs::create_dir(&dir).unwrap();
    let mut rig = Rig::new(100, 3);
    let mut imager = rig.imager(&dir);
    let (first, outcome) = rig.image(&mut imager, 10);
    assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
    let second_zxid = rig.arena.zxid();
    disk.fail(fault);
    let (second, outcome) = rig.image(&mut imager, 10);
    let failed = disk.heal();
    assert_eq!(matches!(outcome, Outcome::Failed(_)), !failed.is_empty(), "{fault:?}: {outcome:?}");
    let start = load(&dir, REGION_LEN).unwrap();
    let loaded = start.loaded.as_ref().unwrap().zxid;
    // One that failed behind its name is whole all the same.
    let want = if loaded == second_zxid { second } else { first };
    assert_eq!(loaded, start.newest_zxid, "{fault:?}, {failed:?}: a damaged image has its name");
    assert!(held(start.region, want.len()) == want, "{fault:?}, {failed:?}");
    let (third, outcome) = rig.image(&mut imager, 10);
    assert!(matches!(outcome, Outcome::Written { .. }), "{fault:?}, {failed:?}: {outcome:?}");
    let start = load(&dir, REGION_LEN).unwrap();
    assert!(held(start.region, third.len()) == third, "{fault:?}, {failed:?}");
    let names = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().file_name());
    assert!(names.into_iter().all(|it| !it.to_string_lossy().ends_with("tmp")));
    fs::remove_dir_all(&dir).unwrap();
    failed
}

/// Runs `once` with every operation on the disk failing in every way, until it meets none any more. How many failed.
pub(crate) fn with_each_fault(once: impl Fn(&Disk, Fault) -> Vec<String> + Sync) -> usize {
    let count = with_disk(|disk| {
        let mut count = 0;
        for how in [How::Error(5), How::Error(28), How::Torn(5), How::Late(5), How::Short] {
            count +=
                (0..1000).take_while(|&it| !once(disk, Fault::nth(it, how)).is_empty()).count();
        }
        count
    });
    count.unwrap()
}

#[test]
fn whatever_operation_fails_one_image_is_given_up_and_nothing_more() {
    let count = with_each_fault(fail_once);
    assert!(50 <= count, "only {count} operations failed");
}
