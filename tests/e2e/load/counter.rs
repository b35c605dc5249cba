//! A znode that all count up, by the version that each was shown: no version is acknowledged twice, no session sees it go back.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};

use super::{BAD_VERSION, REFUSED};
use crate::ensemble::asked;
use crate::nomad::Nomad;
use crate::wire::{Body, Client, Fields, op};

pub(super) const PATH: &str = "/counter";

#[derive(Default)]
pub(super) struct Counter {
    /// Versions that this client's sets have made, and that were acknowledged.
    counted: Vec<i32>,
    seen: i32,
}

impl Counter {
    pub(super) fn step(&mut self, client: &mut Nomad) -> anyhow::Result<()> {
        let reply = client.ask(op::EXISTS, &Body::default().buffer(PATH.as_bytes()).byte(0))?;
        ensure!(reply.err == 0, "the counter is gone: error {}", reply.err);
        let version = Fields(&reply.body).stat()?.version;
        ensure!(self.seen <= version, "version {} is seen, and then {version}", self.seen);
        self.seen = version;
        let count = Body::default().buffer(PATH.as_bytes()).buffer(b"x").int(version);
        match client.ask_once(op::SET_DATA, &count)?.map(|it| it.err) {
            Some(0) => {
                self.counted.push(version + 1);
                self.seen = version + 1;
            }
            Some(BAD_VERSION | REFUSED) | None => {}
            Some(err) => bail!("the counter: error {err}"),
        }
        Ok(())
    }
}

pub(super) fn judge(all: &[&Counter], shown: &mut [Client]) -> anyhow::Result<String> {
    let mut versions = BTreeSet::new();
    for version in all.iter().flat_map(|it| &it.counted) {
        ensure!(versions.insert(*version), "version {version} was acknowledged to two clients");
    }
    let counted = versions.last().copied().unwrap_or(0);
    for (number, client) in shown.iter_mut().enumerate() {
        let body = Body::default().buffer(PATH.as_bytes()).byte(0);
        let last = Fields(&asked(client, op::EXISTS, &body)?).stat()?.version;
        ensure!(counted <= last, "server {} has {last} of {counted} counts", number + 1);
    }
    Ok(format!("{} counts", versions.len()))
}
