//! A set, of which each client adds and removes members of its own: what was added and not removed is there, and nothing else.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::{REFUSED, Unknown, children, children_shown, done};
use crate::nomad::Nomad;
use crate::wire::{Body, Chance, Client, op};

pub(super) const PATH: &str = "/set";

/// Members of one client.
const MANY: usize = 60;

#[derive(Default)]
pub(super) struct Set {
    made: u64,
    /// Added, and acknowledged.
    members: BTreeSet<String>,
    /// May be there, or not.
    unknown: BTreeSet<String>,
}

impl Set {
    pub(super) fn step(
        &mut self,
        number: usize,
        client: &mut Nomad,
        chance: &mut Chance,
    ) -> anyhow::Result<()> {
        let is_large = MANY < self.members.len();
        if (is_large || chance.below(3) == 0)
            && let Some(name) = self.members.pop_first()
        {
            let body = Body::default().buffer(format!("{PATH}/{name}").as_bytes()).int(-1);
            match client.ask_once(op::DELETE, &body)? {
                None => drop(self.unknown.insert(name)),
                Some(reply) if reply.err == REFUSED => drop(self.members.insert(name)),
                Some(reply) => ensure!(reply.err == 0, "{name} cannot be removed: {}", reply.err),
            }
            return Ok(());
        }
        self.made += 1;
        let name = format!("{number}-{}", self.made);
        let create = Body::default().create(&format!("{PATH}/{name}"), b"", 0);
        match done(client.ask_once(op::CREATE, &create)?)? {
            Ok(Some(_)) => drop(self.members.insert(name)),
            Ok(None) => {}
            Err(Unknown) => drop(self.unknown.insert(name)),
        }
        if chance.below(10) == 0 {
            let seen: BTreeSet<_> = children(client, PATH)?.into_iter().collect();
            self.compare(number, &seen)?;
        }
        Ok(())
    }

    /// A session sees what it has done itself, and nobody else does anything to that.
    fn compare(&self, number: usize, seen: &BTreeSet<String>) -> anyhow::Result<()> {
        let lost = self.members.difference(seen).next();
        ensure!(lost.is_none(), "{lost:?} was added, and is not in the set");
        let own = format!("{number}-");
        let is_strange = |it: &&String| {
            it.starts_with(&own) && !self.members.contains(*it) && !self.unknown.contains(*it)
        };
        let strange = seen.iter().find(is_strange);
        ensure!(strange.is_none(), "{strange:?} was removed, or never added, and is in the set");
        Ok(())
    }
}

pub(super) fn judge(all: &[&Set], shown: &mut [Client]) -> anyhow::Result<String> {
    for client in shown {
        let seen: BTreeSet<_> = children_shown(client, PATH)?.into_iter().collect();
        for (number, set) in all.iter().enumerate() {
            set.compare(number, &seen)?;
        }
    }
    Ok(format!("{} members added", all.iter().map(|it| it.made).sum::<u64>()))
}
