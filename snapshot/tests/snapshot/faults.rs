//! A full disk under a real imager: the image is given up, the one before stays, and the next one is written when there is room.

use std::fs;
use std::process::Command;

use snapshot::{Outcome, load};

use crate::rig::{REGION_LEN, Rig, held, imager};

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
    let mut imager = imager(dir.path());
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
