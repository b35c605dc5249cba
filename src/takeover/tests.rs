//! On a snapshot that ZooKeeper 3.9.5 wrote, with logs made here.

use jute::{AclList, CreateTxn, Op, SessionId};

use super::*;
use crate::store::Missing;

const SNAPSHOT: &[u8] = include_bytes!("../../snapshot/tests/golden/snapshot.44");

/// A create behind the snapshot.
fn txn(zxid: i64) -> Vec<u8> {
    let (client, op) = (SessionId(1), Op::Create.number());
    let mut out = Vec::new();
    TxnHeader { client, cxid: 1, zxid: Zxid(zxid), time_ms: 1, op }.encode(&mut out);
    let path = format!("/behind-{zxid}");
    let (data, acl) = (None, AclList::open());
    CreateTxn { path: path.as_bytes(), data, acl, ephemeral: false, parent_cversion: -1 }
        .encode(&mut out);
    out
}

fn log_file(zxids: &[i64]) -> Vec<u8> {
    let mut out = Vec::new();
    log::begin(&mut out).unwrap();
    for &zxid in zxids {
        log::append(&mut out, &txn(zxid)).unwrap();
    }
    [out, vec![0; 500]].concat()
}

struct Rig {
    dir: tempfile::TempDir,
    store: Store,
}

impl Rig {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rig =
            Self { store: Store::open(dir.path(), dir.path(), Missing::Create).unwrap(), dir };
        fs::create_dir(rig.dir.path().join("version-2")).unwrap();
        for (name, bytes) in files {
            rig.put(name, bytes);
        }
        rig
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join("version-2").join(name), bytes).unwrap();
    }

    fn take_over(&self) -> Result<Option<Zxid>, TakeoverError> {
        let log = wal::Options { segment_bytes: 1 << 16, ..wal::Options::default() };
        let (region_len, types) = (16 << 20, ExtendedTypes::On);
        take_over(&self.store, &Making { region_len, seed: [1, 2], types, log })
    }

    fn refusal(&self) -> String {
        self.take_over().unwrap_err().to_string().replace(self.dir.path().to_str().unwrap(), "")
    }

    /// The image's zxid, and those of the log behind it.
    fn ours(&self) -> (Zxid, Vec<i64>) {
        let start = snapshot::load(&self.store.images, 16 << 20).unwrap();
        let loaded = start.loaded.map_or(Zxid::ZERO, |it| {
            assert_eq!(it.label.fuzzy, Fuzzy::Yes);
            it.zxid
        });
        let mut zxids = Vec::new();
        wal::open(&self.store.log, &wal::Options::default(), loaded, |records| {
            zxids.extend(records.map(|it| it.0.0));
            Ok::<_, (Zxid, std::convert::Infallible)>(())
        })
        .unwrap();
        (loaded, zxids)
    }
}

#[test]
fn a_snapshot_and_the_log_behind_it_are_taken_once() {
    let rig = Rig::new(&[
        ("snapshot.44", SNAPSHOT),
        ("log.41", &log_file(&[0x41, 0x42, 0x43, 0x44, 0x45])),
        ("log.46", &log_file(&[0x46, 0x47])),
        ("acceptedEpoch", b"3"),
        ("currentEpoch", b"2"),
    ]);
    assert_eq!(rig.take_over().unwrap(), Some(Zxid(0x47)));
    assert_eq!(rig.ours(), (Zxid(0x44), vec![0x45, 0x46, 0x47]));
    assert_eq!(fs::read(rig.store.images.join("acceptedEpoch")).unwrap(), b"3");
    assert_eq!(fs::read(rig.store.images.join("currentEpoch")).unwrap(), b"2");
    assert_eq!(rig.take_over().unwrap(), None);
    rig.put("log.48", &log_file(&[0x48]));
    assert!(rig.refusal().starts_with(
        "/version-2: a ZooKeeper server has written here since its data was taken over at 0x47: up to 0x48"
    ));
}

#[test]
fn a_takeover_that_was_interrupted_is_made_anew() {
    let rig = Rig::new(&[("snapshot.44", SNAPSHOT), ("log.45", &log_file(&[0x45]))]);
    rig.take_over().unwrap();
    for left in 0..3 {
        fs::write(rig.store.images.join(UNDER_WAY), "").unwrap();
        fs::remove_file(rig.store.images.join(DONE)).unwrap();
        let ours = own_files(&rig.store.images);
        ours.iter().take(left).for_each(|it| fs::write(it, "half of it").unwrap());
        assert_eq!(rig.take_over().unwrap(), Some(Zxid(0x45)));
        assert_eq!(rig.ours(), (Zxid(0x44), vec![0x45]));
    }
}

#[test]
fn a_log_without_a_snapshot_and_a_server_without_a_transaction_are_taken_too() {
    let rig = Rig::new(&[("log.1", &log_file(&[1, 2, 3]))]);
    assert_eq!(rig.take_over().unwrap(), Some(Zxid(3)));
    assert_eq!(rig.ours(), (Zxid::ZERO, vec![1, 2, 3]));
    let rig = Rig::new(&[("snapshot.0", b"whatever")]);
    assert_eq!(rig.take_over().unwrap(), Some(Zxid::ZERO));
    assert_eq!(rig.ours(), (Zxid::ZERO, vec![]));
    assert_eq!(Rig::new(&[("acceptedEpoch", b"1")]).take_over().unwrap(), None);
}

#[test]
fn a_damaged_snapshot_is_passed_over_if_the_log_reaches_back() {
    let mut damaged = SNAPSHOT.to_vec();
    damaged[500] ^= 1;
    let whole: Vec<i64> = (0x45..0x60).collect();
    let rig = Rig::new(&[("snapshot.44", SNAPSHOT), ("log.45", &log_file(&whole))]);
    rig.put("snapshot.50", &damaged);
    assert_eq!(rig.take_over().unwrap(), Some(Zxid(0x5f)));
    assert_eq!(rig.ours(), (Zxid(0x44), whole));
    let rig = Rig::new(&[("snapshot.44", &damaged)]);
    assert!(rig.refusal().starts_with("/version-2: none of the 1 snapshots is whole"));
}

#[test]
fn what_cannot_be_taken_whole_is_refused_and_nothing_is_served() {
    let rig = Rig::new(&[("snapshot.44", SNAPSHOT), ("log.46", &log_file(&[0x46]))]);
    assert!(rig.refusal().starts_with("/version-2/log.46: 0x46 follows 0x44: what was in between"));
    let rig = Rig::new(&[("snapshot.44.gz", b"no gzip")]);
    assert!(rig.refusal().starts_with("/version-2: none of the 1 snapshots is whole"));
    let mut damaged = log_file(&[0x45, 0x46]);
    damaged[40] ^= 1;
    let rig = Rig::new(&[("snapshot.44", SNAPSHOT), ("log.45", &damaged)]);
    assert!(rig.refusal().starts_with("/version-2/log.45: byte 16: checksum"));
    let rig = Rig::new(&[("snapshot.44", SNAPSHOT)]);
    fs::write(rig.store.images.join("image.0000000000000009"), "ours").unwrap();
    assert!(rig.refusal().contains("there is data of ours and of a ZooKeeper server"));
    assert!(rig.store.images.join("image.0000000000000009").exists());
}
