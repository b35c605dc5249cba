//! The last stage: transactions that are decided are applied, and everybody hears of it. Whatever the server's role.
//!
//! ZooKeeper: `FinalRequestProcessor`, `ZKDatabase`. Owns the tree, and what the pipeline knows of connections and sessions.
//! It outlives roles; what a role orders is elsewhere.
//!
//! Invariants: between [`Applier::begin`] and [`Applier::end`] transactions are applied and answers written; readers see none of it
//! until [`Applier::publish`], and every shard's message is to be handed over in between.
//!
//! Absent here: what is decided and when, rings, clocks.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::ahead::Entries;
use engine::apply::{ApplyError, Replay};
use engine::arena::Full;
use engine::auth::AuthIds;
use engine::eager;
use engine::read::{ReadRequest, serve};
use engine::rules::Rules;
use engine::session::SessionTracker;
use engine::state::{Fuzzy, State};
use engine::tree::TreeView;
use jute::{Code, Op, Record as _, SessionId, TxnHeader, Zxid};
use net::figures::PipelineFigures;
use net::message::{Deliver, DeliverItem};
use net::words::MemberGauges;
use quorum::QuorumConfig;
use snapshot::Beside;
use wal::batch::Records;

use super::Moment;
use super::connections::{Connections, Home, Owner};
use super::local::LocalSessions;
use super::outbox::{Outbox, Sink};
use super::stage::Asker;

/// Transactions from one kept digest to the next. Source: `DataTree.DIGEST_LOG_INTERVAL`.
const DIGEST_EVERY: i64 = 128;

/// Digests kept. Source: `DataTree.DIGEST_LOG_LIMIT`.
pub(super) const DIGESTS_MAX: usize = 1024;

/// The tree, who is connected, and what they are told. One per server.
#[derive(Debug)]
pub struct Applier {
    pub(super) state: State,
    pub(super) rules: Rules,
    pub(super) sessions: SessionTracker<Home>,
    shards: Vec<Connections>,
    pub(super) outbox: Outbox,
    pub(super) figures: PipelineFigures,
    /// At most [`DIGESTS_MAX`]; the oldest goes.
    digests: VecDeque<(Zxid, u64)>,
    /// How far the batch is that is being applied.
    applied: Zxid,
    /// Whether the batch has changed the tree.
    changes: Changes,
    /// Whether [`Applier::publish`] is owed.
    unpublished: bool,
    /// Why nothing may be served from the tree any more: a decided transaction did not leave what it should.
    diverged: Option<ApplyError>,
    mode: Mode,
    /// Where it is one of an ensemble.
    pub(super) local: Option<LocalSessions>,
    /// Where it is one of an ensemble: how it stands there. As the driver last said.
    member: Option<MemberGauges>,
}

/// What a server is, as four-letter words say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// No member of an ensemble.
    #[default]
    Standalone,
    /// It leads.
    Leader,
    /// It follows, and votes.
    Follower,
    /// It is told, and does not vote.
    Observer,
    /// It has no leader, and serves nobody.
    Looking,
    /// It has no leader, and serves those who read only.
    ReadOnly,
}

impl Mode {
    /// Its name, in the words `srvr`, `stat` and `mntr`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::Looking => "looking",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Whether a batch has transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// It has.
    Some,
    /// Only answers wait in it.
    None,
}

impl Applier {
    /// Starts on a tree, for `shards` session shards. Every session of the tree has a whole timeout from now on.
    pub fn new(
        state: State,
        rules: Rules,
        sessions: SessionTracker<Home>,
        shards: usize,
        now_ms: u64,
    ) -> Self {
        let applied = state.tree().zxid();
        let mut applier = Self {
            state,
            rules,
            sessions,
            shards: std::iter::repeat_with(Connections::default).take(shards).collect(),
            outbox: Outbox::new(shards, applied),
            figures: PipelineFigures::default(),
            digests: VecDeque::new(),
            applied,
            changes: Changes::None,
            unpublished: false,
            diverged: None,
            mode: Mode::Standalone,
            local: None,
            member: None,
        };
        applier.track_sessions(now_ms);
        applier
    }

    fn track_sessions(&mut self, now_ms: u64) {
        let count = self.state.tree().look(TreeView::session_count);
        for at in 0..count {
            let session = self.state.tree().look(|view| view.session_at(at));
            self.sessions.open(now_ms, session.id, session.timeout_ms as i32);
        }
    }

    /// A role begins or ends: every connection has ended, and every session has a whole timeout from now on.
    pub fn start_over(&mut self, now_ms: u64) {
        for shard in &mut self.shards {
            *shard = Connections::default();
        }
        if self.diverged.is_some() {
            self.outbox.forget();
        }
        self.sessions.clear();
        self.clear_local();
        self.track_sessions(now_ms);
    }

