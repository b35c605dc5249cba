//! What servers of ZooKeeper write: the stream of a snapshot, and log files.

use engine::state::State;
use engine::tree::{Tree, TreeView};
use jute::Zxid;
use snapshot::java::log::LogFile;
use snapshot::java::{Decoder, Encoder, ExtendedTypes, StreamError};

use crate::memory::region;

/// A stream, in two pieces; what it makes is written and read again. And the same bytes as a log.
pub fn snap(bytes: &[u8]) {
    let Some((&cut, stream)) = bytes.split_first() else { return };
    log(stream);
    let types = if cut & 1 == 0 { ExtendedTypes::Off } else { ExtendedTypes::On };
    let (first, second) = stream.split_at(stream.len() * usize::from(cut) / 256);
    let mut tree = tree();
    let mut decoder = Decoder::signed(types);
    tree.begin();
    let mut taken: Result<usize, StreamError> = Ok(0);
    for piece in [first, second] {
        taken = taken.and_then(|before| Ok(before + decoder.push(&mut tree, piece)?));
    }
    tree.commit(Zxid(1));
    let Ok(taken) = taken else { return };
    assert!(taken <= stream.len());
    if !decoder.is_done() {
        return;
    }
    let (mut encoder, mut out) = (Encoder::signed(), Vec::new());
    while !encoder.is_done() {
        encoder.fill(&tree, out.len() + 1, &mut out);
    }
    let seen = |it: &Tree| (it.look(TreeView::digest), it.look(TreeView::counters));
    let before = seen(&tree);
    drop(State::new(tree));
    let mut tree = self::tree();
    let mut decoder = Decoder::signed(types);
    tree.begin();
    let taken = decoder.push(&mut tree, &out).expect("what we write can be read");
    tree.commit(Zxid(1));
    assert!(decoder.is_done() && taken == out.len());
    assert_eq!(seen(&tree), before);
}

fn tree() -> Tree {
    Tree::format(region(), [1, 2]).expect("the region is large enough")
}

fn log(bytes: &[u8]) {
    let Ok(mut log) = LogFile::open(bytes) else { return };
    let mut len = 0;
    while let Ok(Some(txn)) = log.next_txn() {
        len += txn.len();
        assert!(len <= bytes.len());
    }
}
