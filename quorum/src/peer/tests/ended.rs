//! Sessions that a leader does not know, and whether it still leads.

use super::*;

const OVER: SessionId = SessionId(8);
const ALIVE: SessionId = SessionId(9);

fn told(session: SessionId, valid: Validity) -> (Sid, Output) {
    (Sid(2), Output::SessionIs { session, valid })
}

/// 3 leads 1 and 2, who are not heard. The leader's link to 2.
fn three_apart() -> (World, Link) {
    let mut world = World::new(&[1, 2, 3], &text(&[1, 2, 3], &[]));
    let of_two = |it: &(&(Sid, Link), &End)| it.0.0 == Sid(3) && it.1.other.0 == Sid(2);
    let link = world.ends.iter().find(of_two).expect("2 follows 3").0.1;
    world.hush(&[1, 2]);
    (world, link)
}

/// What 2 has heard of sessions.
fn heard(world: &World) -> Vec<(Sid, Output)> {
    let those = world.told.iter().filter(|it| matches!(it.1, Output::SessionIs { .. }));
    those.cloned().collect()
}

fn says(world: &mut World, link: Link, session: SessionId, valid: Validity) {
    world.step(Sid(3), Input::Revalidated { link, session, valid });
    world.run();
}

#[test]
fn that_a_session_is_over_is_said_when_a_quorum_still_follows() {
    let (mut world, link) = three_apart();
    says(&mut world, link, OVER, Validity::Expired);
    assert_eq!(world.held.len(), 2, "a ping to each");
    world.hush(&[1]);
    assert_eq!(heard(&world), [told(OVER, Validity::Expired)]);
}

#[test]
fn that_a_session_lives_is_said_at_once_but_behind_what_was_asked_before() {
    let (mut world, link) = three_apart();
    says(&mut world, link, ALIVE, Validity::Alive);
    assert_eq!(world.held.len(), 1, "the answer");
    says(&mut world, link, OVER, Validity::Expired);
    assert_eq!(world.held.len(), 3, "a ping to each");
    says(&mut world, link, ALIVE, Validity::Alive);
    assert_eq!(world.held.len(), 3, "it waits");
    world.hush(&[]);
    let [over, alive] = [(OVER, Validity::Expired), (ALIVE, Validity::Alive)];
    assert_eq!(heard(&world), [alive, over, alive].map(|it| told(it.0, it.1)));
}

#[test]
fn that_a_session_is_over_is_said_when_what_was_proposed_before_is_committed() {
    let (mut world, link) = three_apart();
    let zxid = world.write(3);
    says(&mut world, link, OVER, Validity::Expired);
    world.hush(&[]);
    assert_eq!(world.committed_by(zxid), [1, 2, 3]);
    assert_eq!(heard(&world), [told(OVER, Validity::Expired)]);
}

#[test]
fn a_leader_that_has_lost_its_quorum_says_of_no_session_that_it_is_over_and_leaves() {
    let (mut world, link) = three_apart();
    says(&mut world, link, OVER, Validity::Expired);
    world.wait(1_500);
    assert_eq!(world.state(3), PeerState::Looking);
    assert_eq!(world.state(2), PeerState::Looking, "its clients' connections end with the role");
    world.hush(&[]);
    assert_eq!(heard(&world), []);
}
