//! Every run of small worlds, as far as the ordinary run of tests has time for; `--walk` goes on from there.

use sim::walk::election::{self, Elections};
use sim::walk::{Bounds, Left, Manner, Walked, World, walk};

/// Follows every run.
fn walked(bounds: Bounds, manner: Manner) -> Walked {
    match walk(&World::new(bounds, manner), u64::MAX) {
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
fn no_two_crashes_and_two_broken_connections_break_a_rule() {
    let bounds = Bounds { crashes: 2, cuts: 2, txns: 0, leaders: 1, timeouts: 0 };
    assert_eq!(walked(bounds, Manner::Fewer).epochs, 1);
}

#[test]
fn fewer_runs_show_the_same_servers_at_rest() {
    let small = Bounds { crashes: 0, cuts: 0, txns: 0, leaders: 1, timeouts: 0 };
    let worlds = [
        Bounds { crashes: 1, txns: 1, ..small },
        Bounds { crashes: 1, timeouts: 1, ..small },
        Bounds { crashes: 1, cuts: 1, ..small },
        Bounds { cuts: 1, timeouts: 1, ..small },
        Bounds { cuts: 1, txns: 1, ..small },
        Bounds { crashes: 1, leaders: 2, ..small },
    ];
    for bounds in worlds {
        let [every, alike, fewer] =
            [Manner::Every, Manner::Alike, Manner::Fewer].map(|it| walked(bounds, it));
        assert!(!every.rests.is_empty() && alike.states < every.states, "{bounds:?}");
        assert!(fewer.states < alike.states, "{bounds:?}");
        for few in [&alike, &fewer] {
            assert!(few.rests.is_subset(&every.rests), "{bounds:?}");
            assert!(every.rests.iter().all(|&it| shows(few, it)), "{bounds:?}");
        }
    }
}

/// Whether servers came to this where as much might still have happened.
fn shows(walked: &Walked, (rest, left): (u64, Left)) -> bool {
    let mut like =
        walked.rests.range((rest, Left::default())..).take_while(|(its, _)| *its == rest);
    like.any(|(_, its)| its.allows(left))
}

/// Follows every election of each world, and says what servers come to in it.
fn elections(bounds: election::Bounds, manner: Manner) -> Vec<Walked> {
    let worlds = election::worlds().map(|(members, histories)| {
        match walk(&Elections::new(bounds, members, manner, histories), u64::MAX) {
            Ok(walked) => {
                assert!(walked.is_whole && 0 < walked.ends);
                walked
            }
            Err(broken) => panic!("{histories:?}: {}: {:?}", broken.violation, broken.path),
        }
    });
    worlds.collect()
}

#[test]
fn every_election_ends_with_a_leader_that_is_not_behind_a_quorum() {
    let bounds = election::Bounds { crashes: 0, cuts: 0, timeouts: 0 };
    elections(bounds, Manner::Every);
}

#[test]
fn every_election_in_which_two_connections_break_ends_with_one_leader() {
    let bounds = election::Bounds { crashes: 0, cuts: 2, timeouts: 0 };
    elections(bounds, Manner::Alike);
}

#[test]
fn fewer_elections_show_the_same_servers_at_rest() {
    for cuts in [0, 1] {
        let bounds = election::Bounds { crashes: 0, cuts, timeouts: 0 };
        let [every, alike] = [Manner::Every, Manner::Alike].map(|it| elections(bounds, it));
        for (every, alike) in every.iter().zip(&alike) {
            assert!(alike.states < every.states);
            assert!(alike.rests.is_subset(&every.rests));
            assert!(every.rests.iter().all(|&it| shows(alike, it)));
        }
    }
}
