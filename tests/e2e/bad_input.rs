//! What no client should send, and clients that do not behave: at worst their own connection ends.
//!
//! After each of these, and during most, a well-behaved client must be served as if nothing were, and the memory of the
//! server stays bounded.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::trial;
use crate::process::{PATIENCE, lateness};
use crate::server::Server;
use crate::wire::{Body, Chance, Client, op};

/// No limit of connections for each address: everything here comes from one. A connection that ought to be ended is not to end with its session, and
/// be taken for one that was.
const CONFIG: &str = "\
tickTime=2000
maxClientCnxns=0
4lw.commands.whitelist=*
jute.maxbuffer=262144
maxSessionTimeout=600000
";

/// The largest frame that the server takes under this configuration.
const MAX_FRAME: usize = 262_144;

/// How much the server may grow under any of these. Generous: a megabyte for each hundred bytes that are sent would be caught.
const GROWTH: u64 = 256 << 20;

/// How long a client may wait while others misbehave.
const AT_ONCE: Duration = Duration::from_secs(2);

type Attack = fn(SocketAddr, &mut Client) -> anyhow::Result<()>;

/// Each with a server of its own.
pub(crate) fn trials() -> Vec<Trial> {
    let attacks: [(&str, Attack); 12] = [
        ("random_bytes_end_their_connection", random_bytes),
        ("hostile_lengths_end_their_connection", hostile_lengths),
        ("hostile_fields_get_an_error_or_the_end", hostile_fields),
        ("clients_vanish_in_the_middle_of_a_frame", vanish_mid_frame),
        ("a_thousand_silent_connections_disturb_nobody", silent_connections),
        ("a_slow_reader_holds_only_itself_up", slow_reader),
        ("a_slow_writer_is_waited_for", slow_writer),
        ("an_oversize_request_ends_at_most_its_connection", oversize),
        ("an_unknown_op_is_answered_then_closed", unknown_op),
        ("a_bare_check_is_refused", bare_check),
        ("paths_that_are_none_are_refused", bad_paths),
        ("a_handshake_of_every_shape_is_answered_or_closed", handshakes),
    ];
    let named =
        |(name, attack): (&str, Attack)| trial(&format!("bad_input_{name}"), move || run(attack));
    attacks.into_iter().map(named).collect()
}

fn run(attack: Attack) -> anyhow::Result<()> {
    let server = Server::start(CONFIG)?;
    let address = server.address();
    let check = || {
        let mut good = Client::connect(address)?;
        exists(&mut good)?;
        let process = server.process().context("the server runs")?;
        let before = resident(process.id())?;
        attack(address, &mut good)?;
        exists(&mut good)?;
        exists(&mut Client::connect(address)?)?;
        let after = resident(process.id())?;
        let grown = after.saturating_sub(before);
        ensure!(grown < GROWTH, "the server grew by {grown} bytes to {after}");
        anyhow::Ok(())
    };
    let result = check();
    result.with_context(|| server.log())
}

/// The well-behaved client must be answered at once while the others do what they do.
fn exists(client: &mut Client) -> anyhow::Result<()> {
    let (begin, late) = (Instant::now(), lateness());
    let reply = client.ask(op::EXISTS, &Body::default().buffer(b"/zookeeper").byte(0))?;
    ensure!(reply.err == 0, "exists is answered with {}", reply.err);
    let (took, late) = (begin.elapsed(), lateness().saturating_sub(late));
    ensure!(took < AT_ONCE + late, "another client waited for {took:?}; the machine for {late:?}");
    Ok(())
}

/// Resident bytes of a process.
fn resident(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB")).context("VmRSS is there")?;
    Ok(kib.trim().parse::<u64>()? << 10)
}

fn random_bytes(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let mut chance = Chance::new(3);
    for round in 0..300 {
        let mut stream = TcpStream::connect(address)?;
        let len = chance.below(2_000) as usize;
        send(&mut stream, &chance.bytes(len))?;
        if round % 3 == 0 {
            exists(good)?;
        }
    }
    // The same after a good handshake: as frames of any content.
    for _ in 0..300 {
        let mut client = Client::connect(address)?;
        for _ in 0..3 {
            let len = chance.below(200) as usize;
            let frame = Body(chance.bytes(len)).frame();
            send(client.socket(), &frame)?;
        }
    }
    Ok(())
}

