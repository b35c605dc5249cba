//! What a request makes of three servers, and every way to be refused, in order.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;

use super::*;

const THREE: &str = "server.1=a:1:2:participant;0.0.0.0:5\nserver.2=b:1:2:participant;0.0.0.0:5\nserver.3=c:1:2:participant;0.0.0.0:5\nversion=100000000";

const ALONE: ReconfigRules =
    ReconfigRules { standalone: Standalone::Enabled, multi_address: MultiAddress::Disabled };
const AN_ENSEMBLE: ReconfigRules = ReconfigRules { standalone: Standalone::Disabled, ..ALONE };

fn views(text: &str) -> Views {
    Views::new(Arc::new(QuorumConfig::parse(text).unwrap()))
}

fn steps<'a>(joining: &'a str, leaving: &'a str) -> ReconfigRequest<'a> {
    let [joining, leaving] =
        [joining, leaving].map(|it| Some(it.as_bytes()).filter(|it| !it.is_empty()));
    ReconfigRequest { joining, leaving, members: None, config: -1 }
}

fn whole(members: &str) -> ReconfigRequest<'_> {
    ReconfigRequest { joining: None, leaving: None, members: Some(members.as_bytes()), config: -1 }
}

/// Of three servers, where 1 leads, 2 follows, and 4 follows without a voice.
fn made(request: &ReconfigRequest<'_>) -> Result<String, ReconfigError> {
    let synced = [Sid(1), Sid(2), Sid(4)];
    views(THREE).reconfigured(request, ALONE, &synced).map(|it| it.to_string())
}

fn code(request: &ReconfigRequest<'_>) -> Code {
    made(request).unwrap_err().code()
}

#[test]
fn servers_join_leave_and_change_by_steps() {
    let text = made(&steps("server.2=b:7:8:observer;9", "17")).unwrap_err();
    assert_eq!(text, ReconfigError::NoQuorum, "of 1 and 3, who vote, only 1 is here");
    let text = made(&steps(" server.4=d:1:2;5 ,", "3")).unwrap();
    assert_eq!(
        text,
        "server.1=a:1:2:participant;0.0.0.0:5\nserver.2=b:1:2:participant;0.0.0.0:5\nserver.4=d:1:2:participant;0.0.0.0:5\nversion=0"
    );
}

#[test]
fn all_members_may_come_at_once_with_commas_or_lines() {
    let lines = "server.1=a:1:2;5\nserver.4=d:1:2;5,version=77";
    assert!(made(&whole(lines)).unwrap().ends_with("version=0"));
    assert_eq!(code(&whole("server.1=a:1:2;5,clientPort=2181")), Code::BadArguments);
    assert_eq!(code(&whole("server.x=a:1:2;5")), Code::MarshallingError);
    assert_eq!(code(&whole("server.1=a:1:2;5")), Code::BadArguments);
    assert_eq!(code(&whole("")), Code::BadArguments);
    assert_eq!(code(&whole("server.1=a:1:2:observer;5")), Code::MarshallingError);
}

#[test]
fn groups_and_weights_come_with_all_members_and_say_what_a_quorum_is() {
    let grouped =
        "server.1=a:1:2;5,server.2=b:1:2;5,server.3=c:1:2;5,group.1=1:2,group.2=3,weight.1=3";
    let text = made(&whole(grouped)).unwrap_err();
    assert_eq!(text, ReconfigError::NoQuorum, "1 has the weight of one group, and 3 of the other");
    let one = grouped.replace("group.1=1:2,group.2=3", "group.1=1:2:3");
    assert!(made(&whole(&one)).unwrap().contains("weight.1=3\nweight.2=1\nweight.3=1\n"));
    let missing = grouped.replace(",group.2=3", "");
    assert_eq!(code(&whole(&missing)), Code::BadArguments);
}

#[test]
fn a_version_that_is_not_the_last_is_refused_before_the_members_are_looked_at() {
    let mut request = steps("nonsense", "");
    request.config = 7;
    assert_eq!(code(&request), Code::BadVersion);
    request.config = 0x1_0000_0000;
    assert_eq!(code(&request), Code::BadArguments);
}

#[test]
fn while_one_is_under_way_there_is_no_other() {
    let mut views = views(THREE);
    let next = (**views.committed()).clone().with_version(0x1_0000_0007);
    views.propose(Arc::new(next));
    let refused = views.reconfigured(&steps("nonsense", "x"), ALONE, &[]);
    assert_eq!(refused.unwrap_err().code(), Code::ReconfigInProgress);
}

#[test]
fn steps_that_cannot_be_read_are_told_apart_as_the_reference_does() {
    assert_eq!(code(&steps("", "two")), Code::MarshallingError);
    assert_eq!(code(&steps("server.x=d:1:2;5", "")), Code::MarshallingError);
    for joining in ["server.4", "server.4=d:1:2", "server.4=d:1;5", "server.4=d:1:2;5=6"] {
        assert_eq!(code(&steps(joining, "")), Code::BadArguments, "{joining}");
    }
    let grouped = "server.1=a:1:2\ngroup.1=1\nweight.1=1";
    let refused = views(grouped).reconfigured(&steps("", ""), AN_ENSEMBLE, &[Sid(1)]);
    assert_eq!(refused.unwrap_err(), ReconfigError::Groups);
}

#[test]
fn two_servers_at_one_address_are_refused_but_for_those_that_mean_any() {
    assert_eq!(code(&steps("server.4=b:1:9;5", "")), Code::BadArguments);
    assert_eq!(code(&steps("server.4=d:1:2;b:1", "")), Code::BadArguments);
    assert!(made(&steps("server.2=b:1:9;5", "")).is_ok(), "its own are no others'");
    let local = THREE.replace("=a:", "=127.0.0.1:");
    let again = steps("server.4=127.0.0.1:1:2;5", "");
    let made = views(&local).reconfigured(&again, ALONE, &[Sid(1), Sid(2), Sid(4)]);
    assert!(made.is_ok());
}

#[test]
fn several_hosts_are_refused_unless_they_are_allowed() {
    let request = steps("server.4=d:1:2|e:1:2;5", "");
    assert_eq!(made(&request).unwrap_err(), ReconfigError::Hosts { sid: Sid(4), hosts: 2 });
    let rules = ReconfigRules { multi_address: MultiAddress::Enabled, ..ALONE };
    let synced = [Sid(1), Sid(2), Sid(4)];
    assert!(views(THREE).reconfigured(&request, rules, &synced).is_ok());
}

#[test]
fn how_few_may_vote_depends_on_what_one_alone_is() {
    assert_eq!(code(&steps("", "2,3")), Code::BadArguments);
    let one = |synced: &[Sid]| views(THREE).reconfigured(&steps("", "2,3"), AN_ENSEMBLE, synced);
    assert_eq!(one(&[Sid(1)]).unwrap().members().count(), 1);
    assert_eq!(one(&[Sid(2)]).unwrap_err().code(), Code::NewConfigNoQuorum);
    let none = views(THREE).reconfigured(&steps("", "1,2,3"), AN_ENSEMBLE, &[Sid(1)]);
    assert_eq!(none.unwrap_err().code(), Code::BadArguments);
}
