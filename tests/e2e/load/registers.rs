//! Registers: values that are written once each. Writes are linearizable in the order of their zxids; what one session reads never goes back; a read
//! behind a `sync` shows at least what was written, or shown to anybody, before it began.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use super::{Span, Syncs, Unknown, done};
use crate::ensemble::{asked, trial};
use crate::nomad::Nomad;
use crate::wire::{Body, Chance, Client, Fields, op};

pub(super) const COUNT: usize = 3;

pub(super) fn path(register: usize) -> String {
    format!("/register-{register}")
}

/// A write that was acknowledged.
#[derive(Clone, Debug)]
struct Write {
    register: usize,
    value: String,
    span: Span,
    zxid: i64,
    version: i32,
}

#[derive(Clone, Debug)]
struct Read {
    register: usize,
    value: String,
    span: Span,
    zxid: i64,
    version: i32,
    is_synced: bool,
}

#[derive(Clone, Default)]
pub(super) struct Registers {
    made: u64,
    writes: Vec<Write>,
    reads: Vec<Read>,
    /// Writes without an answer, with their registers.
    unknown: Vec<(usize, String)>,
    /// What this session knows of each register.
    seen: [i64; COUNT],
}

impl Registers {
    pub(super) fn step(
        &mut self,
        number: usize,
        client: &mut Nomad,
        chance: &mut Chance,
    ) -> anyhow::Result<()> {
        let register = chance.below(COUNT as u64) as usize;
        match chance.below(3) {
            0 => self.write(number, register, client),
            1 => self.read(register, client, Instant::now(), None),
            _ => {
                let (begin, travels) = (Instant::now(), client.travels());
                let reply = client.ask(op::SYNC, &Body::default().buffer(b"/"))?;
                ensure!(reply.err == 0, "a sync is answered with error {}", reply.err);
                self.read(register, client, begin, Some(travels))
            }
        }
    }

    fn write(&mut self, number: usize, register: usize, client: &mut Nomad) -> anyhow::Result<()> {
        self.made += 1;
        let value = format!("{number}-{}", self.made);
        let body = Body::default().buffer(path(register).as_bytes());
        let begin = Instant::now();
        let answer = client.ask_once(op::SET_DATA, &body.buffer(value.as_bytes()).int(-1))?;
        let span = Span { begin, end: Instant::now() };
        match done(answer)? {
            Ok(None) => {}
            Err(Unknown) => self.unknown.push((register, value)),
            Ok(Some(reply)) => {
                let stat = Fields(&reply.body).stat()?;
                let (zxid, version) = (stat.mzxid, stat.version);
                self.see(register, zxid)?;
                self.writes.push(Write { register, value, span, zxid, version });
            }
        }
        Ok(())
    }

    /// Since a sync there were so many travels, if there was one.
    fn read(
        &mut self,
        register: usize,
        client: &mut Nomad,
        begin: Instant,
        synced_at: Option<u64>,
    ) -> anyhow::Result<()> {
        let body = Body::default().buffer(path(register).as_bytes()).byte(0);
        let reply = client.ask(op::GET_DATA, &body)?;
        let span = Span { begin, end: Instant::now() };
        // A sync at another server is none.
        let is_synced = synced_at == Some(client.travels());
        let mut fields = Fields(&reply.body);
        let value = String::from_utf8_lossy(fields.buffer()?).into_owned();
        let stat = fields.stat()?;
        let (zxid, version) = (stat.mzxid, stat.version);
        ensure!(zxid <= reply.zxid, "{zxid:#x} is shown in an answer of {:#x}", reply.zxid);
        self.see(register, zxid)?;
        self.reads.push(Read { register, value, span, zxid, version, is_synced });
        Ok(())
    }

    /// A session's own order.
    fn see(&mut self, register: usize, zxid: i64) -> anyhow::Result<()> {
        let seen = &mut self.seen[register];
        ensure!(*seen <= zxid, "register {register}: {zxid:#x} behind {seen:#x} in one session");
        *seen = zxid;
        Ok(())
    }
}

