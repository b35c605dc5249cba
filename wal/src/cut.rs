//! A cut: the writes after which a segment ends with a given transaction.
//!
//! ZooKeeper: `FileTxnLog.truncate`, which shortens the file. Pure: bytes of a segment in, writes out; the preparer makes them.
//!
//! A frame counts only if the one before it does, and a frame of the segment behind a place that is none is taken for damage. So frames die
//! from the last to the first, by zeros over their headers, the log's seal before them; then the frame of which a beginning stays gets a header for that beginning,
//! whose bytes are where they were. Whichever sectors of these writes a crash leaves undone, the log is whole and ends with the cut or behind
//! it, never before.

use alloc::vec;
use alloc::vec::Vec;

use jute::Zxid;

use crate::batch::LENGTH_LEN;
use crate::frame::{BLOCK, FrameHeader, HEADER_LEN};
use crate::replay::{End, Position};
use crate::scan::{Frame, Scan, Stop};
use crate::segment::SegmentHeader;

/// One write of a block, durable before the next begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Byte in the segment's file, a multiple of [`BLOCK`].
    pub offset: u64,
    /// [`BLOCK`] bytes: zeros, or what stood there with another frame header.
    pub block: Vec<u8>,
}

/// How a segment is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In their order.
    pub patches: Vec<Patch>,
    /// The end of the log then.
    pub end: End,
}

/// A segment that is to be cut is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged at byte {offset}: it cannot be cut")]
pub struct Damaged {
    /// Byte in it.
    pub offset: u64,
}

/// How the newest segment is made to end with its last transaction that is not above `to`. `last` is the last one that was written to
/// it, if any was: behind damage frames would stay, and the log would go on in front of them.
///
/// `None`: it holds none such, and has to go.
///
/// # Errors
/// [`Damaged`]: it does not reach to `last`.
pub fn choose(bytes: &[u8], to: Zxid, last: Option<Zxid>) -> Result<Option<Cut>, Damaged> {
    let header = SegmentHeader::decode(bytes).map_err(|_| Damaged { offset: 0 });
    let (header, chain) = header?;
    let mut scan = Scan::new(bytes, header.id, chain, header.prev_zxid);
    let (mut dead, mut split) = (Vec::new(), None);
    let (mut last_zxid, mut chain, mut offset) = (header.prev_zxid, chain, 0);
    loop {
        let at = scan.offset();
        let Some(frame) = scan.next() else { break };
        if frame.header.last_zxid <= to {
            (last_zxid, chain, offset) = (frame.header.last_zxid, scan.end_chain(), scan.offset());
        } else if frame.header.first_zxid <= to {
            let begin = beginning(&frame, to);
            let (head, own_chain) = begin.encode();
            let mut block = bytes[at..at + BLOCK].to_vec();
            block[..HEADER_LEN].copy_from_slice(&head);
            (last_zxid, chain, offset) = (begin.last_zxid, own_chain, at + begin.frame_len());
            // Nobody reads what is left of the frame; with zeros there a start does not take it for a torn write.
            let left = (offset < scan.offset()).then(|| zeros(offset));
            split = Some((Patch { offset: at as u64, block }, left));
        } else {
            dead.push(zeros(at));
        }
    }
    if last.is_some_and(|it| scan.last_zxid() < it) {
        return Err(Damaged { offset: scan.offset() as u64 });
    }
    if offset == 0 {
        return Ok(None);
    }
    let seal = scan.stop().filter(|&it| it == Stop::Sealed && last_zxid < scan.last_zxid());
    let seal = seal.map(|_| zeros(scan.offset()));
    let mut patches: Vec<_> = seal.into_iter().chain(dead.into_iter().rev()).collect();
    if let Some((head, left)) = split {
        patches.push(head);
        patches.extend(left);
    }
    let position = Position { first_zxid: header.first_zxid, id: header.id, offset: offset as u64 };
    let end = End { last_zxid, chain, sequence: header.sequence, position: Some(position) };
    Ok(Some(Cut { patches, end }))
}

/// The header of what stays of a frame that begins at or before `to`.
fn beginning(frame: &Frame<'_>, to: Zxid) -> FrameHeader {
    let mut header = FrameHeader { count: 0, ..frame.header };
    let mut len = 0;
    for (zxid, record) in frame.records().take_while(|it| it.0 <= to) {
        (header.last_zxid, header.count) = (zxid, header.count + 1);
        len += LENGTH_LEN + record.len();
    }
    assert!(0 < header.count);
    header.payload_len = len as u32;
    header.payload_crc = crc32c::crc32c(&frame.payload()[..len]);
    header
}

