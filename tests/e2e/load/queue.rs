//! A queue: sequential znodes, of which the lowest is taken by its delete. Nothing is lost, nothing is taken twice, nothing appears.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use libtest_mimic::Trial;

use super::{NO_NODE, REFUSED, Unknown, children, children_shown, done};
use crate::ensemble::{asked, trial};
use crate::nomad::Nomad;
use crate::wire::{Body, Chance, Client, Fields, op};

pub(super) const PATH: &str = "/queue";

#[derive(Clone, Default)]
pub(super) struct Queue {
    made: u64,
    /// Put in, and acknowledged.
    put: Vec<String>,
    /// Taken, and acknowledged.
    taken: Vec<String>,
    maybe_put: BTreeSet<String>,
    maybe_taken: BTreeSet<String>,
}

impl Queue {
    pub(super) fn step(
        &mut self,
        number: usize,
        client: &mut Nomad,
        chance: &mut Chance,
    ) -> anyhow::Result<()> {
        if chance.below(2) == 0 {
            return self.take(client);
        }
        self.made += 1;
        let item = format!("{number}-{}", self.made);
        let create = Body::default().create(&format!("{PATH}/item-"), item.as_bytes(), 2);
        match done(client.ask_once(op::CREATE, &create)?)? {
            Ok(Some(_)) => self.put.push(item),
            Ok(None) => {}
            Err(Unknown) => drop(self.maybe_put.insert(item)),
        }
        Ok(())
    }

    fn take(&mut self, client: &mut Nomad) -> anyhow::Result<()> {
        let Some(name) = children(client, PATH)?.into_iter().min() else { return Ok(()) };
        let path = format!("{PATH}/{name}");
        let reply = client.ask(op::GET_DATA, &Body::default().buffer(path.as_bytes()).byte(0))?;
        if reply.err == NO_NODE {
            return Ok(());
        }
        let item = String::from_utf8_lossy(Fields(&reply.body).buffer()?).into_owned();
        let delete = Body::default().buffer(path.as_bytes()).int(-1);
        match client.ask_once(op::DELETE, &delete)?.map(|it| it.err) {
            Some(0) => self.taken.push(item),
            Some(NO_NODE | REFUSED) => {}
            None => drop(self.maybe_taken.insert(item)),
            Some(err) => bail!("{path} cannot be taken: error {err}"),
        }
        Ok(())
    }
}

pub(super) fn judge(all: &[&Queue], shown: &mut [Client]) -> anyhow::Result<String> {
    for client in shown {
        let mut left = Vec::new();
        for name in children_shown(client, PATH)? {
            let path = Body::default().buffer(format!("{PATH}/{name}").as_bytes()).byte(0);
            let data = asked(client, op::GET_DATA, &path)?;
            left.push(String::from_utf8_lossy(Fields(&data).buffer()?).into_owned());
        }
        compare(all, &left)?;
    }
    Ok(format!("{} items taken", all.iter().map(|it| it.taken.len()).sum::<usize>()))
}

/// The clients' histories, and what is left in the queue.
fn compare(all: &[&Queue], left: &[String]) -> anyhow::Result<()> {
    let mut gone = BTreeSet::new();
    for item in all.iter().flat_map(|it| &it.taken) {
        ensure!(gone.insert(item), "{item} was taken twice");
    }
    let mut there = BTreeSet::new();
    for item in left {
        ensure!(!gone.contains(item), "{item} was taken, and is in the queue");
        ensure!(there.insert(item), "{item} is in the queue twice");
    }
    let maybe: BTreeSet<_> = all.iter().flat_map(|it| &it.maybe_taken).collect();
    for item in all.iter().flat_map(|it| &it.put) {
        let is_known = gone.contains(item) || there.contains(item) || maybe.contains(item);
        ensure!(is_known, "{item} was put into the queue, and is lost");
    }
    let put: BTreeSet<_> = all.iter().flat_map(|it| it.put.iter().chain(&it.maybe_put)).collect();
    let strange = gone.union(&there).find(|it| !put.contains(*it));
    ensure!(strange.is_none(), "{strange:?} was never put into the queue");
    Ok(())
}

/// Histories that must not pass.
pub(super) fn trials() -> Vec<Trial> {
    let items = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let one = Queue { put: items(&["a", "b"]), taken: items(&["a"]), ..Queue::default() };
    let judge = move || {
        compare(&[&one], &items(&["b"]))?;
        let says = |more: Queue, left: &[&str], why: &str| {
            let said = compare(&[&one, &more], &items(left)).err().map(|it| it.to_string());
            ensure!(said.as_ref().is_some_and(|it| it.contains(why)), "{said:?}, not {why}");
            anyhow::Ok(())
        };
        says(Queue::default(), &[], "b was put into the queue, and is lost")?;
        says(Queue::default(), &["a", "b"], "a was taken, and is in the queue")?;
        let twice = Queue { taken: items(&["a"]), ..Queue::default() };
        says(twice, &["b"], "a was taken twice")?;
        says(Queue::default(), &["b", "c"], "was never put")
    };
    vec![trial("load_a_queue_that_loses_or_doubles_an_item_is_found_out", judge)]
}
