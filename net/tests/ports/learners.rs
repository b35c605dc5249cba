//! The learner port alone: hostile bytes, slow readers, order.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use net::learners::{Arrived, LearnerPort, LearnerPortSettings, PortError};
use quorum::wire::{LearnerInfo, Message, PROTOCOL_VERSION};
use quorum::zab::{Group, Link, To};
use quorum::{Address, Epoch, Sid, Zxid};

use super::server::learner_settings;
use super::{PATIENCE, free_ports, now, sleep};

/// A port that listens, and what it said.
struct Listening {
    port: LearnerPort,
    number: u16,
    said: Vec<Said>,
}

/// What arrived, without its bytes.
#[derive(Debug)]
enum Said {
    Accepted(Link),
    Connected,
    Failed,
    Closed(Link, Option<PortError>),
    Packet(Link, Option<Zxid>),
    Drained(Link),
    Bytes(usize),
}

impl Listening {
    fn open(change: impl FnOnce(&mut LearnerPortSettings)) -> Self {
        let number = free_ports(1)[0];
        let mut settings = learner_settings(1, number);
        change(&mut settings);
        let mut port = LearnerPort::open(settings).unwrap();
        port.listen().unwrap();
        Self { port, number, said: Vec::new() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.number)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Turns until what was said is enough; takes it.
    fn until(&mut self, done: impl Fn(&[Said]) -> bool) -> Vec<Said> {
        let late = now() + PATIENCE;
        while !done(&self.said) {
            assert!(now() < late, "{:?}", self.said);
            sleep(&[self.port.fd()], self.port.next_deadline());
            self.turn();
        }
        std::mem::take(&mut self.said)
    }

    fn turn(&mut self) {
        let Self { port, said, .. } = self;
        port.turn(now(), &mut |port, arrived| {
            said.push(match arrived {
                Arrived::Accepted { link } => Said::Accepted(link),
                Arrived::Connected { .. } => Said::Connected,
                Arrived::ConnectFailed { .. } => Said::Failed,
                Arrived::Closed { link, why } => Said::Closed(link, why),
                Arrived::Drained { link } => Said::Drained(link),
                Arrived::SnapshotBytes { link, bytes } => {
                    if let Some(at) = bytes.iter().position(|&it| it == b'!') {
                        port.end_raw(link, &bytes[at + 1..]);
                    }
                    Said::Bytes(bytes.iter().position(|&it| it == b'!').unwrap_or(bytes.len()))
                }
                Arrived::Packet { link, message } => match message {
                    Message::Snap { zxid } => {
                        port.take_raw(link);
                        Said::Packet(link, Some(zxid))
                    }
                    Message::Ack { zxid } => Said::Packet(link, Some(zxid)),
                    _ => Said::Packet(link, None),
                },
            });
        });
        port.flush();
    }

    /// The link of somebody who has just connected.
    fn accept(&mut self) -> Link {
        let said = self.until(|it| !it.is_empty());
        let [Said::Accepted(link)] = said[..] else { panic!("{said:?}") };
        link
    }
}

/// A packet's bytes.
fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

fn info() -> Vec<u8> {
    let info = LearnerInfo::new(Sid(2), PROTOCOL_VERSION, 0);
    bytes(&Message::FollowerInfo { accepted: Epoch(1), info })
}

#[test]
fn a_packet_is_taken_whole_wherever_its_bytes_are_parted() {
    let mut listening = Listening::open(|_| ());
    let packets = [info(), bytes(&Message::Ack { zxid: Zxid(5) })].concat();
    for at in 1..packets.len() {
        let mut stream = listening.connect();
        let link = listening.accept();
        stream.write_all(&packets[..at]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
        listening.turn();
        stream.write_all(&packets[at..]).unwrap();
        drop(stream);
        let said = listening.until(|it| matches!(it.last(), Some(Said::Closed(..))));
        let [Said::Packet(one, None), Said::Packet(_, Some(Zxid(5))), Said::Closed(_, None)] =
            said[..]
        else {
            panic!("cut at {at}: {said:?}")
        };
        assert_eq!(one, link);
    }
}

#[test]
fn of_a_connection_cut_after_any_byte_only_whole_packets_are_heard() {
    let mut listening = Listening::open(|_| ());
    let packets = [info(), bytes(&Message::Ack { zxid: Zxid(5) })].concat();
    for len in 0..packets.len() {
        let mut stream = listening.connect();
        stream.write_all(&packets[..len]).unwrap();
        drop(stream);
        let said = listening.until(|it| matches!(it.last(), Some(Said::Closed(..))));
        let whole = usize::from(info().len() <= len);
        assert_eq!(said.len(), 2 + whole, "cut after {len}: {said:?}");
    }
}

#[test]
fn a_leaders_packet_is_taken_that_is_longer_than_a_learners_may_be() {
    let mut learner = Listening::open(|it| {
        it.data_len_max = 1_000;
        it.leader_data_len_max = 10_000;
    });
    let leader = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = Address::new("127.0.0.1", leader.local_addr().unwrap().port());
    learner.port.connect(now(), Sid(2), &[address]);
    learner.until(|it| matches!(it[..], [Said::Connected]));
    let (mut stream, _) = leader.accept().unwrap();
    let proposal = |len| bytes(&Message::Proposal { zxid: Zxid(1), txn: &vec![0; len] });
    stream.write_all(&proposal(10_000)).unwrap();
    let said = learner.until(|it| !it.is_empty());
    let [Said::Packet(link, None)] = said[..] else { panic!("{said:?}") };
    stream.write_all(&proposal(10_001)).unwrap();
    let said = learner.until(|it| !it.is_empty());
    let [Said::Closed(closed, Some(_))] = said[..] else { panic!("{said:?}") };
    assert_eq!(closed, link);
}

#[test]
fn hostile_bytes_close_their_link_with_one_clear_error_and_no_other() {
    let mut listening = Listening::open(|it| it.data_len_max = 1_000);
    let mut good = listening.connect();
    let link = listening.accept();
    let head = |len: i32| [&bytes(&Message::Sync)[..12], &len.to_be_bytes()].concat();
    let cases: [(Vec<u8>, &str); 4] = [
        (head(i32::MAX), "a packet of 2147483647 bytes or more, 1000 are allowed"),
        (head(1_001), "a packet of 1001 bytes or more, 1000 are allowed"),
        (head(-2), ""),
        ([head(-1), i32::MAX.to_be_bytes().to_vec()].concat(), ""),
    ];
    for (bytes, text) in cases {
        let mut bad = listening.connect();
        let its_link = listening.accept();
        bad.write_all(&bytes).unwrap();
        // A count of ids is hostile only with the first id's length behind it.
        bad.write_all(&i32::MAX.to_be_bytes()).unwrap();
        let said = listening.until(|it| !it.is_empty());
        let [Said::Closed(closed, Some(why))] = &said[..] else { panic!("{said:?}") };
        assert_eq!(*closed, its_link);
        assert!(why.to_string().contains(text), "{why}");
        // The other side sees the end.
        assert!(matches!(bad.read(&mut [0; 8]), Ok(0) | Err(_)));
    }
    good.write_all(&bytes(&Message::Ack { zxid: Zxid(9) })).unwrap();
    let said = listening.until(|it| !it.is_empty());
    assert!(matches!(said[..], [Said::Packet(it, Some(Zxid(9)))] if it == link), "{said:?}");
}

#[test]
fn a_learner_that_does_not_read_is_closed_and_holds_nobody_up() {
    let mut listening = Listening::open(|it| it.queued_max = 2 << 20);
    let slow = listening.connect();
    let slow_link = listening.accept();
    let mut quick = listening.connect();
    let quick_link = listening.accept();
    for link in [slow_link, quick_link] {
        listening.port.join(link, Group::Followers);
    }
    let txn = vec![7; 50_000];
    let message = Message::Proposal { zxid: Zxid(1), txn: &txn };
    let len = bytes(&message).len();
    let mut read = vec![0; len];
    let mut sent = 0;
    let closed = loop {
        assert!(sent < 1_000, "the kernel cannot keep so much");
        listening.port.send(To::Group(Group::Followers), &message);
        listening.port.flush();
        sent += 1;
        assert!(listening.port.queued(slow_link) <= (2 << 20) + len);
        // The other one gets each packet while the slow one gets none.
        while 0 < listening.port.queued(quick_link) {
            listening.turn();
            quick.set_nonblocking(true).unwrap();
            let got = quick.read(&mut read).map_err(|it| it.kind());
            assert!(matches!(got, Ok(1..) | Err(ErrorKind::WouldBlock)), "{got:?}");
        }
        listening.turn();
        if let Some(Said::Closed(link, why)) =
            listening.said.iter().find(|it| matches!(it, Said::Closed(..)))
        {
            assert!(matches!(why, Some(PortError::NotReading { .. })), "{why:?}");
            break *link;
        }
    };
    assert_eq!(closed, slow_link);
    assert_eq!(listening.port.queued(slow_link), 0);
    drop(slow);
}

#[test]
fn a_link_above_the_mark_says_when_it_has_room_again() {
    let mut listening = Listening::open(|_| ());
    let mut stream = listening.connect();
    let link = listening.accept();
    let piece = vec![1; 1 << 20];
    let count = 16;
    for _ in 0..count {
        listening.port.send_raw(link, &piece);
    }
    let mut stream = {
        stream.write_all(&bytes(&Message::Ack { zxid: Zxid(1) })).unwrap();
        stream
    };
    let reader = std::thread::spawn(move || {
        let mut rest = count << 20;
        let mut buffer = vec![0; 1 << 16];
        while 0 < rest {
            rest -= stream.read(&mut buffer).unwrap();
        }
        stream
    });
    let said = listening.until(|it| it.iter().any(|it| matches!(it, Said::Drained(_))));
    let drained = said.iter().filter(|it| matches!(it, Said::Drained(it) if *it == link));
    assert_eq!(drained.count(), 1);
    assert!(listening.port.queued(link) <= net::learners::QUEUED_MARK);
    while 0 < listening.port.queued(link) {
        listening.turn();
    }
    drop(reader.join().unwrap());
}

#[test]
fn what_was_queued_before_a_close_arrives_before_the_end() {
    let mut listening = Listening::open(|_| ());
    let mut stream = listening.connect();
    let link = listening.accept();
    listening.port.join(link, Group::Observers);
    // Bytes that nobody will read must not turn the end into a reset.
    stream.write_all(&info()).unwrap();
    let txn = vec![3; 1 << 19];
    let mut expected = Vec::new();
    for zxid in 1..9 {
        let message = Message::Inform { zxid: Zxid(zxid), txn: &txn };
        let to = if zxid % 3 == 0 { To::Link(link) } else { To::Group(Group::Observers) };
        listening.port.send(to, &message);
        message.encode(&mut expected);
    }
    listening.port.close(link);
    // Nothing behind it.
    listening.port.send(To::Group(Group::Observers), &Message::UpToDate);
    listening.port.send(To::Link(link), &Message::UpToDate);
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    while !reader.is_finished() {
        listening.turn();
    }
    assert!(reader.join().unwrap() == expected);
    assert!(listening.said.is_empty(), "{:?}", listening.said);
}

#[test]
fn a_closed_link_that_the_other_side_keeps_open_is_given_up() {
    let mut listening = Listening::open(|_| ());
    let stream = listening.connect();
    let link = listening.accept();
    listening.port.close(link);
    let began = Instant::now();
    while listening.port.peer_address(link).is_some() {
        sleep(&[listening.port.fd()], listening.port.next_deadline());
        listening.turn();
    }
    let took = began.elapsed();
    assert!((4..8).contains(&took.as_secs()), "{took:?}");
    drop(stream);
}

#[test]
fn what_follows_a_snapshot_is_packets_again() {
    let mut listening = Listening::open(|_| ());
    let ack = bytes(&Message::Ack { zxid: Zxid(8) });
    let snap = bytes(&Message::Snap { zxid: Zxid(7) });
    let all = [&snap, &b"0123456789!"[..], &ack, &ack].concat();
    for at in 1..all.len() {
        let mut stream = listening.connect();
        listening.accept();
        stream.write_all(&all[..at]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
        listening.turn();
        stream.write_all(&all[at..]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let said = listening.until(|it| matches!(it.last(), Some(Said::Closed(..))));
        let raw = said.iter().map(|it| if let Said::Bytes(len) = it { *len } else { 0 });
        assert_eq!(raw.sum::<usize>(), 10, "{said:?}");
        let packets = said.iter().filter_map(|it| match it {
            Said::Packet(_, zxid) => *zxid,
            _ => None,
        });
        assert_eq!(packets.collect::<Vec<_>>(), [Zxid(7), Zxid(8), Zxid(8)], "{said:?}");
    }
}

#[test]
fn the_first_address_that_answers_is_taken_and_failures_are_told_once() {
    let mut calling = Listening::open(|_| ());
    let dead = Address::new("127.0.0.1", free_ports(1)[0]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let alive = Address::new("localhost", listener.local_addr().unwrap().port());
    calling.port.connect(now(), Sid(3), &[dead.clone(), alive]);
    let said = calling.until(|it| !it.is_empty());
    assert!(matches!(said[..], [Said::Connected]), "{said:?}");
    let nowhere = Address::new("no.such.host.invalid", 1);
    for addresses in [vec![dead.clone()], vec![dead, nowhere], vec![]] {
        calling.port.connect(now(), Sid(3), &addresses);
        let said = calling.until(|it| !it.is_empty());
        assert!(matches!(said[..], [Said::Failed]), "{said:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_up_in_time() {
    let mut calling = Listening::open(|it| it.connect_timeout = Duration::from_millis(300));
    // Its queue of connections is full: further ones get no answer.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    full.listen(0).unwrap();
    let at = full.local_addr().unwrap().as_socket().unwrap();
    let wait = Duration::from_millis(200);
    let _filling: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&at, wait)).collect();
    let began = Instant::now();
    calling.port.connect(now(), Sid(3), &[Address::new("127.0.0.1", at.port())]);
    let said = calling.until(|it| !it.is_empty());
    assert!(matches!(said[..], [Said::Failed]), "{said:?}");
    assert!((250..2_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn the_port_for_observers_moves_with_the_addresses_of_its_server() {
    let ports = free_ports(3);
    let at = |port| vec![Address::new("127.0.0.1", port)];
    let mut settings = learner_settings(1, ports[0]);
    settings.observer_addresses = at(ports[1]);
    let mut port = LearnerPort::open(settings).unwrap();
    let is_open = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    port.listen_for_observers().unwrap();
    assert!(is_open(ports[1]) && !is_open(ports[2]));
    port.set_observer_addresses(at(ports[2])).unwrap();
    assert!(!is_open(ports[1]) && is_open(ports[2]));
    // Where another listens, it does not.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports[1])).unwrap();
    assert!(port.set_observer_addresses(at(ports[1])).is_err());
    drop(taken);
    assert!(!is_open(ports[1]) && is_open(ports[2]));
    // While it leads, it only keeps the address in mind.
    port.listen().unwrap();
    port.set_observer_addresses(at(ports[1])).unwrap();
    assert!(!is_open(ports[1]) && !is_open(ports[2]) && is_open(ports[0]));
    port.listen_for_observers().unwrap();
    assert!(is_open(ports[1]));
}
