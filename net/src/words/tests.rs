//! The answers, compared with what release 3.9.5 answers.

use core::net::SocketAddr;

use jute::{Op, SessionId, Zxid};

use super::java::{Address, Date, Double};
use super::*;
use crate::figures::{PipelineFigures, ShardFigures, Summary};

const VERSION: &str = "3.9.5-x, built on 2026-02-11 20:18 UTC";
const SESSION: SessionId = SessionId(0x0100_0022_fdc9_0000);

fn latency(values: &[u64]) -> Summary {
    let mut summary = Summary::default();
    for &value in values {
        summary.add(value);
    }
    summary
}

fn server(latency: &Summary) -> ServerRow<'_> {
    ServerRow {
        version: VERSION,
        latency,
        received: 14,
        sent: 13,
        connections: 2,
        outstanding: 0,
        zxid: Zxid(7),
        mode: "standalone",
        znode_count: 11,
        proposal_size: None,
    }
}

fn connection(remote: &str, session: Option<CnxnSession>) -> CnxnRow {
    let remote = remote.parse().unwrap();
    CnxnRow { remote, interest_ops: 1, queued: 0, received: 11, sent: 10, session }
}

fn session() -> CnxnSession {
    CnxnSession {
        id: SESSION,
        last_op: Some(Op::Create),
        established_ms: 1_795_252_981_485,
        timeout_ms: 10_000,
        last_cxid: 10,
        last_zxid: Zxid(7),
        last_response_ms: 2_297_742,
        last_latency_ms: 1,
        latency: latency(&[0, 23, 1, 1, 1, 1, 1, 1, 1, 1]),
    }
}

#[test]
fn every_word_has_four_letters_of_its_own() {
    for (idx, word) in Word::ALL.into_iter().enumerate() {
        assert_eq!(word.name().len(), 4);
        assert_eq!(word as usize, idx);
        let bytes: [u8; 4] = word.name().as_bytes().try_into().unwrap();
        assert_eq!(opening(bytes, Whitelist::all()), Opening::Word(word));
    }
    assert!(Word::ALL.is_sorted_by_key(|it| it.name()));
}

#[test]
fn only_srvr_is_answered_unless_configured() {
    let none = Whitelist::named([]);
    assert_eq!(opening(*b"srvr", none), Opening::Word(Word::Srvr));
    assert_eq!(opening(*b"ruok", none), Opening::Refused(Word::Ruok));
    let some = Whitelist::named(["ruok", "bogus", "mntr"]);
    assert_eq!(opening(*b"ruok", some), Opening::Word(Word::Ruok));
    assert_eq!(opening(*b"srvr", some), Opening::Word(Word::Srvr));
    assert_eq!(opening(*b"stat", some), Opening::Refused(Word::Stat));
}

#[test]
fn a_word_outside_the_whitelist_is_refused_in_one_line() {
    assert_eq!(refusal(Word::Ruok), "ruok is not executed because it is not in the whitelist.\n");
}

#[test]
fn what_is_no_word_is_the_length_of_a_frame() {
    for bytes in [[0, 0, 0, 44], *b"RUOK", *b"rest", [0xff; 4]] {
        assert_eq!(opening(bytes, Whitelist::all()), Opening::Frame, "{bytes:?}");
    }
    assert_eq!(opening([0xff, 0xf4, 0xff, 0xfd], Whitelist::named([])), Opening::Telnet);
}