pub(super) fn judge(
    all: &[&Registers],
    syncs: Syncs,
    shown: &mut [Client],
) -> anyhow::Result<String> {
    let mut last = Vec::new();
    for (number, client) in shown.iter_mut().enumerate() {
        let begin = Instant::now();
        for register in 0..COUNT {
            let body = Body::default().buffer(path(register).as_bytes()).byte(0);
            let data = asked(client, op::GET_DATA, &body)?;
            let mut fields = Fields(&data);
            let value = String::from_utf8_lossy(fields.buffer()?).into_owned();
            let stat = fields.stat()?;
            let span = Span { begin, end: Instant::now() };
            let (zxid, version, is_synced) = (stat.mzxid, stat.version, true);
            last.push(Read { register, value, span, zxid, version, is_synced });
        }
        let (own, first) = (&last[number * COUNT..], &last[..COUNT]);
        let is_same = own.iter().zip(first).all(|it| it.0.zxid == it.1.zxid);
        ensure!(is_same, "server {} shows {own:?}, the first {first:?}", number + 1);
    }
    let end = Registers { reads: last, ..Registers::default() };
    let mut all = all.to_vec();
    all.push(&end);
    for register in 0..COUNT {
        let checked = compare(&all, register, syncs);
        checked.with_context(|| format!("register {register}"))?;
    }
    let count = |of: fn(&Registers) -> usize| all.iter().map(|it| of(it)).sum::<usize>();
    let synced = count(|it| it.reads.iter().filter(|it| it.is_synced).count());
    Ok(format!(
        "{} registers written, {} not known, {} read, {synced} of them synced",
        count(|it| it.writes.len()),
        count(|it| it.unknown.len()),
        count(|it| it.reads.len())
    ))
}

/// The histories of all clients of one register.
fn compare(all: &[&Registers], register: usize, syncs: Syncs) -> anyhow::Result<()> {
    let mut writes: Vec<_> = all.iter().flat_map(|it| &it.writes).collect();
    writes.retain(|it| it.register == register);
    let mut reads: Vec<_> = all.iter().flat_map(|it| &it.reads).collect();
    reads.retain(|it| it.register == register);
    in_order(&mut writes)?;
    // What each zxid has written; a version and a value each.
    let mut states = BTreeMap::new();
    let written = writes.iter().map(|it| (it.zxid, it.version, &it.value));
    for (zxid, version, value) in
        written.chain(reads.iter().map(|it| (it.zxid, it.version, &it.value)))
    {
        let before = states.insert(zxid, (version, value));
        let is_same = before.is_none_or(|it| it == (version, value));
        ensure!(is_same, "{zxid:#x} is {before:?}, and {:?}", (version, value));
    }
    for pair in states.iter().collect::<Vec<_>>().windows(2) {
        ensure!(pair[0].1.0 < pair[1].1.0, "versions: {:?} and then {:?}", pair[0], pair[1]);
    }
    let unknown = all.iter().flat_map(|it| &it.unknown).filter(|it| it.0 == register);
    let unknown = unknown.map(|it| &it.1);
    let tried: BTreeSet<_> = writes.iter().map(|it| &it.value).chain(unknown).collect();
    for read in reads.iter().filter(|it| it.version != 0) {
        ensure!(tried.contains(&read.value), "{read:?} shows what nobody has written");
    }
    // Of each value there is one zxid.
    let mut values = BTreeMap::new();
    for (zxid, (_, value)) in &states {
        let before = values.insert(value, zxid);
        ensure!(before.is_none(), "{value} was written at {before:?} and {zxid:#x}");
    }
    match syncs {
        Syncs::Linearizable => fresh(&writes, &reads),
        Syncs::Hasty => Ok(()),
    }
}

