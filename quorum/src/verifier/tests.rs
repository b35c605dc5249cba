//! Which sets are quorums.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::{Verifier, Views};
use crate::{QuorumConfig, Sid};

fn config(text: &str) -> Arc<QuorumConfig> {
    Arc::new(QuorumConfig::parse(text).unwrap())
}

fn members(sids: impl IntoIterator<Item = i64>, version: i64) -> Arc<QuorumConfig> {
    let parse = |sid: i64| crate::Member::parse(Sid(sid), "a:1:2").unwrap();
    Arc::new(QuorumConfig::of_members(sids.into_iter().map(parse)).with_version(version))
}

#[test]
fn a_majority_is_more_than_half_of_the_voters_and_nobody_else_counts() {
    let verifier = Verifier::majority((1..=4).map(Sid));
    assert!(!verifier.contains_quorum(|it| it.0 <= 2));
    assert!(verifier.contains_quorum(|it| it.0 <= 3));
    assert!(!Verifier::majority([]).contains_quorum(|_| true));
    assert_eq!((verifier.weight(Sid(1)), verifier.weight(Sid(9))), (1, 1));
}

#[test]
fn groups_count_by_weight_and_a_weightless_group_does_not_exist() {
    let text = "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7\nweight.7=0\n";
    let servers: alloc::vec::Vec<_> =
        (1..=7).map(|sid| alloc::format!("server.{sid}=a:1:2\n")).collect();
    let config = config(&(servers.concat() + text));
    let verifier = config.verifier();
    let quorum = |sids: &[i64]| verifier.contains_quorum(|it| sids.contains(&it.0));
    assert!(quorum(&[1, 2, 4, 5]));
    assert!(!quorum(&[1, 2, 3, 4, 7]));
    assert_eq!(
        (verifier.weight(Sid(1)), verifier.weight(Sid(7)), verifier.weight(Sid(8))),
        (1, 0, 0)
    );
}

#[test]
fn weights_decide_inside_a_group() {
    let group_of: BTreeMap<_, _> = (1..=3).map(|it| (Sid(it), 1)).collect();
    let weight_of = [(Sid(1), 3)].into();
    let verifier = Verifier::hierarchical((1..=3).map(Sid), &group_of, &weight_of);
    assert!(verifier.contains_quorum(|it| it == Sid(1)));
    assert!(!verifier.contains_quorum(|it| it != Sid(1)));
}

#[test]
fn both_quorums_are_needed_while_a_newer_configuration_is_only_proposed() {
    let mut views = Views::new(members(1..=3, 1));
    assert!(views.contains_quorum(|it| it.0 <= 2));
    views.propose(members(3..=5, 2));
    assert!(views.is_changing());
    assert!(!views.contains_quorum(|it| it.0 <= 2));
    assert!(!views.contains_quorum(|it| 3 < it.0));
    assert!(views.contains_quorum(|it| it.0 != 1 && it.0 != 5));
    assert_eq!(views.voters(), [1, 2, 3, 4, 5].map(Sid));
    assert!(views.is_voter(Sid(5)) && !views.is_voter(Sid(6)));
    assert!(views.commit(members(3..=5, 2)));
    assert!(!views.is_changing());
    assert!(views.contains_quorum(|it| 3 < it.0));
}

#[test]
fn an_agreed_configuration_never_goes_back_and_a_proposed_one_may() {
    let mut views = Views::new(members(1..=3, 5));
    assert!(!views.commit(members(1..=5, 5)));
    assert!(!views.commit(members(1..=5, 4)));
    views.propose(members(1..=5, 5));
    assert_eq!(views.voters().len(), 3);
    views.propose(members(1..=5, 4));
    assert_eq!(views.last_seen().version(), 4);
    assert!(!views.is_changing());
    assert!(views.commit(members(1..=4, 6)));
    assert_eq!(views.last_seen().version(), 6);
}

#[test]
fn views_of_the_same_members_are_equal_and_still_of_other_versions() {
    let (one, other) = (Views::new(members(1..=3, 0)), Views::new(members(1..=3, 7)));
    assert_eq!(one, other);
    assert_eq!((one.versions(), other.versions()), ([0, 0], [7, 7]));
}
