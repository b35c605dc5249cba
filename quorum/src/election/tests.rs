//! Every rule of the search, one at a time.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::*;
use crate::wire::FrameStream;
use crate::{Member, QuorumConfig};

const NOW: Moment = Moment::from_millis(1_000);

fn config(sids: &[i64], version: i64) -> Arc<QuorumConfig> {
    let member = |&sid: &i64| {
        let role = if 10 <= sid { ":observer" } else { "" };
        Member::parse(Sid(sid), &alloc::format!("h{sid}:1:2{role}")).unwrap()
    };
    Arc::new(QuorumConfig::of_members(sids.iter().map(member)).with_version(version))
}

/// One server and what it put out.
struct Server {
    election: Election,
    now: Moment,
    out: Vec<Output>,
}

const OURS: History = History { last_logged: Zxid(0x1_0000_0005), current_epoch: Epoch(1) };

impl Server {
    fn of(config: Arc<QuorumConfig>, myid: i64, history: History) -> Self {
        let timing = Timing::default();
        let settings =
            Settings { myid: Sid(myid), timing, reconfig: Reconfig::On, oracle: Oracle::None };
        let election = Election::new(settings, Views::new(config), history);
        let mut server = Self { election, now: NOW, out: Vec::new() };
        server.step(Input::Look { history });
        server
    }

    /// Server `myid` of three, searching.
    fn looking(myid: i64) -> Self {
        Self::of(config(&[1, 2, 3, 10], 0), myid, OURS)
    }

    fn step(&mut self, input: Input<'_>) {
        self.out.clear();
        self.election.step(self.now, input, &mut self.out).unwrap();
    }

    fn hear(&mut self, from: i64, vote: Vote) {
        let text = self.election.views().committed().to_string();
        self.hear_with(from, vote, &text);
    }

    fn hear_with(&mut self, from: i64, vote: Vote, config: &str) {
        let mut frame = Vec::new();
        let Candidate { peer_epoch, zxid, leader } = vote.candidate;
        let (state, election_epoch) = (vote.state, vote.election_epoch);
        let config = Some(config.as_bytes());
        let version = vote.version;
        Notification { state, leader, zxid, election_epoch, peer_epoch, version, config }
            .encode_frame(&mut frame);
        let body = if vote.version == 0 { &frame[4..44] } else { &frame[4..] };
        self.step(Input::Message { from: Sid(from), body });
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.step(Input::Deadline);
    }

    /// What was sent, to whom.
    fn sent(&self) -> Vec<(i64, Vote)> {
        let votes = self.out.iter().filter_map(|it| match it {
            Output::Send { to, frame } => {
                let mut stream = FrameStream::new();
                stream.feed(frame);
                let body = stream.next_frame().unwrap().unwrap();
                Some((to.0, Vote::of(&Notification::decode(body).unwrap())))
            }
            _ => None,
        });
        votes.collect()
    }

    /// Whom it chose.
    fn elected(&self) -> Option<(ServerState, i64)> {
        self.out.iter().find_map(|it| match it {
            Output::Elected { state, vote } => Some((*state, vote.candidate.leader.0)),
            _ => None,
        })
    }
}

fn candidate(leader: i64) -> Candidate {
    let History { last_logged: zxid, current_epoch: peer_epoch } = OURS;
    Candidate { peer_epoch, zxid, leader: Sid(leader) }
}

/// A vote of a searching server, as 3.5 and later send it.
fn looking(leader: i64, round: i64) -> Vote {
    Vote { version: 2, ..Vote::looking(candidate(leader), round) }
}

fn settled(state: ServerState, leader: i64, round: i64) -> Vote {
    Vote { state, ..looking(leader, round) }
}

#[test]
fn a_search_begins_with_a_vote_for_oneself_to_every_voter() {
    let server = Server::looking(2);
    assert_eq!(server.sent(), [(1, looking(2, 1)), (3, looking(2, 1))]);
    assert_eq!(server.election.state(), ServerState::Looking);
}

#[test]
fn an_observer_votes_for_nobody_and_asks_the_voters() {
    let server = Server::looking(10);
    let (zxid, leader) = (Zxid(i64::MIN), Sid::NEVER);
    let nobody = Candidate { peer_epoch: Epoch::NEVER, zxid, leader };
    let vote = Vote { version: 2, ..Vote::looking(nobody, 1) };
    assert_eq!(server.sent(), [(1, vote), (2, vote), (3, vote)]);
}

