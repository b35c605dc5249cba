//! The program as people call it, against a `ringkeeper` that was built beside it: exit codes, texts, and the shape of its JSON.

#![expect(clippy::disallowed_methods, reason = "tests start processes and wait for them")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const BENCH: &str = env!("CARGO_BIN_EXE_ringkeeper-bench");

/// The server's binary: `RINGKEEPER_BIN`, or the one beside this program's; built if it is not there.
fn ringkeeper() -> PathBuf {
    if let Some(named) = std::env::var_os("RINGKEEPER_BIN") {
        return named.into();
    }
    let beside = Path::new(BENCH).with_file_name("ringkeeper");
    if !beside.exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let args = ["build", "--offline", "-p", "ringkeeper", "--bin", "ringkeeper"];
        let status = Command::new(env!("CARGO")).args(args).current_dir(root).status();
        assert!(status.expect("cargo runs").success());
    }
    beside
}

/// A server that is killed when dropped.
struct Server {
    child: Child,
    address: String,
    _dir: TempDir,
}

impl Server {
    fn start(more: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = dir.path().join("data");
        let config = dir.path().join("zoo.cfg");
        let text = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n{more}",
            data.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(ringkeeper());
        command.args(["server", "--cores", "1", "--config"]).arg(config);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, address: format!("127.0.0.1:{port}"), _dir: dir };
        let start = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the server does not serve");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn bench(args: &[&str]) -> Output {
    let output = Command::new(BENCH).args(args).output().expect("the program runs");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn refusal(args: &[&str]) -> String {
    let output = bench(args);
    assert!(!output.status.success(), "{args:?} was not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn a_load_says_as_text_and_as_json_what_came_of_it() {
    let server = Server::start("");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("load.json");
    let pid = server.child.id().to_string();
    let output = bench(&[
        "load",
        &server.address,
        "--load",
        "mixed",
        "--connections",
        "4",
        "--depth",
        "4",
        "--seconds",
        "1.2",
        "--warmup",
        "0.1",
        "--pid",
        &pid,
        "--json",
        text(&file),
    ]);
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("errors: 0") && said.contains("get"), "{said}");
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(progress.contains("mixed: ") && progress.contains("s to go"), "{progress}");
    let outcome = &json(&file)[0];
    assert!(outcome["replies"].as_u64().unwrap() > 100);
    assert_eq!(outcome["kinds"].as_array().unwrap().len(), 2);
    for figure in ["p50", "p99", "p999", "max"] {
        assert!(outcome["latency_us"][figure].as_f64().unwrap() > 0.0, "{figure}");
    }
    assert!(outcome["server"]["cpu_us"].as_f64().unwrap() > 0.0);
}

#[test]
fn more_connections_than_the_server_lets_in_are_refused_with_the_key_to_raise() {
    let server = Server::start("maxClientCnxns=10\n");
    let said = refusal(&["load", &server.address, "--connections", "40", "--seconds", "1"]);
    assert!(said.contains("maxClientCnxns"), "{said}");
}

#[test]
fn impossible_loads_are_refused_before_anything_is_sent() {
    let nowhere = "127.0.0.1:1";
    for (args, reason) in [
        (["--load", "nothing"], "there is no load"),
        (["--connections", "0"], "needs a connection"),
        (["--depth", "0"], "needs a request in flight"),
        (["--seconds", "0"], "a load of 0 s"),
        (["--seconds", "inf"], "a load of inf s"),
        (["--warmup", "-1"], "a warm-up of -1 s"),
        (["--rate", "-5"], "more than 0, and at most 100000000"),
        (["--rate", "99999999999"], "a rate of 99999999999 requests per second"),
        (["--threads", "17"], "17 threads for 16 connections"),
        (["--load-cores", "999"], "no core 999"),
        (["--size", "2000000"], "2000000 bytes"),
        (["--connections", "90000000"], "ulimit"),
    ] {
        let argument = args.join("=");
        let said = refusal(&["load", nowhere, &argument]);
        assert!(said.contains(reason), "{args:?}: {said}");
    }
}

#[test]
fn a_report_is_json_that_goes_on_where_it_stopped_and_becomes_a_page_and_a_picture() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, report) = (at("data"), at("report.json"));
    let ringkeeper = ringkeeper();
    let run = |rows: &str| {
        let output = bench(&[
            "compare",
            "--quick",
            "--rows",
            rows,
            "--servers",
            "ringkeeper,epoll",
            "--pairs",
            "2",
            "--seconds",
            "0.3",
            "--ringkeeper",
            text(&ringkeeper),
            "--data",
            text(&data),
            "--resume",
            "--json",
            text(&report),
            "--html",
            text(&at("page.html")),
            "--picture",
            text(&at("picture.svg")),
        ]);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = run("get-16x16");
    assert!(said.contains("getData per second, 16 x 16"), "{said}");
    let first = json(&report);
    run("get-16x16,set-16x16");
    let second = json(&report);
    assert_eq!(first["rows"][0]["runs"], second["rows"][0]["runs"], "measured again");
    assert_eq!(second["rows"][1]["name"], "set-16x16");
    let runs = second["rows"][0]["runs"].as_array().unwrap();
    let servers: Vec<&str> = runs.iter().map(|it| it["server"].as_str().unwrap()).collect();
    assert_eq!(servers, ["ringkeeper", "epoll", "ringkeeper", "epoll"], "interleaved");
    assert!(second["machine"]["cores"].as_u64().unwrap() > 0);
    assert_eq!(second["calls"].as_array().unwrap().len(), 2);
    let page = fs::read_to_string(at("page.html")).unwrap();
    assert!(page.contains("get-16x16") && page.contains("prefers-color-scheme"));
    let again = at("again.html");
    let output = bench(&["report", text(&report), "--html", text(&again)]);
    assert!(output.status.success());
    assert_eq!(fs::read_to_string(again).unwrap(), page);
    assert!(fs::read_to_string(at("picture.svg")).unwrap().starts_with("<svg"));
    let said = refusal(&["plan", "--report", text(&report)]);
    assert!(said.contains("the report has no"), "{said}");
}

