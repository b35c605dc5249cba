//! The text of the configuration: what is read, what is printed, what is equal.

use alloc::string::{String, ToString};
use std::format;
use std::vec::Vec;

use super::*;

fn member(spec: &str) -> Member {
    Member::parse(Sid(1), spec).unwrap()
}

#[test]
fn a_member_is_printed_with_its_role_and_its_client_address() {
    let printed = |spec: &str| member(spec).to_string();
    assert_eq!(printed("a:1:2"), "a:1:2:participant");
    assert_eq!(printed("a:1:2:OBSERVER;2181"), "a:1:2:observer;0.0.0.0:2181");
    assert_eq!(printed("[fd00::1]:1:2;[::]:2181"), "[fd00::1]:1:2:participant;[::]:2181");
    assert_eq!(printed("b:1:2|a:3:4"), "a:3:4|b:1:2:participant");
    assert_eq!(printed("a:1:2;2181;2281"), "a:1:2:participant;0.0.0.0:2181;0.0.0.0:2281");
    assert_eq!(printed("a:1:2;;h:2281"), "a:1:2:participant;;h:2281");
}

#[test]
fn a_member_that_is_none_is_refused_with_what_is_wrong() {
    let error = |spec: &str| Member::parse(Sid(1), spec).unwrap_err();
    for spec in ["", "a", "a:1", "a:1:2:participant:x", "a:1:2;b:c:1", "a:1:2;1;2;3", ":1:2"] {
        assert!(matches!(error(spec), ConfigError::Spec { .. }), "{spec}");
    }
    for spec in ["[fd00::1", "[fd00::1]", "[fd00::1]:", "[fd00::1]x:1:2"] {
        assert!(matches!(error(spec), ConfigError::Spec { .. }), "{spec}");
    }
    assert_eq!(error("a:1:70000"), ConfigError::Port { port: "70000".into() });
    assert_eq!(error("a:1:2:leader"), ConfigError::Role { role: "leader".into() });
    assert_eq!(error("a:1:1"), ConfigError::SamePort { sid: Sid(1), port: 1 });
    let two = "a:1:2:observer|b:1:2:participant";
    assert_eq!(error(two), ConfigError::TwoRoles { sid: Sid(1) });
}

const GROUPED: &str = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\ngroup.1=1:2\ngroup.2=3\nweight.1=2\nweight.2=1\nweight.3=1\nversion=1000000a3";

#[test]
fn lines_are_read_in_any_order_and_printed_in_one() {
    let mut lines: Vec<_> = GROUPED.lines().collect();
    lines.reverse();
    let text = format!("# a comment\n\n{}\r\n", lines.join("\r\n"));
    let config = QuorumConfig::parse(&text).unwrap();
    assert_eq!(config.to_string(), GROUPED);
    assert_eq!(config.version(), 0x1_0000_00a3);
    assert!(config.is_hierarchical());
}

#[test]
fn a_configuration_that_is_none_is_refused_with_what_is_wrong() {
    let error = |text: &str| QuorumConfig::parse(text).unwrap_err();
    assert_eq!(error("clientPort=2181"), ConfigError::Key { key: "clientPort".into() });
    assert!(matches!(error("server.x=a:1:2"), ConfigError::Number { .. }));
    assert!(matches!(error("version=0x1"), ConfigError::Number { .. }));
    assert_eq!(error("group.1=1\ngroup.2=1"), ConfigError::TwoGroups { sid: Sid(1) });
    assert_eq!(error("server.1=a:1:2\nweight.1=1"), ConfigError::NoGroup { sid: Sid(1) });
    let stranger = error("server.1=a:1:2\ngroup.1=1:9");
    assert_eq!(stranger, ConfigError::Stranger { sid: Sid(9), gid: 1 });
}

#[test]
fn configurations_are_equal_by_version_or_by_members() {
    let parse = |text: &str| QuorumConfig::parse(text).unwrap();
    let one = parse("server.1=a:1:2\nversion=5");
    assert_eq!(one, parse("server.1=b:1:2\nversion=5"));
    assert_eq!(one, parse("server.1=a:1:2\nversion=6"));
    assert_ne!(one, parse("server.1=b:1:2\nversion=6"));
    assert_ne!(one, parse("server.1=a:1:2:observer\nversion=6"));
    assert_ne!(one, parse("server.1=a:1:2\ngroup.1=1\nversion=5"));
}

#[test]
fn versions_are_hexadecimal_and_may_be_negative_when_printed() {
    let config = QuorumConfig::of_members([member("a:1:2")]).with_version(-1);
    assert!(config.to_string().ends_with("version=ffffffffffffffff"));
    assert_eq!(version("1000000a3"), Some(0x1_0000_00a3));
    assert_eq!(version(""), None);
}

#[test]
fn any_text_is_read_or_refused_without_a_panic() {
    let pieces =
        ["server.1", "=", "a:1:2", ";", "[", "]", "|", "group.1", "weight", "\n", "1", ":", "é"];
    let mut state = 7_usize;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(pieces[(state >> 33) % pieces.len()]);
        }
        if let Ok(config) = QuorumConfig::parse(&text) {
            assert_eq!(QuorumConfig::parse(&config.to_string()).unwrap(), config, "{text}");
        }
    }
}
