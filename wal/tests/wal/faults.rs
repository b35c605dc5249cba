//! Full disks and failing disks: nothing is acknowledged that is not there, the log takes no more, and it opens again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use faulty::{Disk, Fault, How, with_disk};
use jute::Zxid;
use wal::{AppendError, Batch, Log, Options};

use crate::rig::{assert_records, batch, open, run, small};
use crate::said;

/// A small file system of its own; gone with the value.
struct Mount {
    dir: tempfile::TempDir,
}

impl Mount {
    /// `None` where this process may not mount: such tests then show nothing.
    fn new(args: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(args).arg(dir.path()).output().ok()?;
        if !done.status.success() {
            println!("not run, no mount: {}", String::from_utf8_lossy(&done.stderr));
            return None;
        }
        Some(Self { dir })
    }

    fn path(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.dir.path()).output().unwrap();
    }
}

/// Appends batches of ten records until one fails; gives the last zxid acknowledged, the error, and that of the append after it.
fn append_until_failure(
    dir: &Path,
    options: &Options,
    body_len: usize,
) -> (i64, AppendError, AppendError) {
    let (_, tail, _) = open(dir, options, 0).unwrap();
    run(move || {
        let mut acked = tail.last_zxid().0;
        let mut log = Log::start(tail, || 0).unwrap();
        let err = loop {
            match log.append(&batch(acked + 1..=acked + 10, body_len)) {
                Ok(()) => acked += 10,
                Err(err) => break err,
            }
            assert!(acked < 1_000_000, "the disk does not fill");
        };
        let again = log.append(&batch(acked + 1..=acked + 1, 0)).unwrap_err();
        (acked, err, again)
    })
}

#[test]
fn a_full_disk_stops_the_log_and_what_was_acknowledged_is_there() {
    let Some(disk) = Mount::new(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    let (acked, err, again) = append_until_failure(&disk.path(), &small(128 << 10), 100);
    assert!(matches!(err, AppendError::NoSegment { errno } if errno.0 == 28), "{err}");
    assert_eq!(err, again);
    let (got, _, _) = open(&disk.path(), &small(128 << 10), 0).unwrap();
    assert_records(&got, 1..=acked, 100);
}

#[test]
fn a_segment_that_cannot_be_made_is_named_once_and_tried_until_there_is_room() {
    let Some(disk) = Mount::new(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    said::listen();
    let dir = disk.path();
    let (_, tail, _) = open(&dir, &small(128 << 10), 0).unwrap();
    run(|| {
        let mut log = Log::start(tail, || 0).unwrap();
        let mut acked = 0;
        let mut append = |log: &mut Log| {
            log.append(&batch(acked + 1..=acked + 10, 1_000)).unwrap();
            acked += 10;
        };
        // The first segment, and its spare.
        append(&mut log);
        wait_until("a spare is there", || files(&dir) == 2);
        // The disk is full: no spare takes the place of the one that is begun now.
        let filler = vec![1; (1 << 20) - (2 << 17) - (1 << 16)];
        fs::write(dir.join("filler"), filler).unwrap();
        for _ in 0..12 {
            append(&mut log);
        }
        wait_until("it is said", || !said::warnings_of(&dir).is_empty());
        // Two more tries.
        thread::sleep(Duration::from_millis(2_500));
        let said = said::warnings_of(&dir);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("preparing a log segment failed"), "{said:?}");
        fs::remove_file(dir.join("filler")).unwrap();
        wait_until("there is a spare again", || files(&dir) == 3);
        for _ in 0..12 {
            append(&mut log);
        }
        assert_eq!(said::warnings_of(&dir).len(), 1);
        drop(log);
        let (got, _, _) = open(&dir, &small(128 << 10), 0).unwrap();
        assert_records(&got, 1..=acked, 1_000);
    });
}

/// Whole segments and spares in `dir`: log.ZXID and spare.NUMBER, but not spare.NUMBER.tmp.
fn files(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name());
    let names = names.map(|it| it.to_string_lossy().into_owned());
    let is_whole = |name: &str| match name.split('.').collect::<Vec<_>>()[..] {
        [kind, _] => kind == "log" || kind == "spare",
        _ => false,
    };
    names.filter(|name| is_whole(name)).count()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "not within ten seconds: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_frame_that_outgrows_the_disk_fails_and_is_cut() {
    let Some(disk) = Mount::new(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    let options = small(64 << 10);
    let (_, tail, _) = open(&disk.path(), &options, 0).unwrap();
    let err = run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        log.append(&batch(1..=10, 100)).unwrap();
        let err = log.append(&batch(11..=20, 200_000)).unwrap_err();
        assert_eq!(log.append(&batch(11..=11, 1)), Err(err));
        err
    });
    assert!(matches!(err, AppendError::Write { .. } | AppendError::Short { .. }), "{err}");
    let (got, _, _) = open(&disk.path(), &options, 0).unwrap();
    assert_records(&got, 1..=10, 100);
}

