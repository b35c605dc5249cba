//! Files of members of an ensemble.

use std::time::Duration;

use net::port::Incoming;
use net::tls::{ClientAuth, Password, Protocols, StoreKind};
use quorum::config::{MultiAddress, Standalone};
use quorum::zab::{Reconfig, SyncBy, SyncLimits};
use quorum::{Role, Sid};

use super::{ConfigError, EnsembleConfig, Level, parse_beside};
use crate::config::{ConfFigures, Config, Warning};

const LIMITS: &str = "dataDir=/d\nclientPort=2181\ninitLimit=10\nsyncLimit=5\n";
const THREE: &str = "server.1=h1:2888:3888\nserver.2=h2:2889:3889\nserver.3=h3:2888:3888\n";

fn read(text: &str, myid: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    parse_beside(&format!("{LIMITS}{text}"), &[("/d/myid", myid)])
}

/// The settings of server 1 of three, with `text` more.
fn first_of_three(text: &str) -> EnsembleConfig {
    read(&format!("{THREE}{text}"), "1").unwrap().0.ensemble.unwrap()
}

fn refusal(text: &str, myid: &str) -> String {
    read(text, myid).unwrap_err().to_string()
}

#[test]
fn three_listed_servers_are_an_ensemble() {
    let (config, warnings) = read(THREE, "2\n").unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.network.client_port, 2181);
    let ensemble = config.ensemble.unwrap();
    assert_eq!((ensemble.myid, ensemble.role()), (Sid(2), Role::Participant));
    assert_eq!((ensemble.init_limit, ensemble.sync_limit, ensemble.connect_limit), (10, 5, 10));
    assert_eq!(ensemble.handshake_timeout_ms, 15_000, "syncLimit ticks of 3 s");
    assert_eq!(ensemble.own().to_string(), "h2:2889:3889:participant");
    assert_eq!(ensemble.members.version(), 0);
    assert_eq!(ensemble.last_seen, None);
}

#[test]
fn every_key_of_an_ensemble_goes_where_it_belongs() {
    let text = "connectToLearnerMasterLimit=7\nquorumListenOnAllIPs=true\nmultiAddress.enabled=true\ncnxTimeout=11\n\
                quorumCnxnTimeoutMs=12\nleaderConnectDelayDuringRetryMs=13\nelectionPortBindRetry=14\ntcpKeepAlive=true\n\
                fastleader.minNotificationInterval=15\nfastleader.maxNotificationInterval=16\nleaderServes=no\n\
                reconfigEnabled=true\ncommitLogCount=1000\nleader.maxConcurrentSnapSyncs=17\n\
                zookeeper.leader.maxConcurrentDiffSyncs=18\nforceSnapshotSync=true\nleader.maxTimeToWaitForEpoch=19\n\
                oraclePath=/o\nenableEagerACLCheck=true\nelectionAlg=3\npeerType=participant";
    let mut expected = first_of_three("");
    (expected.connect_limit, expected.listen_on_all, expected.multi_address) = (7, true, true);
    (expected.connect_timeout_ms, expected.handshake_timeout_ms) = (11, 12);
    (expected.connect_pause_ms, expected.bind_tries, expected.tcp_keep_alive) = (13, 14, true);
    (expected.notification_ms_min, expected.notification_ms_max) = (15, 16);
    (expected.leader_serves, expected.reconfig) = (false, Reconfig::Enabled);
    expected.window.count_max = 1_000;
    expected.sync_limits = SyncLimits { snap_max: 17, diff_max: 18 };
    expected.eager_acl = true;
    expected.oracle_path = Some("/o".into());
    (expected.sync_by, expected.epoch_wait) = (SyncBy::Force, Some(Duration::from_millis(19)));
    expected.rules.multi_address = MultiAddress::Enabled;
    assert_eq!(first_of_three(text), expected);
    let waits = first_of_three("fastleader.minNotificationInterval=70000");
    assert_eq!(waits.notification_ms_max, 70_000);
    assert_eq!(first_of_three("commitLogCount=1").window.count_max, 500);
}

