//! The decision table, every combination of facts; and every torn or flipped byte of a small log.

use super::*;
use crate::append::Appender;
use crate::batch::Batch;
use crate::batch::tests::record;
use crate::frame::{BLOCK, FrameHeader, HEADER_LEN};
use crate::segment::FIRST_FRAME_AT;

const PLACES: [Place; 2] = [Place::Newest, Place::Older];
const HEADERS: [HeaderFact; 5] = [
    HeaderFact::Good,
    HeaderFact::Misnamed,
    HeaderFact::Fault(HeaderFault::Missing),
    HeaderFact::Fault(HeaderFault::Damaged),
    HeaderFact::Fault(HeaderFault::Version(2)),
];
const LINKS: [Link; 4] = [Link::Joins, Link::Backwards, Link::Hole, Link::Unchained];
const STOPS: [Stop; 7] = [
    Stop::FileEnd,
    Stop::Zeros,
    Stop::Sealed,
    Stop::Stale,
    Stop::Bad,
    Stop::Unchained,
    Stop::Backwards(Zxid(1)),
];

fn every_combination() -> Vec<Facts> {
    let mut all = Vec::new();
    for place in PLACES {
        for header in HEADERS {
            for link in LINKS {
                for stop in STOPS {
                    for (frames, live_behind) in
                        [(false, false), (false, true), (true, false), (true, true)]
                    {
                        all.push(Facts { place, header, link, frames, stop, live_behind });
                    }
                }
            }
        }
    }
    all
}

/// A stop that a torn write, or none, explains.
fn plain(stop: Stop) -> bool {
    matches!(stop, Stop::FileEnd | Stop::Zeros | Stop::Sealed | Stop::Stale | Stop::Bad)
}

#[test]
fn what_a_crash_can_leave_never_keeps_a_server_from_starting() {
    for facts in every_combination() {
        let good_or_never_begun = facts.header == HeaderFact::Good
            || facts.place == Place::Newest
                && matches!(
                    facts.header,
                    HeaderFact::Fault(HeaderFault::Missing | HeaderFault::Damaged)
                );
        if good_or_never_begun
            && facts.link == Link::Joins
            && plain(facts.stop)
            && !facts.live_behind
        {
            assert!(!matches!(choose(&facts), Verdict::Refuse(_)), "{facts:?}");
        }
    }
}

#[test]
fn what_no_crash_can_leave_is_refused() {
    for facts in every_combination() {
        let impossible = facts.live_behind
            || matches!(
                facts.header,
                HeaderFact::Misnamed | HeaderFact::Fault(HeaderFault::Version(_))
            )
            || facts.header == HeaderFact::Good
                && (facts.link != Link::Joins || !plain(facts.stop))
            || facts.header != HeaderFact::Good && facts.place == Place::Older;
        if impossible {
            assert!(matches!(choose(&facts), Verdict::Refuse(_)), "{facts:?}");
        }
    }
}

#[test]
fn each_verdict_falls_in_its_place_only() {
    for facts in every_combination() {
        let sound = facts.header == HeaderFact::Good
            && facts.link == Link::Joins
            && plain(facts.stop)
            && !facts.live_behind;
        match choose(&facts) {
            Verdict::Next => assert!(sound && facts.place == Place::Older, "{facts:?}"),
            Verdict::Tail => {
                assert!(sound && facts.place == Place::Newest && facts.frames, "{facts:?}");
            }
            Verdict::Discard => {
                assert!(facts.place == Place::Newest && !facts.live_behind, "{facts:?}");
                assert!(facts.header != HeaderFact::Good || !facts.frames, "{facts:?}");
            }
            Verdict::Refuse(_) => assert!(!sound, "{facts:?}"),
        }
    }
}

/// A log of segments as bytes, each with its first zxid, as the driver writes them; and where each frame of the last segment starts.
struct World {
    segments: Vec<(Zxid, Vec<u8>)>,
    frames_at: Vec<usize>,
    /// Last zxid of each frame in the whole log.
    ends: Vec<i64>,
}