#[test]
fn a_joining_server_that_is_in_no_configuration_votes_for_nobody_with_its_history() {
    let server = Server::of(config(&[1, 2, 3], 0), 4, OURS);
    assert_eq!(server.sent()[0], (1, looking(Sid::NEVER.0, 1)));
}

#[test]
fn a_better_vote_is_adopted_and_passed_on_and_a_worse_one_is_not() {
    let mut server = Server::looking(2);
    server.hear(1, looking(1, 1));
    assert_eq!(server.sent(), []);
    server.hear(3, looking(3, 1));
    assert_eq!(server.sent(), [(1, looking(3, 1)), (3, looking(3, 1))]);
}

#[test]
fn epoch_counts_before_zxid_and_zxid_before_id() {
    let of = |epoch, zxid, leader| Candidate {
        peer_epoch: Epoch(epoch),
        zxid: Zxid(zxid),
        leader: Sid(leader),
    };
    let ascending = [of(1, 9, 9), of(2, 1, 9), of(2, 2, 1), of(2, 2, 2)];
    assert!(ascending.is_sorted());
}

#[test]
fn nothing_is_waited_for_when_every_voter_has_voted() {
    let mut server = Server::looking(2);
    server.hear(3, looking(3, 1));
    assert_eq!(server.elected(), None);
    server.hear(1, looking(3, 1));
    assert_eq!(server.elected(), Some((ServerState::Following, 3)));
    assert_eq!(server.election.next_deadline(), None);
}

#[test]
fn a_voter_that_may_still_speak_is_waited_for() {
    let mut server = Server::looking(2);
    server.hear(1, looking(2, 1));
    assert_eq!(server.election.next_deadline(), Some(NOW + Duration::from_millis(200)));
    server.wait(199);
    assert_eq!(server.elected(), None);
    server.wait(1);
    assert_eq!(server.elected(), Some((ServerState::Leading, 2)));
}

#[test]
fn a_voter_that_cannot_be_reached_is_waited_for_only_shortly() {
    let mut server = Server::looking(2);
    server.hear(1, looking(2, 1));
    server.step(Input::Lost { sid: Sid(3) });
    assert_eq!(server.election.next_deadline(), Some(NOW + Duration::from_millis(20)));
    server.wait(20);
    assert_eq!(server.elected(), Some((ServerState::Leading, 2)));
    // Once it was heard of again it is waited for as any other.
    let mut server = Server::looking(2);
    server.step(Input::Lost { sid: Sid(3) });
    server.step(Input::Reached { sid: Sid(3) });
    server.hear(1, looking(2, 1));
    assert_eq!(server.election.next_deadline(), Some(NOW + Duration::from_millis(200)));
}

#[test]
fn a_better_vote_during_the_wait_is_adopted() {
    let mut server = Server::looking(2);
    server.hear(1, looking(2, 1));
    server.wait(100);
    server.hear(3, looking(3, 1));
    assert_eq!(server.sent().len(), 2);
    server.wait(99);
    assert_eq!(server.elected(), None);
}

#[test]
fn a_later_round_is_joined_with_the_better_of_its_vote_and_ours() {
    let mut server = Server::looking(2);
    server.hear(1, looking(1, 7));
    assert_eq!(server.sent(), [(1, looking(2, 7)), (3, looking(2, 7))]);
    server.hear(3, looking(3, 8));
    assert_eq!(server.sent(), [(1, looking(3, 8)), (3, looking(3, 8))]);
    // The votes of the earlier round are gone: only 3 and we have voted in this one.
    assert_ne!(server.elected(), Some((ServerState::Following, 1)));
    assert_eq!(server.election.clock(), 8);
}

#[test]
fn a_voter_in_an_earlier_round_is_told_ours_and_not_counted() {
    let mut server = Server::looking(2);
    server.hear(3, looking(2, 7));
    server.hear(1, looking(3, 6));
    assert_eq!(server.sent(), [(1, looking(2, 7))]);
    assert_eq!(server.election.candidate(), candidate(2));
}