fn zeros(at: usize) -> Patch {
    Patch { offset: at as u64, block: vec![0; BLOCK] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::Appender;
    use crate::batch::Batch;
    use crate::batch::tests::record;
    use crate::frame::{Chain, SegmentId};
    use crate::replay::{Outcome, Place, Replayer, Verdict};

    /// A segment with frames of these many records each, zxids from 1.
    fn segment(counts: &[i64]) -> Vec<u8> {
        let none = End { last_zxid: Zxid(0), chain: Chain(0), sequence: 0, position: None };
        let mut appender = Appender::new(&none, 0);
        let mut bytes = vec![0; 40 * BLOCK];
        appender.begin(SegmentId(9), bytes.len() as u64, 0);
        let mut zxid = 0;
        for &count in counts {
            append(&mut appender, &mut bytes, &mut zxid, count);
        }
        bytes
    }

    fn append(appender: &mut Appender, bytes: &mut [u8], zxid: &mut i64, count: i64) {
        let mut batch = Batch::default();
        for _ in 0..count {
            *zxid += 1;
            let body = vec![*zxid as u8; 900];
            batch.push(Zxid(*zxid), |out| out.extend_from_slice(&record(*zxid, &body)));
        }
        let extent = appender.extent(&batch);
        let at = extent.offset as usize;
        let chain = appender.encode(&batch, &mut bytes[at..at + extent.len]);
        appender.durable(&batch, chain);
    }

    /// What a start makes of it: the zxids, and where the log ends.
    fn read(bytes: &[u8]) -> (Vec<i64>, End) {
        let mut got = Vec::new();
        let mut replayer = Replayer::new(Zxid(0), 0);
        let mut each = crate::each(|zxid, bytes| {
            assert_eq!(bytes, record(zxid.0, &[zxid.0 as u8; 900]));
            got.push(zxid.0);
            Ok::<_, core::convert::Infallible>(())
        });
        let Outcome { verdict, .. } =
            replayer.segment(Zxid(1), Place::Newest, bytes, &mut each).unwrap();
        drop(each);
        assert_eq!(verdict, Verdict::Tail);
        (got, replayer.end())
    }

    const COUNTS: &[i64] = &[1, 7, 2, 12, 1, 3];

    /// The segment that these make, as it is written, and as it rests.
    fn both() -> [Vec<u8>; 2] {
        let written = segment(COUNTS);
        let end = read(&written).1;
        let (extent, seal) = Appender::new(&end, written.len() as u64).seal().unwrap();
        let mut rests = written.clone();
        rests[extent.offset as usize..][..HEADER_LEN].copy_from_slice(&seal.encode());
        [written, rests]
    }

    #[test]
    fn a_cut_log_ends_with_the_last_that_stays_and_goes_on_behind_it() {
        let all: i64 = COUNTS.iter().sum();
        for (to, mut bytes) in (1..=all + 1).flat_map(|to| both().map(|it| (to, it))) {
            let cut = choose(&bytes, Zxid(to), Some(Zxid(all)));
            let Cut { patches, end } = cut.unwrap().unwrap();
            for patch in &patches {
                let at = patch.offset as usize;
                bytes[at..at + BLOCK].copy_from_slice(&patch.block);
            }
            assert_eq!(patches.is_empty(), all <= to);
            assert_eq!(read(&bytes), ((1..=to.min(all)).collect(), end), "to {to}");
            let mut appender = Appender::new(&end, bytes.len() as u64);
            let mut zxid = to.min(all) + 100;
            append(&mut appender, &mut bytes, &mut zxid, 5);
            let behind = to.min(all) + 101..=zxid;
            assert_eq!(read(&bytes).0, (1..=to.min(all)).chain(behind).collect::<Vec<_>>());
        }
        assert_eq!(choose(&segment(COUNTS), Zxid(0), None), Ok(None));
    }

    #[test]
    fn a_segment_that_is_damaged_is_not_cut() {
        let all: i64 = COUNTS.iter().sum();
        for (block, mut bytes) in (0..10).flat_map(|block| both().map(|it| (block, it))) {
            bytes[block * BLOCK + 20] ^= 1;
            let cut = choose(&bytes, Zxid(all - 1), Some(Zxid(all)));
            assert!(cut.is_err_and(|it| it.offset <= (block * BLOCK) as u64), "block {block}");
        }
    }

    #[test]
    fn a_crash_in_a_cut_leaves_the_log_whole_and_nothing_lost_that_stays() {
        let all: i64 = COUNTS.iter().sum();
        for (to, mut bytes) in (1..all).flat_map(|to| both().map(|it| (to, it))) {
            let cut = choose(&bytes, Zxid(to), Some(Zxid(all)));
            let Cut { patches, .. } = cut.unwrap().unwrap();
            for patch in &patches {
                let at = patch.offset as usize;
                // A beginning, an end, and one sector alone.
                let torn = (0..=8).flat_map(|it| [(1_usize << it) - 1, 0x100 - (1 << it), 1 << it]);
                for torn in torn {
                    let mut crashed = bytes.clone();
                    for sector in (0..8).filter(|it| torn & (1 << it) != 0) {
                        let part = sector * 512..(sector + 1) * 512;
                        crashed[at..at + BLOCK][part.clone()].copy_from_slice(&patch.block[part]);
                    }
                    let (got, end) = read(&crashed);
                    assert!(
                        to <= end.last_zxid.0,
                        "to {to}, {torn:b}: ends with {}",
                        end.last_zxid
                    );
                    assert_eq!(got, (1..=end.last_zxid.0).collect::<Vec<_>>());
                }
                bytes[at..at + BLOCK].copy_from_slice(&patch.block);
            }
        }
    }
}
