//! Rules of the window.

use std::vec;
use std::vec::Vec;

use super::*;

const A: Zxid = Zxid(0x1_0000_0001);
const B: Zxid = Zxid(0x1_0000_0002);
const C: Zxid = Zxid(0x2_0000_0001);

fn limits(count_max: usize) -> WindowLimits {
    WindowLimits { count_max, bytes_max: 1 << 20 }
}

fn holding(zxids: &[Zxid]) -> History {
    let mut history = History::new(Zxid::ZERO, limits(2));
    for zxid in zxids {
        history.append(*zxid, &zxid.0.to_be_bytes());
    }
    history
}

fn after(history: &History, zxid: Zxid) -> Option<Vec<Zxid>> {
    history.after(zxid).map(Iterator::collect)
}

#[test]
fn what_was_appended_is_read_back_until_it_is_let_go() {
    let mut history = holding(&[A, B, C]);
    assert_eq!(history.get(B), Some(&B.0.to_be_bytes()[..]));
    history.trim(C);
    assert_eq!((history.get(A), history.before(), history.last()), (None, A, C));
    assert_eq!(history.get(C), Some(&C.0.to_be_bytes()[..]));
}

#[test]
fn what_is_not_settled_is_never_let_go() {
    let mut history = holding(&[A, B, C]);
    history.trim(Zxid::ZERO);
    assert_eq!(history.len(), 3);
    history.trim(A);
    assert_eq!(history.len(), 2);
}

#[test]
fn the_floor_is_unknown_in_front_of_the_window_only() {
    let mut history = holding(&[A, B, C]);
    assert_eq!(history.floor(Zxid(A.0 - 1)), Some(Zxid::ZERO));
    history.trim(C);
    assert_eq!(history.floor(Zxid(A.0 - 1)), None);
    assert_eq!(history.floor(A), Some(A));
    assert_eq!(history.floor(Zxid(C.0 - 1)), Some(B));
    assert_eq!(history.floor(Zxid(C.0 + 9)), Some(C));
}

#[test]
fn what_follows_is_given_whole_or_not_at_all() {
    let mut history = holding(&[A, B, C]);
    history.trim(C);
    assert_eq!(after(&history, Zxid::ZERO), None);
    assert_eq!(after(&history, A), Some(vec![B, C]));
    assert_eq!(after(&history, C), Some(vec![]));
}

#[test]
fn a_truncated_log_ends_where_it_was_cut_and_takes_others() {
    let mut history = holding(&[A, B]);
    history.truncate(A);
    assert_eq!((history.last(), history.len_bytes()), (A, 8));
    history.append(C, b"other");
    assert_eq!(history.get(C), Some(&b"other"[..]));
    history.truncate(Zxid::ZERO);
    assert_eq!((history.last(), history.before()), (Zxid::ZERO, Zxid::ZERO));
}

#[test]
fn a_cut_in_front_of_the_window_moves_its_beginning() {
    let mut history = History::new(C, limits(2));
    history.truncate(A);
    assert_eq!((history.last(), history.before()), (A, A));
}

#[test]
fn memory_is_bounded_however_much_goes_through() {
    let mut history = History::new(Zxid::ZERO, limits(16));
    let txn = vec![7; 100_000];
    for counter in 1..1_000 {
        history.append(Zxid(counter), &txn);
        history.trim(Zxid(counter));
        assert!(history.chunks.len() + history.spares.len() <= 16 + SPARES_MAX);
    }
    assert_eq!(history.len(), 10);
    assert_eq!(history.get(Zxid(999)), Some(&txn[..]));
}