#[test]
fn one_voter_is_an_ensemble_if_it_may_not_be_alone() {
    let line = "server.1=h1:1:2\n";
    assert_eq!(read(line, "1").unwrap().0.ensemble, None);
    let (config, _) = read(&format!("{line}standaloneEnabled=false"), "1").unwrap();
    assert_eq!(config.ensemble.unwrap().rules.standalone, Standalone::Disabled);
    let with_observer = format!("{line}server.2=h2:1:2:observer\n");
    assert!(refusal(&with_observer, "1").starts_with(
        "zoo.cfg, line 6: 1 voting servers and 1 observers are listed: observers need an ensemble"
    ),);
    let (config, _) = read(&format!("{with_observer}standaloneEnabled=false"), "2").unwrap();
    assert_eq!(config.ensemble.unwrap().role(), Role::Observer);
    assert!(
        refusal("server.1=h:1:2:observer", "1").contains("0 voting servers and 1 observers are")
    );
    assert!(
        refusal("standaloneEnabled=false", "1")
            .starts_with("zoo.cfg: standaloneEnabled=false, but")
    );
}

#[test]
fn what_a_member_lacks_is_named() {
    let beside = |text: &str, files: &[(&str, &str)]| {
        parse_beside(&format!("dataDir=/d\n{text}{THREE}"), files).unwrap_err().to_string()
    };
    let myid = &[("/d/myid", "1")][..];
    assert_eq!(
        beside("clientPort=1\ninitLimit=1\nsyncLimit=1\n", &[]),
        "/d/myid: this file is missing: write the N of this server's own line server.N=… into it"
    );
    assert!(
        beside("clientPort=1\nsyncLimit=1\n", myid).starts_with("zoo.cfg: initLimit is not set")
    );
    assert!(
        beside("clientPort=1\ninitLimit=1\n", myid).starts_with("zoo.cfg: syncLimit is not set")
    );
    assert!(beside("initLimit=1\nsyncLimit=1\n", myid).starts_with("zoo.cfg: no client port: set"));
    assert_eq!(
        beside("clientPort=1\ninitLimit=1\nsyncLimit=1\n", &[("/d/myid", "4")]),
        "zoo.cfg, line 7: this server's myid is 4, and there is no line server.4=…: add it, or correct myid"
    );
    assert_eq!(refusal(THREE, "one"), "/d/myid: 'one': allowed is one decimal number");
}

#[test]
fn a_members_clients_connect_where_its_line_says() {
    let text = "dataDir=/d\ninitLimit=1\nsyncLimit=1\nserver.1=h1:1:2;2182\nserver.2=h2:1:2;10.0.0.2:2183\nserver.3=h3:1:2";
    let at = |myid| {
        let (config, _) = parse_beside(text, &[("/d/myid", myid)]).unwrap();
        format!("{}:{}", config.network.client_address, config.network.client_port)
    };
    assert_eq!((at("1"), at("2")), ("*:2182".into(), "10.0.0.2:2183".into()));
    let text = format!("{text}\nclientPort=2190");
    let err = parse_beside(&text, &[("/d/myid", "2")]).unwrap_err().to_string();
    assert_eq!(
        err,
        "zoo.cfg, line 5: the client address 10.0.0.2:2183 differs from *:2190, which the configuration gives on its own"
    );
    let (config, _) = parse_beside(&text, &[("/d/myid", "3")]).unwrap();
    assert_eq!(config.network.client_port, 2190);
}

#[test]
fn several_addresses_need_to_be_switched_on() {
    let text = "server.1=h1:1:2\nserver.2=h2:1:2|h2:3:4\nserver.3=h3:1:2\n";
    assert!(
        refusal(text, "1")
            .starts_with("zoo.cfg, line 6: server 2 has several addresses: set multi")
    );
    let (config, _) = read(&format!("{text}multiAddress.enabled=true"), "2").unwrap();
    assert_eq!(config.ensemble.unwrap().own().endpoints.len(), 2);
}

