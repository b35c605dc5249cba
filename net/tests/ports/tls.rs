//! Both ports by TLS: who is let in, who is not, and what hostile bytes do.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use net::learners::{Arrived, LearnerPort, LearnerPortSettings, QUEUED_MARK};
use net::port::{Incoming, Security};
use net::tls::{NameChecks, Protocols, StoreFile, Tls, TlsError, TlsSettings};
use quorum::wire::Message;
use quorum::zab::{Link, To};
use quorum::{Address, Sid, Views, Zxid};

use super::server::learner_settings;
use super::voter::{HISTORY, Voter, all_elected, port_settings, turn_until};
use super::{PATIENCE, free_ports, now, sleep, views, views_at};

const BOTH_NAMES: NameChecks = NameChecks { servers: true, clients: true };

fn store(name: &str) -> StoreFile {
    let location = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tls/stores").join(name);
    StoreFile { location, ..StoreFile::default() }
}

/// Settings with the key of that store; `net/src/tls/stores/make` says whose it is.
fn settings(key: &str) -> TlsSettings {
    let (key_store, trust_store) = (store(key), store("trust.pem"));
    TlsSettings {
        prefix: "ssl.quorum.",
        key_store,
        trust_store,
        names: BOTH_NAMES,
        ..TlsSettings::default()
    }
}

fn secured(settings: TlsSettings, incoming: Incoming) -> Security {
    Security {
        tls: Some(Arc::new(Tls::open(settings).unwrap())),
        calls_tls: true,
        incoming,
        detection_timeout: Duration::from_millis(200),
    }
}

/// Calls by TLS with the key of that store.
pub(crate) fn security(key: &str, incoming: Incoming) -> Security {
    secured(settings(key), incoming)
}

fn voter(myid: i64, views: &Views, security: Security) -> Voter {
    let mut settings = port_settings(myid, views);
    settings.security = security;
    settings.handshake_timeout = Duration::from_secs(1);
    Voter::start_with(settings, views, HISTORY)
}

