//! Who connects to whom, what is sent on which connection, and what is sent again.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::vec;

use super::{Conn, Input, Links, Output, RETRY_MIN, STRANGERS_MAX};
use crate::wire::Initial;
use crate::{Address, Moment, QuorumConfig, Sid, Views};

const NOW: Moment = Moment::from_millis(1_000);

fn views() -> Views {
    let text = "server.1=a:1:11\nserver.2=b:1:12\nserver.3=c:1:13\nserver.4=d:1:14:observer";
    Views::new(Arc::new(QuorumConfig::parse(text).unwrap()))
}

fn links(myid: i64) -> Links {
    Links::new(Sid(myid), views())
}

fn step(links: &mut Links, input: Input) -> Vec<Output> {
    let mut out = Vec::new();
    links.step(NOW, input, &mut out);
    out
}

fn frame(byte: u8) -> Arc<[u8]> {
    Arc::from([byte])
}

fn send(to: i64, byte: u8) -> Input {
    Input::Send { to: Sid(to), frame: frame(byte) }
}

fn write(conn: u64, byte: u8) -> Output {
    Output::Write { conn: Conn(conn), frame: frame(byte) }
}

fn accepted(conn: u64, sid: i64) -> Input {
    Input::Accepted { conn: Conn(conn), initial: Initial { sid: Sid(sid), addresses: vec![] } }
}

fn connect(to: i64, host: &str, port: u16) -> Output {
    Output::Connect { to: Sid(to), addresses: vec![Address::new(host, port)] }
}

#[test]
fn the_larger_id_keeps_the_connection_it_made() {
    let mut two = links(2);
    assert!(step(&mut two, send(1, 7)).contains(&connect(1, "a", 11)));
    let out = step(&mut two, Input::Connected { to: Sid(1), conn: Conn(1) });
    assert_eq!(out, [Output::Reached { sid: Sid(1) }, write(1, 7)]);
    assert_eq!(two.owner(Conn(1)), Some(Sid(1)));
}

#[test]
fn the_smaller_id_says_who_it_is_and_closes() {
    let mut two = links(2);
    assert!(step(&mut two, send(3, 7)).contains(&connect(3, "c", 13)));
    let out = step(&mut two, Input::Connected { to: Sid(3), conn: Conn(1) });
    assert_eq!(out, [Output::Reached { sid: Sid(3) }, Output::Close { conn: Conn(1) }]);
    assert_eq!(two.owner(Conn(1)), None);
    // The answer of the larger one is used.
    let out = step(&mut two, accepted(2, 3));
    assert_eq!(out, [Output::Reached { sid: Sid(3) }, write(2, 7)]);
}

#[test]
fn a_smaller_id_that_connects_is_connected_back_where_it_says() {
    let mut two = links(2);
    let addresses = vec![Address::new("elsewhere", 99)];
    let initial = Initial { sid: Sid(1), addresses };
    let out = step(&mut two, Input::Accepted { conn: Conn(5), initial });
    let close = Output::Close { conn: Conn(5) };
    assert_eq!(out, [Output::Reached { sid: Sid(1) }, close, connect(1, "elsewhere", 99)]);
    // If it is not there, the configuration has the next word.
    let out = step(&mut two, Input::Refused { to: Sid(1) });
    assert_eq!(out, [Output::Lost { sid: Sid(1) }]);
    assert!(step(&mut two, Input::Reconnect).contains(&connect(1, "a", 11)));
}

#[test]
fn attempts_at_one_server_do_not_overlap() {
    let mut three = links(3);
    assert!(step(&mut three, send(1, 7)).contains(&connect(1, "a", 11)));
    assert_eq!(step(&mut three, send(1, 8)), []);
    assert_eq!(step(&mut three, Input::Reconnect), []);
    let out = step(&mut three, accepted(9, 1));
    assert_eq!(out, [Output::Reached { sid: Sid(1) }, Output::Close { conn: Conn(9) }]);
}

#[test]
fn a_new_connection_replaces_the_old_one_and_repeats_the_last_frame() {
    let mut one = links(1);
    step(&mut one, accepted(1, 2));
    assert_eq!(step(&mut one, send(2, 7)), [write(1, 7), connect(3, "c", 13)]);
    step(&mut one, Input::Written { conn: Conn(1) });
    let out = step(&mut one, accepted(2, 2));
    let close = Output::Close { conn: Conn(1) };
    assert_eq!(out, [Output::Reached { sid: Sid(2) }, close, write(2, 7)]);
    assert_eq!((one.owner(Conn(1)), one.owner(Conn(2))), (None, Some(Sid(2))));
    assert_eq!(step(&mut one, Input::Closed { conn: Conn(1) }), []);
}

#[test]
fn of_the_frames_that_wait_only_the_newest_is_sent() {
    let mut two = links(2);
    step(&mut two, send(1, 7));
    step(&mut two, send(1, 8));
    let out = step(&mut two, Input::Connected { to: Sid(1), conn: Conn(1) });
    assert_eq!(out[1..], [write(1, 8)]);
    assert_eq!(step(&mut two, send(1, 9)), []);
    assert_eq!(step(&mut two, send(1, 10)), []);
    assert_eq!(step(&mut two, Input::Written { conn: Conn(1) }), [write(1, 10)]);
    assert_eq!(step(&mut two, Input::Written { conn: Conn(1) }), []);
}

