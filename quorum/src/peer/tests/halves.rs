//! Two voters, one of which goes, where an oracle may let the other go on.

use super::*;
use crate::Permit;
use crate::oracle::Word;

/// Server 2 leads server 1.
fn two() -> World {
    World::new(&[1, 2], &text(&[1, 2], &[]))
}

impl World {
    /// The oracle of server 2 says this.
    fn say(&mut self, word: Word) {
        let permit = Permit::heard(self.now, word, settings().tick);
        self.step(Sid(2), Input::Oracle { permit });
        self.run();
    }

    /// So much time goes by, in which it says the same again and again.
    fn wait_saying(&mut self, millis: u64, word: Word) {
        for _ in 0..millis / 50 {
            self.say(word);
            self.wait(50);
        }
    }

    fn lost_its_quorum(&self) -> bool {
        self.left.contains(&(Sid(2), LeaveReason::QuorumLost))
    }
}

#[test]
fn a_leader_whose_follower_has_gone_goes_on_if_the_oracle_lets_it() {
    let mut world = two();
    world.hush(&[1]);
    world.wait_saying(1_500, Word::GoOn);
    assert!(!world.lost_its_quorum(), "{:?}", world.left);
    world.say(Word::GoOn);
    let zxid = world.write(2);
    assert_eq!(world.committed_by(zxid), [2]);
}

#[test]
fn a_leader_whose_follower_has_gone_leaves_otherwise() {
    for word in [Some(Word::Wait), None] {
        let mut world = two();
        world.hush(&[1]);
        match word {
            Some(word) => world.wait_saying(1_500, word),
            None => world.wait(1_500),
        }
        assert!(world.lost_its_quorum(), "{word:?}: {:?}", world.left);
    }
}

#[test]
fn what_waited_for_the_one_that_has_gone_is_committed_when_the_oracle_says_so() {
    let mut world = two();
    world.hush(&[1]);
    world.say(Word::GoOn);
    let zxid = world.write(2);
    assert_eq!(world.committed_by(zxid), [], "it is not known to have gone");
    world.wait_saying(400, Word::GoOn);
    assert_eq!(world.committed_by(zxid), []);
    world.wait_saying(600, Word::GoOn);
    assert_eq!(world.committed_by(zxid), [2]);
}

#[test]
fn the_oracles_word_counts_for_a_tick() {
    let mut world = two();
    world.hush(&[1]);
    world.wait_saying(1_500, Word::GoOn);
    world.say(Word::GoOn);
    world.now = world.now + settings().tick;
    let zxid = world.write(2);
    assert_eq!(world.committed_by(zxid), []);
    world.say(Word::GoOn);
    assert_eq!(world.committed_by(zxid), [2]);
    world.say(Word::Wait);
    let zxid = world.write(2);
    assert_eq!(world.committed_by(zxid), []);
    world.wait(300);
    assert!(world.lost_its_quorum());
}

#[test]
fn who_comes_back_has_everything_and_is_needed_again() {
    let mut world = two();
    world.hush(&[1]);
    world.wait_saying(1_500, Word::GoOn);
    let zxid = world.write(2);
    world.hush(&[]);
    assert_eq!(world.state(1), PeerState::Looking);
    world.step(Sid(1), Input::Elected { leader: Sid(2) });
    world.run();
    assert_eq!(world.committed_by(zxid), [1, 2]);
    world.hush(&[1]);
    world.say(Word::GoOn);
    let zxid = world.write(2);
    assert_eq!(world.committed_by(zxid), []);
}

#[test]
fn of_three_nobody_goes_on_alone() {
    let mut world = World::new(&[1, 3, 2], &text(&[1, 2, 3], &[]));
    world.hush(&[1, 3]);
    world.wait_saying(1_500, Word::GoOn);
    assert!(world.lost_its_quorum(), "{:?}", world.left);
}

#[test]
fn who_is_elected_alone_waits_for_a_word_given_in_this_role() {
    let mut world = two();
    world.hush(&[1]);
    world.wait_saying(1_500, Word::Wait);
    assert_eq!(world.state(2), PeerState::Looking);
    world.say(Word::GoOn);
    world.step(Sid(2), Input::Elected { leader: Sid(2) });
    world.run();
    let phase = |world: &World| match world.state(2) {
        PeerState::Leading { phase, .. } => phase,
        other => panic!("{other:?}"),
    };
    assert_eq!(phase(&world), Phase::Discovery);
    world.say(Word::GoOn);
    assert_eq!(phase(&world), Phase::Broadcast);
    let zxid = world.write(2);
    assert_eq!(world.committed_by(zxid), [2]);
}
