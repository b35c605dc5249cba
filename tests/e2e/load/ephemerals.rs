//! Ephemerals: there as long as their session, and no longer, whether that was closed or is never heard of again.
//!
//! Each client has some of its own session's, which lasts. Guests are sessions that make one and go: they say so, or just vanish.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use super::{REFUSED, Unknown, children, children_shown, done};
use crate::ensemble::trial;
use crate::nomad::Nomad;
use crate::process::until_some;
use crate::wire::{Body, Chance, Client, op};

pub(super) const PATH: &str = "/ephemerals";

/// Of one client's own session.
const MANY: usize = 20;

/// How long a guest's session lasts without it.
const GUEST: Duration = Duration::from_secs(2);

#[derive(Clone, Default)]
pub(super) struct Ephemerals {
    made: u64,
    /// Of the client's own session, and acknowledged.
    own: BTreeSet<String>,
    /// May be there, or not.
    unknown: BTreeSet<String>,
    /// Of guests whose end was acknowledged, and the zxid then.
    closed: Vec<(String, i64)>,
    /// Of guests who vanished, or whose end was not acknowledged.
    left: Vec<String>,
}

impl Ephemerals {
    pub(super) fn step(
        &mut self,
        number: usize,
        client: &mut Nomad,
        chance: &mut Chance,
    ) -> anyhow::Result<()> {
        match chance.below(4) {
            0 => {
                self.be_guest(number, client, chance);
                Ok(())
            }
            1 if MANY < self.own.len() => self.remove(client),
            1 => self.add(number, client),
            _ => {
                let seen = client.seen();
                let names = children(client, PATH)?.into_iter().collect();
                self.compare(number, &names, seen)
            }
        }
    }

    fn add(&mut self, number: usize, client: &mut Nomad) -> anyhow::Result<()> {
        let name = self.name(number);
        match done(client.ask_once(op::CREATE, &create(&name))?)? {
            Ok(Some(_)) => drop(self.own.insert(name)),
            Ok(None) => {}
            Err(Unknown) => drop(self.unknown.insert(name)),
        }
        Ok(())
    }

    fn remove(&mut self, client: &mut Nomad) -> anyhow::Result<()> {
        let Some(name) = self.own.pop_first() else { return Ok(()) };
        let body = Body::default().buffer(format!("{PATH}/{name}").as_bytes()).int(-1);
        match client.ask_once(op::DELETE, &body)? {
            None => drop(self.unknown.insert(name)),
            Some(reply) if reply.err == REFUSED => drop(self.own.insert(name)),
            Some(reply) => ensure!(reply.err == 0, "{name} cannot be removed: {}", reply.err),
        }
        Ok(())
    }

    /// A session beside the client's own, which makes one.
    fn be_guest(&mut self, number: usize, client: &Nomad, chance: &mut Chance) {
        // Who is not let in has made nothing.
        let Ok(Some(mut guest)) = client.guest(GUEST) else { return };
        let name = self.name(number);
        let is_made = guest.ask(op::CREATE, &create(&name)).is_ok_and(|it| it.err == 0);
        let says_so = is_made && chance.below(2) == 0;
        let closed = says_so.then(|| guest.ask(op::CLOSE_SESSION, &Body::default()));
        match closed {
            Some(Ok(reply)) if reply.err == 0 => self.closed.push((name, reply.zxid)),
            _ => self.left.push(name),
        }
    }

    fn name(&mut self, number: usize) -> String {
        self.made += 1;
        format!("{number}-{}", self.made)
    }

    /// What there is to somebody who had been shown this zxid before.
    fn compare(&self, number: usize, names: &BTreeSet<String>, seen: i64) -> anyhow::Result<()> {
        let lost = self.own.difference(names).next();
        ensure!(lost.is_none(), "{lost:?} is gone before its session");
        let mut closed = self.closed.iter().filter(|it| it.1 <= seen);
        let outlives = closed.find(|it| names.contains(&it.0));
        ensure!(outlives.is_none(), "{outlives:x?} outlives its session, to one at {seen:#x}");
        let is_known = |it: &String| {
            self.own.contains(it)
                || self.unknown.contains(it)
                || self.left.contains(it)
                || self.closed.iter().any(|closed| closed.0 == *it)
        };
        let own = format!("{number}-");
        let strange = names.iter().find(|it| it.starts_with(&own) && !is_known(it));
        ensure!(strange.is_none(), "{strange:?} was removed, or never made, and is there");
        Ok(())
    }
}

fn create(name: &str) -> Body {
    Body::default().create(&format!("{PATH}/{name}"), b"", 1)
}

pub(super) fn judge(all: &[&Ephemerals], shown: &mut [Client]) -> anyhow::Result<String> {
    for (server, client) in shown.iter_mut().enumerate() {
        let what = format!("what guests left goes with their sessions, at server {}", server + 1);
        let mut last = None;
        let names = until_some(what, || {
            let names: BTreeSet<_> = children_shown(client, PATH)?.into_iter().collect();
            last = all.iter().flat_map(|it| &it.left).find(|it| names.contains(*it));
            Ok(last.is_none().then_some(names))
        });
        let names = names.with_context(|| format!("{last:?} is there"))?;
        for (number, one) in all.iter().enumerate() {
            one.compare(number, &names, i64::MAX)?;
        }
    }
    let count = |of: fn(&Ephemerals) -> usize| all.iter().map(|it| of(it)).sum::<usize>();
    Ok(format!(
        "{} ephemerals of guests who closed, {} of guests who vanished",
        count(|it| it.closed.len()),
        count(|it| it.left.len())
    ))
}

/// Histories that must not pass.
pub(super) fn trials() -> Vec<Trial> {
    let judge = || {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let one = Ephemerals {
            own: names(&["0-1"]),
            unknown: names(&["0-2"]),
            closed: vec![("0-3".to_owned(), 7)],
            ..Ephemerals::default()
        };
        one.compare(0, &names(&["0-1", "0-2", "1-1"]), 9)?;
        one.compare(0, &names(&["0-1", "0-3"]), 6)?;
        let says = |left: &[&str], why: &str| {
            let said = one.compare(0, &names(left), 7).err().map(|it| it.to_string());
            ensure!(said.as_ref().is_some_and(|it| it.contains(why)), "{said:?}, not {why}");
            anyhow::Ok(())
        };
        says(&["0-2"], "is gone before its session")?;
        says(&["0-1", "0-3"], "outlives its session")?;
        says(&["0-1", "0-4"], "never made")
    };
    vec![trial("load_an_ephemeral_that_goes_early_or_late_is_found_out", judge)]
}