#[test]
fn a_server_that_has_its_leader_answers_those_that_search_with_that_vote() {
    let mut server = Server::looking(2);
    server.hear(3, looking(3, 1));
    server.hear(1, looking(3, 1));
    server.step(Input::Established { epoch: Epoch(2) });
    server.hear(1, looking(1, 5));
    let mut vote = settled(ServerState::Following, 3, 1);
    vote.candidate.peer_epoch = Epoch(2);
    assert_eq!(server.sent(), [(1, vote)]);
    server.hear(1, settled(ServerState::Following, 3, 1));
    assert_eq!(server.sent(), []);
}

#[test]
fn strangers_are_answered_at_once_with_our_own_round() {
    let mut server = Server::looking(2);
    server.hear(3, looking(3, 4));
    let nobody = looking(Sid::NEVER.0, 9);
    for stranger in [10, 77] {
        server.hear(stranger, nobody);
        assert_eq!(server.sent(), [(stranger, looking(3, 4))]);
    }
    assert_eq!(server.election.clock(), 4);
    server.hear(1, looking(3, 4));
    server.hear(77, nobody);
    assert_eq!(server.sent(), [(77, settled(ServerState::Following, 3, 4))]);
}

#[test]
fn no_message_of_an_observer_changes_a_count() {
    let mut server = Server::looking(2);
    for state in [ServerState::Looking, ServerState::Observing, ServerState::Following] {
        server.hear(10, settled(state, 2, 1));
        assert_eq!(server.elected(), None);
    }
    assert_eq!(server.election.next_deadline(), Some(NOW + Duration::from_millis(200)));
    server.wait(200);
    assert_eq!(server.elected(), None);
}

#[test]
fn a_leader_that_is_no_voter_is_not_voted_for() {
    let mut server = Server::looking(2);
    for leader in [10, 77] {
        server.hear(3, looking(leader, 1));
        assert_eq!((server.sent(), server.elected()), (Vec::new(), None));
    }
}

#[test]
fn a_running_ensemble_is_joined_when_the_leader_itself_says_that_it_leads() {
    let mut server = Server::looking(2);
    // Both follow, as they say, but the leader was not heard of.
    server.hear(1, settled(ServerState::Following, 3, 5));
    assert_eq!(server.elected(), None);
    server.hear(3, settled(ServerState::Leading, 3, 5));
    assert_eq!(server.elected(), Some((ServerState::Following, 3)));
    assert_eq!(server.election.clock(), 5);
}

#[test]
fn a_leader_without_a_quorum_behind_it_is_not_joined() {
    let mut server = Server::of(config(&[1, 2, 3, 4, 5], 0), 2, OURS);
    server.hear(5, settled(ServerState::Leading, 5, 5));
    server.hear(1, settled(ServerState::Following, 5, 5));
    assert_eq!(server.elected(), None);
    server.hear(3, settled(ServerState::Following, 5, 5));
    assert_eq!(server.elected(), Some((ServerState::Following, 5)));
}

#[test]
fn votes_for_the_leader_of_another_epoch_do_not_count_together() {
    let mut server = Server::looking(2);
    let mut old = settled(ServerState::Following, 3, 5);
    old.candidate.peer_epoch = Epoch(2);
    server.hear(1, old);
    server.hear(3, settled(ServerState::Leading, 3, 5));
    assert_eq!(server.elected(), None);
    // A message from before the epoch was kept up to date is compared by the leader alone.
    server.hear(1, Vote { version: 0, ..old });
    assert_eq!(server.elected(), Some((ServerState::Following, 3)));
}

#[test]
fn in_our_own_round_those_that_have_chosen_count_whatever_their_epoch() {
    let mut server = Server::looking(2);
    let mut late = settled(ServerState::Following, 3, 1);
    late.candidate.peer_epoch = Epoch(2);
    server.hear(1, late);
    server.hear(3, settled(ServerState::Leading, 3, 1));
    assert_eq!(server.elected(), Some((ServerState::Following, 3)));
}

#[test]
fn others_that_follow_us_make_us_lead_only_in_our_round() {
    let mut server = Server::looking(2);
    server.hear(1, settled(ServerState::Following, 2, 5));
    server.hear(3, settled(ServerState::Following, 2, 5));
    assert_eq!(server.elected(), None);
    // Our own vote is one of the two that are enough.
    server.hear(1, settled(ServerState::Following, 2, 1));
    assert_eq!(server.elected(), Some((ServerState::Leading, 2)));
}

