//! The driver on real sockets: a shard in front of a pipeline that answers everything with the same.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "a driver reads the clock, and its test starts threads"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use engine::map::MapSeed;
use futures_lite::future::block_on;
use jute::{Code, Op, SessionId, Zxid};
use net::admission::{Admission, AdmissionSettings};
use net::driver::{KeepAlive, Links, ListenSettings, Order, Sharing, listen, run};
use net::message::{Deliver, DeliverItem, Forward, ForwardItem};
use net::ring::{Letters, Receiver, Sender, lane, mailbox};
use net::shard::{Read, Shard, ShardReport, ShardSettings, Tree};
use net::words::{Whitelist, Word};

/// Every znode is there and holds this many bytes.
const DATA_LEN: usize = 50_000;

#[derive(Debug)]
struct Constant;

impl Tree for Constant {
    fn zxid(&self) -> Option<Zxid> {
        Some(Zxid(1))
    }

    fn serve(&self, _: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)> {
        out.resize(out.len() + DATA_LEN, b'x');
        Some((Zxid(1), Code::Ok))
    }
}

/// A message through `held` stops it after the next turn, until the other end is dropped.
async fn pipeline(
    mut forward: Receiver<Forward>,
    mut deliver: Sender<Deliver>,
    held: mpsc::Receiver<()>,
) {
    loop {
        let turn = forward.next().await;
        if held.try_recv().is_ok() {
            assert!(held.recv().is_err());
        }
        let mut answer = deliver.spare().unwrap_or_default();
        answer.items.clear();
        answer.applied = Zxid(1);
        for item in &turn.items {
            match item {
                ForwardItem::Connect { conn, timeout_ms, .. } => {
                    let (conn, timeout_ms, session) = (*conn, *timeout_ms, SessionId(7));
                    answer.items.push(DeliverItem::Connected { conn, session, timeout_ms });
                }
                ForwardItem::Request { conn, xid, .. } => {
                    let (conn, xid, zxid, body) = (*conn, *xid, Zxid(1), 0..0);
                    answer.items.push(DeliverItem::Reply { conn, xid, zxid, code: Code::Ok, body });
                }
                _ => {}
            }
        }
        forward.give_back(turn);
        deliver.ready().await;
        drop(deliver.push(answer));
    }
}

fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// A server on a thread of its own.
struct Server {
    address: SocketAddr,
    orders: Letters<Order>,
}

impl Server {
    fn start(settings: ShardSettings) -> Self {
        Self::start_with(settings, mpsc::channel().1)
    }

    fn start_with(settings: ShardSettings, held: mpsc::Receiver<()>) -> Self {
        let alone =
            ListenSettings { backlog: 1024, keep_alive: KeepAlive::Off, sharing: Sharing::Alone };
        let listener = listen(([127, 0, 0, 1], 0).into(), alone).unwrap();
        let address = listener.local_addr().unwrap();
        let (mouth, orders) = mailbox();
        let answers = mouth.clone();
        let (forward, forwards) = lane(2);
        let (delivers, deliver) = lane(2);
        std::thread::spawn(move || block_on(pipeline(forwards, delivers, held)));
        let admission = AdmissionSettings { cnxns_per_address_max: 0, ..Default::default() };
        let admission = Arc::new(Admission::new(admission, clock(), 1));
        let shard = Shard::new(settings, Constant, admission, MapSeed { low: 1, high: 2 });
        let words = Box::new(move |asked: net::driver::WordAsked| {
            assert_eq!(asked.word, Word::Ruok);
            let answer = Order::Answer { conn: asked.conn, text: b"imok".to_vec() };
            assert!(answers.send(answer).is_ok());
        });
        let links = Links { forward, deliver, orders, words, shard: 0, clock };
        std::thread::spawn(move || run(shard, vec![listener], links).unwrap());
        Self { address, orders: mouth }
    }

    fn connect(&self) -> TcpStream {
        let mut stream = self.open();
        stream.write_all(&hello()).unwrap();
        let mut answer = [0; 41];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[3], 37);
        stream
    }

    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn report(&self) -> ShardReport {
        let (to, answer) = mpsc::channel();
        assert!(self.orders.send(Order::Report { wall_offset_ms: 0, to }).is_ok());
        answer.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// Waits until so many connections are left.
    fn await_connections(&self, count: usize) {
        for _ in 0..2_000 {
            if self.report().gauges.connections == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} connections are left", self.report().gauges.connections);
    }
}

fn hello() -> Vec<u8> {
    let mut bytes = vec![0; 4 + 45];
    bytes[3] = 45;
    bytes[4 + 31] = 16;
    bytes[4 + 15] = 1;
    bytes
}

fn request(xid: i32, op: Op, body: &[u8]) -> Vec<u8> {
    let mut bytes = (8 + body.len() as i32).to_be_bytes().to_vec();
    bytes.extend(xid.to_be_bytes());
    bytes.extend(op.number().to_be_bytes());
    bytes.extend(body);
    bytes
}

const PATH: &[u8] = b"\0\0\0\x02/a\0";

/// Reads one reply: its xid and the length of its body.
fn reply(stream: &mut TcpStream) -> (i32, usize) {
    let mut head = [0; 20];
    stream.read_exact(&mut head).unwrap();
    let number = |at: usize| i32::from_be_bytes(head[at..at + 4].try_into().unwrap());
    let mut body = vec![0; number(0) as usize - 16];
    stream.read_exact(&mut body).unwrap();
    (number(4), body.len())
}

