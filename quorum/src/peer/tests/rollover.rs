//! Counters that end: among servers of ours, and beside one of the reference.

use crate::wire::{LearnerInfo, PROTOCOL_VERSION};

use super::*;

/// Epochs of three transactions.
fn short_epochs() -> Settings {
    Settings { first_counter: u32::MAX - 4, ..settings() }
}

#[test]
fn a_leader_whose_counter_ends_leads_the_next_epoch_where_all_are_ours() {
    for masters in [ObserverMasters::Off, ObserverMasters::On] {
        let settings = Settings { observer_masters: masters, ..short_epochs() };
        let mut world = World::made(&[1, 2, 4, 3], &text(&[1, 2, 3], &[4]), settings);
        // Where followers have observers, they have to serve first.
        world.wait(300);
        world.left.clear();
        for epoch in 1..=3 {
            let last = [(); 3].map(|()| world.write(3))[2];
            world.run();
            assert_eq!(world.committed_by(last), [1, 2, 3, 4], "epoch {epoch}");
            assert!(world.left.is_empty(), "answers leave first: {:?}", world.left);
            assert_eq!(world.peers[&Sid(3)].next_zxid(), None);
            world.wait(400);
            let mut left = core::mem::take(&mut world.left);
            left.sort_by_key(|it| it.0);
            let resumed = LeaveReason::Resumed { leader: Sid(3) };
            assert_eq!(left, [1, 2, 3, 4].map(|it| (Sid(it), resumed)));
            let state = world.peers[&Sid(3)].state();
            let epoch = Epoch(epoch + 1);
            assert_eq!(state, PeerState::Leading { phase: Phase::Broadcast, epoch });
        }
    }
}

#[test]
fn a_counter_that_ends_beside_a_server_of_the_reference_costs_an_election() {
    let mut world = World::made(&[1, 2, 3], &text(&[1, 2, 3], &[4]), short_epochs());
    let link = Link(1_000);
    world.step(Sid(3), Input::Accepted { link });
    let info = LearnerInfo::new(Sid(4), PROTOCOL_VERSION, 0);
    let message = Message::ObserverInfo { accepted: Epoch(1), info };
    world.step(Sid(3), Input::Packet { link, message });
    for _ in 0..3 {
        world.write(3);
    }
    world.run();
    world.wait(40);
    assert_eq!(world.left.first(), Some(&(Sid(3), LeaveReason::Rollover)));
    assert!(world.left[1..].iter().all(|it| it.1 == LeaveReason::LinkLost), "{:?}", world.left);
}
