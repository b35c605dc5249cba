//! What is checked of the sources themselves: headers, lengths, and which room may use which.
//!
//! Absent here: what rustfmt, clippy and rustdoc check.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The arrows of `ARCHITECTURE.md`: each room, and the rooms it may name. A new one is a decision of its own.
const ARROWS: [(&str, &[&str]); 10] = [
    ("jute", &[]),
    ("engine", &["jute"]),
    ("quorum", &["jute"]),
    ("wal", &["engine", "jute"]),
    ("snapshot", &["engine", "jute"]),
    ("net", &["engine", "jute", "quorum"]),
    ("bench", &["engine", "jute", "net", "wal"]),
    ("sim", &["engine", "jute", "net", "quorum", "ringkeeper", "snapshot", "wal"]),
    ("faulty", &[]),
    ("ringkeeper", &["engine", "jute", "net", "quorum", "snapshot", "wal"]),
];

/// A file may be longer only as a table that is one thing; none is so far.
const LINES_MAX: usize = 1_000;

#[test]
fn every_source_file_says_what_it_is() {
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source file is text");
        assert!(text.starts_with("//!"), "{} does not open with //!", file.display());
    }
}

#[test]
fn no_source_file_is_too_long_to_be_one_thing() {
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source file is text");
        let count = text.lines().count();
        assert!(count < LINES_MAX, "{} has {count} lines", file.display());
    }
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    for (room, allowed) in ARROWS {
        let folder = match room {
            "ringkeeper" => "",
            "sim" => "fuzz/sim",
            "faulty" => "tests/faulty",
            room => room,
        };
        let manifest = root().join(folder).join("Cargo.toml");
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--depth",
                "1",
                "--edges",
                "normal,build",
                "--prefix",
                "none",
            ])
            .arg("--manifest-path")
            .arg(&manifest)
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).expect("cargo speaks UTF-8");
        for line in tree.lines().skip(1) {
            let name = line.split(' ').next().unwrap_or(line);
            let ours = ARROWS.iter().any(|(it, _)| *it == name);
            assert!(!ours || allowed.contains(&name), "{room} uses {name}");
        }
    }
}

#[test]
fn only_the_ceiling_of_the_bench_names_the_sockets_and_the_log() {
    for file in sources().iter().filter(|it| it.starts_with(root().join("bench"))) {
        let text = fs::read_to_string(file).expect("a source file is text");
        let ceiling = file.components().any(|it| it.as_os_str() == "ceiling");
        let names = ["engine::", "net::driver", "net::shard", "wal::"];
        let named = names.iter().find(|it| text.contains(**it));
        let named = named.filter(|_| !ceiling && !file.ends_with("ceiling.rs"));
        assert_eq!(named, None, "{}: the bench speaks the client protocol", file.display());
    }
}

#[test]
fn the_pure_rooms_are_without_std_and_without_unsafe() {
    for room in ["jute", "engine", "quorum"] {
        let lib =
            fs::read_to_string(root().join(room).join("src/lib.rs")).expect("a room has a lib");
        for line in ["#![no_std]", "#![forbid(unsafe_code)]"] {
            assert!(lib.lines().any(|it| it == line), "{room} does not say {line}");
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file that git knows.
fn sources() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output();
    let output = output.expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).expect("our file names are ASCII");
    let files: Vec<_> = list.lines().map(|it| root().join(it)).filter(|it| it.is_file()).collect();
    assert!(10 < files.len(), "only {} source files", files.len());
    files
}
