//! What lies on the disk. Checksums keep nearly every mutation out, so each target looks twice: at the bytes as they
//! are, and sealed: with checksums that are right.

use std::sync::atomic::Ordering;

use engine::arena::Torn;
use engine::tree::{Tree, TreeView};
use jute::Zxid;
use snapshot::format::{ImageHeader, PAGE_LEN};
use wal::frame::{BLOCK, Chain, FrameHeader, SegmentId};
use wal::replay::{Place, Replayer};
use wal::segment::SegmentHeader;

use crate::memory::region;

/// One segment of the log, as the newest and as an older one.
pub fn segment(bytes: &[u8]) {
    replay(bytes);
    replay(&sealed(bytes));
}

fn replay(bytes: &[u8]) {
    let named = SegmentHeader::decode(bytes).map_or(Zxid(1), |(header, _)| header.first_zxid);
    for place in [Place::Newest, Place::Older] {
        for image_zxid in [Zxid::ZERO, Zxid(named.0.wrapping_sub(1))] {
            let mut last = image_zxid;
            let mut replayer = Replayer::new(image_zxid, 0);
            let outcome = replayer.segment(
                named,
                place,
                bytes,
                &mut wal::each(|zxid, record| {
                    assert!(last < zxid && record.len() <= bytes.len(), "{zxid} after {last}");
                    last = zxid;
                    if record.first() == Some(&0xee) { Err(()) } else { Ok(()) }
                }),
            );
            if let Ok(outcome) = outcome {
                assert!(outcome.offset <= bytes.len() as u64);
            }
            assert!(image_zxid <= replayer.end().last_zxid);
        }
    }
}

/// A segment of a header and frames that say what `bytes` say, with the right magic, lengths and checksums.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let number =
        |at: usize| bytes.get(at..at + 2).map_or(0, |it| i64::from(it[0]) << 8 | i64::from(it[1]));
    let prev_zxid = Zxid(number(0));
    let id = SegmentId(7);
    let header = SegmentHeader {
        sequence: number(2) as u64,
        id,
        first_zxid: Zxid(prev_zxid.0 + 1),
        prev_zxid,
        chain: Chain(0),
        begun_at_ms: 0,
    };
    let mut out = vec![0; BLOCK];
    let mut chain = header.encode(&mut out);
    let mut rest = bytes.get(4..).unwrap_or_default();
    let mut zxid = prev_zxid;
    while let Some((&[len, count, first, last], tail)) = rest.split_first_chunk() {
        let (payload, tail) = tail.split_at(tail.len().min(len as usize * 4 + 1));
        if payload.is_empty() || SEALED_LEN_MAX < out.len() {
            break;
        }
        // Most frames follow the one before, some do not.
        let first_zxid = Zxid(zxid.0 + i64::from(first as i8));
        let frame = FrameHeader {
            segment: id,
            first_zxid,
            last_zxid: Zxid(first_zxid.0 + i64::from(last)),
            count: u32::from(count),
            payload_len: payload.len() as u32,
            payload_crc: crc32c::crc32c(payload),
            chain,
            offset: out.len() as u64,
        };
        let (head, next) = frame.encode();
        out.extend_from_slice(&head);
        out.extend_from_slice(payload);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        (chain, zxid, rest) = (next, frame.last_zxid, tail);
    }
    out
}

/// So long may a sealed segment be: a few bytes of input make a block of it.
const SEALED_LEN_MAX: usize = 1 << 20;

/// An image: its header, table and trailer; and its pages, if the checksums had let them through.
pub fn image(bytes: &[u8]) {
    if let Some(block) = bytes.get(..PAGE_LEN)
        && let Ok(header) = ImageHeader::decode(block)
    {
        let blocks = &bytes[PAGE_LEN..];
        let (table, trailer) = blocks.split_at(blocks.len().min(header.table_len()));
        if let Ok(checksums) = header.decode_table(table, trailer) {
            assert_eq!(checksums.count() as u64, header.page_count);
        }
    }
    pages(bytes);
}

/// A small tree, some words of which are what `bytes` say: a place and a value each. Whatever reads of single znodes
/// find there, they end. Reads of lists may go on for as long as the list says it is: a reader stops when the version has
/// changed, which it has not here.
fn pages(bytes: &[u8]) {
    let memory = region();
    let Ok(tree) = Tree::format(memory, [1, 2]) else { return };
    drop(tree);
    for patch in bytes.as_chunks::<10>().0 {
        let at = usize::from(patch[0]) << 8 | usize::from(patch[1]);
        let mut value = [0; 8];
        value.copy_from_slice(&patch[2..]);
        if let Some(word) = memory.words.get(at) {
            word.store(u64::from_be_bytes(value), Ordering::Relaxed);
        }
    }
    let Ok(tree) = Tree::open(memory) else { return };
    let view = tree.view();
    let mut out = Vec::new();
    for path in [b"/".as_slice(), b"/zookeeper", b"/zookeeper/quota", b"/none"] {
        // Every outcome is fine, but a panic. A length that lies is bounded by the region.
        look(view, path, &mut out).unwrap_or(());
        out.clear();
    }
}

fn look(view: TreeView<'_>, path: &[u8], out: &mut Vec<u8>) -> Result<(), Torn> {
    view.zxid()?;
    view.digest()?;
    view.counters()?;
    let root = view.root()?;
    let znode = view.find(path)?.unwrap_or(root);
    view.shown_stat(znode)?;
    view.encode_stat(znode, out)?;
    view.encode_data(znode, out)?;
    out.clear();
    view.name(znode, out)?;
    view.path(znode, out)?;
    view.encode_acl(view.acl(znode)?, out)?;
    view.child_count(znode)?;
    view.child(znode, 0).map(drop)
}