#[test]
fn a_frame_that_waits_goes_instead_of_the_last_one() {
    let mut two = links(2);
    step(&mut two, send(1, 7));
    step(&mut two, Input::Connected { to: Sid(1), conn: Conn(1) });
    step(&mut two, send(1, 8));
    let out = step(&mut two, Input::Closed { conn: Conn(1) });
    assert_eq!(out[0], Output::Lost { sid: Sid(1) });
    let out = step(&mut two, Input::Connected { to: Sid(1), conn: Conn(2) });
    assert_eq!(out[1..], [write(2, 8)]);
}

#[test]
fn the_larger_id_connects_again_at_once_and_the_smaller_one_waits_for_it() {
    let mut three = links(3);
    step(&mut three, accepted(9, 2));
    step(&mut three, Input::Connected { to: Sid(2), conn: Conn(1) });
    assert!(step(&mut three, Input::Closed { conn: Conn(1) }).contains(&connect(2, "b", 12)));
    let mut two = links(2);
    step(&mut two, Input::Deadline);
    step(&mut two, Input::Connected { to: Sid(3), conn: Conn(1) });
    step(&mut two, accepted(2, 3));
    let out = step(&mut two, Input::Closed { conn: Conn(2) });
    assert_eq!(out, [Output::Lost { sid: Sid(3) }]);
    assert!(NOW + RETRY_MIN <= two.next_deadline().unwrap());
}

#[test]
fn a_server_with_our_own_id_is_not_talked_to() {
    let mut two = links(2);
    assert_eq!(step(&mut two, accepted(1, 2)), [Output::Close { conn: Conn(1) }]);
    assert_eq!(two.owner(Conn(1)), None);
}

#[test]
fn strangers_are_talked_to_where_they_said_they_listen() {
    let mut two = links(2);
    let addresses = vec![Address::new("new", 15)];
    let initial = Initial { sid: Sid(1), addresses };
    let mut lone =
        Links::new(Sid(2), Views::new(Arc::new(QuorumConfig::parse("server.2=b:1:12").unwrap())));
    let out = step(&mut lone, Input::Accepted { conn: Conn(1), initial });
    assert!(out.contains(&connect(1, "new", 15)));
    // Larger ones are kept, whoever they are, and answered.
    step(&mut two, accepted(3, 77));
    assert!(step(&mut two, send(77, 5)).contains(&write(3, 5)));
}

#[test]
fn servers_without_an_id_get_one_each() {
    let mut two = links(2);
    for (conn, sid) in [(1, -1), (2, -2)] {
        let addresses = vec![Address::new("o", 1)];
        let initial = Initial { sid: Sid::ANONYMOUS, addresses };
        let out = step(&mut two, Input::Accepted { conn: Conn(conn), initial });
        assert!(out.contains(&connect(sid, "o", 1)), "{out:?}");
    }
}

#[test]
fn no_number_of_strangers_grows_the_memory() {
    let mut two = links(2);
    for sid in 100..400 {
        step(&mut two, accepted(sid as u64, sid));
    }
    assert!(two.peers.len() <= STRANGERS_MAX + 4, "{}", two.peers.len());
    assert!(two.owner(Conn(399)).is_some() && two.owner(Conn(100)).is_none());
}

#[test]
fn an_observer_calls_the_voters_and_voters_do_not_call_observers() {
    let mut four = links(4);
    let called = |out: &[Output]| {
        let to = |it: &Output| if let Output::Connect { to, .. } = it { Some(to.0) } else { None };
        out.iter().filter_map(to).collect::<Vec<_>>()
    };
    assert_eq!(called(&step(&mut four, Input::Deadline)), [1, 2, 3]);
    assert_eq!(called(&step(&mut links(1), Input::Deadline)), [2, 3]);
}

#[test]
fn a_member_that_listens_elsewhere_is_called_there_and_the_others_are_left_alone() {
    let mut three = links(3);
    for (to, conn) in [(1, 1), (2, 2)] {
        step(&mut three, send(to, 7));
        step(&mut three, Input::Connected { to: Sid(to), conn: Conn(conn) });
        step(&mut three, Input::Written { conn: Conn(conn) });
    }
    let text = "server.1=a:1:11\nserver.2=z:1:12\nserver.3=c:1:13\nserver.4=d:1:14:observer";
    let views = Views::new(Arc::new(QuorumConfig::parse(text).unwrap()));
    let out = step(&mut three, Input::Reconfigured { views: views.clone() });
    let lost = Output::Lost { sid: Sid(2) };
    assert_eq!(out, [Output::Close { conn: Conn(2) }, lost, connect(2, "z", 12)]);
    assert_eq!((three.owner(Conn(1)), three.owner(Conn(2))), (Some(Sid(1)), None));
    assert_eq!(step(&mut three, Input::Reconfigured { views: views.clone() }), []);
    // Who moves itself is to be called by all where it is now.
    let mut two = links(2);
    step(&mut two, send(1, 7));
    step(&mut two, Input::Connected { to: Sid(1), conn: Conn(1) });
    step(&mut two, accepted(2, 3));
    let out = step(&mut two, Input::Reconfigured { views });
    assert!(out.contains(&Output::Close { conn: Conn(1) }), "{out:?}");
    assert!(out.contains(&Output::Close { conn: Conn(2) }), "{out:?}");
}
