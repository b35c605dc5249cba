//! TLS between servers: ours alone and beside Apache ZooKeeper, with the same stores; who is let in, and the way from plain to TLS under load.
//!
//! The stores are those of `net/src/tls/stores`, whose `make` says who is who: `member` is trusted and for 127.0.0.1, `stranger` is of another authority.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, check, kill_each_with, trial, write};
use crate::load::{self, Syncs};
use crate::server::{Kind, tests_dir};

/// Steps of the load that must come through between two steps of the way to TLS.
const FLOW: u64 = 100;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let (ours, java, older) = (Kind::Ringkeeper, Kind::Reference, Kind::Older);
    let mixes = [
        ("tls_three_servers_survive_kills_of_each", [ours; 3]),
        ("tls_mixed_one_java_survives_kills_of_each", [ours, java, ours]),
        ("tls_mixed_two_java_survives_kills_of_each", [java, java, ours]),
        ("tls_mixed_one_java_3_8_survives_kills_of_each", [ours, older, ours]),
    ];
    let mut trials: Vec<_> = mixes
        .into_iter()
        .map(|(name, kinds)| trial(name, move || kill_each_with(&kinds, &lines("member.p12"), 4)))
        .collect();
    for (name, kind, key) in [
        ("tls_a_server_of_another_authority_is_left_out", ours, "stranger.pem"),
        ("tls_mixed_a_java_server_of_another_authority_is_left_out", java, "stranger.pem"),
        ("tls_a_server_for_another_address_is_left_out", ours, "elsewhere.pem"),
        ("tls_a_plain_server_is_left_out", ours, ""),
        ("tls_mixed_a_plain_java_server_is_left_out", java, ""),
    ] {
        trials.push(trial(name, move || leave_out(kind, key)));
    }
    trials.push(trial("tls_three_servers_go_over_to_it_under_load", move || go_over(&[ours; 3])));
    trials.push(trial("tls_mixed_servers_go_over_to_it_under_load", move || {
        go_over(&[ours, java, ours])
    }));
    trials.push(trial("tls_new_certificates_are_taken_while_servers_run", renew));
    trials
}

fn store(name: &str) -> String {
    let stores = tests_dir().join("../net/src/tls/stores");
    stores.join(name).display().to_string()
}

/// What only speaks TLS, and compares names.
fn lines(key: &str) -> String {
    format!("sslQuorum=true\n{}", stores(&store(key)))
}

fn stores(key: &str) -> String {
    format!(
        "fips-mode=false\nssl.quorum.keyStore.location={key}\nssl.quorum.keyStore.password={}\n\
         ssl.quorum.trustStore.location={}\nssl.quorum.trustStore.password=secret\n",
        if Path::new(key).extension().is_some_and(|it| it == "pem") { "" } else { "secret" },
        store("trust.jks")
    )
}

/// Two good servers, ours and Java's, and a third with this key, or plain: it never serves, and says why or hears why; the others go on.
fn leave_out(kind: Kind, key: &str) -> anyhow::Result<()> {
    let kinds = [kind, Kind::Reference, Kind::Ringkeeper];
    let good = lines("member.p12");
    let mut ensemble = Ensemble::prepare(&kinds, 0, &good)?;
    let bad = if key.is_empty() { String::new() } else { lines(key) };
    ensemble.servers[0].configure(&good, &bad)?;
    ensemble.launch_all(&kinds)?;
    ensemble.await_service(1)?;
    ensemble.await_service(2)?;
    write(&ensemble, Some(0), "/without-it")?;
    thread::sleep(Duration::from_secs(6));
    ensure!(ensemble.mode(0).is_none(), "it was let in\n{}", ensemble.logs());
    let log = ensemble.servers[2].whole_log();
    let why = if key.is_empty() { "does not speak TLS" } else { "TLS: " };
    ensure!(log.contains(why), "ours does not say why\n{}", ensemble.logs());
    // With the right key it is.
    ensemble.servers[0].stop()?;
    if bad.is_empty() {
        let config = ensemble.servers[0].dir().join("zoo.cfg");
        fs::write(&config, fs::read_to_string(&config)? + &good)?;
    } else {
        ensemble.servers[0].configure(&bad, &good)?;
    }
    ensemble.servers[0].launch()?;
    ensemble.await_service(0)?;
    check(&ensemble, 0, &["/without-it".to_owned()])
}

/// One server at a time: both are taken, TLS is called, only TLS is taken.
fn go_over(kinds: &[Kind]) -> anyhow::Result<()> {
    let stores = stores(&store("member.p12"));
    let steps = [
        "",
        "portUnification=true\n",
        "sslQuorum=true\nportUnification=true\n",
        "sslQuorum=true\n",
    ]
    .map(|it| format!("# TLS\n{it}# so far\n"));
    let mut ensemble = Ensemble::start_with(kinds, 0, &format!("{stores}{}", steps[0]))?;
    load::during(&mut ensemble, Syncs::Hasty, |ensemble, load| {
        for pair in steps.windows(2) {
            for number in 0..ensemble.servers.len() {
                load.flow(FLOW)?;
                ensemble.servers[number].stop()?;
                ensemble.servers[number].configure(&pair[0], &pair[1])?;
                ensemble.servers[number].launch()?;
                ensemble.await_service(number)?;
            }
        }
        load.flow(FLOW)
    })
}

/// The trust and the key of a running ensemble are replaced; a server that comes back afterwards is let in by its new key alone.
fn renew() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (key, trust) = (dir.path().join("key.pem"), dir.path().join("trust.pem"));
    fs::copy(store("member.pem"), &key)?;
    fs::copy(store("trust.pem"), &trust)?;
    let lines = format!(
        "sslQuorum=true\nsslQuorumReloadCertFiles=true\nssl.quorum.keyStore.location={}\nssl.quorum.trustStore.location={}\n",
        key.display(),
        trust.display()
    );
    let mut ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, &lines)?;
    write(&ensemble, None, "/before")?;
    // Half a file is not taken.
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\n")?;
    let said = |ensemble: &Ensemble, what: &str| {
        ensemble.until(format!("all say: {what}"), || {
            Ok(ensemble.servers.iter().all(|it| it.whole_log().contains(what)))
        })
    };
    said(&ensemble, "the old ones stay")?;
    write(&ensemble, None, "/meanwhile")?;
    fs::copy(store("foreign.pem"), &trust)?;
    fs::copy(store("stranger.pem"), &key)?;
    said(&ensemble, "were read again")?;
    let leader = ensemble.leader()?;
    ensemble.servers[leader].kill()?;
    write(&ensemble, Some(leader), "/after")?;
    ensemble.servers[leader].launch()?;
    let paths = ["/before", "/meanwhile", "/after"].map(str::to_owned);
    check(&ensemble, leader, &paths).context("it comes back with the new key")
}