/// Frames of one to three blocks, three records in each; segments of `segment_len` bytes whose space holds `filler`.
fn world(frames: usize, segment_len: usize, filler: u8) -> World {
    let end = End { last_zxid: Zxid(0), chain: Chain(0), sequence: 0, position: None };
    let mut appender = Appender::new(&end, 0);
    let mut world = World { segments: Vec::new(), frames_at: Vec::new(), ends: Vec::new() };
    let mut batch = Batch::default();
    for idx in 0..frames {
        batch.clear();
        let first = 3 * idx as i64 + 1;
        for zxid in first..first + 3 {
            let body = vec![zxid as u8 | 1; idx % 3 * 1300 + 7];
            batch.push(Zxid(zxid), |out| out.extend_from_slice(&record(zxid, &body)));
        }
        if !appender.fits(&batch) {
            appender.begin(SegmentId(0x1000 + idx as u64), segment_len as u64, 0);
            world.segments.push((Zxid(first), vec![filler; segment_len]));
            world.frames_at.clear();
        }
        let extent = appender.extent(&batch);
        let at = extent.offset as usize;
        let bytes = &mut world.segments.last_mut().unwrap().1[at..at + extent.len];
        let chain = appender.encode(&batch, bytes);
        appender.durable(&batch, chain);
        world.frames_at.push(at.max(FIRST_FRAME_AT));
        world.ends.push(first + 2);
    }
    world
}

