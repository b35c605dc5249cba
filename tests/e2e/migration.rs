//! From Apache ZooKeeper to Ringkeeper, one server at a time under load, and back to ZooKeeper: 3.8 before and 3.9 behind, and the other way round.
//!
//! A new server begins with an empty directory and is sent the tree. Clients hold one session each the whole time, with an ephemeral; they
//! move to another server when theirs goes away. What must be true in the end is in `load`.

use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, trial};
use crate::load::{self, Syncs};
use crate::server::Kind;

/// Steps of the load that must come through before a server is replaced, and behind it.
const FLOW: u64 = 200;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("ensemble_mixed_servers_are_replaced_one_by_one_and_back_again", || {
            there_and_back(Kind::Older, Kind::Reference)
        }),
        trial("ensemble_mixed_servers_are_replaced_one_by_one_and_back_again_to_3_8", || {
            there_and_back(Kind::Reference, Kind::Older)
        }),
    ]
}

/// Each server by one of ours, and then each by one of Java's again.
fn there_and_back(from: Kind, to: Kind) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::start(&[from; 3])?;
    load::during(&mut ensemble, Syncs::Hasty, |ensemble, load| {
        for kind in [Kind::Ringkeeper, to] {
            for number in 0..ensemble.servers.len() {
                load.flow(FLOW)?;
                ensemble.replace(number, kind)?;
            }
        }
        load.flow(FLOW)
    })
}