#[test]
fn groups_and_weights_make_quorums() {
    let nine = (1..=9).fold(String::new(), |all, it| format!("{all}server.{it}=h{it}:1:2\n"));
    let groups = "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.1=0\n";
    let (config, _) = read(&format!("{nine}{groups}"), "1").unwrap();
    let members = config.ensemble.unwrap().members;
    assert!(members.is_hierarchical());
    assert_eq!(members.weights()[&Sid(1)], 0);
    let text = refusal(&format!("{nine}group.1=1:2:3\n"), "1");
    assert_eq!(text, "zoo.cfg, line 14: group.1=1:2:3: server 4 is not in a group");
}

#[test]
fn a_dynamic_file_gives_members_and_version_and_what_was_proposed() {
    let text = format!("{LIMITS}dynamicConfigFile=/zoo.cfg.dynamic.10000002a");
    let one_more = format!("{THREE}server.4=h4:1:2\nversion=10000002b");
    let files = [
        ("/zoo.cfg.dynamic.10000002a", THREE),
        ("zoo.cfg.dynamic.next", &one_more),
        ("/d/myid", "1"),
    ];
    let ensemble = parse_beside(&text, &files).unwrap().0.ensemble.unwrap();
    assert_eq!(ensemble.members.version(), 0x1_0000_002a);
    assert_eq!(ensemble.last_seen.unwrap().version(), 0x1_0000_002b);
    let unversioned = format!("{LIMITS}dynamicConfigFile=/dynamic");
    let files = [("/dynamic", THREE), ("/d/myid", "1")];
    let ensemble = parse_beside(&unversioned, &files).unwrap().0.ensemble.unwrap();
    assert_eq!((ensemble.members.version(), ensemble.last_seen), (0, None));
}

#[test]
fn what_an_operator_may_not_have_meant_is_said() {
    let (_, warnings) = read("server.1=h1:1:2\nserver.2=h2:1:2", "1").unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].level(), Level::Notice);
    assert_eq!(
        warnings[0].to_string(),
        "zoo.cfg, line 6: with 2 voting servers the ensemble stops when one fails; three tolerate a failure"
    );
    let (_, warnings) = read(&format!("{THREE}server.4=h4:1:2"), "1").unwrap();
    assert_eq!(
        warnings[0].to_string(),
        "zoo.cfg, line 8: 4 voting servers tolerate no more failures than 3"
    );
    let (_, warnings) = read(&format!("{THREE}peerType=observer"), "1").unwrap();
    assert_eq!(warnings[0].level(), Level::Warning);
    assert_eq!(
        warnings[0].to_string(),
        "zoo.cfg, line 8: peerType=observer, but this server's line says participant, which counts"
    );
}

#[test]
fn an_election_of_another_kind_is_refused() {
    let text = refusal(&format!("{THREE}electionAlg=0"), "1");
    assert_eq!(text, "zoo.cfg, line 8: electionAlg=0: allowed is 3");
}

#[test]
fn conf_shows_a_members_lines_as_the_reference_does() {
    let (config, _) = read(THREE, "2").unwrap();
    let figures = ConfFigures {
        client_port: 2181,
        data_dir: "/d/own".as_ref(),
        data_dir_size: 0,
        data_log_dir: "/d/own".as_ref(),
        membership: None,
        data_log_size: 0,
    };
    let text = config.conf(figures);
    assert!(
        text.ends_with(
            "serverId=2\ninitLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=3889\nquorumPort=2889\npeerType=0\n\
             membership: \nserver.1=h1:2888:3888:participant\nserver.2=h2:2889:3889:participant\n\
             server.3=h3:2888:3888:participant\nversion=0"
        ),
        "{text}"
    );
}