#[test]
fn an_observer_finds_its_leader_in_the_answers_of_the_voters() {
    let mut server = Server::looking(10);
    server.hear(1, settled(ServerState::Following, 3, 5));
    server.hear(3, settled(ServerState::Leading, 3, 5));
    assert_eq!(server.elected(), Some((ServerState::Observing, 3)));
}

#[test]
fn a_server_that_lost_its_data_gives_no_vote_and_takes_none() {
    let lost = History { last_logged: Zxid(-1), current_epoch: Epoch(0) };
    let mut server = Server::of(config(&[1, 2, 3], 0), 2, lost);
    server.hear(1, looking(3, 1));
    server.hear(3, looking(3, 1));
    assert_eq!(server.elected(), None);
    // It may join those that have a leader.
    server.hear(1, settled(ServerState::Following, 3, 1));
    server.hear(3, settled(ServerState::Leading, 3, 1));
    assert_eq!(server.elected(), Some((ServerState::Following, 3)));
    let mut other = Server::looking(1);
    let mut vote = looking(2, 1);
    vote.candidate.zxid = Zxid(-1);
    other.hear(2, vote);
    assert_eq!(other.election.next_deadline(), Some(NOW + Duration::from_millis(200)));
    other.wait(200);
    assert_eq!(other.elected(), None);
}

#[test]
fn votes_are_sent_again_with_pauses_that_double_up_to_a_minute() {
    let mut server = Server::looking(2);
    for pause in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000] {
        let due = server.now + Duration::from_millis(pause);
        assert_eq!(server.election.next_deadline(), Some(due));
        server.wait(pause - 1);
        assert_eq!(server.out, []);
        server.wait(1);
        assert_eq!(server.out[0], Output::Reconnect);
        assert_eq!(server.sent().len(), 2);
    }
}

#[test]
fn a_newer_configuration_in_a_message_begins_the_search_anew() {
    let mut server = Server::looking(2);
    let newer = config(&[1, 2, 3, 4], 9);
    server.hear_with(1, looking(1, 1), &newer.to_string());
    assert!(matches!(&server.out[0], Output::Activate { config } if config.version() == 9));
    assert_eq!(server.sent().iter().map(|it| it.0).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(server.election.clock(), 2);
    // Again the same, an older one, and one that cannot be read: nothing.
    for text in [newer.to_string(), config(&[1], 8).to_string(), "version=zz".to_string()] {
        server.hear_with(1, looking(1, 2), &text);
        assert_eq!(server.out, [], "{text}");
    }
}

#[test]
fn a_newer_configuration_with_the_same_members_does_not_disturb_the_search() {
    let mut server = Server::looking(2);
    server.hear_with(3, looking(3, 1), &config(&[1, 2, 3, 10], 9).to_string());
    assert!(matches!(server.out[0], Output::Activate { .. }));
    assert_eq!((server.election.clock(), server.election.candidate()), (1, candidate(3)));
}

#[test]
fn where_reconfiguration_is_off_no_message_changes_the_members() {
    let mut server = Server::looking(2);
    server.election.settings.reconfig = Reconfig::Off;
    server.hear_with(1, looking(1, 1), &config(&[1, 2, 3, 4], 9).to_string());
    assert_eq!(server.election.views().committed().version(), 0);
    assert_eq!(server.election.clock(), 1);
}

#[test]
fn a_leader_found_needs_both_quorums_while_the_members_change() {
    let mut server = Server::looking(2);
    let mut views = Views::new(config(&[1, 2, 3], 0));
    views.propose(config(&[2, 3, 4, 5, 6], 7));
    server.step(Input::Reconfigured { views });
    assert_eq!(server.election.clock(), 2);
    server.hear(3, looking(3, 2));
    server.hear(1, looking(3, 2));
    server.wait(200);
    assert_eq!(server.elected(), None);
    server.hear(4, looking(3, 2));
    server.wait(200);
    assert_eq!(server.elected(), Some((ServerState::Following, 3)));
}

#[test]
fn a_server_of_no_weight_is_not_voted_for() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.3=0";
    let config = Arc::new(QuorumConfig::parse(text).unwrap());
    let mut server = Server::of(config, 1, OURS);
    server.hear(3, looking(3, 1));
    assert_eq!(server.sent(), []);
    server.hear(2, looking(2, 1));
    assert_eq!(server.election.candidate(), candidate(2));
}