    /// Applies decided transactions while nobody is served: `batches` gives each to what it is given.
    pub fn replay(&mut self, batches: impl FnOnce(&mut dyn FnMut(Records<'_>))) {
        self.begin(Changes::Some);
        let Self { state, applied, diverged, .. } = self;
        batches(&mut |records| {
            let mut entries = Entries::new(records);
            while diverged.is_none()
                && let Some((_, entry)) = entries.next(state)
            {
                match state.apply(entry, &mut Replay) {
                    Ok(done) => *applied = done.header.zxid,
                    Err(error) => *diverged = Some(divergence(error)),
                }
            }
        });
        self.end();
        if self.diverged.is_none() {
            self.publish();
        }
    }

    /// The leader's tree takes the place of this one, while nobody is served.
    pub fn replace(&mut self, now_ms: u64, image: &Beside) {
        self.diverged = None;
        if self.unpublished {
            self.publish();
        }
        let replaced = image.replace(&mut self.state);
        assert!(replaced.is_ok(), "the region is as large as the one that was filled");
        self.state.set_fuzzy(Fuzzy::Yes);
        self.applied = self.state.tree().zxid();
        self.digests.clear();
        self.outbox.seal(self.applied);
        self.start_over(now_ms);
    }

    /// Why nothing may be served from the tree any more, until another takes its place. Nobody was shown or told what the last batch did.
    pub fn diverged(&self) -> Option<ApplyError> {
        self.diverged
    }

    /// Everything that a fuzzy tree could be ahead by is applied.
    pub fn settle(&mut self) {
        self.state.set_fuzzy(Fuzzy::No);
    }

    /// Shows the ensemble's configuration, where it came without a transaction. While nobody is served.
    ///
    /// # Errors
    /// [`Full`]: the one before is shown.
    pub fn show_config(&mut self, config: &QuorumConfig, wall_ms: i64) -> Result<(), Full> {
        let text = config.to_string();
        let zxid = self.state.tree().zxid();
        self.state.begin();
        let done = self.state.show_config(text.as_bytes(), config.version(), wall_ms);
        self.state.commit(zxid);
        done
    }

    /// What the server is from now on.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// How the server stands in its ensemble, for whoever looks next.
    pub(crate) fn set_member(&mut self, member: MemberGauges) {
        self.member = Some(member);
    }

    /// How it stands in its ensemble, if it is one of one.
    pub(crate) fn member(&self) -> Option<&MemberGauges> {
        self.member.as_ref()
    }

    /// What the server is.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Tells every shard this.
    pub fn tell_all(&mut self, item: impl Fn() -> DeliverItem) {
        self.outbox.push_all(item);
    }

    /// The tree and what follows from it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The tree, to take its image between two batches.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The sessions and their owners.
    pub fn sessions(&self) -> &SessionTracker<Home> {
        &self.sessions
    }

    /// What it has done.
    pub fn figures(&self) -> &PipelineFigures {
        &self.figures
    }

    /// The same, for what the driver measures, and to forget it.
    pub fn figures_mut(&mut self) -> &mut PipelineFigures {
        &mut self.figures
    }

    /// The tree's digests after some of the last transactions. Source: `ZooKeeperServer.getDigestLog`.
    pub fn digests(&self) -> impl Iterator<Item = (Zxid, u64)> {
        self.digests.iter().copied()
    }

    /// The connection's session and ids, if it is still there.
    pub(super) fn find(&self, owner: Owner) -> Option<(SessionId, &Arc<AuthIds>)> {
        self.shards[owner.shard].find(owner.conn)
    }

    /// The connection belongs to `session` from now on.
    pub(super) fn open(&mut self, owner: Owner, session: SessionId, auth: Arc<AuthIds>) {
        self.shards[owner.shard].open(owner.conn, session, auth);
    }

    /// The connection's ids are others now.
    pub(super) fn set_auth(&mut self, owner: Owner, auth: Arc<AuthIds>) {
        self.shards[owner.shard].set_auth(owner.conn, auth);
    }

    /// Nothing of this connection counts any more.
    pub(super) fn close(&mut self, owner: Owner) {
        self.shards[owner.shard].close(owner.conn);
    }

    /// Ends a connection without a word, if it is still there.
    pub(super) fn cut(&mut self, owner: Owner) {
        if self.find(owner).is_some() {
            self.close(owner);
            self.outbox.push(owner, DeliverItem::Close { conn: owner.conn });
        }
    }

    /// Begins a batch.
    pub(super) fn begin(&mut self, changes: Changes) {
        assert!(!self.unpublished);
        self.unpublished = true;
        self.changes = changes;
        if changes == Changes::Some {
            self.state.begin();
        }
        self.applied = self.state.tree().zxid();
    }

    /// Ends a batch: the messages can be taken.
    pub(super) fn end(&mut self) {
        self.outbox.seal(self.applied);
    }

    /// Whether a batch was applied that readers do not see yet.
    #[cfg(test)]
    pub(crate) fn owes_publish(&self) -> bool {
        self.unpublished
    }

    /// Shows readers what the batch did. Whether the tree moved.
    pub(super) fn publish(&mut self) -> Option<Zxid> {
        assert_eq!(self.diverged, None, "it is not to be shown");
        assert!(self.unpublished);
        self.unpublished = false;
        let moved = self.changes == Changes::Some;
        if moved {
            self.state.commit(self.applied);
        }
        moved.then_some(self.applied)
    }

    /// What a shard is told of the batch; none if it is nothing.
    pub fn deliver(&mut self, shard: usize) -> Option<Deliver> {
        self.outbox.take(shard)
    }

    /// Gives a message's memory back.
    pub fn recycle(&mut self, shard: usize, spent: Deliver) {
        self.outbox.recycle(shard, spent);
    }

    /// Applies a transaction, and answers whoever asked for it.
    pub(super) fn apply(
        &mut self,
        moment: Moment,
        asker: Option<Asker>,
        entry: &[u8],
    ) -> TxnHeader {
        let mut sink = Sink::new(&mut self.outbox, asker);
        let done = match self.state.apply(entry, &mut sink) {
            Ok(done) => done,
            // What is on the disk cannot be done: nothing may be served from this tree any more.
            Err(error) if self.mode == Mode::Standalone => cannot_apply(error),
            Err(error) => {
                self.diverged.get_or_insert_with(|| divergence(error));
                return TxnHeader::decode(entry).unwrap_or_else(|_| cannot_apply(error));
            }
        };
        self.applied = done.header.zxid;
        let latency_ms = moment.wall_ms.saturating_sub(done.header.time_ms).max(0);
        self.figures.propagation_latency.add(latency_ms as u64);
        match self.mode {
            Mode::Leader => self.figures.quorum_ack_latency.add(latency_ms as u64),
            Mode::Follower | Mode::Observer => {
                self.figures.commit_propagation_latency.add(latency_ms as u64);
            }
            Mode::Standalone | Mode::Looking | Mode::ReadOnly => {}
        }
        if self.applied.0 % DIGEST_EVERY == 0 {
            if self.digests.len() == DIGESTS_MAX {
                self.digests.pop_front();
            }
            self.digests.push_back((self.applied, self.state.tree().look(TreeView::digest)));
        }
        if let Some(asker) = asker {
            self.outbox.reply(asker, done.header.zxid, done.code);
        }
        for session in self.outbox.closed() {
            self.note_ended(session);
            let Some(Home::Here(owner)) = self.sessions.remove(session) else { continue };
            // Whoever asked for it hears of it by the reply.
            if asker.is_none_or(|asker| asker.owner != owner) {
                self.cut(owner);
            }
        }
        done.header
    }

    /// Answers a read at its place between transactions.
    pub(super) fn read(&mut self, asker: Asker, session: SessionId, op: Op, body: &[u8]) {
        let Owner { shard, conn } = asker.owner;
        let Some((_, auth)) = self.shards[shard].find(conn) else { return };
        let request = ReadRequest { op, body, session, auth };
        let out = self.outbox.body();
        let served = self.state.tree().look(|view| serve(view, &self.rules, &request, out));
        self.outbox.reply(asker, self.applied, served.code);
    }

    /// Answers without a body.
    pub(super) fn answer(&mut self, asker: Asker, code: Code) {
        self.outbox.body();
        self.outbox.reply(asker, self.applied, code);
    }

    /// What a request is refused with before anybody makes a transaction of it, as far as the tree shows it.
    pub(super) fn refuses(&self, auth: &AuthIds, op: Op, body: &[u8]) -> Option<Code> {
        self.state.tree().look(|view| eager::refusal(view, &self.rules, auth, (op, body)))
    }

    /// Answers what no transaction was made of, as the reference does: of no zxid.
    pub(super) fn refuse(&mut self, asker: Asker, code: Code) {
        self.outbox.body();
        self.outbox.reply(asker, Zxid::ZERO, code);
    }

    /// A handshake goes on with its session.
    pub(super) fn connected(&mut self, owner: Owner, session: SessionId, timeout_ms: i32) {
        let conn = owner.conn;
        self.outbox.push(owner, DeliverItem::Connected { conn, session, timeout_ms });
    }

    /// A new session's handshake is answered.
    pub(super) fn opened(
        &mut self,
        moment: Moment,
        owner: Owner,
        session: SessionId,
        timeout_ms: i32,
    ) {
        self.sessions.open(moment.now_ms, session, timeout_ms);
        // A connection that has gone meanwhile leaves its session to expire.
        if self.find(owner).is_some() {
            let before = self.sessions.set_owner(session, Home::Here(owner));
            assert_eq!(before, Ok(None), "a new session has no connection yet");
        }
        self.connected(owner, session, timeout_ms);
    }
}

/// The error if an image of the ensemble's tree is the remedy.
fn divergence(error: ApplyError) -> ApplyError {
    match error {
        // Behind the first, everything else follows from it.
        ApplyError::Digest { .. } | ApplyError::Children { .. } | ApplyError::Order { .. } => error,
        _ => cannot_apply(error),
    }
}

fn cannot_apply(error: ApplyError) -> ! {
    panic!("a transaction that is decided cannot be applied: {error}")
}
