//! One word for a batch: among servers of ours, and beside one of the reference.

use crate::wire::PROTOCOL_VERSION;

use super::*;

/// Five transactions that are durable at once at each server; those that speak ZAB 1.0 alone are `references`. How many packets of a kind came from one server
/// to another.
fn batch(references: &[i64]) -> impl Fn(i64, i64, PacketKind) -> usize {
    let settings = |sid| {
        let all = settings();
        let protocol = if references.contains(&sid) { PROTOCOL_VERSION } else { all.protocol };
        Settings { protocol, ..all }
    };
    let mut world = World::made_of(&[1, 2, 3], &text(&[1, 2, 3], &[]), settings);
    world.came.clear();
    world.owed = Some(BTreeMap::new());
    let last = [(); 5].map(|()| world.write(3))[4];
    world.run();
    assert_eq!(world.committed_by(last), [0; 0], "nobody has it yet");
    for (sid, write) in world.owed.take().expect("they take their time") {
        world.step(sid, Input::Durable { write });
    }
    world.run();
    assert_eq!(world.committed_by(last), [1, 2, 3]);
    let came = world.came;
    move |from, to, kind| came.iter().filter(|&&it| it == (Sid(from), Sid(to), kind)).count()
}

#[test]
fn a_batch_is_acked_once_and_committed_once_where_all_are_ours() {
    let count = batch(&[]);
    for follower in [1, 2] {
        assert_eq!(count(3, follower, PacketKind::Proposal), 5);
        assert_eq!(count(follower, 3, PacketKind::Ack), 1);
        assert_eq!(count(3, follower, PacketKind::Commit), 1);
    }
}

#[test]
fn a_server_of_the_reference_is_told_of_every_commit_and_acks_every_proposal() {
    let count = batch(&[1]);
    assert_eq!([1, 2].map(|it| count(it, 3, PacketKind::Ack)), [5, 1]);
    assert_eq!([1, 2].map(|it| count(3, it, PacketKind::Commit)), [5, 5], "they share a queue");
}

#[test]
fn a_leader_of_the_reference_is_acked_every_proposal() {
    let count = batch(&[3]);
    assert_eq!([1, 2].map(|it| count(it, 3, PacketKind::Ack)), [5, 5]);
    assert_eq!([1, 2].map(|it| count(3, it, PacketKind::Commit)), [5, 5]);
}
