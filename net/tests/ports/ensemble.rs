//! Whole ensembles over both ports: they elect, write, lose servers and find together again.

use quorum::{Sid, Views, Zxid};

use super::proxy::{Proxy, Way};
use super::server::{Disk, Server, Txn};
use super::{PATIENCE, counting, free_ports, now, sleep, views_at};

/// Servers 1 to n in one thread; a place is empty while its server is down.
struct Ensemble {
    views: Views,
    /// Where each leads.
    ports: Vec<u16>,
    servers: Vec<Option<Server>>,
    disks: Vec<Disk>,
    written: i32,
}

impl Ensemble {
    /// Servers that are down.
    fn new(count: usize) -> Self {
        let ports = free_ports(2 * count);
        let views = views_at("127.0.0.1", &ports);
        Self::of(views, ports.chunks_exact(2).map(|it| it[0]).collect())
    }

    /// Servers that reach each other's quorum ports by proxies only.
    fn behind_proxies(count: usize) -> (Self, Vec<Proxy>) {
        let ports = free_ports(count);
        let elections = free_ports(count);
        let proxies: Vec<_> = ports.iter().map(|&it| Proxy::new(it)).collect();
        let told: Vec<_> =
            proxies.iter().zip(elections).flat_map(|(it, port)| [it.port(), port]).collect();
        (Self::of(views_at("127.0.0.1", &told), ports), proxies)
    }

    fn of(views: Views, ports: Vec<u16>) -> Self {
        let servers = ports.iter().map(|_| None).collect();
        let disks = vec![Disk::default(); ports.len()];
        Self { views, ports, servers, disks, written: 0 }
    }

    fn start(&mut self, idx: usize) {
        let disk = self.disks[idx].clone();
        let server = Server::start(idx as i64 + 1, &self.views, self.ports[idx], disk);
        self.servers[idx] = Some(server);
    }

    fn start_all(&mut self) {
        for idx in 0..self.ports.len() {
            self.start(idx);
        }
        self.until_all_serve();
    }

    /// What it has written stays.
    fn kill(&mut self, idx: usize) {
        self.disks[idx] = self.servers[idx].take().unwrap().core.disk;
    }

    fn up(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten()
    }

    fn leader(&self) -> Option<usize> {
        self.servers.iter().position(|it| it.as_ref().is_some_and(Server::leads))
    }

    /// Turns of all until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let late = now() + PATIENCE;
        while !done(self) {
            let now = now();
            let state = |it: &Server| (it.core.peer().state(), it.core.applied.len());
            assert!(now < late, "{what}: {:?}", self.up().map(state).collect::<Vec<_>>());
            for server in self.servers.iter_mut().flatten() {
                server.turn(now);
            }
            let deadline = self.up().filter_map(Server::next_deadline).min();
            let fds: Vec<_> = self.up().flat_map(|it| [it.votes.fd(), it.learners.fd()]).collect();
            sleep(&fds, deadline);
        }
    }

    fn until_all_serve(&mut self) {
        self.until("all serve", |it| it.leader().is_some() && it.up().all(|it| it.core.serves));
    }

    /// Writes by every server in turn, until all have them.
    fn write(&mut self, count: usize) {
        let before = self.up().map(|it| it.core.applied.len()).max().unwrap();
        for idx in 0..count {
            self.written += 1;
            let cxid = self.written;
            let up = self.up().count();
            self.servers.iter_mut().flatten().nth(idx % up).unwrap().write(cxid);
        }
        self.until("all have what was written", |it| {
            it.up().all(|it| before + count <= it.core.applied.len())
        });
        self.check();
    }

    /// All have the same.
    fn check(&self) -> Vec<Txn> {
        let mut up = self.up();
        let first = up.next().unwrap().core.applied.clone();
        assert!(first.is_sorted_by(|a, b| a.0 < b.0));
        for other in up {
            assert!(other.core.applied == first, "unlike states");
        }
        first
    }
}

#[test]
fn three_servers_write_and_go_on_when_their_leader_dies_and_when_it_returns() {
    let mut ensemble = Ensemble::new(3);
    ensemble.start_all();
    assert_eq!(ensemble.leader(), Some(2));
    ensemble.write(300);
    ensemble.kill(2);
    ensemble.until("the next leads", |it| {
        it.leader() == Some(1) && it.servers[0].as_ref().unwrap().core.serves
    });
    ensemble.write(200);
    ensemble.start(2);
    ensemble.until_all_serve();
    assert_eq!(ensemble.leader(), Some(1));
    ensemble.write(100);
    assert_eq!(ensemble.check().len(), 600);
    let epochs = ensemble.check().iter().map(|it| it.0.0 >> 32).max();
    assert_eq!(epochs, Some(2));
}