/// Replays one segment in windows of another length each time, now and then of all of it.
fn in_windows(
    replayer: &mut Replayer,
    first_zxid: Zxid,
    place: Place,
    bytes: &[u8],
    apply: &mut impl FnMut(Records<'_>) -> Result<(), (Zxid, core::convert::Infallible)>,
) -> Outcome {
    thread_local!(static ROUND: core::cell::Cell<usize> = const { core::cell::Cell::new(0) });
    let round = ROUND.get();
    ROUND.set(round + 1);
    let len = [1, 2, 3, 7, 1 << 20][round % 5] * BLOCK;
    let mut segment = replayer.begin(first_zxid, place);
    let mut windows = bytes.chunks(len).peekable();
    loop {
        let window = windows.next().unwrap_or_default();
        let behind = if windows.peek().is_some() { Behind::More } else { Behind::Nothing };
        replayer.window(&mut segment, window, behind, apply).unwrap();
        if behind == Behind::Nothing {
            return replayer.finish(&segment);
        }
    }
}

/// What replay makes of it: how far it came, or why it refused. Asserts that what it delivers is the records in order.
fn replay(segments: &[(Zxid, Vec<u8>)]) -> Result<i64, Damage> {
    let mut last = segments[0].0.0 - 1;
    let mut replayer = Replayer::new(Zxid(last), 0);
    for (idx, (first_zxid, bytes)) in segments.iter().enumerate() {
        let place = if idx + 1 == segments.len() { Place::Newest } else { Place::Older };
        let mut apply = crate::each(|zxid, bytes| {
            assert_eq!(zxid.0, last + 1);
            let body = vec![zxid.0 as u8 | 1; (zxid.0 - 1) as usize / 3 % 3 * 1300 + 7];
            assert!(bytes == record(zxid.0, &body), "a record that was never written");
            last = zxid.0;
            Ok::<_, core::convert::Infallible>(())
        });
        let outcome = in_windows(&mut replayer, *first_zxid, place, bytes, &mut apply);
        match outcome.verdict {
            Verdict::Refuse(damage) => return Err(damage),
            Verdict::Next | Verdict::Tail | Verdict::Discard => {}
        }
    }
    assert_eq!(replayer.end().last_zxid, Zxid(last));
    Ok(last)
}

#[test]
fn the_newest_segment_cut_at_every_byte_keeps_every_whole_frame() {
    for filler in [0, 0xa5] {
        let World { mut segments, frames_at, ends } = world(40, 96 << 10, filler);
        let (first_zxid, whole) = segments.pop().unwrap();
        let before = ends.len() - frames_at.len();
        for cut in 0..=whole.len() {
            segments.push((first_zxid, whole[..cut].to_vec()));
            // The records' end, not the padding's, is what a frame needs. A header block with nothing behind is nothing.
            let kept = frames_at.iter().filter(|&&at| payload_end(&whole, at) <= cut).count();
            assert_eq!(replay(&segments), Ok(ends[before + kept - 1]), "cut at {cut}");
            segments.pop();
        }
    }
}

/// Where the records of the frame at `at` end.
fn payload_end(bytes: &[u8], at: usize) -> usize {
    let (header, _) = FrameHeader::decode(&bytes[at..]).unwrap();
    at + HEADER_LEN + header.payload_len as usize
}

#[test]
fn any_bit_flipped_is_cut_or_refused_and_never_read() {
    let World { mut segments, frames_at, ends } = world(20, 48 << 10, 0);
    let newest = segments.len() - 1;
    let frames: Vec<_> =
        frames_at.iter().map(|&at| at..payload_end(&segments[newest].1, at)).collect();
    let last = frames[frames.len() - 1].clone();
    for byte in 0..last.end.next_multiple_of(BLOCK) {
        let want = if byte < FIRST_FRAME_AT {
            Err(Damage::Header)
        } else if last.contains(&byte) {
            Ok(ends[ends.len() - 2])
        } else if frames.iter().any(|it| it.contains(&byte)) {
            Err(Damage::Frame)
        } else {
            // Padding: nobody reads it.
            Ok(ends[ends.len() - 1])
        };
        for bit in 0..8 {
            segments[newest].1[byte] ^= 1 << bit;
            assert_eq!(replay(&segments[newest - 1..]), want, "byte {byte} bit {bit}");
            segments[newest].1[byte] ^= 1 << bit;
        }
    }
}

/// The log rests: its newest segment gets a seal. Where that is.
fn seal(segments: &mut [(Zxid, Vec<u8>)]) -> usize {
    let mut replayer = Replayer::new(Zxid(segments[0].0.0 - 1), 0);
    let mut apply = crate::each(|_, _| Ok::<_, core::convert::Infallible>(()));
    for (first_zxid, bytes) in &*segments {
        let Ok(_) = replayer.segment(*first_zxid, Place::Older, bytes, &mut apply);
    }
    let newest = &mut segments.last_mut().unwrap().1;
    let (extent, seal) = Appender::new(&replayer.end(), newest.len() as u64).seal().unwrap();
    let at = extent.offset as usize;
    newest[at..at + extent.len].fill(0);
    newest[at..at + HEADER_LEN].copy_from_slice(&seal.encode());
    at
}

#[test]
fn of_a_log_that_rests_the_last_frame_is_refused_too_when_it_is_damaged() {
    let World { mut segments, frames_at, ends } = world(20, 48 << 10, 0);
    let newest = segments.len() - 1;
    let sealed_at = seal(&mut segments);
    let all = Ok(ends[ends.len() - 1]);
    assert_eq!(replay(&segments[newest - 1..]), all);
    let last_at = frames_at[frames_at.len() - 1];
    let last = last_at..payload_end(&segments[newest].1, last_at);
    for byte in last_at..sealed_at + BLOCK {
        let want = if last.contains(&byte) { Err(Damage::Frame) } else { all };
        for bit in 0..8 {
            segments[newest].1[byte] ^= 1 << bit;
            assert_eq!(replay(&segments[newest - 1..]), want, "byte {byte} bit {bit}");
            segments[newest].1[byte] ^= 1 << bit;
        }
    }
    // A write that never came to the medium, and one that came to another place.
    segments[newest].1[last_at..sealed_at].fill(0);
    assert_eq!(replay(&segments[newest - 1..]), Err(Damage::Frame));
    let other = segments[newest].1[frames_at[0]..][..BLOCK].to_vec();
    segments[newest].1[last_at..][..BLOCK].copy_from_slice(&other);
    assert_eq!(replay(&segments[newest - 1..]), Err(Damage::Frame));
}

#[test]
fn a_frame_that_is_torn_over_a_seal_is_cut_and_what_was_sealed_is_there() {
    let World { segments: longer, frames_at, ends } = world(20, 48 << 10, 0);
    // The same log in front of its last frame.
    let World { mut segments, .. } = world(19, 48 << 10, 0);
    let newest = segments.len() - 1;
    assert_eq!(longer.len() - 1, newest, "the last frame began no segment");
    let at = seal(&mut segments);
    assert_eq!(at, frames_at[frames_at.len() - 1]);
    let written = &longer[newest].1[at..payload_end(&longer[newest].1, at).next_multiple_of(512)];
    let sectors = written.len() / 512;
    assert!(3 < sectors);
    let rests = segments[newest].1.clone();
    for which in 0..1_u32 << sectors {
        segments[newest].1.clone_from(&rests);
        for sector in (0..sectors).filter(|it| which & (1 << it) != 0) {
            let part = sector * 512..(sector + 1) * 512;
            segments[newest].1[at..][part.clone()].copy_from_slice(&written[part]);
        }
        let whole = which + 1 == 1 << sectors;
        let want = ends[ends.len() - if whole { 1 } else { 2 }];
        assert_eq!(replay(&segments[newest - 1..]), Ok(want), "sectors {which:b}");
    }
}

#[test]
fn a_damaged_or_missing_older_segment_is_refused() {
    let World { segments, .. } = world(60, 40 << 10, 0);
    assert!(3 < segments.len());
    let mut hole = segments.clone();
    hole.remove(1);
    assert_eq!(replay(&hole), Err(Damage::Hole));
    let mut beheaded = segments.clone();
    beheaded[1].1[20] ^= 1;
    assert_eq!(replay(&beheaded), Err(Damage::Header));
    let mut empty = segments.clone();
    empty[1].1.clear();
    assert_eq!(replay(&empty), Err(Damage::Header));
    let mut renamed = segments.clone();
    renamed[1].0 = renamed[1].0.next();
    assert_eq!(replay(&renamed), Err(Damage::Misnamed));
    let mut doubled = segments.clone();
    doubled.insert(2, doubled[1].clone());
    assert_eq!(replay(&doubled), Err(Damage::Backwards));
    // The end of an older one is missing: its own bytes look torn, the next one's link tells.
    let mut shortened = segments;
    let len = shortened[1].1.len();
    shortened[1].1.truncate(len - 3 * BLOCK);
    assert_eq!(replay(&shortened), Err(Damage::Hole));
}

#[test]
fn a_last_frame_that_was_replaced_is_noticed_by_the_next_segment() {
    let World { mut segments, .. } = world(60, 40 << 10, 0);
    // The same zxids under another checksum: what a restored old copy of one file looks like.
    let (first_zxid, bytes) = segments[1].clone();
    let (mut header, _) = SegmentHeader::decode(&bytes).unwrap();
    header.begun_at_ms += 1;
    let mut chain = header.encode(&mut segments[1].1[..BLOCK]);
    let mut at = FIRST_FRAME_AT;
    while let Some((mut frame, _)) = FrameHeader::decode(&bytes[at..]) {
        frame.chain = chain;
        let (encoded, own) = frame.encode();
        segments[1].1[at..at + HEADER_LEN].copy_from_slice(&encoded);
        chain = own;
        at += frame.frame_len();
        if bytes.len() <= at {
            break;
        }
    }
    assert_eq!(segments[1].0, first_zxid);
    assert_eq!(replay(&segments), Err(Damage::Unchained));
}

#[test]
fn frames_of_the_files_earlier_life_are_not_read() {
    let old = world(30, 64 << 10, 0);
    let World { mut segments, .. } = world(40, 64 << 10, 0);
    // The newest segment lies in a file that was full of frames with the same places and checksums.
    let (first_zxid, whole) = segments.pop().unwrap();
    let used = FIRST_FRAME_AT + BLOCK;
    let mut recycled = old.segments[0].1.clone();
    recycled[..used].copy_from_slice(&whole[..used]);
    segments.push((first_zxid, recycled));
    let kept = replay(&segments).unwrap();
    assert_eq!(kept, first_zxid.0 + 2);
}