fn hostile_lengths(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    for len in [-1, i32::MIN, i32::MAX, 0x0100_0000, MAX_FRAME as i32 + 1] {
        let mut first = TcpStream::connect(address)?;
        send(&mut first, &len.to_be_bytes())?;
        send(&mut first, &[0; 64])?;
        ensure!(ends(&mut first)?, "a first frame of {len} is not refused");
        exists(good)?;
        if len < 0 {
            let mut client = Client::connect(address)?;
            send(client.socket(), &len.to_be_bytes())?;
            send(client.socket(), &[0; 64])?;
            ensure!(ends(client.socket())?, "a frame of {len} is not refused");
        }
    }
    Ok(())
}

fn hostile_fields(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let path = || Body::default().buffer(b"/p");
    let bodies = [
        (op::CREATE, Body::default().int(-5)),
        (op::CREATE, Body::default().int(i32::MAX)),
        (op::CREATE, path().int(i32::MAX)),
        (op::CREATE, path().buffer(b"").int(i32::MAX)),
        (op::CREATE, path().buffer(b"").int(-7).int(0)),
        (op::CREATE, path().buffer(b"").int(1).int(31).int(-1).int(-1).int(0)),
        (op::CREATE, path().buffer(b"").int(1).int(31).buffer(b"world").int(i32::MIN)),
        (op::CREATE, path().buffer(b"").open_acl().int(99)),
        (op::CREATE, Body::default().create("/\u{0}", b"", 0)),
        (
            op::CREATE,
            Body::default().buffer(&[b'/', 0xff, 0xfe, 0xc0]).buffer(b"").open_acl().int(0),
        ),
        (op::CREATE, path()),
        (op::EXISTS, Body::default()),
        (op::SET_DATA, path().int(i32::MIN)),
        (op::DELETE, path()),
        (op::GET_CHILDREN, Body::default().int(-1).byte(0)),
        (op::MULTI, Body::default().int(op::CREATE)),
        (op::MULTI, Body::default().part(op::CREATE).int(-9)),
        (op::MULTI, Body::default().part(77).int(0)),
        (op::MULTI, Body::default().part(op::GET_DATA).buffer(b"/").byte(0).part(op::DELETE).end()),
        (101, Body::default().long(0).int(i32::MAX)),
        (105, Body::default().long(0).int(0).int(0).int(0).int(0).int(i32::MAX)),
        (106, path().int(44)),
        (18, path().int(44)),
        (100, Body::default().int(0).int(i32::MAX)),
    ];
    for (op, body) in bodies {
        let mut client = Client::connect(address)?;
        client.put(op, &body);
        client.flush()?;
        let answered = client.reply();
        match answered {
            Ok(reply) => ensure!(reply.err != 0, "op {op} with {body:?} is answered with no error"),
            Err(err) => ensure!(closed(&err), "op {op} with {body:?} is answered with {err}"),
        }
        exists(good)?;
    }
    Ok(())
}

fn vanish_mid_frame(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    for count in 0..300_usize {
        let mut client = Client::connect(address)?;
        let frame =
            Body::default().int(1).int(op::SET_DATA).buffer(b"/p").buffer(&[7; 900]).int(-1);
        let frame = frame.frame();
        send(client.socket(), &frame[..count * 3 % frame.len()])?;
        if count % 2 == 0 {
            client.socket().shutdown(Shutdown::Both)?;
        }
        if count % 20 == 0 {
            exists(good)?;
        }
    }
    let reply = good.ask(op::EXISTS, &Body::default().buffer(b"/p").byte(0))?;
    ensure!(reply.err == -101, "half a request did something: {}", reply.err);
    Ok(())
}