#[test]
fn an_oracle_is_asked_where_two_count_alike_and_a_remark_says_so_elsewhere() {
    let two = "oraclePath=/o\nserver.1=h1:2888:3888\nserver.2=h2:2888:3888\n";
    let remarks = |text: &str| -> Vec<String> {
        read(text, "1").unwrap().1.iter().map(ToString::to_string).collect()
    };
    assert!(remarks(two).is_empty(), "{:?}", remarks(two));
    let unasked = |voters| {
        format!(
            "oraclePath is asked where two servers vote, without groups; here {voters} do, and it has no say"
        )
    };
    for (more, voters) in [("server.3=h3:2888:3888\n", 3), ("group.1=1\ngroup.2=2\n", 2)] {
        let found = remarks(&format!("{two}{more}"));
        assert!(found[0].ends_with(&unasked(voters)), "{found:?}");
    }
}

#[test]
fn keys_of_tls_say_what_is_called_and_what_is_taken() {
    let security = |text: &str| first_of_three(text).security;
    assert_eq!(security("ssl.quorum.keyStore.location=/k.p12").tls(), None);
    let steps = [
        ("portUnification=true", false, Incoming::Either),
        ("sslQuorum=true\nportUnification=true", true, Incoming::Either),
        ("sslQuorum=true", true, Incoming::Tls),
    ];
    for (text, calls_tls, incoming) in steps {
        let found = security(text);
        assert_eq!((found.ssl_quorum, found.incoming()), (calls_tls, incoming), "{text}");
        assert!(found.tls().is_some(), "{text}");
    }
    assert_eq!(security("").incoming(), Incoming::Plain);
}

#[test]
fn keys_of_tls_go_where_they_belong() {
    let text = "sslQuorum=true\nssl.quorum.keyStore.location=/k\nzookeeper.ssl.quorum.keyStore.password=hunter2\nssl.quorum.keyStore.type=pkcs12\n\
                ssl.quorum.trustStore.location=/t.pem\nssl.quorum.trustStore.passwordPath=/p\nssl.quorum.clientAuth=Want\n\
                ssl.quorum.ciphersuites=TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384\nssl.quorum.enabledProtocols=TLSv1.3\n\
                ssl.quorum.protocol=TLSv1.2\nsslQuorumReloadCertFiles=true\nssl.quorum.handshakeDetectionTimeoutMillis=70\n";
    let found = first_of_three(text).security;
    assert!(found.reload && !format!("{found:?}").contains("hunter2"));
    assert_eq!(found.detection_timeout(), Duration::from_millis(70));
    let (key, trust) = (found.tls.key_store.clone(), found.tls.trust_store.clone());
    assert_eq!((key.location, key.kind), ("/k".into(), Some(StoreKind::Pkcs12)));
    assert_eq!(key.password, Password::new("hunter2".into()));
    assert_eq!((trust.location, trust.password_path), ("/t.pem".into(), Some("/p".into())));
    let tls = found.tls().unwrap();
    assert_eq!((tls.client_auth, tls.protocols), (ClientAuth::Want, Protocols::V13));
    assert_eq!(tls.suites, ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]);
    let v12 = first_of_three("sslQuorum=true\nssl.quorum.protocol=TLSv1.2").security;
    assert_eq!(v12.tls().unwrap().protocols, Protocols::V12);
}

#[test]
fn names_are_compared_as_the_reference_does_it() {
    let names = |text: &str| {
        let found = first_of_three(&format!("sslQuorum=true\n{text}")).security.tls().unwrap();
        (found.names.servers, found.names.clients)
    };
    assert_eq!(names(""), (false, false), "fips-mode is on");
    assert_eq!(names("fips-mode=false"), (true, true));
    assert_eq!(names("fips-mode=false\nssl.quorum.hostnameVerification=false"), (false, false));
    let one = "fips-mode=false\nssl.quorum.clientHostnameVerification=false";
    assert_eq!(names(one), (true, false));
    assert_eq!(names("ssl.quorum.hostnameVerification=true"), (false, false));
}
