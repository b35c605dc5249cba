//! Every run of small worlds, as far as the ordinary run of tests has time for; `--walk` goes on from there.

use sim::walk::{Bounds, Walked, World, walk};

/// Follows every run.
fn walked(bounds: Bounds) -> Walked {
    match walk(World::new(bounds), u64::MAX) {
        Ok(walked) => {
            assert!(walked.is_whole);
            walked
        }
        Err(broken) => panic!("{}: {:?}", broken.violation, broken.path),
    }
}

#[test]
fn no_order_of_packets_and_writes_breaks_a_rule() {
    let walked = walked(Bounds { crashes: 0, cuts: 0, txns: 2, leaders: 1, timeouts: 0 });
    assert_eq!((walked.committed, walked.epochs), (2, 1));
}

#[test]
fn no_crash_at_any_step_of_an_epochs_beginning_breaks_a_rule() {
    let walked = walked(Bounds { crashes: 1, cuts: 0, txns: 0, leaders: 1, timeouts: 0 });
    assert_eq!(walked.epochs, 1);
}

#[test]
fn no_two_leaders_and_a_broken_connection_break_a_rule() {
    let walked = walked(Bounds { crashes: 0, cuts: 1, txns: 0, leaders: 2, timeouts: 0 });
    assert_eq!(walked.epochs, 2);
}