fn silent_connections(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let mut silent = Vec::new();
    for count in 0..1_000 {
        let mut stream = TcpStream::connect(address)?;
        if count % 2 == 0 {
            send(&mut stream, &[0, 0])?;
        }
        silent.push(stream);
        if count % 50 == 0 {
            exists(good)?;
        }
    }
    for _ in 0..100 {
        exists(good)?;
    }
    exists(&mut Client::connect(address)?)
}

fn slow_reader(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let body = Body::default().create("/large", &vec![1; 200_000], 0);
    let made = good.ask(op::CREATE, &body)?;
    ensure!(made.err == 0, "create: {}", made.err);
    let mut readers = Vec::new();
    for _ in 0..8 {
        // 2,000 answers of 200 kB each are asked for, and not read.
        let mut client = Client::connect(address)?;
        client.socket().set_nonblocking(true)?;
        for _ in 0..2_000 {
            client.put(op::GET_DATA, &Body::default().buffer(b"/large").byte(0));
        }
        match client.flush() {
            Err(err) if err.kind() == ErrorKind::WouldBlock => {}
            other => other?,
        }
        readers.push(client);
        exists(good)?;
    }
    for _ in 0..50 {
        exists(good)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    // Whoever reads in the end gets all of it.
    let client = &mut readers[0];
    client.socket().set_nonblocking(false)?;
    for _ in 0..100 {
        let reply = client.reply()?;
        ensure!(reply.err == 0 && 200_000 < reply.body.len(), "an answer of {}", reply.body.len());
    }
    Ok(())
}

fn slow_writer(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let mut client = Client::connect(address)?;
    let frame = Body::default().int(1).int(op::EXISTS).buffer(b"/zookeeper").byte(0).frame();
    for byte in frame {
        send(client.socket(), &[byte])?;
        std::thread::sleep(Duration::from_millis(5));
        exists(good)?;
    }
    let reply = client.reply()?;
    ensure!(reply.err == 0 && reply.xid == 1, "the slow request is answered with {reply:?}");
    Ok(())
}

fn oversize(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let mut client = Client::connect(address)?;
    let body = Body::default().create("/oversize", &vec![1; MAX_FRAME + 1_000], 0);
    client.put(op::CREATE, &body);
    let answer = client.flush().and_then(|()| client.reply());
    match answer {
        Ok(reply) => {
            ensure!(reply.err != 0 && reply.xid == 1, "an oversize request: {reply:?}");
            exists(&mut client)?;
        }
        Err(err) => ensure!(closed(&err), "an oversize request: {err}"),
    }
    let reply = good.ask(op::EXISTS, &Body::default().buffer(b"/oversize").byte(0))?;
    ensure!(reply.err == -101, "the oversize znode exists");
    // The largest that fits is taken.
    let body = Body::default().create("/fits", &vec![1; MAX_FRAME - 200], 0);
    let reply = good.ask(op::CREATE, &body)?;
    ensure!(reply.err == 0, "what fits is answered with {}", reply.err);
    Ok(())
}

fn unknown_op(address: SocketAddr, _good: &mut Client) -> anyhow::Result<()> {
    for op in [0, 10, 23, 99, 108, 1_000, -2, -100, i32::MAX, i32::MIN] {
        let mut client = Client::connect(address)?;
        let reply = client.ask(op, &Body::default().buffer(b"/").int(-1))?;
        ensure!(reply.err == -6, "op {op} is answered with {}", reply.err);
        ensure!(ends(client.socket())?, "op {op} leaves the connection open");
    }
    Ok(())
}

fn bare_check(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let mut client = Client::connect(address)?;
    let reply = client.ask(13, &Body::default().buffer(b"/zookeeper").int(-1))?;
    ensure!(reply.err == -6, "a bare check is answered with {}", reply.err);
    ensure!(ends(client.socket())?, "a bare check leaves the connection open");
    let reply = good.ask(op::CREATE, &Body::default().create("/after", b"", 0))?;
    ensure!(reply.err == 0, "a create afterwards is answered with {}", reply.err);
    Ok(())
}

fn bad_paths(_address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let long = "/x".repeat(50_000);
    let made = good.ask(op::CREATE, &Body::default().create("/p", b"", 0))?;
    ensure!(made.err == 0, "create: {}", made.err);
    // Their parents are there: a missing one is what would be told first.
    let paths =
        ["", "p", "/p/", "//", "/.", "/p/..", "/p/\u{1}", "/\u{7f}", "/\u{f8ff}", "/\u{fff0}"];
    for path in paths {
        let reply = good.ask(op::CREATE, &Body::default().create(path, b"", 0))?;
        ensure!(reply.err == -8, "create {path:?} is answered with {}", reply.err);
        let body = Body::default().buffer(path.as_bytes()).byte(0);
        let reply = good.ask(op::EXISTS, &body)?;
        ensure!(reply.err == -101 || path.is_empty(), "exists {path:?}: {}", reply.err);
    }
    let reply = good.ask(op::CREATE, &Body::default().create(&long, b"", 0))?;
    ensure!(reply.err == -101, "a path of 50,000 names is answered with {}", reply.err);
    Ok(())
}

fn handshakes(address: SocketAddr, good: &mut Client) -> anyhow::Result<()> {
    let request = |zxid, timeout, id| Body::default().int(0).long(zxid).int(timeout).long(id);
    // Old clients send no last byte and get none.
    let mut old = TcpStream::connect(address)?;
    send(&mut old, &request(0, 5_000, 0).buffer(&[0; 16]).frame())?;
    let mut answer = [0; 40];
    old.read_exact(&mut answer)?;
    ensure!(answer[..4] == [0, 0, 0, 36], "the answer to an old client has {:?}", &answer[..4]);
    for (timeout, bound) in [(i32::MIN, 4_000), (-1, 4_000), (0, 4_000), (i32::MAX, 600_000)] {
        let mut stream = TcpStream::connect(address)?;
        send(&mut stream, &request(0, timeout, 0).buffer(&[0; 16]).byte(0).frame())?;
        let mut answer = [0; 41];
        stream.read_exact(&mut answer)?;
        let given = i32::from_be_bytes(answer[8..12].try_into()?);
        ensure!(given == bound, "a timeout of {timeout} becomes {given}");
    }
    let hostile = [
        request(i64::MAX, 5_000, 0).buffer(&[0; 16]).byte(0),
        request(0, 5_000, 0).int(i32::MAX),
        request(0, 5_000, 0).int(-2).byte(0),
        Body::default().int(0).long(0),
        Body::default(),
        Body(vec![0xff; 45]),
    ];
    for body in hostile {
        let mut stream = TcpStream::connect(address)?;
        send(&mut stream, &body.frame())?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut answer = [0; 64];
        match stream.read(&mut answer) {
            // Refused, or taken for what it may be meant as.
            Ok(0 | 40 | 41) => {}
            Ok(count) => anyhow::bail!("{body:?} is answered with {count} bytes"),
            Err(err) => ensure!(closed(&err) || waits(&err), "{body:?}: {err}"),
        }
        exists(good)?;
    }
    // A second handshake on a connection is no request.
    let mut client = Client::connect(address)?;
    let again = request(0, 5_000, 0).buffer(&[0; 16]).byte(0).frame();
    send(client.socket(), &again)?;
    let answer = client.reply();
    ensure!(
        answer.is_err() || answer.is_ok_and(|it| it.err != 0),
        "a second handshake is answered"
    );
    Ok(())
}

/// Sends as far as the other end takes it: it may close at any byte.
fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    match stream.write_all(bytes) {
        Err(err) if !closed(&err) => Err(err),
        _ => Ok(()),
    }
}

/// Whether the connection comes to its end.
fn ends(stream: &mut TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(err) if closed(&err) => return Ok(true),
            Err(err) if waits(&err) => return Ok(false),
            Err(err) => return Err(err),
        }
    }
}

fn closed(err: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&err.kind())
}

fn waits(err: &io::Error) -> bool {
    [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&err.kind())
}
