//! The same random requests to the reference server and to ours: every reply and event compared, field by field.
//!
//! Four clients, one batch at a time: a batch of one client is sent to both servers, all its replies are read, and then every
//! client pings, so that the events that the batch caused are known to be there. What is not compared: times, session ids,
//! and the order of lists that have none. Differences that are meant stand in `docs/wire.md`; what would show them is not asked here.
//!
//! `DIFFERENTIAL_REQUESTS` and `DIFFERENTIAL_SEED` choose how many and which; 100,000 and 1 without.

mod generate;
mod normal;

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use self::generate::{Random, Request};
use self::normal::Names;
use crate::ensemble::trial;
use crate::process::PATIENCE;
use crate::server::{Kind, Server};
use crate::wire::{Body, Fields};

/// Clients; each has a session on both servers.
const CLIENTS: usize = 4;

/// Differences shown before the run gives up.
const SHOWN_MAX: usize = 25;

/// Of sessions, in milliseconds: none may expire, not even one whose connection was closed, however slow the machine is.
const TIMEOUT: i32 = 3_600_000;

const CONFIG: &str = "\
tickTime=200000
extendedTypesEnabled=true
znode.container.checkIntervalMs=100000000
globalOutstandingLimit=100000
4lw.commands.whitelist=*
";

/// A server's end of one client.
struct Side {
    stream: TcpStream,
    session: i64,
}

impl Side {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let hello = Body::default().int(0).long(0).int(TIMEOUT).long(0).buffer(&[0; 16]).byte(0);
        stream.write_all(&hello.frame())?;
        let mut side = Self { stream, session: 0 };
        let answer = side.frame()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut fields = Fields(&answer);
        let (_version, _timeout) = (fields.int()?, fields.int()?);
        side.session = fields.long()?;
        Ok(side)
    }

    /// The next frame; none if the server has closed.
    fn frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut len = [0; 4];
        match self.stream.read_exact(&mut len) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let len = usize::try_from(i32::from_be_bytes(len)).map_err(io::Error::other)?;
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame)?;
        Ok(Some(frame))
    }

    /// Sends requests and reads until each is answered, or the server closes. Events stand where they came.
    fn exchange(
        &mut self,
        batch: &[(i32, Request)],
        names: &Names,
        shift: i64,
    ) -> io::Result<Vec<String>> {
        let mut bytes = Vec::new();
        let mut waiting = VecDeque::new();
        for (xid, request) in batch {
            let mut body = Body::default().int(*xid).int(request.op);
            body.0.extend(&request.body.0);
            bytes.extend(body.frame());
            waiting.push_back((*xid, request.op));
        }
        self.stream.write_all(&bytes)?;
        let mut seen = Vec::new();
        let ends = batch.last().is_some_and(|(_, request)| request.last);
        while ends || !waiting.is_empty() {
            let Some(frame) = self.frame()? else {
                seen.push("closed".to_owned());
                break;
            };
            let xid = Fields(&frame).int()?;
            let op = (xid != -1).then(|| waiting.pop_front().map(|it| it.1)).flatten();
            seen.push(normal::frame(&frame, op, names, shift));
        }
        Ok(seen)
    }
}

/// One client on both servers.
struct Client {
    /// The reference, then ours.
    sides: [Side; 2],
    xid: i32,
    /// Its last requests, for people.
    history: VecDeque<String>,
}

struct Run {
    addresses: [SocketAddr; 2],
    clients: Vec<Client>,
    names: [Names; 2],
    /// What is added to the reference's zxids: 0 while both take the same.
    shift: i64,
    /// Whether the order of what comes now means nothing.
    unordered: bool,
    sessions: usize,
    sent: usize,
    differences: Vec<String>,
}

impl Run {
    fn client(&mut self) -> anyhow::Result<Client> {
        let [reference, ours] = self.addresses;
        let sides = [Side::connect(reference)?, Side::connect(ours)?];
        self.sessions += 1;
        for (names, side) in self.names.iter_mut().zip(&sides) {
            names.insert(side.session, format!("session {}", self.sessions));
        }
        Ok(Client { sides, xid: 0, history: VecDeque::new() })
    }

