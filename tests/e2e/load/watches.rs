//! Watch before data: who watches a znode is told of its change before any answer that shows it, wherever the session goes.

use anyhow::ensure;

use super::REFUSED;
use crate::nomad::Nomad;
use crate::wire::{Body, Chance, Fields, op};

pub(super) const PATH: &str = "/watched";

#[derive(Default)]
pub(super) struct Watches {
    /// The zxid of the data that was read when the watch was set; none: it is not set.
    known: Option<i64>,
    told: u64,
}

impl Watches {
    pub(super) fn step(&mut self, client: &mut Nomad, chance: &mut Chance) -> anyhow::Result<()> {
        if chance.below(3) == 0 {
            let body = Body::default().buffer(PATH.as_bytes()).buffer(b"x").int(-1);
            let err = client.ask_once(op::SET_DATA, &body)?.map_or(0, |it| it.err);
            ensure!([0, REFUSED].contains(&err), "{PATH}: error {err}");
        }
        let watch = u8::from(self.known.is_none());
        let reply =
            client.ask(op::GET_DATA, &Body::default().buffer(PATH.as_bytes()).byte(watch))?;
        ensure!(reply.err == 0, "{PATH}: error {}", reply.err);
        let mut fields = Fields(&reply.body);
        fields.buffer()?;
        let mzxid = fields.stat()?.mzxid;
        let told = client.was_told();
        match self.known {
            None => {
                self.known = Some(mzxid);
                client.keep_watching(PATH, mzxid);
            }
            Some(known) => {
                ensure!(
                    told || mzxid <= known,
                    "shown {mzxid:#x} before the event behind {known:#x}"
                );
                ensure!(
                    !told || known < mzxid,
                    "an event, and what is shown is still of {known:#x}"
                );
                if told {
                    self.told += 1;
                    self.known = None;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn said(all: &[&Watches]) -> String {
    format!("{} events", all.iter().map(|it| it.told).sum::<u64>())
}
