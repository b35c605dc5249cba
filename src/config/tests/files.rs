//! Whole files as they are found in the wild, and random ones.

use std::path::PathBuf;

use super::{Level, parse, parse_beside};
use crate::config::{Config, Overrides, Purge, Warning};

fn warnings(warnings: &[Warning]) -> Vec<String> {
    let loud = warnings.iter().filter(|it| it.level() == Level::Warning);
    loud.map(ToString::to_string).collect()
}

#[test]
fn the_sample_that_zookeeper_ships_works() {
    let (config, remarks) = parse(
        "# The number of milliseconds of each tick\ntickTime=2000\n# The number of ticks that the initial \n\
         # synchronization phase can take\ninitLimit=10\nsyncLimit=5\n# example sakes.\ndataDir=/tmp/zookeeper\n\
         # the port at which the clients will connect\nclientPort=2181\n#maxClientCnxns=60\n\
         #autopurge.snapRetainCount=3\n#autopurge.purgeInterval=1\n\n## Metrics Providers\n#\n\
         #metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\n",
    )
    .unwrap();
    assert_eq!(config.sessions.tick_ms, 2_000);
    assert_eq!(config.storage.purge, Purge::AfterSnapshot);
    assert_eq!(warnings(&remarks), [""; 0]);
}

#[test]
fn debians_file_works() {
    let (config, remarks) = parse(
        "# http://hadoop.apache.org/zookeeper/docs/current/zookeeperAdmin.html\n\ntickTime=2000\ninitLimit=10\n\
         syncLimit=5\ndataDir=/var/lib/zookeeper\n# dataLogDir=/disk2/zookeeper\n\nclientPort=2181\n\n\
         #server.1=zookeeper1:2888:3888\n#preAllocSize=65536\n#snapCount=1000\n#traceFile=requestTrace\n\
         leaderServes=yes\n",
    )
    .unwrap();
    assert_eq!(config.storage.data_log_dir, PathBuf::from("/var/lib/zookeeper"));
    assert_eq!(warnings(&remarks), [""; 0]);
}

#[test]
fn kafkas_file_works() {
    let (config, remarks) = parse(
        "dataDir=/tmp/zookeeper\n# the port at which the clients will connect\nclientPort=2181\n\
         # disable the per-ip limit on the number of connections since this is a non-production config\n\
         maxClientCnxns=0\n# Disable the adminserver by default to avoid port conflicts.\nadmin.enableServer=false\n\
         # admin.serverPort=8080\n",
    )
    .unwrap();
    assert_eq!(config.network.max_client_cnxns, 0);
    assert!(warnings(&remarks)[0].contains("the admin port (admin.enableServer in line 7)"));
}

#[test]
fn solrs_file_works() {
    let (config, _) = parse(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\n# NOTE: Solr sets this based on zkRun / zkHost params\n\
         dataDir=/opt/zookeeperdata\n#clientPort=2181\nmaxClientCnxns=60\nautopurge.snapRetainCount=3\n\
         autopurge.purgeInterval=1\n4lw.commands.whitelist=mntr,conf,ruok\n",
    )
    .unwrap();
    assert_eq!(config.storage.purge, Purge::Every { interval_ms: 3_600_000 });
    assert!(config.whitelist().contains(net::words::Word::Conf));
}

#[test]
fn the_docker_images_file_works() {
    let text = "dataDir=/data\ndataLogDir=/datalog\ntickTime=2000\ninitLimit=5\nsyncLimit=2\nautopurge.snapRetainCount=3\n\
                autopurge.purgeInterval=0\nmaxClientCnxns=60\nstandaloneEnabled=true\nadmin.enableServer=true\n\
                server.1=localhost:2888:3888;2181\n";
    let (config, remarks) = parse_beside(text, &[("/data/myid", "1")]).unwrap();
    assert_eq!(config.network.client_port, 2181);
    assert!(config.network.client_address.is_any());
    assert_eq!(config.storage.data_log_dir, PathBuf::from("/datalog"));
    let found = warnings(&remarks);
    assert_eq!(found.len(), 3, "one server, no purge, the admin port: {found:?}");
}