#[test]
fn a_server_that_lacks_more_than_memory_holds_gets_it_from_the_log() {
    let mut ensemble = Ensemble::new(3);
    ensemble.start_all();
    ensemble.kill(0);
    // More than one link may queue.
    for server in ensemble.servers.iter_mut().flatten() {
        server.core.txn_len = 10_000;
    }
    ensemble.write(300);
    ensemble.start(0);
    ensemble.until_all_serve();
    ensemble.write(30);
    assert_eq!(ensemble.check().len(), 330);
}

#[test]
fn an_image_and_what_is_written_meanwhile_reach_a_server_without_data() {
    let mut ensemble = Ensemble::new(3);
    ensemble.start(1);
    ensemble.start(2);
    ensemble.until_all_serve();
    for server in ensemble.servers.iter_mut().flatten() {
        server.core.txn_len = 10_000;
    }
    ensemble.write(400);
    for server in ensemble.servers.iter_mut().flatten() {
        server.core.purge();
    }
    ensemble.write(50);
    for server in ensemble.servers.iter_mut().flatten() {
        server.core.txn_len = 10;
    }
    ensemble.start(0);
    let late = now() + PATIENCE;
    let mut more = 0;
    while !ensemble.servers[0].as_ref().unwrap().core.serves {
        assert!(now() < late);
        more += 1;
        ensemble.written += 1;
        let cxid = ensemble.written;
        ensemble.servers[2].as_mut().unwrap().write(cxid);
        let turns = std::cell::Cell::new(0);
        ensemble.until("a few turns", |_| turns.replace(turns.get() + 1) == 2);
    }
    ensemble.until("all have the same", |it| it.up().all(|it| it.core.applied.len() == 450 + more));
    assert_eq!(ensemble.servers[0].as_ref().unwrap().core.images, 1);
    ensemble.write(30);
}

#[test]
fn a_connection_cut_after_any_byte_costs_nothing_that_was_committed() {
    let (mut ensemble, proxies) = Ensemble::behind_proxies(3);
    ensemble.start_all();
    let mut expected = 0;
    // From the first bytes of discovery into the broadcast.
    for len in (0..60).chain((60..1_200).step_by(19)) {
        ensemble.write(3);
        expected += 3;
        let leader = ensemble.leader().unwrap();
        ensemble.kill(0);
        ensemble.write(2);
        expected += 2;
        proxies[leader].cut_next_after(len);
        ensemble.start(0);
        ensemble.until("the cut", |it| {
            let learner = it.servers[0].as_ref().unwrap();
            proxies[leader].has_cut() && 0 < learner.core.left
        });
        ensemble.until_all_serve();
    }
    ensemble.write(3);
    assert_eq!(ensemble.check().len(), expected + 3);
}

#[test]
fn who_is_not_heard_is_left_and_found_again() {
    let (mut ensemble, proxies) = Ensemble::behind_proxies(3);
    ensemble.start_all();
    for way in [Way::There, Way::Back] {
        ensemble.write(10);
        let leader = ensemble.leader().unwrap();
        proxies[leader].lose(way, ());
        ensemble.until("nobody leads", |it| {
            it.leader() != Some(leader) || !it.up().all(|it| it.core.serves)
        });
        proxies[leader].lose(way, None);
        ensemble.until_all_serve();
        ensemble.write(10);
    }
    assert_eq!(ensemble.check().len(), 40);
}

#[test]
fn a_follower_does_not_follow_a_server_that_does_not_lead() {
    let mut ensemble = Ensemble::new(3);
    ensemble.start_all();
    ensemble.write(1);
    // Only the leader listens.
    let listening = |it: &u16| std::net::TcpStream::connect(("127.0.0.1", *it)).is_ok();
    let listens: Vec<_> = ensemble.ports.iter().map(listening).collect();
    assert_eq!(listens, [false, false, true]);
    assert_eq!(
        ensemble.servers[2].as_ref().map(|it| it.core.peer().committed()),
        Some(Zxid(1 << 32 | 1))
    );
    assert_eq!(ensemble.views.voters(), [Sid(1), Sid(2), Sid(3)]);
}

#[test]
fn a_packet_allocates_nothing_once_buffers_have_grown() {
    let mut ensemble = Ensemble::new(3);
    ensemble.start_all();
    ensemble.write(4_000);
    let mut allocations = |times: usize, writes: usize| {
        let before = counting::count();
        (0..times).for_each(|_| ensemble.write(writes));
        counting::count() - before
    };
    // Each is a request of a learner, mostly, and two proposals, acks and commits: together, then one by one. Chunks of the log in memory, and pings, are
    // what is left.
    for (times, writes) in [(1, 2_000), (200, 1)] {
        let count = allocations(times, writes);
        assert!(
            count < (times * writes) as u64 / 10,
            "{count} allocations for {times} x {writes} writes"
        );
    }
}
