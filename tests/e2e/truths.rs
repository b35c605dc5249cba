//! What four-letter words tell of an ensemble: the same lines from ours as from Apache ZooKeeper 3.9.5, role by role.
//!
//! Two ensembles of four, the fourth an observer, have done the same; answers are compared by the names of their lines, in their order.

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, asked, check, connect, trial, write};
use crate::process::until_some;
use crate::server::{Kind, four_letters};
use crate::wire::{Body, op};

/// The test.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("ensemble_words_tell_what_the_references_tell", compare),
        trial("ensemble_words_tell_of_a_client_what_the_references_tell", compare_clients),
    ]
}

/// Lines of `mntr` that only the reference has. docs/operations.md says why.
const ONLY_THERE: [&str; 2] = ["learner_handler_qp_", "_per_namespace"];

fn compare() -> anyhow::Result<()> {
    let theirs = Told::by(Kind::Reference)?;
    let ours = Told::by(Kind::Ringkeeper)?;
    for role in ["leader", "follower", "observer"] {
        for word in ["mntr", "srvr", "stat", "conf", "isro", "dump", "wchs"] {
            let (theirs, ours) = (theirs.names(role, word)?, ours.names(role, word)?);
            ensure!(theirs == ours, "{word} of a {role}:\nthere {theirs:#?}\nhere {ours:#?}");
        }
    }
    for (row, expected) in [
        ("quorum_size", "3"),
        ("learners", "3"),
        ("synced_followers", "2"),
        ("synced_non_voting_followers", "0"),
        ("synced_observers", "1"),
        ("pending_syncs", "0"),
        ("looking_count", "1"),
        ("peer_state", "leading - broadcast"),
        ("cnt_election_time", "1"),
        ("cnt_leader_unavailable_time", "1"),
        ("global_sessions", "5"),
    ] {
        for told in [&theirs, &ours] {
            let found = told.row("leader", row)?;
            ensure!(found == expected, "{row} of a leader is {found}, not {expected}");
        }
    }
    for told in [&theirs, &ours] {
        let leader = told.0.iter().position(|it| it.0 == "leader").context("a leader")? + 1;
        ensure!(told.row("observer", "observer_master_id")? == leader.to_string());
        ensure!(told.row("observer", "cnt_observer_sync_time")? == "1");
        ensure!(told.row("follower", "cnt_follower_sync_time")? == "1");
        ensure!(told.row("leader", "proposal_count")? != "0");
        ensure!(told.row("leader", "commit_count")? != "0");
        ensure!(told.row("follower", "learner_proposal_received_count")? != "0");
        ensure!(told.row("observer", "learner_commit_received_count")? != "0");
        ensure!(told.row("leader", "cnt_quorum_ack_latency")? != "0");
        ensure!(told.row("follower", "cnt_commit_propagation_latency")? != "0");
        ensure!(told.row("follower", "cnt_proposal_latency")? != "0");
    }
    Ok(())
}