    /// One batch of one client, then a look at everybody's events.
    fn batch(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let at = random.below(CLIENTS);
        let mut batch = Vec::new();
        let lone = random.one_in(10);
        let count = if lone { 1 } else { 1 + random.below(30) };
        // Writes are about half of what is sent.
        let zxid = i64::try_from(self.sent / 2)?;
        let mut changed = Vec::new();
        for _ in 0..count {
            let request = if lone {
                generate::rare(random)
            } else {
                generate::next(random, zxid, &mut changed)
            };
            self.clients[at].xid += 1;
            let xid = request.xid.unwrap_or(self.clients[at].xid);
            batch.push((xid, request));
        }
        self.sent += batch.len();
        for (_, request) in &batch {
            let history = &mut self.clients[at].history;
            history.push_back(request.text.clone());
            if 8 < history.len() {
                history.pop_front();
            }
        }
        let closes = batch.last().is_some_and(|(_, request)| request.last);
        // A session's ephemerals go in the order of a hash table there.
        self.unordered = closes;
        self.exchange(at, &batch)?;
        if closes {
            self.clients[at] = self.client()?;
        }
        for other in 0..CLIENTS {
            let body = Body::default();
            let text = "ping".to_owned();
            let guarded = Vec::new();
            let ping = Request { xid: None, op: 11, body, last: false, guarded, text };
            self.exchange(other, &[(-2, ping)])?;
        }
        Ok(())
    }

    fn exchange(&mut self, at: usize, batch: &[(i32, Request)]) -> anyhow::Result<()> {
        let [theirs, ours] = &mut self.clients[at].sides;
        let theirs = theirs.exchange(batch, &self.names[0], self.shift);
        let mut theirs = theirs.with_context(|| format!("the reference, after {batch:?}"))?;
        let ours = ours.exchange(batch, &self.names[1], 0);
        let mut ours = ours.with_context(|| format!("ringkeeper, after {batch:?}"))?;
        if self.unordered {
            theirs.sort();
            ours.sort();
        }
        // Closed on both sides alike is an answer too.
        let closed = theirs.iter().chain(&ours).any(|it| it == "closed");
        if closed && !batch.last().is_some_and(|(_, request)| request.last) {
            self.clients[at] = self.client()?;
        }
        if theirs == ours {
            return Ok(());
        }
        let asked: Vec<_> = batch.iter().map(|(xid, it)| format!("{xid}: {}", it.text)).collect();
        let mut text = format!("client {at}, asked:\n  {}\n", asked.join("\n  "));
        for idx in 0..theirs.len().max(ours.len()) {
            let (theirs, ours) = (theirs.get(idx), ours.get(idx));
            if theirs != ours {
                text.push_str(&format!("  reference  {theirs:?}\n  ringkeeper {ours:?}\n"));
            }
        }
        self.differences.push(text);
        Ok(())
    }
}

fn compare(requests: usize, seed: u64) -> anyhow::Result<()> {
    let reference = Server::of(Kind::Reference, CONFIG)?;
    let ours = Server::of(Kind::Ringkeeper, CONFIG)?;
    let mut run = Run {
        addresses: [reference.address(), ours.address()],
        clients: Vec::new(),
        names: [Names::new(), Names::new()],
        shift: 0,
        unordered: false,
        sessions: 0,
        sent: 0,
        differences: Vec::new(),
    };
    for _ in 0..CLIENTS {
        let client = run.client()?;
        run.clients.push(client);
    }
    let mut random = Random::new(seed);
    while run.sent < requests && run.differences.len() < SHOWN_MAX {
        run.batch(&mut random)?;
    }
    let Run { sent, differences, .. } = run;
    ensure!(
        differences.is_empty(),
        "seed {seed}: {} batches differ within {sent} requests\n{}",
        differences.len(),
        differences.join("\n")
    );
    println!("{sent} requests, seed {seed}: no difference");
    Ok(())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default)
}

/// The one test of this module.
pub(super) fn trials() -> Vec<Trial> {
    let requests = setting("DIFFERENTIAL_REQUESTS", 100_000);
    let seed = setting("DIFFERENTIAL_SEED", 1);
    let run = move || {
        let requests = usize::try_from(requests).expect("a count");
        compare(requests, seed)
    };
    vec![trial("random_requests_are_answered_as_the_reference_does", run)]
}