/// Writes are in the order of their zxids, as far as one had ended when another began.
fn in_order(writes: &mut [&Write]) -> anyhow::Result<()> {
    writes.sort_by_key(|it| it.zxid);
    let mut last_begun: Option<&Write> = None;
    for &write in &*writes {
        if let Some(before) = last_begun {
            ensure!(before.zxid < write.zxid, "two writes of one zxid: {before:?}, {write:?}");
            ensure!(
                before.span.begin <= write.span.end,
                "{before:?} began after {write:?} had ended"
            );
        }
        last_begun = last_begun.filter(|it| write.span.begin < it.span.begin).or(Some(write));
    }
    Ok(())
}

/// Reads behind a sync show all that anybody had written, or was shown, before they began.
fn fresh(writes: &[&Write], reads: &[&Read]) -> anyhow::Result<()> {
    let told = writes.iter().map(|it| (it.span.end, it.zxid));
    let mut told: Vec<_> = told.chain(reads.iter().map(|it| (it.span.end, it.zxid))).collect();
    told.sort_unstable();
    let mut newest = 0;
    let newest: Vec<_> = told
        .iter()
        .map(|&(at, zxid)| {
            newest = newest.max(zxid);
            (at, newest)
        })
        .collect();
    for read in reads.iter().filter(|it| it.is_synced) {
        let before = newest.partition_point(|it| it.0 < read.span.begin);
        let known = before.checked_sub(1).map_or(0, |it| newest[it].1);
        ensure!(
            known <= read.zxid,
            "{read:?} is behind a sync, and {known:#x} was known before it"
        );
    }
    Ok(())
}

/// Histories that must not pass.
pub(super) fn trials() -> Vec<Trial> {
    let begin = Instant::now();
    let span = move |at: (u64, u64)| {
        let [begin, end] = [at.0, at.1].map(|it| begin + Duration::from_millis(it));
        Span { begin, end }
    };
    let write = move |value: &str, at, zxid, version| {
        let (register, value) = (0, value.to_owned());
        Write { register, value, span: span(at), zxid, version }
    };
    let read = move |value: &str, at, zxid, version| {
        let (register, value, is_synced) = (0, value.to_owned(), true);
        Read { register, value, span: span(at), zxid, version, is_synced }
    };
    let judge = move || {
        let says = |writes: &[Write], reads: &[Read], why: &str| {
            let (writes, reads) = (writes.to_vec(), reads.to_vec());
            let one = Registers { writes, reads, ..Registers::default() };
            let said = compare(&[&one], 0, Syncs::Linearizable).err().map(|it| it.to_string());
            let is_found =
                said.as_ref().map_or(why.is_empty(), |it| !why.is_empty() && it.contains(why));
            ensure!(is_found, "{said:?}, not '{why}'");
            anyhow::Ok(())
        };
        let [a, b] = [write("a", (0, 5), 1, 1), write("b", (6, 9), 2, 2)];
        says(&[a.clone(), b.clone()], &[read("b", (10, 11), 2, 2)], "")?;
        says(&[a.clone(), b.clone()], &[read("a", (8, 11), 1, 1)], "")?;
        says(&[a.clone(), b.clone()], &[read("a", (10, 11), 1, 1)], "behind a sync")?;
        says(std::slice::from_ref(&a), &[read("c", (10, 11), 3, 2)], "nobody has written")?;
        says(std::slice::from_ref(&a), &[read("a", (10, 11), 3, 2)], "was written at")?;
        says(&[a.clone(), b], &[read("c", (7, 8), 1, 1)], "0x1 is")?;
        says(&[write("a", (0, 5), 2, 2), write("b", (6, 9), 1, 1)], &[], "had ended")?;
        says(&[a, write("b", (6, 9), 2, 1)], &[], "versions")
    };
    vec![trial("load_a_register_that_goes_back_is_found_out", judge)]
}
