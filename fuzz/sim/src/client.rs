//! A client: its session, what it waits for, what it watches; and what it must never be told.
//!
//! ZooKeeper: `ClientCnxn`. It speaks bytes, keeps its session from server to server and sets its watches again, as the
//! reference's does. Every answer is held against the [`Replay`] as it comes.
//!
//! Absent here: connections, time, chance.

mod standing;

use std::collections::{BTreeMap, VecDeque};

use jute::{
    AddWatchRequest, Code, ConnectRequest, ConnectResponse, EventType, Field as _,
    GetChildren2Response, GetDataResponse, List, Op, PathWatchRequest, Reader, ReplyHeader,
    RequestHeader, SessionId, SetWatches, SetWatches2, Stat, WatcherEvent, Xid, Zxid,
};
use quorum::Moment;

use crate::locals::Greeter;
use crate::replay::{Life, Replay, Seen, Subject};
use crate::violation::Violation;
pub(crate) use standing::Mode;
use standing::Standing;

/// Whether a read leaves a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Something that becomes a transaction.
    Write,
    /// The end of the session.
    Close,
    /// A read that leaves a watch, or none.
    Read {
        /// `getData`, `exists` or `getChildren2`.
        op: Op,
        /// Of which znode.
        path: String,
        /// Whether it is watched.
        watch: Watched,
    },
    /// To be shown what everybody was.
    Sync,
    /// A sign of life.
    Ping,
    /// The watches, once more.
    SetWatches,
    /// A watch that stays.
    AddWatch {
        /// Of which znode.
        path: String,
        /// And what of it.
        mode: Mode,
    },
}

/// A request that is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    xid: Xid,
    what: What,
    /// The last transaction that anybody was told of when it began.
    before: Zxid,
}

/// What a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watch {
    /// Data, of a znode that was there.
    Data,
    /// A znode that was not there.
    Exist,
    /// Children.
    Child,
}

impl Watch {
    fn subject(self) -> Subject {
        match self {
            Self::Data | Self::Exist => Subject::Node,
            Self::Child => Subject::Children,
        }
    }
}

/// What an answer says to whoever keeps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing.
    Nothing,
    /// A write is done.
    Written {
        /// Its transaction.
        zxid: Zxid,
        /// What was known to be written when it began.
        before: Zxid,
        /// How it ended.
        code: Code,
    },
    /// A read is answered.
    Read,
    /// A sync is.
    Synced,
    /// An event has come.
    Event,
    /// The session is there, new or again.
    Connected,
    /// There is no such session any more.
    Expired,
}

/// What the history has of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was never made by a transaction.
    #[default]
    Nothing,
    /// Its beginning.
    Beginning,
    /// Its end too.
    End,
}

impl Known {
    pub(crate) fn of(life: Option<Life>) -> Self {
        match life {
            None => Self::Nothing,
            Some(Life { closed: None, .. }) => Self::Beginning,
            Some(_) => Self::End,
        }
    }
}

/// A client.
#[derive(Debug, Default)]
pub(crate) struct Client {
    /// Its session; none before the first answer.
    pub(crate) session: SessionId,
    /// Milliseconds, as negotiated.
    pub(crate) timeout_ms: i32,
    /// Its connection.
    pub(crate) wire: Option<u64>,
    /// Whether that has its session.
    pub(crate) is_connected: bool,
    /// How often it has connected with this session, or tried.
    pub(crate) tries: u32,
    /// What the history had of its session when it last asked for it.
    pub(crate) known: Known,
    /// Who answers its handshake, and when.
    pub(crate) greeter: Option<Greeter>,
    /// Since when the connection has its session.
    pub(crate) connected_at: Moment,
    /// When it last heard something, or connected.
    pub(crate) heard_at: Moment,
    /// When it last said something.
    pub(crate) said_at: Moment,
    /// Until when it neither speaks nor listens.
    pub(crate) asleep_until: Moment,
    xid: i32,
    /// The last zxid of an answer.
    seen: Zxid,
    /// The last of an event on this connection.
    event: Zxid,
    pending: VecDeque<Pending>,
    /// Each with the zxid behind which a change is told.
    watches: BTreeMap<(String, Watch), Zxid>,
    standing: Standing,
    /// Until they are set again nothing is known of what was missed.
    is_setting: bool,
    buffer: Vec<u8>,
}

