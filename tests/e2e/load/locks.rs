//! A lock: who has the lowest of the ephemeral sequential znodes has it. Never two at once; and a znode that only holders write, each with the
//! czxid of its own znode, is never written with a lower one.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use super::{BAD_VERSION, NO_NODE, REFUSED, Span, Unknown, children, done};
use crate::ensemble::trial;
use crate::nomad::Nomad;
use crate::wire::{Body, Fields, op};

pub(super) const PATH: &str = "/lock";
pub(super) const FENCED: &str = "/fenced";

#[derive(Default)]
pub(super) struct Locks {
    /// When it was held: from the answer that said so to the question that gave it back.
    held: Vec<Span>,
}

impl Locks {
    /// Tries the lock once, and gives it back.
    pub(super) fn step(&mut self, number: usize, client: &mut Nomad) -> anyhow::Result<()> {
        let create = Body::default().create(&format!("{PATH}/{number}-"), b"", 3);
        let czxid = match done(client.ask_once(op::CREATE2, &create)?)? {
            Ok(Some(reply)) => {
                let mut fields = Fields(&reply.body);
                fields.buffer()?;
                fields.stat()?.czxid
            }
            Ok(None) => return Ok(()),
            // One may be there that is not known to be: it is found below.
            Err(Unknown) => return self.give_back(number, client, None),
        };
        let names = children(client, PATH)?;
        let lowest = names.iter().min_by_key(|it| it.rsplit('-').next().map(str::to_owned));
        let is_own = |it: &&String| it.starts_with(&format!("{number}-"));
        ensure!(names.iter().any(|it| is_own(&it)), "client {number} does not see its own znode");
        let begin = lowest.filter(is_own).map(|_| Instant::now());
        if begin.is_some() {
            write_fenced(client, czxid)?;
        }
        self.give_back(number, client, begin)
    }

    /// Deletes all of its own; it has held the lock since `begin`.
    fn give_back(
        &mut self,
        number: usize,
        client: &mut Nomad,
        begin: Option<Instant>,
    ) -> anyhow::Result<()> {
        let end = Instant::now();
        let own = format!("{number}-");
        let names = children(client, PATH)?;
        self.held.extend(begin.map(|begin| Span { begin, end }));
        for name in names.iter().filter(|it| it.starts_with(&own)) {
            let body = Body::default().buffer(format!("{PATH}/{name}").as_bytes()).int(-1);
            // Deletes are never refused for want of room.
            let err = client.ask(op::DELETE, &body)?.err;
            ensure!([0, NO_NODE].contains(&err), "{name} cannot be deleted: error {err}");
        }
        Ok(())
    }
}

/// Writes the czxid there; what stands there is lower.
fn write_fenced(client: &mut Nomad, czxid: i64) -> anyhow::Result<()> {
    let reply = client.ask(op::GET_DATA, &Body::default().buffer(FENCED.as_bytes()).byte(0))?;
    ensure!(reply.err == 0, "{FENCED}: error {}", reply.err);
    let mut fields = Fields(&reply.body);
    let data = fields.buffer()?.to_vec();
    let version = fields.stat()?.version;
    if !data.is_empty() {
        let before = i64::from_be_bytes(data[..].try_into().context("eight bytes")?);
        ensure!(before < czxid, "{before:#x} is written, and {czxid:#x} has the lock");
    }
    let body = Body::default().buffer(FENCED.as_bytes()).buffer(&czxid.to_be_bytes()).int(version);
    let err = client.ask_once(op::SET_DATA, &body)?.map_or(0, |it| it.err);
    // Of a write before this one the answer may have been lost, and it came late; nobody else writes.
    ensure!([0, REFUSED, BAD_VERSION].contains(&err), "{FENCED}: error {err}");
    ensure!(err != BAD_VERSION, "{FENCED} was written by another while {czxid:#x} has the lock");
    Ok(())
}

pub(super) fn judge(all: &[&Locks]) -> anyhow::Result<String> {
    let mut held: Vec<_> = all.iter().flat_map(|it| &it.held).copied().collect();
    held.sort_by_key(|it| it.begin);
    for pair in held.windows(2) {
        let over = pair[0].end.saturating_duration_since(pair[1].begin);
        ensure!(over.is_zero(), "two had the lock at once, for {over:?}");
    }
    Ok(format!("{} times locked", held.len()))
}

/// A history that must not pass.
pub(super) fn trials() -> Vec<Trial> {
    let judge = || {
        let begin = Instant::now();
        let at = |ms| begin + std::time::Duration::from_millis(ms);
        let held = |spans: &[(u64, u64)]| Locks {
            held: spans.iter().map(|it| Span { begin: at(it.0), end: at(it.1) }).collect(),
        };
        judge(&[&held(&[(0, 5), (20, 30)]), &held(&[(6, 20)])])?;
        ensure!(judge(&[&held(&[(0, 5), (20, 30)]), &held(&[(6, 21)])]).is_err(), "it passes");
        Ok(())
    };
    vec![trial("load_a_lock_that_two_have_at_once_is_found_out", judge)]
}