#[test]
fn srvr_has_the_references_lines() {
    let latency = latency(&[1, 23, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
    assert_eq!(
        srvr(&server(&latency)),
        format!(
            "Zookeeper version: {VERSION}\nLatency min/avg/max: 1/3.9091/23\nReceived: 14\nSent: 13\nConnections: 2\n\
             Outstanding: 0\nZxid: 0x7\nMode: standalone\nNode count: 11\n"
        )
    );
}

#[test]
fn stat_lists_connections_between_version_and_figures() {
    let none = Summary::default();
    let rows = [connection("127.0.0.1:40854", Some(session())), connection("127.0.0.1:1", None)];
    assert_eq!(
        stat(&server(&none), &rows),
        format!(
            "Zookeeper version: {VERSION}\nClients:\n /127.0.0.1:40854[1](queued=0,recved=11,sent=10)\n \
             /127.0.0.1:1[1](queued=0,recved=11,sent=10)\n\nLatency min/avg/max: 0/0.0/0\nReceived: 14\nSent: 13\n\
             Connections: 2\nOutstanding: 0\nZxid: 0x7\nMode: standalone\nNode count: 11\n"
        )
    );
}

#[test]
fn cons_adds_the_session_where_there_is_one() {
    let rows = [connection("127.0.0.1:40854", Some(session())), connection("127.0.0.1:1", None)];
    assert_eq!(
        cons(&rows),
        " /127.0.0.1:40854[1](queued=0,recved=11,sent=10,sid=0x1000022fdc90000,lop=CREA,est=1795252981485,to=10000,\
         lcxid=0xa,lzxid=0x7,lresp=2297742,llat=1,minlat=0,avglat=3,maxlat=23)\n \
         /127.0.0.1:1[1](queued=0,recved=11,sent=10)\n\n"
    );
    assert_eq!(cons(&[]), "\n");
}

#[test]
fn cons_leaves_out_a_negative_cxid() {
    let pinged = CnxnSession { last_cxid: -2, last_op: Some(Op::Ping), ..session() };
    let text = cons(&[connection("[::1]:2181", Some(pinged))]);
    assert!(text.starts_with(" /[0:0:0:0:0:0:0:1]:2181[1]("), "{text}");
    assert!(text.contains(",lop=PING,est=1795252981485,to=10000,lzxid=0x7,"), "{text}");
    let fresh = CnxnSession { last_op: None, ..session() };
    assert!(cons(&[connection("[::1]:2181", Some(fresh))]).contains(",lop=NA,"));
}

#[test]
fn dump_has_sessions_ephemerals_and_connections() {
    let at = 1_795_252_993_000;
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let text = dump(&Dump {
        local: None,
        sessions: DumpSessions::Expiring(&[(at, vec![SESSION])]),
        ephemerals: &[(SESSION, vec![b"/a".to_vec()])],
        connections: &[(at, vec![(local(40864), SessionId::NONE), (local(40854), SESSION)])],
    });
    assert_eq!(
        text,
        "SessionTracker dump:\nSession Sets (1)/(1):\n1 expire at Sat Nov 21 09:23:13 UTC 2026:\n\t0x1000022fdc90000\n\
         ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x1000022fdc90000:\n\t/a\nConnections dump:\n\
         Connections Sets (1)/(2):\n2 expire at Sat Nov 21 09:23:13 UTC 2026:\n\tip: /127.0.0.1:40864 sessionId: 0x0\n\
         \tip: /127.0.0.1:40854 sessionId: 0x1000022fdc90000\n"
    );
    assert!(dump(&Dump::default()).starts_with("SessionTracker dump:\nSession Sets (0)/(0):\n"));
}

#[test]
fn watches_are_counted_and_listed_both_ways() {
    assert_eq!(wchs(1, 3, 3), "1 connections watching 3 paths\nTotal watches:3\n");
    assert_eq!(wchc(&[(SESSION, vec!["/p", "/b"])]), "0x1000022fdc90000\n\t/p\n\t/b\n\n");
    assert_eq!(wchp(&[("/p", vec![SESSION])]), "/p\n\t0x1000022fdc90000\n\n");
    assert_eq!((wchc::<&str>(&[]), wchp::<&str>(&[])), ("\n".into(), "\n".into()));
}

#[test]
fn the_small_words_answer_as_the_reference_does() {
    assert_eq!(dirs(478, 67_108_880), "datadir_size: 478\nlogdir_size: 67108880\n");
    assert_eq!(hash(&[(Zxid(128), 68_323_592), (Zxid(256), u64::MAX)]), "80: 68323592\n100: -1\n");
    assert_eq!(gtmk(TRACE_MASK), "306");
    assert_eq!(gtmk(trace_mask([0, 0, 0, 0, 0, 0, 0, 7])), "7");
    let answers = [Serving::ReadWrite, Serving::ReadOnly, Serving::Not].map(isro);
    assert_eq!(answers, ["rw", "ro", "null"]);
}

#[test]
fn envi_has_the_references_keys_in_its_order() {
    let text = envi(&Environment {
        version: VERSION,
        host_name: "h",
        os_arch: "amd64",
        os_version: "6.1",
        user_name: "root",
        user_home: "/root",
        user_dir: "/",
        memory_mib: [241, 256, 256],
    });
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("Environment:"));
    let keys: Vec<_> = lines.map(|it| it.split_once('=').unwrap().0).collect();
    assert_eq!(
        keys.join(" "),
        "zookeeper.version host.name java.version java.vendor java.home java.class.path java.library.path java.io.tmpdir \
         java.compiler os.name os.arch os.version user.name user.home user.dir os.memory.free os.memory.max os.memory.total"
    );
    assert!(text.ends_with("os.memory.free=241MB\nos.memory.max=256MB\nos.memory.total=256MB\n"));
}

#[test]
fn mntr_has_every_line_of_the_reference_in_its_order() {
    let gauges = Gauges { version: VERSION, server_state: "standalone", ..Gauges::default() };
    let text = mntr(&gauges, &ShardFigures::default(), &PipelineFigures::default());
    let found: Vec<_> = text.lines().map(|it| it.split_once('\t').unwrap().0).collect();
    let expected: Vec<_> = include_str!("mntr_keys.txt").lines().collect();
    assert_eq!(found, expected);
}

#[test]
fn mntr_without_activity_has_the_references_values() {
    let text = mntr(&Gauges::default(), &ShardFigures::default(), &PipelineFigures::default());
    for line in text.lines().skip(2) {
        let (key, value) = line.split_once('\t').unwrap();
        let expected = match key {
            "zk_connection_drop_probability" => "0.0",
            _ if key.starts_with("zk_avg_") => "0.0",
            _ if key.ends_with("client_response_size") => "-1",
            _ => "0",
        };
        assert_eq!(value, expected, "{key}");
    }
}

#[test]
fn mntr_shows_what_was_counted() {
    let quotas = [QuotaRow {
        namespace: "b".into(),
        count_limit: 3,
        bytes_limit: -1,
        count_usage: 2,
        bytes_usage: 6,
    }];
    let gauges = Gauges { version: VERSION, znode_count: 11, quotas: &quotas, ..Gauges::default() };
    let mut shards = ShardFigures { packets_sent: 17, ..ShardFigures::default() };
    shards.client_response_size.add(54);
    for latency in [1, 2, 2, 2] {
        shards.readlatency.add(latency);
    }
    let mut pipeline = PipelineFigures::default();
    pipeline.fsynctime.add(2);
    pipeline.quota_exceeded_error_per_namespace.add("b");
    pipeline.quota_exceeded_error_per_namespace.add("b");
    let text = mntr(&gauges, &shards, &pipeline);
    for line in [
        "zk_version\t3.9.5-x, built on 2026-02-11 20:18 UTC",
        "zk_znode_count\t11",
        "zk_packets_sent\t17",
        "zk_last_client_response_size\t54",
        "zk_b_quota_bytes_limit_per_namespace\t-1",
        "zk_b_quota_count_usage_per_namespace\t2",
        "zk_b_quota_exceeded_error_per_namespace\t2",
        "zk_avg_readlatency\t1.75",
        "zk_min_readlatency\t1",
        "zk_max_readlatency\t2",
        "zk_cnt_readlatency\t4",
        "zk_sum_readlatency\t7",
        "zk_p50_readlatency\t2",
        "zk_p999_readlatency\t2",
        "zk_sum_fsynctime\t2",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn doubles_look_like_javas() {
    let shown =
        [0.0, 0.5, 4.0, 3.9091, 0.001, 0.0005, 1e7, 12_345_678.5].map(|it| Double(it).to_string());
    assert_eq!(shown, ["0.0", "0.5", "4.0", "3.9091", "0.001", "5.0E-4", "1.0E7", "1.23456785E7"]);
}

#[test]
fn addresses_look_like_javas() {
    for (address, shown) in [
        ("127.0.0.1:2181", "/127.0.0.1:2181"),
        ("[::ffff:10.0.0.1]:5", "/10.0.0.1:5"),
        ("[2001:db8::a]:65535", "/[2001:db8:0:0:0:0:0:a]:65535"),
    ] {
        assert_eq!(Address(address.parse().unwrap()).to_string(), shown);
    }
}

#[test]
fn dates_look_like_javas() {
    for (ms, shown) in [
        (0, "Thu Jan 01 00:00:00 UTC 1970"),
        (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
        (1_795_252_993_485, "Sat Nov 21 09:23:13 UTC 2026"),
        (4_107_542_399_999, "Sun Feb 28 23:59:59 UTC 2100"),
        (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
    ] {
        assert_eq!(Date(ms).to_string(), shown);
    }
}
