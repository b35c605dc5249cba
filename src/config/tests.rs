//! Rules of the configuration: key by key, files as they are found in the wild, and what must never happen.

use std::io;
use std::path::{Path, PathBuf};

use super::*;

mod docs;
mod ensemble;
mod files;
mod keys;
mod members;

/// Reads `text` as zoo.cfg, with no other file around.
fn parse(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    parse_beside(text, &[])
}

/// Reads `text` as zoo.cfg beside `files`.
fn parse_beside(text: &str, files: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), ConfigError> {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found
            .map(|(_, content)| content.as_bytes().to_vec())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    Config::parse(text.as_bytes(), "zoo.cfg", &Overrides::default(), &read)
}

/// The settings of `text`, which must be accepted, after a line that names the data directory.
fn settings(text: &str) -> Config {
    parse(&format!("dataDir=/d\n{text}")).unwrap().0
}

/// The remarks on `text`, as they are shown.
fn remarks(text: &str) -> Vec<String> {
    let (_, warnings) = parse(&format!("dataDir=/d\n{text}")).unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

/// The message that refuses `text`, after a line that names the data directory.
fn refusal(text: &str) -> String {
    parse(&format!("dataDir=/d\n{text}")).unwrap_err().to_string()
}

#[test]
fn without_a_file_the_server_is_local_and_keeps_its_data_here() {
    let (config, warnings) = Config::load(None, &Overrides::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(warnings, []);
    assert_eq!(config.network.client_address.to_string(), "127.0.0.1");
    assert_eq!(config.network.client_port, 2181);
    assert_eq!(config.storage.data_dir, PathBuf::from("./ringkeeper-data"));
    assert_eq!(config.storage.data_log_dir, config.storage.data_dir);
}

#[test]
fn a_file_that_names_a_port_listens_on_every_address() {
    assert_eq!(settings("clientPort=2182").network.client_address, ClientAddress::Any);
    let config = settings("");
    assert_eq!(config.network.client_address.to_string(), "127.0.0.1");
    assert_eq!(config.network.client_port, 2181);
}

#[test]
fn a_file_must_name_the_data_directory() {
    let err = parse("clientPort=2181").unwrap_err();
    assert_eq!(
        err.to_string(),
        "zoo.cfg: dataDir is not set: name the directory to keep data in, or give --data-dir"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let err = Config::load(Some(Path::new("/nowhere/zoo.cfg")), &Overrides::default()).unwrap_err();
    assert!(err.to_string().starts_with("/nowhere/zoo.cfg: No such file"), "{err}");
}

#[test]
fn the_command_line_counts_more_than_the_file() {
    let overrides = Overrides {
        data_dir: Some("/o".into()),
        listen: Some("::1".parse().unwrap()),
        client_port: Some(0),
        cores: Some(Cores::Count(2)),
    };
    let text = "dataDir=/d\ndataLogDir=/l\nclientPort=1\nclientPortAddress=h\nringkeeper.cores=1";
    let absent = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let (config, _) = Config::parse(text.as_bytes(), "zoo.cfg", &overrides, &absent).unwrap();
    for config in [config, Config::without_file(&overrides)] {
        assert_eq!(config.storage.data_dir, PathBuf::from("/o"));
        assert_eq!(config.storage.data_log_dir, PathBuf::from("/o"));
        assert_eq!(config.network.client_address.to_string(), "[::1]");
        assert_eq!(config.network.client_port, 0);
        assert_eq!(config.own.cores, Cores::Count(2));
    }
}

#[test]
fn the_data_directory_can_come_from_the_command_line_alone() {
    let overrides = Overrides { data_dir: Some("/o".into()), ..Overrides::default() };
    let absent = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let (config, _) = Config::parse(b"clientPort=1", "zoo.cfg", &overrides, &absent).unwrap();
    assert_eq!(config.storage.data_dir, PathBuf::from("/o"));
}

#[test]
fn an_address_needs_a_port() {
    assert_eq!(
        refusal("clientPortAddress=10.0.0.1"),
        "zoo.cfg, line 2: clientPortAddress=10.0.0.1 is set but clientPort is not: set clientPort too"
    );
}

#[test]
fn a_file_with_nothing_but_a_tls_port_opens_no_plain_one() {
    let text = refusal("secureClientPort=2281");
    assert!(
        text.starts_with("zoo.cfg, line 2: secureClientPort is set but clientPort is not"),
        "{text}"
    );
    assert_eq!(settings("secureClientPort=2281\nclientPort=2181").network.client_port, 2181);
}

#[test]
fn session_timeouts_follow_the_tick() {
    let sessions = settings("tickTime=500").sessions;
    assert_eq!((sessions.timeout_ms_min, sessions.timeout_ms_max), (1_000, 10_000));
    let sessions = settings("tickTime=500\nminSessionTimeout=-1\nmaxSessionTimeout=7000").sessions;
    assert_eq!((sessions.timeout_ms_min, sessions.timeout_ms_max), (1_000, 7_000));
    assert_eq!(settings("minSessionTimeout=0").sessions.timeout_ms_min, 1);
}

#[test]
fn the_shortest_timeout_is_not_longer_than_the_longest() {
    let text = refusal("tickTime=1000\nminSessionTimeout=30000");
    assert!(
        text.contains("minSessionTimeout=30000 is larger than maxSessionTimeout=20000"),
        "{text}"
    );
    assert!(text.contains("tickTime=1000"), "{text}");
    assert_eq!(settings("minSessionTimeout=5\nmaxSessionTimeout=5").sessions.timeout_ms_max, 5);
}

#[test]
fn a_prefix_changes_nothing() {
    for (key, value) in [("snapCount", "7"), ("tickTime", "7"), ("jute.maxbuffer", "7777")] {
        let (plain, prefixed) = (format!("{key}={value}"), format!("zookeeper.{key}={value}"));
        assert_eq!(settings(&plain), settings(&prefixed));
        assert_ne!(settings(&plain), settings(""));
    }
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let text = "tickTime=1\nzookeeper.tickTime=bad\ntickTime=3";
    assert_eq!(settings(text).sessions.tick_ms, 3);
    assert_eq!(
        remarks(text),
        [
            "zoo.cfg, line 3: tickTime is given again; line 2 does not count",
            "zoo.cfg, line 4: tickTime is given again; line 3 does not count",
        ]
    );
}

#[test]
fn an_unknown_key_is_named_and_the_nearest_known_one_with_it() {
    assert_eq!(
        remarks("tickTme=1\nticktime=2\nwhatever=3\nDataDir=/x"),
        [
            "zoo.cfg, line 2: tickTme is not known and has no effect; is tickTime meant?",
            "zoo.cfg, line 3: ticktime is not known and has no effect; is tickTime meant?",
            "zoo.cfg, line 4: whatever is not known and has no effect",
            "zoo.cfg, line 5: DataDir is not known and has no effect; is dataDir meant?",
        ]
    );
}

#[test]
fn keys_of_later_capabilities_are_named_in_one_remark() {
    let found = remarks(
        "secureClientPort=2281\nclientPort=1\nssl.keyStore.location=/k\nauthProvider.1=org.X\n\
         admin.serverPort=0\naudit.enable=true\nmetricsProvider.className=org.P",
    );
    assert_eq!(
        found,
        [
            "settings of what does not exist yet: TLS for clients (secureClientPort in line 2, ssl.keyStore.location in line 4): no port for clients speaks TLS; \
          they connect in plain text; authentication providers (authProvider.1 in line 5): only the schemes world, auth, \
          digest and ip exist; the admin port (admin.serverPort in line 6): no HTTP port is opened; use the four-letter \
          words; metrics providers (metricsProvider.className in line 8): figures are shown by mntr only; the audit log \
          (audit.enable in line 7): nothing is audited"
        ]
    );
}

#[test]
fn keys_without_anything_to_tune_are_a_notice() {
    let (_, warnings) = parse("dataDir=/d\nflushDelay=5\nserverCnxnFactory=org.N").unwrap();
    assert_eq!(warnings.iter().map(Warning::level).collect::<Vec<_>>(), [Level::Notice]);
    assert_eq!(
        remarks("flushDelay=5\nserverCnxnFactory=org.N"),
        [
            "accepted, but there is nothing here that they could tune: flushDelay in line 2, serverCnxnFactory in line 3"
        ]
    );
}

#[test]
fn every_other_key_is_recognised_with_any_value() {
    let names = LATER_KEYS.iter().map(|it| it.name).chain(IDLE_KEYS.iter().map(|it| it.name));
    for name in names.filter(|it| !it.starts_with("server.")) {
        let key = name.replace('*', "x");
        for value in ["", "true", "-1", "%$/", "org.apache.X"] {
            let (config, warnings) =
                parse(&format!("dataDir=/d\nclientPort=1\n{key}={value}")).unwrap();
            assert_eq!(config, settings("clientPort=1"));
            assert_eq!(warnings.len(), 1, "{key}");
            assert!(!matches!(warnings[0], Warning::UnknownKey { .. }), "{key}");
        }
    }
}

#[test]
fn no_key_is_in_two_tables() {
    let others = || LATER_KEYS.iter().map(|it| it.name).chain(IDLE_KEYS.iter().map(|it| it.name));
    for key in keys() {
        let twins = keys().filter(|it| it.name == key.name).count();
        assert_eq!(twins, 1, "{}", key.name);
        assert!(!others().any(|it| super::keys::stands_for(it, key.name)), "{}", key.name);
    }
    for name in others() {
        assert_eq!(others().filter(|&it| it == name).count(), 1, "{name}");
    }
}

#[test]
fn what_risks_data_is_warned_about() {
    let found = remarks("forceSync=no\nautopurge.purgeInterval=0\nskipACL=yes");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("zoo.cfg, line 2: forceSync=no: writes are acknowledged before"));
    assert!(
        found[1].starts_with("zoo.cfg, line 3: autopurge.purgeInterval switches the purge off")
    );
    assert!(found[2].starts_with("zoo.cfg, line 4: skipACL=yes"));
    assert_eq!(remarks("forceSync=yes\nautopurge.purgeInterval=1\nskipACL=no"), [""; 0]);
}

#[test]
fn what_is_too_small_is_raised_with_a_remark() {
    assert_eq!(settings("snapCount=1").storage.snap_count, 2);
    assert_eq!(settings("autopurge.snapRetainCount=-1").storage.snap_retain_count, 3);
    assert_eq!(
        remarks("snapCount=0\nautopurge.snapRetainCount=2"),
        [
            "zoo.cfg, line 2: snapCount is too small; 2 is used",
            "zoo.cfg, line 3: autopurge.snapRetainCount is too small; 3 is used",
        ]
    );
}

#[test]
fn enforced_authentication_needs_schemes_and_needs_to_be_on() {
    assert_eq!(settings("enforce.auth.schemes=digest").access.enforced_schemes, [""; 0]);
    let both = "enforce.auth.enabled=true\nenforce.auth.schemes= digest , ip";
    assert_eq!(settings(both).access.enforced_schemes, ["digest", "ip"]);
    assert_eq!(
        refusal("enforce.auth.enabled=true"),
        "zoo.cfg: enforce.auth.enabled=true needs enforce.auth.schemes: allowed is a list of digest, ip, sasl, x509"
    );
}

#[test]
fn required_sasl_shuts_clients_out_rather_than_letting_all_in() {
    let text =
        "sessionRequireClientSASLAuth=true\nenforce.auth.enabled=true\nenforce.auth.schemes=ip";
    assert_eq!(settings(text).access.enforced_schemes, ["sasl"]);
    assert_eq!(
        remarks(text),
        [
            "authentication is enforced by sasl only, which no client can do yet: every request is refused"
        ]
    );
}

#[test]
fn a_secret_is_never_shown() {
    let text = "DigestAuthenticationProvider.superDigest=super:hunter2";
    let (config, warnings) = parse(&format!("dataDir=/d\n{text}\n{text}")).unwrap();
    assert_eq!(config.access.super_digest.as_ref().map(Secret::expose), Some("super:hunter2"));
    for shown in [format!("{config:?}"), format!("{warnings:?}"), refusal(&text.replace(':', ""))] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn weights_of_sessions_settle_what_tokens_count() {
    let text = "connection_throttle_tokens=10\nconnection_throttle_fill_count=2\n\
                connection_throttle_local_session_weight=5\n";
    let throttle = settings(text).connection_throttle;
    assert_eq!((throttle.tokens, throttle.fill_count), (10, 2));
    assert_eq!((throttle.global_session_weight, throttle.renew_session_weight), (5, 5));
    let throttle =
        settings(&format!("{text}connection_throttle_weight_enabled=true")).connection_throttle;
    assert_eq!((throttle.tokens, throttle.fill_count), (50, 10));
}

#[test]
fn messages_stay_short_and_on_one_line() {
    let long = "x".repeat(100_000);
    let text = refusal(&format!("tickTime={long}\\n{long}"));
    assert!(text.len() < 400, "{}", text.len());
    let found = remarks(&format!("{long}\\n{long}=1"));
    assert!(found.iter().all(|it| it.len() < 400 && !it.contains('\n')));
    assert!(refusal("tickTime=a\\nb").contains(r"tickTime=a\nb: allowed is"));
}

#[test]
fn a_malformed_escape_names_file_and_line() {
    let text = refusal("\ndataLogDir=\\u00zz");
    assert!(text.starts_with("zoo.cfg, line 3: malformed escape"), "{text}");
}

#[test]
fn the_whitelist_is_what_the_file_says() {
    use net::words::{Whitelist, Word};
    assert_eq!(settings("").whitelist(), Whitelist::named([]));
    assert_eq!(settings("4lw.commands.whitelist=*").whitelist(), Whitelist::all());
    assert_eq!(settings("4lw.commands.whitelist=ruok, *").whitelist(), Whitelist::all());
    let some = settings("4lw.commands.whitelist=ruok, mntr ,,bogus").whitelist();
    assert_eq!(some, Whitelist::named(["ruok", "mntr"]));
    assert!(settings("readonlymode.enabled=true").whitelist().contains(Word::Isro));
    assert!(!settings("").whitelist().contains(Word::Isro));
}

#[test]
fn conf_has_the_references_lines() {
    let config = settings("dataLogDir=/l\nclientPort=0\nmaxClientCnxns=7");
    let figures = ConfFigures {
        client_port: 28457,
        data_dir: Path::new("/d/own"),
        data_dir_size: 478,
        data_log_dir: Path::new("/l/own"),
        membership: None,
        data_log_size: 480,
    };
    assert_eq!(
        config.conf(figures),
        "clientPort=28457\nsecureClientPort=-1\ndataDir=/d/own\ndataDirSize=478\ndataLogDir=/l/own\n\
         dataLogSize=480\ntickTime=3000\nmaxClientCnxns=7\nminSessionTimeout=6000\nmaxSessionTimeout=60000\n\
         clientPortListenBacklog=-1\nserverId=0\n"
    );
}

#[test]
fn an_address_resolves_to_what_can_be_bound() {
    let shown = |address: &str| {
        let address: ClientAddress = address.parse().unwrap();
        address.resolve(7).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(shown("*"), ["[::]:7", "0.0.0.0:7"]);
    assert_eq!(shown("10.0.0.1"), ["10.0.0.1:7"]);
    assert_eq!(shown("[::1]"), ["[::1]:7"]);
    assert!(shown("localhost").iter().all(|it| it.ends_with(":7")));
    assert!(ClientAddress::Name("host.invalid".into()).resolve(7).is_err());
}