#[test]
fn a_charts_file_with_windows_line_ends_works() {
    let text = "tickTime=2000\r\ninitLimit=10\r\nsyncLimit=5\r\ndataDir=/bitnami/zookeeper/data\r\nclientPort=2181\r\n\
                maxClientCnxns=60\r\nmaxSessionTimeout=40000\r\nautopurge.snapRetainCount=3\r\n\
                autopurge.purgeInterval=1\r\n4lw.commands.whitelist=srvr, mntr, ruok\r\npreAllocSize=65536\r\n\
                snapCount=100000\r\nmaxCnxns=0\r\nreconfigEnabled=false\r\nquorumListenOnAllIPs=false\r\n\
                admin.serverPort=8080\r\nadmin.enableServer=true\r\nheapSize=1024\r\n";
    let (config, remarks) = parse(text).unwrap();
    assert_eq!(config.storage.data_dir, PathBuf::from("/bitnami/zookeeper/data"));
    assert_eq!(config.sessions.timeout_ms_max, 40_000);
    let found = warnings(&remarks);
    assert_eq!(found.len(), 2, "an unknown key, and one remark for all later ones: {found:?}");
}

#[test]
fn an_operators_file_with_tls_everywhere_needs_a_plain_port_to_start() {
    let text = "dataDir=/var/lib/zookeeper/data\n4lw.commands.whitelist=*\nstandaloneEnabled=true\nreconfigEnabled=true\n\
                clientPort=12181\nclientPortAddress=127.0.0.1\nserverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
                sslQuorum=true\nssl.clientAuth=need\nssl.quorum.clientAuth=need\nsecureClientPort=2181\n\
                ssl.trustStore.location=/tmp/zookeeper/cluster.truststore.p12\nssl.trustStore.password=hunter2\n\
                ssl.trustStore.type=PKCS12\nautopurge.purgeInterval=1\ntickTime=2000\ninitLimit=5\nsyncLimit=2\n";
    let (config, remarks) = parse(text).unwrap();
    assert_eq!(config.network.client_port, 12_181);
    assert_eq!(config.network.client_address.to_string(), "127.0.0.1");
    assert!(!format!("{remarks:?}").contains("hunter2"));
    let without = text.replace("clientPort=12181\nclientPortAddress=127.0.0.1\n", "");
    assert!(parse(&without).unwrap_err().to_string().contains("TLS is not available yet"));
}

#[test]
fn a_test_harness_file_with_keys_of_every_capability_works() {
    let (config, _) = parse(
        "tickTime=2000\ndataDir=/tmp/zk/data\nclientPort=20000\nsecureClientPort=22181\nmaxClientCnxns=0\n\
         admin.serverPort=28080\nserverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         ssl.keyStore.location=/tmp/zk/server.jks\nssl.keyStore.password=apassword\n\
         authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n\
         requireClientAuthScheme=sasl\njaasLoginRenew=3600000\nlocalSessionsEnabled=true\n\
         localSessionsUpgradingEnabled=true\npreAllocSize=100\nextendedTypesEnabled=true\n\
         zookeeper.extendedTypesEnabled=true\nznode.container.checkIntervalMs=500\njute.maxbuffer=2097152\n\
         4lw.commands.whitelist=*\n",
    )
    .unwrap();
    assert!(config.tree.extended_types);
    assert_eq!(config.storage.pre_alloc_kb, 100);
    assert_eq!(config.network.frame_len_max, 2_097_152);
}

#[test]
fn random_files_never_panic() {
    let words = [
        "dataDir",
        "clientPort",
        "server.1",
        "zookeeper.",
        "=",
        ":",
        "\n",
        "\r\n",
        "\\",
        "\\u00",
        "h:1:2",
        ";",
        "[::1]",
        "-1",
        "99999999999999999999",
        "0x",
        "0-9,",
        "dynamicConfigFile",
        "ringkeeper.cores",
        "#",
        " ",
        "\u{0}",
        "é",
        "yes",
        "connection_throttle_drop_increase",
        "autopurge.purgeInterval",
        "d",
        "1e309",
        "4lw.commands.whitelist",
        "*",
    ];
    let mut state = 0x5eed_2181_u64;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..draw() % 40 {
            match draw() % 10 {
                0 => text.push(draw() as u8),
                _ => text.extend_from_slice(words[draw() % words.len()].as_bytes()),
            }
        }
        let read = |_: &std::path::Path| Ok(text.clone());
        let overrides = Overrides { data_dir: Some("/d".into()), ..Overrides::default() };
        match Config::parse(&text, "zoo.cfg", &overrides, &read) {
            Ok((config, remarks)) => {
                accepted += 1;
                assert!(config.sessions.timeout_ms_min <= config.sessions.timeout_ms_max);
                assert!(remarks.iter().all(|it| !it.to_string().contains('\n')));
            }
            Err(err) => assert!(!err.to_string().is_empty()),
        }
    }
    assert!(1_000 < accepted, "{accepted}: the words should make files that work, too");
}