#[test]
fn a_disk_that_fails_stops_the_log_and_what_was_acknowledged_is_there() {
    // A file system on a file with holes, in a memory disk too small for it: its device fails a write when a hole cannot
    // be filled, whatever was allocated above it. Frames of one page, because of a larger write the loop device may lose half and say nothing.
    let Some(under) = Mount::new(&["-t", "tmpfs", "-o", "size=8m", "none"]) else { return };
    let image = under.path().join("disk");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-b", "4096", "-O", "^has_journal"])
        .arg(&image)
        .output();
    if !made.is_ok_and(|it| it.status.success()) {
        println!("not run, no mkfs.ext4");
        return;
    }
    let Some(disk) = Mount::new(&["-o", "loop", image.to_str().unwrap()]) else { return };
    let (acked, err, again) = append_until_failure(&disk.path(), &small(512 << 10), 300);
    assert!(matches!(err, AppendError::Write { .. } | AppendError::NoSegment { .. }), "{err}");
    assert_eq!(err, again);
    assert!(0 < acked);
    // Room again under the disk, as if the cable were back.
    Command::new("mount").args(["-o", "remount,size=128m"]).arg(under.path()).output().unwrap();
    let (got, _, _) = open(&disk.path(), &small(512 << 10), 0).unwrap();
    assert_records(&got[..acked as usize], 1..=acked, 300);
}

#[test]
fn a_log_that_goes_in_the_middle_of_a_write_leaves_the_whole_frame() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(64 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        log.append(&batch(1..=1, 10)).unwrap();
        let cx = Context::from_waker(Waker::noop());
        let second = batch(2..=2, 10);
        log.begin_append(&second, &cx).unwrap();
    });
    let (got, _, _) = open(dir.path(), &options, 0).unwrap();
    assert_records(&got, 1..=2, 10);
}

#[test]
fn a_nearly_full_disk_is_known_before_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let (_, tail, _) =
        open(dir.path(), &Options { reserve_bytes: u64::MAX, ..small(64 << 10) }, 0).unwrap();
    assert!(tail.space().nearly_full() && 0 < tail.space().free_bytes());
    drop(tail);
    let (_, tail, _) =
        open(dir.path(), &Options { reserve_bytes: 1, ..small(64 << 10) }, 0).unwrap();
    assert!(!tail.space().nearly_full());
}

#[test]
fn the_directory_is_left_as_it_was_when_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(32 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        for zxid in 1..=20 {
            log.append(&batch(zxid..=zxid, 1000)).unwrap();
        }
    });
    let newest = newest_log(dir.path());
    let mut bytes = fs::read(&newest).unwrap();
    // The first of its frames, behind the header block.
    bytes[4096 + 100] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    for _ in 0..2 {
        let refused = open(dir.path(), &options, 0).unwrap_err().to_string();
        let name = newest.file_name().unwrap().to_str().unwrap();
        assert!(
            refused.contains(name) && refused.contains("byte 4096") && refused.contains("move"),
            "{refused}"
        );
        assert_eq!(fs::read(&newest).unwrap(), bytes);
    }
    // What the message advises works.
    fs::rename(&newest, dir.path().join("aside")).unwrap();
    let (got, _, _) = open(dir.path(), &options, 0).unwrap();
    assert!(!got.is_empty() && got.len() < 20);
}

#[test]
fn a_damaged_segment_is_refused_whatever_many_are_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(32 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        for zxid in 1..=60 {
            log.append(&batch(zxid..=zxid, 700)).unwrap();
        }
    });
    let files = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().path());
    let mut logs: Vec<_> = files.filter(|it| it.to_str().unwrap().contains("/log.")).collect();
    logs.sort();
    assert!(5 < logs.len());
    let mut bytes = fs::read(&logs[0]).unwrap();
    bytes[8192 + 100] ^= 1;
    fs::write(&logs[0], &bytes).unwrap();
    open(dir.path(), &options, 0).unwrap_err();
}