impl Client {
    /// The first bytes of a connection.
    pub(crate) fn handshake(&mut self, timeout_ms: i32) -> Vec<u8> {
        self.pending.clear();
        self.buffer.clear();
        self.is_connected = false;
        self.event = Zxid::ZERO;
        self.tries += 1;
        let password = jute::password(self.session);
        let mut body = Vec::new();
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.seen,
            timeout_ms,
            session: self.session,
            password: Some(&password),
            read_only: Some(false),
        }
        .write(&mut body);
        frame(&body)
    }

    /// The connection is no more.
    pub(crate) fn lose(&mut self) {
        self.wire = None;
        self.is_connected = false;
        self.pending.clear();
    }

    /// The session is no more: what comes next is another client.
    pub(crate) fn forget(&mut self) {
        self.lose();
        let asleep_until = self.asleep_until;
        *self = Self { asleep_until, ..Self::default() };
    }

    /// The last transaction that it was shown.
    pub(crate) fn seen(&self) -> Zxid {
        self.seen
    }

    /// How many answers it waits for.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// A number for the next request.
    pub(crate) fn next_xid(&mut self) -> i32 {
        self.xid += 1;
        self.xid
    }

    /// The bytes of a request; an answer is waited for.
    pub(crate) fn request(
        &mut self,
        xid: i32,
        (op, body): (Op, &[u8]),
        what: What,
        before: Zxid,
    ) -> Vec<u8> {
        let xid = Xid(xid);
        self.pending.push_back(Pending { xid, what, before });
        let mut record = Vec::new();
        RequestHeader { xid, op: op.number() }.write(&mut record);
        record.extend_from_slice(body);
        frame(&record)
    }

    /// The bytes of a read.
    pub(crate) fn read(&mut self, op: Op, path: &str, watch: Watched) -> Vec<u8> {
        let mut body = Vec::new();
        let path_watch =
            PathWatchRequest { path: Some(path.as_bytes()), watch: watch == Watched::Yes };
        path_watch.write(&mut body);
        let what = What::Read { op, path: path.to_owned(), watch };
        let xid = self.next_xid();
        self.request(xid, (op, &body), what, Zxid::ZERO)
    }

    /// The bytes that set the watches again, if there are any.
    fn set_watches(&mut self) -> Option<Vec<u8>> {
        self.is_setting = !self.watches.is_empty() || !self.standing.is_empty();
        if !self.is_setting {
            return None;
        }
        let paths = |kind: Watch| {
            let all = self.watches.keys().filter(|it| it.1 == kind).map(|it| it.0.as_bytes());
            let (all, mut out): (Vec<&[u8]>, _) = (all.collect(), Vec::new());
            List::write_all(all.into_iter(), &mut out);
            out
        };
        let lists = [Watch::Data, Watch::Exist, Watch::Child].map(paths);
        let list = |at: usize| List::decode(&lists[at]).unwrap_or(List::NULL);
        let (data, exist, child) = (list(0), list(1), list(2));
        let (relative_zxid, xid, mut body) = (self.seen, Xid::SET_WATCHES.0, Vec::new());
        let op = if self.standing.is_empty() {
            SetWatches { relative_zxid, data, exist, child }.write(&mut body);
            Op::SetWatches
        } else {
            let paths = |mode: Mode| {
                let mut out = Vec::new();
                let all: Vec<&[u8]> = self.standing.paths(mode).collect();
                List::write_all(all.into_iter(), &mut out);
                out
            };
            let lists = [Mode::Persistent, Mode::Recursive].map(paths);
            let list = |at: usize| List::decode(&lists[at]).unwrap_or(List::NULL);
            let (persistent, recursive) = (list(0), list(1));
            SetWatches2 { relative_zxid, data, exist, child, persistent, recursive }
                .write(&mut body);
            Op::SetWatches2
        };
        Some(self.request(xid, (op, &body), What::SetWatches, Zxid::ZERO))
    }

    /// The bytes that leave a watch that stays.
    pub(crate) fn add_watch(&mut self, path: &str, mode: Mode) -> Vec<u8> {
        let number = match mode {
            Mode::Persistent => 0,
            Mode::Recursive => 1,
        };
        let mut body = Vec::new();
        AddWatchRequest { path: Some(path.as_bytes()), mode: number }.write(&mut body);
        let what = What::AddWatch { path: path.to_owned(), mode };
        let xid = self.next_xid();
        self.request(xid, (Op::AddWatch, &body), what, Zxid::ZERO)
    }

    /// Bytes have come: what they say, frame by frame, until the connection has nothing more to say to this client. What to
    /// answer goes to `out`.
    ///
    /// # Errors
    /// The [`Violation`].
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        replay: &mut Replay,
        heard: &mut Vec<Heard>,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(bytes);
        let mut rest = buffer.as_slice();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let len = i32::from_be_bytes(*len) as usize;
            if tail.len() < len {
                break;
            }
            let (body, tail) = tail.split_at(len);
            rest = tail;
            let what = if self.is_connected {
                self.answer(body, replay)?
            } else {
                self.greeted(body, replay, out)?
            };
            heard.push(what);
            if what == Heard::Expired {
                return Ok(());
            }
        }
        self.buffer = rest.to_vec();
        Ok(())
    }

    fn greeted(
        &mut self,
        body: &[u8],
        replay: &mut Replay,
        out: &mut Vec<u8>,
    ) -> Result<Heard, Violation> {
        let greeting = ConnectResponse::read(&mut Reader::new(body));
        let Ok(greeting) = greeting else { return Err(Violation::BadPacket) };
        let session = greeting.session;
        if session == SessionId::NONE {
            // Refused: nobody may say so of a session that lives, or of a new one.
            let session = self.session;
            let is_over = match (replay.life(session), self.greeter) {
                (Some(Life { closed: Some(_), .. }), _) => true,
                // A server that has not heard of an ephemeral that it asked for knows nothing of it.
                (_, Some(greeter))
                    if self.known == Known::Nothing && replay.locals.has(session) =>
                {
                    replay.locals.may_be_over(session, greeter)
                }
                _ => false,
            };
            return if is_over {
                Ok(Heard::Expired)
            } else {
                Err(Violation::ToldExpired { session })
            };
        }
        if self.session != SessionId::NONE && self.session != session {
            return Err(Violation::OtherSession { asked: self.session, found: session });
        }
        let is_theirs = greeting.password == Some(&jute::password(session));
        let (is_new, timeout_ms) = (self.session == SessionId::NONE, greeting.timeout_ms);
        let is_made = match self.greeter {
            Some(it) if replay.locals.are_new() && is_new => {
                replay.locals.begin(session, it, timeout_ms)
            }
            Some(it) if replay.is_local(session) => replay.locals.go_on(session, it),
            _ => replay.life(session).is_some(),
        };
        if !is_made || !is_theirs {
            return Err(Violation::OtherSession { asked: self.session, found: session });
        }
        if self.session == session && self.known == Known::End {
            return Err(Violation::Resumed { session });
        }
        self.session = session;
        self.timeout_ms = greeting.timeout_ms;
        self.is_connected = true;
        out.extend(self.set_watches().unwrap_or_default());
        Ok(Heard::Connected)
    }

    fn answer(&mut self, body: &[u8], replay: &mut Replay) -> Result<Heard, Violation> {
        let mut reader = Reader::new(body);
        let Ok(header) = ReplyHeader::read(&mut reader) else { return Err(Violation::BadPacket) };
        if header.xid == Xid::NOTIFICATION {
            let Ok(event) = WatcherEvent::read(&mut reader) else {
                return Err(Violation::BadPacket);
            };
            self.notified(header.zxid, &event, replay)?;
            return Ok(Heard::Event);
        }
        let session = self.session;
        let next = self.pending.pop_front();
        let Some(Pending { xid, what, before }) = next.filter(|it| it.xid == header.xid) else {
            return Err(Violation::ReplyOrder { session, xid: header.xid });
        };
        let zxid = header.zxid;
        if zxid < self.seen {
            return Err(Violation::WentBack { session, from: self.seen, to: zxid });
        }
        self.seen = zxid;
        if what == What::SetWatches {
            self.are_set(zxid, replay)?;
        }
        self.check_watches(zxid, replay)?;
        let Some(code) = Code::from_number(header.err) else { return Err(Violation::BadPacket) };
        match what {
            What::Ping | What::SetWatches => Ok(Heard::Nothing),
            What::AddWatch { .. } if code != Code::Ok => {
                Err(Violation::OtherAnswer { session, xid, zxid })
            }
            What::AddWatch { path, mode } => {
                self.standing.add(path, mode, zxid);
                Ok(Heard::Nothing)
            }
            What::Sync if code != Code::Ok || zxid < before => {
                Err(Violation::StaleSync { session, applied: zxid, acked: before })
            }
            What::Sync => Ok(Heard::Synced),
            What::Read { op, path, watch } => {
                self.shown(replay, (op, &path), (zxid, code), reader.rest())?;
                if watch == Watched::Yes {
                    self.leave(op, path, code, zxid);
                }
                Ok(Heard::Read)
            }
            What::Write | What::Close => {
                if replay.take_unwritten(session, xid.0, code) {
                    let is_over = what == What::Close && code == Code::Ok;
                    return Ok(if is_over { Heard::Expired } else { Heard::Nothing });
                }
                let same = replay.take(session, xid.0).filter(|it| it.zxid == zxid);
                let Some(done) = same else {
                    return Err(Violation::NotReplayed { session, xid, zxid });
                };
                let found = if code == Code::Ok { Ok(reader.rest().to_vec()) } else { Err(code) };
                if done.outcome.is_some_and(|it| it != found) {
                    return Err(Violation::OtherAnswer { session, xid, zxid });
                }
                let is_over = what == What::Close && code == Code::Ok;
                Ok(if is_over { Heard::Expired } else { Heard::Written { zxid, before, code } })
            }
        }
    }

    /// A read shows the tree as it was after the transaction that its answer names.
    fn shown(
        &self,
        replay: &Replay,
        (op, path): (Op, &str),
        (zxid, code): (Zxid, Code),
        body: &[u8],
    ) -> Result<(), Violation> {
        let same = match (replay.at(path, zxid), code) {
            (None, Code::NoNode) => true,
            (Some(seen), Code::Ok) => shows(op, seen, body),
            _ => false,
        };
        let session = self.session;
        if same { Ok(()) } else { Err(Violation::OtherRead { session, zxid }) }
    }

    fn leave(&mut self, op: Op, path: String, code: Code, zxid: Zxid) {
        let watch = match (op, code) {
            (Op::GetData | Op::Exists, Code::Ok) => Watch::Data,
            (Op::Exists, Code::NoNode) => Watch::Exist,
            (Op::GetChildren2, Code::Ok) => Watch::Child,
            _ => return,
        };
        self.watches.insert((path, watch), zxid);
    }

    /// An event comes once, for a watch that is there, at the first change behind it, and in the order of changes.
    fn notified(
        &mut self,
        zxid: Zxid,
        event: &WatcherEvent<'_>,
        replay: &Replay,
    ) -> Result<(), Violation> {
        let session = self.session;
        let path = String::from_utf8_lossy(event.path).into_owned();
        let ends: &[Watch] = match event.kind {
            it if it == EventType::NodeDeleted as i32 => &[Watch::Data, Watch::Exist, Watch::Child],
            it if it == EventType::NodeChildrenChanged as i32 => &[Watch::Child],
            _ => &[Watch::Data, Watch::Exist],
        };
        let mut any = false;
        for &watch in ends {
            let Some(after) = self.watches.remove(&(path.clone(), watch)) else { continue };
            any = true;
            let change = replay.change(&path, watch.subject(), after);
            let is_it = change.is_some_and(|(at, kind)| {
                zxid == Zxid(-1) && self.is_setting || at == zxid && kind as i32 == event.kind
            });
            if !is_it {
                return Err(Violation::OtherEvent { session, zxid });
            }
        }
        // Of a znode that has gone, those who watch it and its children hear twice.
        let is_twice =
            self.is_setting && zxid == Zxid(-1) && event.kind == EventType::NodeDeleted as i32;
        let stands = !self.is_setting && self.standing.hear(zxid, &path, event.kind);
        if !any && !is_twice && !stands {
            return Err(Violation::OtherEvent { session, zxid });
        }
        if zxid == Zxid(-1) {
            return Ok(());
        }
        if zxid < self.event {
            return Err(Violation::EventOrder { session, from: self.event, to: zxid });
        }
        self.event = zxid;
        self.check_watches(Zxid(zxid.0 - 1), replay)
    }

    /// Nothing is shown of a change before its event.
    fn check_watches(&mut self, shown: Zxid, replay: &Replay) -> Result<(), Violation> {
        if self.is_setting {
            return Ok(());
        }
        self.standing.check(self.session, shown, replay)?;
        for ((path, watch), &after) in &self.watches {
            let change = replay.change(path, watch.subject(), after);
            if let Some((change, _)) = change.filter(|it| it.0 <= shown) {
                let session = self.session;
                return Err(Violation::WatchAfterData { session, change, shown });
            }
        }
        Ok(())
    }

    /// The watches are set again, and what was missed is told; but a znode that came and went was not there.
    fn are_set(&mut self, zxid: Zxid, replay: &Replay) -> Result<(), Violation> {
        self.is_setting = false;
        self.standing.set(zxid);
        let session = self.session;
        for ((path, watch), after) in &mut self.watches {
            let change = replay.change(path, watch.subject(), *after);
            let is_gone = *watch == Watch::Exist && replay.at(path, zxid).is_none();
            if let Some((change, _)) = change.filter(|it| it.0 <= zxid && !is_gone) {
                return Err(Violation::WatchLost { session, change, set: zxid });
            }
            *after = zxid;
        }
        Ok(())
    }
}

/// Whether the body of an answer shows this.
fn shows(op: Op, seen: &Seen, body: &[u8]) -> bool {
    let stat = |it: &Stat| {
        let mut bytes = Vec::new();
        it.write(&mut bytes);
        bytes
    };
    let mut reader = Reader::new(body);
    match op {
        Op::Exists => body == seen.stat,
        Op::GetData => GetDataResponse::read(&mut reader)
            .is_ok_and(|it| it.data == Some(&seen.data) && stat(&it.stat) == seen.stat),
        _ => GetChildren2Response::read(&mut reader).is_ok_and(|it| {
            let mut names: Vec<&[u8]> = it.children.iter().collect();
            names.sort_unstable();
            let same = names.iter().eq(seen
                .children
                .iter()
                .map(String::as_bytes)
                .collect::<Vec<_>>()
                .iter());
            same && stat(&it.stat) == seen.stat
        }),
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(body);
    out
}
