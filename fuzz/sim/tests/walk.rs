//! Every run of small worlds, as far as the ordinary run of tests has time for; `--walk` goes on from there.

use sim::walk::{Bounds, Manner, Walked, World, election, walk};

/// Follows every run.
fn walked(bounds: Bounds, manner: Manner) -> Walked {
    match walk(World::new(bounds, manner), u64::MAX) {
        Ok(walked) => {
            assert!(walked.is_whole);
            walked
        }
        Err(broken) => panic!("{}: {:?}", broken.violation, broken.path),
    }
}

#[test]
fn no_order_of_packets_and_writes_breaks_a_rule() {
    let bounds = Bounds { crashes: 0, cuts: 0, txns: 2, leaders: 1, timeouts: 0 };
    let walked = walked(bounds, Manner::Fewer);
    assert_eq!((walked.committed, walked.epochs), (2, 1));
}

#[test]
fn no_crash_at_any_step_of_an_epochs_beginning_breaks_a_rule() {
    let bounds = Bounds { crashes: 1, cuts: 0, txns: 0, leaders: 1, timeouts: 0 };
    assert_eq!(walked(bounds, Manner::Fewer).epochs, 1);
}

#[test]
fn no_two_leaders_and_a_broken_connection_break_a_rule() {
    let bounds = Bounds { crashes: 0, cuts: 1, txns: 0, leaders: 2, timeouts: 0 };
    assert_eq!(walked(bounds, Manner::Fewer).epochs, 2);
}

#[test]
fn no_crash_and_no_broken_connection_break_a_rule_while_one_is_committed() {
    let bounds = Bounds { crashes: 1, cuts: 1, txns: 1, leaders: 1, timeouts: 0 };
    assert_eq!(walked(bounds, Manner::Fewer).committed, 1);
}

#[test]
fn fewer_runs_show_the_same_servers_at_rest() {
    let small = Bounds { crashes: 0, cuts: 0, txns: 0, leaders: 1, timeouts: 0 };
    let worlds = [
        Bounds { crashes: 1, ..small },
        Bounds { cuts: 1, timeouts: 1, ..small },
        Bounds { crashes: 1, leaders: 2, ..small },
    ];
    for bounds in worlds {
        let [every, fewer] = [Manner::Every, Manner::Fewer].map(|it| walked(bounds, it));
        assert!(!every.rests.is_empty() && fewer.states < every.states, "{bounds:?}");
        assert_eq!(every.rests, fewer.rests, "{bounds:?}");
    }
}

#[test]
fn every_election_ends_with_a_leader_that_is_not_behind_a_quorum() {
    let bounds = election::Bounds { crashes: 0, cuts: 0, timeouts: 0 };
    // All alike, and two with one that is behind; `--elections` goes through all of them.
    for histories in election::histories().step_by(10) {
        match walk(election::Elections::new(bounds, histories), u64::MAX) {
            Ok(walked) => assert!(walked.is_whole && 0 < walked.ends),
            Err(broken) => panic!("{histories:?}: {}: {:?}", broken.violation, broken.path),
        }
    }
}
