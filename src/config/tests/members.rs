//! Files that list servers.

use super::{parse, parse_beside, refusal, remarks, settings};

const ONE: &str = "dataDir=/d\nserver.1=h1:2888:3888";

#[test]
fn one_listed_server_runs_standalone() {
    assert_eq!(
        remarks("server.1=h1:2888:3888\nclientPort=2181"),
        [
            "zoo.cfg, line 2: only one server is listed: it runs standalone, the line is ignored but for its client port"
        ]
    );
    assert_eq!(settings("server.1=h1:2888:3888\nclientPort=2181").ensemble, None);
}

#[test]
fn the_client_port_may_come_from_the_server_line() {
    for (line, myid, address) in [
        ("server.1=h1:2888:3888;2182", "1", "*:2182"),
        ("server.1=h1:2888:3888:participant;10.0.0.1:2183", "1\n", "10.0.0.1:2183"),
        ("server.1=[::1]:2888:3888;[::1]:2184", " 1 \r\nx", "[::1]:2184"),
        ("server.1=h1:2888:3888;2185;2281", "1", "*:2185"),
        ("server.1=h1:2888:3888;2182", "2", "127.0.0.1:2181"),
    ] {
        let text = format!("dataDir=/d\n{line}");
        let (config, _) = parse_beside(&text, &[("/d/myid", myid)]).unwrap();
        let found = format!("{}:{}", config.network.client_address, config.network.client_port);
        assert_eq!(found, address, "{line} with {myid}");
    }
}

#[test]
fn without_myid_the_server_line_is_used_if_the_file_names_no_port() {
    assert_eq!(settings("server.1=h1:1:2;2182").network.client_port, 2182);
    assert_eq!(settings("server.1=h1:1:2;2182\nclientPort=2183").network.client_port, 2183);
}

#[test]
fn two_client_addresses_that_differ_end_the_start() {
    let beside = |text: &str| parse_beside(text, &[("/d/myid", "1")]).map(|it| it.0.network);
    let same = beside(&format!("{ONE};10.0.0.1:2182\nclientPort=2182")).unwrap();
    assert_eq!(
        same.client_address.to_string(),
        "10.0.0.1",
        "an address that is every one gives way"
    );
    let err = beside(&format!("{ONE};2182\nclientPort=2181")).unwrap_err();
    assert_eq!(
        err.to_string(),
        "zoo.cfg, line 2: the client address *:2182 differs from *:2181, which the configuration gives on its own"
    );
    let text = format!("{ONE};10.0.0.1:2182\nclientPort=2182\nclientPortAddress=10.0.0.2");
    assert!(
        beside(&text).unwrap_err().to_string().contains("10.0.0.1:2182 differs from 10.0.0.2:2182")
    );
}

#[test]
fn myid_must_be_a_number() {
    let err = parse_beside(ONE, &[("/d/myid", "one")]).unwrap_err();
    assert_eq!(err.to_string(), "/d/myid: 'one': allowed is one decimal number");
    assert!(parse_beside("dataDir=/d", &[("/d/myid", "one")]).is_ok());
}

#[test]
fn a_malformed_server_line_is_refused_with_its_form() {
    for value in [
        "",
        "h1",
        "h1:2888",
        "h1:x:3888",
        "h1:2888:2888",
        "h1:1:2:boss",
        "h1:1:2:observer:x",
        "h1:1:2;x",
        ":1:2",
        "h1:1:2;1;2;3",
        "[::1:1:2",
    ] {
        let text = refusal(&format!("server.1={value}"));
        assert!(text.starts_with(&format!("zoo.cfg, line 2: server.1={value}: ")), "{text}");
    }
    assert!(
        refusal("server.x=h1:1:2")
            .ends_with("server.x=h1:1:2: server.x=h1:1:2: a number was expected")
    );
    let text = refusal("server.1=h1:1:2\nserver.2=h2:1:1\nserver.3=h3:1:2");
    assert_eq!(
        text,
        "zoo.cfg, line 3: server.2=h2:1:1: quorum port and election port of server 2 are both 1"
    );
}

#[test]
fn a_dynamic_file_lists_the_server_instead() {
    let text = "dataDir=/d\ndynamicConfigFile=/dynamic";
    let read = |dynamic: &str| parse_beside(text, &[("/dynamic", dynamic), ("/d/myid", "1")]);
    let (config, warnings) = read("server.1=h1:1:2:participant;0.0.0.0:2190").unwrap();
    assert_eq!(config.network.client_port, 2190);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].to_string().starts_with("/dynamic, line 1: only one server is listed"));
    let err = read("server.1=h1:1:2\nserver.2=h1:1:2\nversion=1").unwrap_err();
    assert!(err.to_string().starts_with("/dynamic, line 3: version is not allowed here"), "{err}");
    let err = read("server.1=h1:1:2\nclientPort=1").unwrap_err();
    assert!(
        err.to_string().starts_with("/dynamic, line 2: clientPort is not allowed here"),
        "{err}"
    );
    assert!(parse(text).unwrap_err().to_string().starts_with("/dynamic: "));
}

#[test]
fn server_lines_beside_a_dynamic_file_end_the_start() {
    for line in ["server.1=h1:1:2", "group.1=1", "weight.1=1"] {
        let text = format!("dataDir=/d\ndynamicConfigFile=/dynamic\n{line}");
        let err = parse_beside(&text, &[("/dynamic", "")]).unwrap_err().to_string();
        assert!(err.starts_with("zoo.cfg, line 3: "), "{err}");
        assert!(err.ends_with("belongs in the file that dynamicConfigFile names"), "{err}");
    }
}
