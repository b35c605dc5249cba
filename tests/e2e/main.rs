//! End to end: a real server process, and other people's clients against it. `tests/README.md` says how it is used.
//!
//! One binary with its own list of tests, because the judges of each language are found in their folders.
//! Absent here: anything of the server's own code; what is known of the wire is written down again in `wire`.
#![expect(clippy::disallowed_methods, reason = "a harness reads clocks, sleeps and starts threads")]

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod disk_faults;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod ensemble;
#[cfg(test)]
mod ensemble_judges;
#[cfg(test)]
mod export;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod leader_disks;
#[cfg(test)]
mod load;
#[cfg(test)]
mod looking;
#[cfg(test)]
mod members;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod nomad;
#[cfg(test)]
mod observers;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod process;
#[cfg(test)]
mod program;
#[cfg(test)]
mod quorum_ports;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reconfig;
#[cfg(test)]
mod server;
#[cfg(test)]
mod snap_sync;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod switch;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod throttle;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod trial;
#[cfg(test)]
mod truths;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod zkcli;

fn main() -> std::process::ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    if server::judges_ensembles() {
        return libtest_mimic::run(&args, ensemble_judges::trials()).exit_code();
    }
    let mut trials = judge::trials();
    trials.extend(ensemble_judges::trials());
    trials.extend(zkcli::trials());
    trials.extend(bad_input::trials());
    trials.extend(program::trials());
    trials.extend(differential::trials());
    trials.extend(durability::trials());
    trials.extend(disk_faults::trials());
    trials.extend(looking::trials());
    trials.extend(ensemble::trials());
    trials.extend(members::trials());
    trials.extend(oracle::trials());
    trials.extend(groups::trials());
    trials.extend(leader_disks::trials());
    trials.extend(strangers::trials());
    trials.extend(quorum_ports::trials());
    trials.extend(readme::trials());
    trials.extend(observers::trials());
    trials.extend(tls::trials());
    trials.extend(trial::trials());
    trials.extend(truths::trials());
    trials.extend(snap_sync::trials());
    trials.extend(takeover::trials());
    trials.extend(export::trials());
    trials.extend(reconfig::trials());
    trials.extend(migration::trials());
    trials.extend(conversations::trials());
    trials.extend(load::trials());
    trials.extend(partitions::trials());
    trials.extend(addresses::trials());
    libtest_mimic::run(&args, trials).exit_code()
}