/// The role of each server of an ensemble, and each word with its answer.
struct Told(Vec<(String, Vec<(&'static str, String)>)>);

impl Told {
    fn by(kind: Kind) -> anyhow::Result<Self> {
        let ensemble = Ensemble::start_with(&[kind; 4], 1, "")?;
        write(&ensemble, None, "/made")?;
        let mut clients = Vec::new();
        for number in [0, 3] {
            check(&ensemble, number, &["/made".to_owned()])?;
            let mut client = connect(&ensemble, number)?;
            let path = format!("/ephemeral-{number}");
            asked(&mut client, op::CREATE, &Body::default().create(&path, b"", 1))?;
            asked(&mut client, op::GET_DATA, &Body::default().buffer(path.as_bytes()).byte(1))?;
            clients.push(client);
        }
        let mut told = Vec::new();
        for number in 0..4 {
            let role = ensemble.await_service(number)?;
            let mut answers = Vec::new();
            for word in ["mntr", "srvr", "stat", "conf", "isro", "dump", "wchs"] {
                answers.push((word, four_letters(ensemble.address(number), word)?));
            }
            told.push((role, answers));
        }
        Ok(Self(told))
    }

    fn answer(&self, role: &str, word: &str) -> anyhow::Result<&str> {
        let (_, answers) = self.0.iter().find(|it| it.0 == role).context("each role")?;
        Ok(&answers.iter().find(|it| it.0 == word).context("each word")?.1)
    }

    /// What stands before the value of each line; of `isro` the answer.
    fn names(&self, role: &str, word: &str) -> anyhow::Result<Vec<String>> {
        let lines = self.answer(role, word)?.lines();
        let only_there = |line: &&str| ONLY_THERE.iter().any(|it| line.contains(it));
        let name = |line: &str| {
            let ends = match word {
                "mntr" => "\t",
                "conf" => "=",
                "dump" => "(",
                "wchs" => "0123456789",
                _ => ":",
            };
            let end = line.find(|it| ends.contains(it)).unwrap_or(line.len());
            line[..end].trim_start_matches(|it: char| it.is_ascii_digit()).to_owned()
        };
        // Of lists, whose length depends on the moment, only the headings.
        let listed = |line: &&str| {
            word == "dump" && (line.starts_with(['\t', '0']) || line.contains(" expire at "))
                || word == "stat" && line.starts_with(' ')
        };
        Ok(lines.filter(|it| !only_there(it) && !listed(it)).map(name).collect())
    }

    fn row(&self, role: &str, name: &str) -> anyhow::Result<&str> {
        let mut lines = self.answer(role, "mntr")?.lines();
        let row =
            lines.find_map(|it| it.strip_prefix("zk_")?.strip_prefix(name)?.strip_prefix('\t'));
        row.with_context(|| format!("no {name} of a {role}"))
    }
}

/// What `cons`, `stat` and `srvr` tell of a client that has done the same at each member of both: the same keys in the same order, and the same values of those that
/// clock and chance have no part in.
fn compare_clients() -> anyhow::Result<()> {
    let theirs = told_of_clients(Kind::Reference)?;
    let ours = told_of_clients(Kind::Ringkeeper)?;
    for (role, there) in &theirs {
        let here = ours.iter().find(|it| it.0 == *role).context("each role")?;
        ensure!(here.1 == *there, "of a {role}:\nthere {there:#?}\nhere {:#?}", here.1);
    }
    Ok(())
}

/// Keys of `cons` whose values say what the client did, and not when.
const SAME: [&str; 6] = ["queued", "recved", "sent", "lop", "to", "lcxid"];

/// Per role, what the words tell of one client: a leader and a follower.
fn told_of_clients(kind: Kind) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let ensemble = Ensemble::start(&[kind; 3])?;
    let leader = ensemble.leader()?;
    let mut told = Vec::new();
    for number in [leader, (leader + 1) % 3] {
        let role = ensemble.await_service(number)?;
        let mut client = connect(&ensemble, number)?;
        let path = format!("/of-{number}");
        asked(&mut client, op::CREATE, &Body::default().create(&path, b"", 0))?;
        asked(&mut client, op::GET_DATA, &Body::default().buffer(path.as_bytes()).byte(1))?;
        let port = client.socket().local_addr()?.port();
        // The word's own connection is the other line. The reference counts an answer, and listens again, a moment after its client has it.
        let at_rest = format!(":{port}[1](queued=0,recved=3,sent=3");
        let of_client = |word: &str| {
            until_some(format!("{word} has a line with {at_rest}"), || {
                let answer = four_letters(ensemble.address(number), word)?;
                Ok(answer.lines().find(|it| it.contains(&at_rest)).map(str::to_owned))
            })
        };
        let mut lines = Vec::new();
        for word in ["cons", "stat"] {
            let line = of_client(word)?;
            let (address, rest) = line.split_once('(').with_context(|| line.clone())?;
            lines.push(format!("{word} {}", address.replace(&port.to_string(), "PORT")));
            for pair in rest.trim_end_matches(')').split(',') {
                let (key, value) = pair.split_once('=').with_context(|| line.clone())?;
                let value = if SAME.contains(&key) { value } else { "" };
                lines.push(format!("{key}={value}"));
            }
        }
        let answer = four_letters(ensemble.address(number), "cons")?;
        let word =
            answer.lines().find(|it| !it.contains(&format!(":{port}["))).context("its own")?;
        // The reference hears nothing on a connection while it is at work on it, and says so.
        let (_, word) = word.split_once(']').context("its own")?;
        lines.push(word.to_owned());
        let srvr = four_letters(ensemble.address(number), "srvr")?;
        let lines_of_srvr = srvr.lines().filter(|it| {
            ["Connections:", "Outstanding:", "Mode:", "Node count:"]
                .iter()
                .any(|key| it.starts_with(key))
        });
        lines.extend(lines_of_srvr.map(str::to_owned));
        told.push((role, lines));
    }
    Ok(told)
}