/// Turns all for that long.
fn turn_for(voters: &mut [Voter], time: Duration) {
    let until = now() + time;
    while now() < until {
        for it in voters.iter_mut() {
            it.turn(now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Three voters of which the first is protected like this and the others as they should be: whether all come together.
///
/// The one that is left out has the smallest id, so that the others have no reason to wait for it.
fn are_together(first: Security) -> bool {
    let views = views(3);
    let good = || security("member.pem", Incoming::Tls);
    let mut voters =
        vec![voter(1, &views, first), voter(2, &views, good()), voter(3, &views, good())];
    turn_until(&mut voters, |it| it[1].elected.is_some() && it[2].elected.is_some());
    turn_for(&mut voters, Duration::from_secs(1));
    voters[0].elected.is_some()
}

#[test]
fn servers_with_certificates_of_one_authority_elect() {
    assert!(are_together(security("member.pem", Incoming::Tls)));
    for protocols in [Protocols::V12, Protocols::V13] {
        assert!(are_together(secured(
            TlsSettings { protocols, ..settings("sec1.pem") },
            Incoming::Tls
        )));
    }
    let views = views(2);
    let tls = || security("member.pem", Incoming::Tls);
    let mut voters: Vec<_> = (1..=2).map(|it| voter(it, &views, tls())).collect();
    for round in 0..4 {
        turn_until(&mut voters, |it| all_elected(it, 2));
        let idx = round % 2;
        drop(voters.remove(idx));
        voters.insert(idx, voter(idx as i64 + 1, &views, tls()));
        voters[1 - idx].look(HISTORY);
    }
}

#[test]
fn who_has_no_certificate_that_is_trusted_or_speaks_no_tls_is_left_out() {
    assert!(!are_together(security("stranger.pem", Incoming::Tls)), "of another authority");
    assert!(!are_together(Security::default()), "plain");
    let trusts_others = TlsSettings { trust_store: store("foreign.pem"), ..settings("member.pem") };
    assert!(!are_together(secured(trusts_others, Incoming::Tls)), "trusts nobody of us");
}

#[test]
fn a_certificate_for_another_name_is_refused_if_names_are_compared() {
    assert!(!are_together(security("elsewhere.pem", Incoming::Tls)));
    // By whom it calls, and by who calls it.
    let views = views(2);
    for (names, expected) in [
        (NameChecks { servers: false, clients: false }, true),
        (NameChecks { servers: true, clients: false }, false),
        (NameChecks { servers: false, clients: true }, true),
    ] {
        // The larger calls the smaller.
        let large = secured(TlsSettings { names, ..settings("member.pem") }, Incoming::Tls);
        let small = secured(
            TlsSettings { names: NameChecks::default(), ..settings("elsewhere.pem") },
            Incoming::Tls,
        );
        let mut voters = vec![voter(1, &views, small), voter(2, &views, large)];
        turn_for(&mut voters, Duration::from_millis(700));
        assert_eq!(all_elected(&voters, 2), expected, "{names:?}");
    }
    // A name in the configuration is compared too, beside the address that it means.
    let views = views_at("localhost", &free_ports(4));
    let tls =
        || secured(TlsSettings { names: BOTH_NAMES, ..settings("member.pem") }, Incoming::Tls);
    let mut voters = vec![voter(1, &views, tls()), voter(2, &views, tls())];
    turn_until(&mut voters, |it| all_elected(it, 2));
}

#[test]
fn a_certificate_that_the_trust_store_holds_is_trusted_itself() {
    let alone = TlsSettings { trust_store: store("stranger.pem"), ..settings("stranger.pem") };
    let views = views(2);
    let mut voters: Vec<_> =
        (1..=2).map(|it| voter(it, &views, secured(alone.clone(), Incoming::Tls))).collect();
    turn_until(&mut voters, |it| all_elected(it, 2));
}

#[test]
fn where_both_are_taken_plain_and_tls_servers_elect_together() {
    let views = views(3);
    let either = |calls_tls| Security { calls_tls, ..security("member.pem", Incoming::Either) };
    let mut voters: Vec<_> = (1..=3).map(|it| voter(it, &views, either(it % 2 == 0))).collect();
    turn_until(&mut voters, |it| all_elected(it, 3));
}

#[test]
fn hostile_bytes_at_a_tls_port_end_their_connection_and_harm_nobody() {
    let views = views(2);
    let mut voters = vec![voter(1, &views, security("member.pem", Incoming::Tls))];
    let port = port_settings(1, &views).own_addresses[0].port;
    let hello = |bytes: &[u8]| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let record =
        |kind: u8, len: u16, body: &[u8]| [&[kind, 3, 1][..], &len.to_be_bytes(), body].concat();
    let huge = [&[1, 0xff, 0xff, 0xff][..], &[0; 16_380]].concat();
    let mut bad = vec![
        hello(b"GET / HTTP/1.1\r\n\r\n"),
        hello(&[0xff; 64]),
        hello(&[0; 64]),
        // Half a header, and half a greeting: these end by time.
        hello(&[22]),
        hello(&[22, 3, 1, 0x40]),
        hello(&record(22, 100, &[1, 0, 0, 96, 3, 3])),
        hello(&record(22, 0xffff, &[1; 64])),
        hello(&record(22, 16_384, &huge)),
        hello(&record(23, 4, b"data")),
        hello(&record(21, 2, &[2, 80])),
        hello(&record(20, 1, &[1])),
        hello(&[record(22, 4, &[1, 0, 0, 0]), vec![0xee; 100]].concat()),
    ];
    let late = now() + PATIENCE;
    for stream in &mut bad {
        loop {
            voters[0].turn(now());
            match stream.read(&mut [0; 1_024]) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                // An alert.
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            assert!(now() < late, "not closed");
        }
    }
    voters.push(voter(2, &views, security("member.pem", Incoming::Tls)));
    turn_until(&mut voters, |it| all_elected(it, 2));
}

/// A leader's port and a learner's, connected.
struct Pair {
    leader: LearnerPort,
    learner: LearnerPort,
    /// The link at each of them, and what came: bytes at the learner, acks at the leader.
    links: [Option<Link>; 2],
    bytes: Vec<u8>,
    acks: Vec<Zxid>,
    failed: usize,
}

impl Pair {
    fn connect(leader: Security, learner: Security) -> Self {
        let number = free_ports(1)[0];
        let open = |port, security| {
            let connect_timeout = Duration::from_secs(1);
            let settings = learner_settings(1, port);
            LearnerPort::open(LearnerPortSettings { security, connect_timeout, ..settings })
                .unwrap()
        };
        let mut leader = open(number, leader);
        leader.listen().unwrap();
        let mut learner = open(free_ports(1)[0], learner);
        learner.connect(now(), Sid(1), &[Address::new("127.0.0.1", number)]);
        let (links, bytes, acks) = ([None; 2], Vec::new(), Vec::new());
        Self { leader, learner, links, bytes, acks, failed: 0 }
    }

    fn turn(&mut self) {
        let Self { leader, learner, links, bytes, acks, failed } = self;
        let deadline =
            [leader.next_deadline(), learner.next_deadline()].into_iter().flatten().min();
        sleep(&[leader.fd(), learner.fd()], deadline);
        leader.turn(now(), &mut |_, arrived| match arrived {
            Arrived::Accepted { link } => links[0] = Some(link),
            Arrived::Closed { .. } => links[0] = None,
            Arrived::Packet { message: Message::Ack { zxid }, .. } => acks.push(zxid),
            _ => {}
        });
        learner.turn(now(), &mut |port, arrived| match arrived {
            Arrived::Connected { link, .. } => {
                links[1] = Some(link);
                port.take_raw(link);
            }
            Arrived::ConnectFailed { .. } => *failed += 1,
            Arrived::Closed { .. } => links[1] = None,
            Arrived::SnapshotBytes { bytes: more, .. } => bytes.extend_from_slice(more),
            _ => {}
        });
        leader.flush();
        learner.flush();
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let late = now() + PATIENCE;
        while !done(self) {
            assert!(now() < late, "{} bytes, {} acks", self.bytes.len(), self.acks.len());
            self.turn();
        }
    }
}

#[test]
fn a_long_stream_comes_whole_and_in_order_while_packets_go_the_other_way() {
    let tls = || security("member.pem", Incoming::Tls);
    let mut pair = Pair::connect(tls(), tls());
    pair.until(|it| it.links.iter().all(Option::is_some));
    let [Some(of_leader), Some(of_learner)] = pair.links else { panic!() };
    let sent: Vec<u8> = (0..24 << 20_u32).map(|it| (it ^ it >> 11) as u8).collect();
    let mut acked = 0;
    for piece in sent.chunks(300_001) {
        pair.leader.send_raw(of_leader, piece);
        for _ in 0..50 {
            acked += 1;
            pair.learner.send(To::Link(of_learner), &Message::Ack { zxid: Zxid(acked) });
        }
        pair.turn();
    }
    pair.until(|it| it.bytes.len() == sent.len() && it.acks.len() as i64 == acked);
    assert!(pair.bytes == sent, "bytes came in another order");
    assert!(pair.acks.iter().map(|it| it.0).eq(1..=acked));

    // Closed behind what was queued, and said so.
    pair.leader.send_raw(of_leader, b"the end");
    pair.leader.close(of_leader);
    pair.until(|it| it.links[1].is_none());
    assert!(pair.bytes.ends_with(b"the end"));
}

#[test]
fn whoever_sends_when_there_is_room_is_told_each_time_that_there_is() {
    let tls = || security("member.pem", Incoming::Tls);
    let mut pair = Pair::connect(tls(), tls());
    pair.until(|it| it.links.iter().all(Option::is_some));
    let [Some(link), _] = pair.links else { panic!() };
    let piece = vec![7; 100_000];
    let mut left = 80_usize;
    // As an image is poured: up to the mark, and on when there is room.
    let mut pour = |port: &mut LearnerPort| {
        while 0 < left && port.queued(link) <= QUEUED_MARK {
            left -= 1;
            port.send_raw(link, &piece);
        }
    };
    pour(&mut pair.leader);
    let late = now() + PATIENCE;
    while pair.bytes.len() < 80 * piece.len() {
        assert!(now() < late, "{} bytes", pair.bytes.len());
        let Pair { leader, learner, bytes, .. } = &mut pair;
        sleep(&[leader.fd(), learner.fd()], leader.next_deadline());
        leader.turn(now(), &mut |port, arrived| {
            if matches!(arrived, Arrived::Drained { .. }) {
                pour(port);
            }
        });
        learner.turn(now(), &mut |_, arrived| {
            if let Arrived::SnapshotBytes { bytes: more, .. } = arrived {
                bytes.extend_from_slice(more);
            }
        });
        leader.flush();
        learner.flush();
    }
}

#[test]
fn a_leader_that_is_not_to_be_trusted_cannot_be_connected_to() {
    let good = || security("member.pem", Incoming::Tls);
    for bad in [
        security("stranger.pem", Incoming::Tls),
        security("elsewhere.pem", Incoming::Tls),
        Security::default(),
    ] {
        let mut pair = Pair::connect(bad, good());
        pair.until(|it| it.failed == 1);
        assert_eq!(pair.links[1], None);
    }
    // Nor one that says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut pair = Pair::connect(good(), good());
    let address = Address::new("127.0.0.1", silent.local_addr().unwrap().port());
    pair.learner.connect(now(), Sid(1), &[address]);
    pair.until(|it| it.failed == 1);
}

#[test]
fn a_learner_that_is_not_to_be_trusted_is_closed() {
    let good = || security("member.pem", Incoming::Tls);
    for bad in [
        security("stranger.pem", Incoming::Tls),
        security("elsewhere.pem", Incoming::Tls),
        Security::default(),
    ] {
        let mut pair = Pair::connect(good(), bad);
        pair.until(|it| it.links[0].is_some() || it.failed == 1);
        if let Some(link) = pair.links[1] {
            pair.learner.send(To::Link(link), &Message::Ack { zxid: Zxid(1) });
        }
        pair.until(|it| it.links[0].is_none());
        assert!(pair.acks.is_empty());
    }
}

#[test]
fn stores_that_are_read_again_count_for_new_connections_and_bad_ones_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let location = dir.path().join("key.pem");
    let put = |name: &str| assert!(std::fs::copy(store(name).location, &location).is_ok());
    put("stranger.pem");
    let key_store = StoreFile { location: location.clone(), ..StoreFile::default() };
    let tls = Arc::new(Tls::open(TlsSettings { key_store, ..settings("") }).unwrap());
    let changing =
        || Security { tls: Some(Arc::clone(&tls)), ..security("member.pem", Incoming::Tls) };
    let good = || security("member.pem", Incoming::Tls);

    let mut pair = Pair::connect(changing(), good());
    pair.until(|it| it.failed == 1);
    put("member.pem");
    tls.reload().unwrap();
    let mut pair = Pair::connect(changing(), good());
    pair.until(|it| it.links[1].is_some());

    put("make");
    let refused = tls.reload().unwrap_err();
    assert!(matches!(refused, TlsError::Store { .. }), "{refused}");
    let mut again = Pair::connect(changing(), good());
    again.until(|it| it.links[1].is_some());
    // What was there stays.
    pair.turn();
    assert!(pair.links.iter().all(Option::is_some));
}

#[test]
fn a_key_that_is_none_of_its_certificate_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let location = dir.path().join("mixed.pem");
    let [member, stranger] = ["member.pem", "stranger.pem"]
        .map(|it| std::fs::read_to_string(store(it).location).unwrap());
    let key = &member[..member.find("-----BEGIN CERT").unwrap()];
    let chain = &stranger[stranger.find("-----BEGIN CERT").unwrap()..];
    std::fs::write(&location, format!("{key}{chain}")).unwrap();
    let key_store = StoreFile { location, ..StoreFile::default() };
    let refused = Tls::open(TlsSettings { key_store, ..settings("") }).unwrap_err().to_string();
    assert!(refused.starts_with("ssl.quorum.keyStore.location="), "{refused}");
    assert!(refused.contains("the key in it cannot be used"), "{refused}");
    let suites = vec!["TLS_AES_128_GCM_SHA256".to_owned()];
    let refused =
        Tls::open(TlsSettings { suites, protocols: Protocols::V12, ..settings("member.pem") });
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.starts_with("ssl.quorum.enabledProtocols and ssl.quorum.ciphersuites"),
        "{refused}"
    );
}