#[test]
fn a_row_that_needs_another_one_and_a_row_that_does_not_exist_are_refused() {
    let dir = TempDir::new().unwrap();
    let (data, report) = (dir.path().join("data"), dir.path().join("report.json"));
    let ringkeeper = ringkeeper();
    let refuse = |row: &str| {
        refusal(&[
            "compare",
            "--quick",
            "--rows",
            row,
            "--servers",
            "ringkeeper",
            "--ringkeeper",
            text(&ringkeeper),
            "--data",
            text(&data),
            "--json",
            text(&report),
        ])
    };
    assert!(refuse("load-50").contains("mixed-16x16"));
    assert!(refuse("load-51").contains("there is no row `load-51`"));
}

#[test]
fn writes_beside_snapshots_are_told_from_the_others() {
    let dir = TempDir::new().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("snapshot.json"));
    let ringkeeper = ringkeeper();
    let output = bench(&[
        "snapshot",
        "--servers",
        "ringkeeper",
        "--ringkeeper",
        text(&ringkeeper),
        "--data",
        text(&data),
        "--znodes",
        "5000",
        "--rate",
        "1000",
        "--seconds",
        "5",
        "--snap-count",
        "2000",
        "--json",
        text(&file),
    ]);
    assert!(output.status.success());
    let imaged = &json(&file)[0];
    assert!(!imaged["took_seconds"].as_array().unwrap().is_empty());
    let count = |what: &str| imaged[what].as_u64().unwrap();
    assert!(count("quiet_replies") > 0 && count("during_replies") > 0 && count("image_bytes") > 0);
    // Those of the warm-up may have been answered late.
    assert!(count("quiet_replies") + count("during_replies") <= 10_000);
}

#[test]
fn the_reference_can_be_one_that_is_installed_and_a_folder_without_one_is_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let fetched = Command::new(root.join("tests/reference/fetch")).status();
    assert!(fetched.expect("bash runs").success(), "the reference's jars cannot be had");
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (home, empty) = (at("home"), at("empty"));
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&empty).unwrap();
    std::os::unix::fs::symlink(root.join("tests/cache/reference"), home.join("lib")).unwrap();
    let script = root.join("tests/reference/server");
    let (data, file) = (at("data"), at("compare.json"));
    let words = |home: &Path| {
        let mut words = vec!["compare", "--servers", "reference", "--jvm-flags", "-Xmx128m"];
        words.extend(["--quick", "--rows", "get-1x1", "--pairs", "1", "--seconds", "0.2"]);
        words.extend(["--reference", text(&script), "--reference-home"]);
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words.extend([text(home), "--data", text(&data), "--json", text(&file)].map(str::to_owned));
        words
    };
    let run = |home: &Path| {
        let words = words(home);
        bench(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refused = run(&empty);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("is no home of ZooKeeper"), "{said}");
    assert!(run(&home).status.success());
    let report = fs::read_to_string(&file).unwrap();
    assert!(report.contains(&format!("REFERENCE_HOME='{}'", home.display())), "{report}");
    assert!(json(&file)["rows"][0]["runs"][0]["outcome"]["replies"].as_u64().unwrap() > 0);
}

#[test]
fn servers_end_with_the_harness_that_started_them() {
    let dir = TempDir::new().unwrap();
    let ringkeeper = ringkeeper();
    let mut harness = Command::new(BENCH)
        .args(["compare", "--loads", "get", "--servers", "ringkeeper", "--seconds", "60"])
        .args(["--ringkeeper", text(&ringkeeper), "--data", text(dir.path())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let config = loop {
        let started = fs::read_dir(dir.path()).unwrap().flatten().next();
        let config = started.map(|it| it.path().join("zoo.cfg"));
        if let Some(config) = config.filter(|it| it.exists()) {
            break fs::read_to_string(config).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(20), "no server was started");
        std::thread::sleep(Duration::from_millis(20));
    };
    let port = config.lines().find_map(|it| it.strip_prefix("clientPort=")).expect("a port");
    let address = format!("127.0.0.1:{port}");
    let serves = || TcpStream::connect(&address).is_ok();
    while !serves() {
        assert!(start.elapsed() < Duration::from_secs(20), "the server does not serve");
        std::thread::sleep(Duration::from_millis(20));
    }
    harness.kill().unwrap();
    harness.wait().unwrap();
    while serves() {
        assert!(start.elapsed() < Duration::from_secs(40), "the server outlives the harness");
        std::thread::sleep(Duration::from_millis(20));
    }
}