fn newest_log(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let mut logs: Vec<_> =
        files.filter(|it| it.file_name().unwrap().to_str().unwrap().starts_with("log.")).collect();
    logs.sort();
    assert!(1 < logs.len());
    logs.pop().unwrap()
}

#[test]
fn a_transaction_that_cannot_be_applied_stops_replay_with_its_zxid() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(32 << 10);
    let (_, tail, _) = open(dir.path(), &options, 0).unwrap();
    run(move || {
        let mut log = Log::start(tail, || 0).unwrap();
        let mut one: Batch = batch(1..=5, 10);
        log.append(&one).unwrap();
        one.clear();
    });
    let refused = wal::open(
        dir.path(),
        &options,
        Zxid(0),
        wal::each(|zxid, _| if zxid.0 == 3 { Err(std::fmt::Error) } else { Ok(()) }),
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("0x3"), "{refused}");
}

/// What a run has acknowledged, and the image that it has told of, both up to this zxid.
#[derive(Clone, Copy, Default)]
struct Run {
    acked: i64,
    image: i64,
}

impl Run {
    /// Opens the log and appends as long as it takes more, at most some segments' worth; meanwhile images take over what is old.
    fn go(mut self, dir: &Path) -> Self {
        let Ok((got, tail, _)) = open(dir, &small(32 << 10), self.image) else { return self };
        assert_records(&got, self.image + 1..=self.acked, 700);
        run(move || {
            let Ok(mut log) = Log::start(tail, || 0) else { return self };
            for number in 1..=40 {
                let first = self.acked + 1;
                if let Err(err) = log.append(&batch(first..=first + 2, 700)) {
                    assert_eq!(log.append(&batch(first..=first, 1)), Err(err), "it takes no more");
                    return self;
                }
                self.acked = first + 2;
                if number % 7 == 0 {
                    self.image = self.acked - 4;
                    log.releaser().release(Zxid(self.image));
                }
            }
            self
        })
    }
}

/// A run with one fault, and what a healed disk has then. What failed.
fn fail_once(disk: &Disk, dir: &Path, fault: Fault) -> Vec<String> {
    fs::create_dir(dir).unwrap();
    disk.fail(fault);
    let Run { mut acked, image } = Run::default().go(dir);
    let failed = disk.heal();
    let (got, tail, _) = open(dir, &small(32 << 10), image)
        .unwrap_or_else(|err| panic!("{fault:?}, {failed:?}: {err}"));
    let last = tail.last_zxid().0;
    assert!(last == acked || last == acked + 3, "{fault:?}, {failed:?}: {last}, acked {acked}");
    assert_records(&got, image + 1..=last, 700);
    drop(tail);
    acked = last;
    let after = Run { acked, image }.go(dir);
    assert_eq!(after.acked, acked + 120, "{fault:?}, {failed:?}: it goes on");
    let (got, _, _) = open(dir, &small(32 << 10), after.image).unwrap();
    assert_records(&got, after.image + 1..=after.acked, 700);
    let files = fs::read_dir(dir).unwrap().count();
    assert!(files < 12, "{fault:?}, {failed:?}: {files} files are left");
    fs::remove_dir_all(dir).unwrap();
    failed
}

#[test]
fn whatever_operation_fails_what_was_acknowledged_is_there() {
    let seen = with_disk(|disk| {
        let mut seen = Vec::new();
        let hows =
            [How::Error(5), How::Error(28), How::Torn(5), How::Late(5), How::Late(28), How::Short];
        for how in hows {
            for skip in 0..1000 {
                // The directory's own making is not asked about.
                let failed = fail_once(disk, &disk.path().join("log"), Fault::nth(skip, how));
                if failed.is_empty() {
                    break;
                }
                seen.extend(failed);
            }
        }
        seen
    });
    let seen = seen.unwrap();
    assert!(400 < seen.len(), "only {} operations failed", seen.len());
    for what in ["Write log.", "Write spare.", "Allocate", "Sync ", "SyncDir", "Rename", "Create"] {
        assert!(seen.iter().any(|it| it.starts_with(what)), "no {what} failed");
    }
}