#[test]
fn replies_come_in_order_over_a_socket_that_is_read_late() {
    let server = Server::start(ShardSettings::default());
    let mut stream = server.connect();
    // 100 MB of replies, many times what the kernel and the machine keep for one connection.
    let mut bytes = Vec::new();
    for xid in 1..=2_000 {
        let op = if xid % 7 == 0 { Op::SetData } else { Op::GetData };
        bytes.extend(request(xid, op, PATH));
    }
    stream.write_all(&bytes).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    for xid in 1..=2_000 {
        assert_eq!(reply(&mut stream).0, xid);
    }
    let gauges = server.report().gauges;
    assert_eq!((gauges.buffered_bytes, gauges.outstanding), (0, 0));
}

#[test]
fn a_large_request_in_small_pieces_arrives_whole() {
    let server = Server::start(ShardSettings::default());
    let mut stream = server.connect();
    let bytes = request(1, Op::SetData, &vec![7; 900_000]);
    for piece in bytes.chunks(30_001) {
        stream.write_all(piece).unwrap();
    }
    assert_eq!(reply(&mut stream), (1, 0));
}

#[test]
fn a_word_is_answered_and_the_connection_closed() {
    let words = Whitelist::named(["ruok"]);
    let server = Server::start(ShardSettings { words, ..Default::default() });
    let mut stream = server.open();
    stream.write_all(b"ruok\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"imok");
}

#[test]
fn connections_that_come_and_go_leave_no_file_behind() {
    let server = Server::start(ShardSettings::default());
    drop(server.connect());
    server.await_connections(0);
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = files();
    for round in 0..400 {
        let mut streams: Vec<TcpStream> = (0..4).map(|_| server.open()).collect();
        match round % 4 {
            // Gone at once, gone in the middle of a frame, gone with unread replies, closed by the server.
            0 => {}
            1 => streams[0].write_all(&[0, 0]).unwrap(),
            2 => {
                let mut stream = server.connect();
                stream.write_all(&request(1, Op::GetData, PATH).repeat(20)).unwrap();
            }
            _ => {
                streams[0].write_all(&[0xff; 4]).unwrap();
                assert_eq!(streams[0].read(&mut [0; 1]).unwrap(), 0);
            }
        }
    }
    server.await_connections(0);
    std::thread::sleep(Duration::from_millis(200));
    // Other tests of this process open files too, but not four each round.
    assert!(files() < before + 60, "{} files, {before} before", files());
}

#[test]
fn a_stopped_shard_closes_its_connections() {
    let server = Server::start(ShardSettings::default());
    let mut stream = server.connect();
    assert!(server.orders.send(Order::Stop).is_ok());
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_silent_connection_is_closed_on_time() {
    let settings = ShardSettings { sessionless_ms: 300, tick_ms: 100, ..Default::default() };
    let server = Server::start(settings);
    let mut stream = server.open();
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    let waited = start.elapsed();
    assert!(Duration::from_millis(250) < waited && waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn an_answer_of_the_pipeline_is_never_slept_through() {
    let server = Server::start(ShardSettings { tick_ms: 3_600_000, ..Default::default() });
    let mut streams = [server.connect(), server.connect()];
    for xid in 1..=10_000 {
        for stream in &mut streams {
            stream.write_all(&request(xid, Op::SetData, PATH)).unwrap();
        }
        for stream in &mut streams {
            assert_eq!(reply(stream), (xid, 0));
        }
    }
}

#[test]
fn while_the_ring_to_the_pipeline_is_full_pings_and_reads_go_on() {
    let (gate, held) = mpsc::channel::<()>();
    let server = Server::start_with(ShardSettings::default(), held);
    let (mut writer, mut other) = (server.connect(), server.connect());
    gate.send(()).unwrap();
    // One after another, so that each comes in a turn of its own: more than the pipeline and the ring hold.
    for xid in 1..=20 {
        writer.write_all(&request(xid, Op::SetData, PATH)).unwrap();
        while server.report().gauges.outstanding < xid as usize {
            std::thread::yield_now();
        }
    }
    for xid in 1..=100 {
        other.write_all(&request(-2, Op::Ping, &[])).unwrap();
        assert_eq!(reply(&mut other), (-2, 0));
        other.write_all(&request(xid, Op::GetData, PATH)).unwrap();
        assert_eq!(reply(&mut other), (xid, DATA_LEN));
    }
    assert_eq!(server.report().gauges.outstanding, 20);
    // A client that comes waits, and is heard when the pipeline goes on.
    let mut late = server.open();
    late.write_all(&hello()).unwrap();
    drop(gate);
    for xid in 1..=20 {
        assert_eq!(reply(&mut writer), (xid, 0));
    }
    late.read_exact(&mut [0; 41]).unwrap();
}

#[test]
fn a_client_that_has_said_all_hears_the_answer() {
    let words = Whitelist::named(["ruok"]);
    let server = Server::start(ShardSettings { words, ..Default::default() });
    let mut stream = server.open();
    stream.write_all(b"ruok").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"imok");
    server.await_connections(0);
}