#[test]
fn an_appointed_server_does_not_search() {
    let mut server = Server::looking(2);
    let state = ServerState::Leading;
    server.step(Input::Appointed { state, candidate: candidate(2) });
    assert_eq!((server.election.state(), server.election.next_deadline()), (state, None));
    server.hear(1, looking(1, 1));
    assert_eq!(server.sent(), [(1, settled(state, 2, 1))]);
}

#[test]
fn a_server_alone_leads_at_once() {
    let server = Server::of(config(&[4], 0), 4, OURS);
    assert_eq!(server.elected(), Some((ServerState::Leading, 4)));
}

#[test]
fn bytes_that_are_no_vote_change_nothing() {
    let mut server = Server::looking(2);
    let mut frame = Vec::new();
    let vote = looking(3, 1);
    let Candidate { peer_epoch, zxid, leader } = vote.candidate;
    let state = ServerState::Looking;
    Notification { state, leader, zxid, election_epoch: 1, peer_epoch, version: 2, config: None }
        .encode_frame(&mut frame);
    for len in (0..44).filter(|it| ![28, 40, 44].contains(it)) {
        let body = &frame[4..4 + len];
        let input = Input::Message { from: Sid(3), body };
        assert!(server.election.step(NOW, input, &mut Vec::new()).is_err());
        assert_eq!(server.election.candidate(), candidate(2));
    }
}

#[test]
fn a_round_at_the_end_of_all_numbers_is_no_harm() {
    let mut server = Server::looking(2);
    server.hear(1, looking(1, i64::MAX));
    server.step(Input::Look { history: OURS });
    server.hear(1, looking(2, i64::MAX));
    server.hear(3, looking(2, i64::MAX));
    assert_eq!(server.elected(), Some((ServerState::Leading, 2)));
}

#[test]
fn a_voter_that_searched_before_us_is_heard_when_we_search() {
    let mut server = Server::looking(1);
    server.hear(2, settled(ServerState::Following, 3, 1));
    server.hear(3, settled(ServerState::Leading, 3, 1));
    assert_eq!(server.elected(), Some((ServerState::Following, 3)));
    // Server 2 misses the leader first; what it says now it would say again only after a pause.
    server.hear(2, looking(2, 2));
    assert_eq!(server.elected(), None);
    server.step(Input::Lost { sid: Sid(3) });
    server.step(Input::Look { history: OURS });
    assert_eq!(server.election.candidate().leader, Sid(2));
    server.wait(20);
    assert_eq!(server.elected(), Some((ServerState::Following, 2)));
}

#[test]
fn a_voter_that_has_its_leader_again_is_not_taken_for_one_that_searches() {
    let mut server = Server::looking(1);
    server.hear(2, settled(ServerState::Following, 3, 1));
    server.hear(3, settled(ServerState::Leading, 3, 1));
    server.hear(2, looking(2, 2));
    server.hear(2, settled(ServerState::Following, 3, 2));
    server.step(Input::Look { history: OURS });
    assert_eq!(server.election.candidate().leader, Sid(1));
}

/// Server `myid` that knows of voters 1 and 2, and of a change to 2 and 3 that is proposed.
fn changing(myid: i64) -> Server {
    let mut server = Server::of(config(&[1, 2], 1), myid, OURS);
    let mut views = server.election.views().clone();
    views.propose(config(&[2, 3], 2));
    server.step(Input::Reconfigured { views });
    server
}

#[test]
fn the_round_of_one_that_votes_for_nobody_counts() {
    let mut server = changing(2);
    let round = server.election.clock();
    let nobody = Candidate { leader: Sid::NEVER, ..candidate(0) };
    server.hear(3, Vote { candidate: nobody, ..looking(0, round + 4) });
    assert_eq!(server.election.clock(), round + 4);
    assert_eq!(server.election.candidate().leader, Sid(2), "nobody wins no vote");
    server.hear(3, looking(2, round + 4));
    assert_eq!(server.elected(), None, "that is a quorum of the proposed members only");
    server.hear(1, looking(2, round + 4));
    assert_eq!(server.elected(), Some((ServerState::Leading, 2)));
}

#[test]
fn who_follows_others_needs_no_quorum_of_what_is_proposed() {
    let mut server = changing(3);
    let round = server.election.clock();
    server.hear(1, settled(ServerState::Following, 2, round));
    assert_eq!(server.elected(), None);
    server.hear(2, settled(ServerState::Leading, 2, round));
    assert_eq!(server.elected(), Some((ServerState::Following, 2)));
}
