//! Elections over the election port.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use net::election::{ElectionPort, PortError, STRANGERS_MAX};
use quorum::election::History;
use quorum::wire::{Initial, ServerState};
use quorum::{Epoch, Sid, Zxid};

use super::voter::{HISTORY, Voter, all_elected, port_settings, turn_until};
use super::{PATIENCE, free_ports, now, views, views_at};

#[test]
fn three_servers_elect_the_largest_id_and_when_it_is_gone_the_next() {
    let views = views(3);
    let mut voters: Vec<_> = (1..=3).map(|it| Voter::start(it, &views)).collect();
    turn_until(&mut voters, |it| all_elected(it, 3));
    let states: Vec<_> = voters.iter().map(|it| it.elected.unwrap().0).collect();
    let (leading, following) = (ServerState::Leading, ServerState::Following);
    assert_eq!(states, [following, following, leading]);

    drop(voters.pop());
    let began = Instant::now();
    for it in &mut voters {
        it.look(HISTORY);
    }
    turn_until(&mut voters, |it| all_elected(it, 2));
    // Not before the wait for a better vote that nobody can give any more.
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());

    voters.push(Voter::start(3, &views));
    turn_until(&mut voters, |it| all_elected(it, 2));
    assert_eq!(voters[2].elected, Some((following, Sid(2))));
}

#[test]
fn two_servers_known_by_name_elect_whoever_has_logged_more() {
    let views = views_at("localhost", &free_ports(4));
    let ahead = History { last_logged: Zxid(1 << 32 | 7), current_epoch: Epoch(1) };
    let mut voters = vec![Voter::start_at(1, &views, ahead), Voter::start(2, &views)];
    turn_until(&mut voters, |it| all_elected(it, 1));
    assert_eq!(voters[0].elected, Some((ServerState::Leading, Sid(1))));
}

#[test]
fn a_server_that_is_restarted_again_and_again_is_heard_each_time() {
    let views = views(2);
    let mut voters: Vec<_> = (1..=2).map(|it| Voter::start(it, &views)).collect();
    for round in 0..6 {
        turn_until(&mut voters, |it| all_elected(it, 2));
        // The one that connects, and the one that is connected to.
        let idx = round % 2;
        drop(voters.remove(idx));
        voters.insert(idx, Voter::start(idx as i64 + 1, &views));
        voters[1 - idx].look(HISTORY);
    }
    turn_until(&mut voters, |it| all_elected(it, 2));
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_delays_nobody() {
    let views = views(3);
    let dead = views.committed().member(Sid(3)).unwrap().election_addresses().next().unwrap();
    let _silent = TcpListener::bind((Ipv4Addr::LOCALHOST, dead.port)).unwrap();
    let mut voters: Vec<_> = (1..=2).map(|it| Voter::start(it, &views)).collect();
    let began = Instant::now();
    turn_until(&mut voters, |it| all_elected(it, 2));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn whoever_sends_nonsense_is_closed_and_harms_nobody() {
    let views = views(2);
    let mut voters = vec![Voter::start(1, &views)];
    let port = port_settings(1, &views).own_addresses[0].port;
    let hello = |bytes: &[u8]| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let mut stranger = Vec::new();
    Initial { sid: Sid(9), addresses: Vec::new() }.encode(&mut stranger);
    // Without an address to tell, its length is zero: a message that nobody sends.
    stranger[16..20].copy_from_slice(&9_i32.to_be_bytes());
    stranger.extend_from_slice(b"[::1]:999");
    let mut bad = vec![hello(b"GET / HTTP/1.1\r\n\r\n"), hello(&[0xff; 64])];
    for len in [[0x7f, 0xff, 0xff, 0xff], [0; 4], [0xff; 4], [0, 8, 0, 1]] {
        bad.push(hello(&[&stranger[..], &len, &[1]].concat()));
    }
    for mut stream in bad {
        let late = now() + PATIENCE;
        loop {
            turn_until(&mut voters, |_| true);
            voters[0].turn(now());
            match stream.read(&mut [0; 1_024]) {
                // The end, by FIN or by RST.
                Ok(0) => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                // It answers a stranger's connection with its vote.
                Ok(_) | Err(_) => {}
            }
            assert!(now() < late, "not closed");
        }
    }
    voters.push(Voter::start(2, &views));
    turn_until(&mut voters, |it| all_elected(it, 2));
}

#[test]
fn those_who_do_not_say_who_they_are_are_few_and_not_for_long() {
    let views = views(2);
    let mut settings = port_settings(1, &views);
    settings.handshake_timeout = Duration::from_millis(300);
    let mut port = ElectionPort::open(settings.clone()).unwrap();
    let connect = |_| {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, settings.own_addresses[0].port));
        let stream = stream.unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut strangers: Vec<_> = (0..STRANGERS_MAX + 10).map(connect).collect();
    let open = |port: &mut ElectionPort, strangers: &mut Vec<TcpStream>, most: usize| {
        let late = now() + PATIENCE;
        while most < strangers.len() {
            assert!(now() < late, "{} are open", strangers.len());
            port.turn(now(), &mut |_| {});
            strangers.retain_mut(|it| {
                it.read(&mut [0]).is_err_and(|it| it.kind() == std::io::ErrorKind::WouldBlock)
            });
        }
    };
    open(&mut port, &mut strangers, STRANGERS_MAX);
    let began = Instant::now();
    open(&mut port, &mut strangers, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_port_in_use_is_said_with_its_address_and_its_key() {
    let views = views(1);
    let settings = port_settings(1, &views);
    let port = settings.own_addresses[0].port;
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let error = ElectionPort::open(settings).unwrap_err();
    let text = format!("server.1: cannot listen on 127.0.0.1:{port}, the election port: ");
    assert!(error.to_string().starts_with(&text), "{error}");
    assert!(matches!(error, PortError::Listen { sid: Sid(1), .. }), "{error:?}");
}

#[test]
fn a_port_listens_on_every_address_if_it_is_told_to_and_else_on_its_own() {
    let views = views(1);
    let mut settings = port_settings(1, &views);
    let elsewhere = (Ipv4Addr::new(127, 0, 0, 2), settings.own_addresses[0].port);
    let port = ElectionPort::open(settings.clone()).unwrap();
    assert!(TcpStream::connect(elsewhere).is_err());
    drop(port);
    settings.listen_on_all = true;
    let _port = ElectionPort::open(settings).unwrap();
    TcpStream::connect(elsewhere).unwrap();
}
