//! Loads by name, alone or in suites that reproduce published ones.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::random::Keys;
use crate::scene::Scene;
use crate::spec::{Ask, RequestSpec, Setup, Spec};

/// What a load does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// Independent requests.
    Stream(Spec),
    /// Clients that wait for each other.
    Scene(Scene),
}

/// A load with the shape its source ran it in, where it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Its name.
    pub(crate) name: String,
    /// What.
    pub(crate) work: Work,
    /// Connections, unless the command line says otherwise.
    pub(crate) connections: Option<usize>,
    /// Requests in flight on each, unless the command line says otherwise.
    pub(crate) depth: Option<usize>,
}

impl Job {
    /// What is there before.
    pub(crate) fn setup(&mut self) -> Option<&mut Setup> {
        match &mut self.work {
            Work::Stream(spec) => Some(&mut spec.setup),
            Work::Scene(_) => None,
        }
    }

    /// Whether a round uses up what was there before.
    pub(crate) fn uses_up(&self) -> bool {
        matches!(&self.work, Work::Stream(spec) if spec.setup.spare > 0)
    }

    fn shaped(self, connections: usize, depth: usize) -> Self {
        Self { connections: Some(connections), depth: Some(depth), ..self }
    }

    fn with(mut self, change: impl FnMut(&mut Setup)) -> Self {
        self.setup().into_iter().for_each(change);
        self
    }

    fn keys(mut self, keys: Keys) -> Self {
        if let Work::Stream(spec) = &mut self.work {
            spec.keys = keys;
        }
        self
    }
}

fn stream(name: &str, requests: Vec<RequestSpec>) -> Job {
    let (setup, keys) = (Setup::default(), Keys::Uniform);
    let spec = Spec { name: name.to_owned(), setup, keys, requests };
    Job { name: name.to_owned(), work: Work::Stream(spec), connections: None, depth: None }
}

fn single(name: &str, ask: Ask) -> Job {
    stream(name, vec![RequestSpec::new(ask)])
}

/// setData of any of so many znodes of 100 bytes.
pub(crate) fn sets_of(znodes: u64) -> Job {
    single("set", Ask::Set).with(|setup| setup.znodes = znodes)
}

/// Reads and writes of prepared znodes.
fn reads_and_sets(name: &str, reads: u32) -> Job {
    let request = |ask, weight| RequestSpec::new(ask).weight(weight);
    stream(name, vec![request(Ask::Get, reads), request(Ask::Set, 100 - reads)])
}

/// Every name, with what it is.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("get", "getData of 10,000 znodes of 100 bytes"),
    ("set", "setData of the same"),
    ("create", "create of new znodes of 100 bytes"),
    ("delete", "delete of 1,000,000 znodes (setup.spare), each once; ends when they are gone"),
    ("create-delete", "creates and deletes in turn, as many of each"),
    ("exists", "exists"),
    ("ls", "getChildren of directories with 100 children"),
    ("sync", "sync"),
    ("multi", "multi of 10 sets"),
    ("multi-create", "multi of 10 creates"),
    ("multi-get", "multi of 10 reads"),
    ("mixed", "nine reads and one set in ten; mixed-N is N % reads"),
    ("ephemeral-churn", "create and delete of an ephemeral znode in turn"),
    ("watch-churn", "reads of 100 znodes that leave a watch, and sets of the same that fire them"),
    ("big-directory", "getChildren of one directory with 10,000 children, creates beside it"),
    ("big-values", "reads and sets of 256 KiB"),
    ("fan-out", "one client sets, all others watch (persistent); the next set when all were told"),
    ("fan-out-once", "the same with watches that fire once and are set again"),
    ("sessions", "sessions opened and closed"),
    ("storm", "all connections break at once and all sessions come back"),
    ("lock", "the lock recipe, one lock for all"),
    ("election", "the election recipe; the leader's session ends and the next leads"),
    (
        "atc",
        "ATC 2010: 250 clients, 100 outstanding, 1 KiB, 0 to 100 % reads; atc-N is one of them",
    ),
    ("zk-latencies", "phunt's zk-latencies: one client, create, set, get, delete of 25 bytes"),
    ("brownsys", "brownsys/zookeeper-benchmark: READ SETSINGLE CREATE SETMULTI DELETE, 100 bytes"),
    ("raftkeeper-create", "raftkeeper-bench create: 100 sync clients, 100 bytes"),
    (
        "raftkeeper-mix",
        "raftkeeper-bench mix: create 1, set 8, get 45, list 45 (100 x 50 B), delete 1",
    ),
    ("keeper-bench", "keeper-bench-suite: multi_read and multi_write_70_pct"),
    (
        "ycsb",
        "YCSB A, B, C, D and F on 1,000-byte records, zipfian; E is `ls`; ycsb-a and so on alone",
    ),
];

/// The loads that a name means.
///
/// # Errors
/// There is no such name.
pub(crate) fn named(name: &str) -> Result<Vec<Job>> {
    if let Some(scene) = Scene::ALL.iter().find(|scene| scene.word() == name) {
        let work = Work::Scene(*scene);
        return Ok(vec![Job { name: name.to_owned(), work, connections: None, depth: None }]);
    }
    if let Some(job) = plain(name) {
        return Ok(vec![job]);
    }
    if let Some(jobs) = suite(name) {
        return Ok(jobs);
    }
    if let Some((family, part)) = name.split_once('-') {
        let percent = || part.parse::<u32>().ok().filter(|it| *it <= 100).context("0 to 100");
        match family {
            "mixed" => return Ok(vec![reads_and_sets(name, percent()?)]),
            "atc" => return Ok(vec![atc(percent()?)]),
            _ => {}
        }
    }
    let letter = name.strip_prefix("ycsb-").and_then(ycsb);
    match letter {
        Some(job) => Ok(vec![job]),
        None => bail!("there is no load `{name}`; `ringkeeper-bench loads` lists them"),
    }
}

fn plain(name: &str) -> Option<Job> {
    let request = RequestSpec::new;
    Some(match name {
        "get" => single(name, Ask::Get),
        "set" => single(name, Ask::Set),
        "create" => single(name, Ask::Create).with(|setup| setup.znodes = 0),
        "delete" => single(name, Ask::Delete).with(|setup| {
            setup.znodes = 0;
            setup.spare = 1_000_000;
        }),
        "create-delete" => stream(name, vec![request(Ask::Create), request(Ask::Delete)])
            .with(|setup| setup.znodes = 0),
        "exists" => single(name, Ask::Exists),
        "ls" => single(name, Ask::Ls).with(|setup| setup.directories = 100),
        "sync" => single(name, Ask::Sync),
        "multi" => single(name, Ask::MultiSet),
        "multi-create" => single(name, Ask::MultiCreate),
        "multi-get" => single(name, Ask::MultiGet),
        "mixed" => reads_and_sets(name, 90),
        "ephemeral-churn" => single(name, Ask::Churn).with(|setup| setup.znodes = 0),
        "watch-churn" => {
            let read = RequestSpec { watch: true, ..request(Ask::Get) };
            stream(name, vec![read, request(Ask::Set)]).with(|setup| setup.znodes = 100)
        }
        "big-directory" => {
            stream(name, vec![request(Ask::Ls), request(Ask::Churn)]).with(|setup| {
                setup.znodes = 0;
                setup.directories = 1;
                setup.children = 10_000;
            })
        }
        "big-values" => stream(name, vec![request(Ask::Get).weight(9), request(Ask::Set)])
            .with(|setup| {
                setup.znodes = 64;
                setup.size = 256 << 10;
            })
            .shaped(4, 1),
        _ => return None,
    })
}

fn suite(name: &str) -> Option<Vec<Job>> {
    let named = |suffix: &str, ask| single(&format!("{name}-{suffix}"), ask);
    Some(match name {
        "atc" => (0..=10).map(|tenths| atc(tenths * 10)).collect(),
        "zk-latencies" => [
            ("create", Ask::Create),
            ("set", Ask::Set),
            ("get", Ask::Get),
            ("delete", Ask::Delete),
            ("ephemeral", Ask::Churn),
        ]
        .into_iter()
        .map(|(suffix, ask)| {
            named(suffix, ask).shaped(1, 1).with(|setup| {
                setup.size = 25;
                setup.spare = if ask == Ask::Delete { 10_000 } else { 0 };
            })
        })
        .collect(),
        "brownsys" => [
            ("read", Ask::Get),
            ("setsingle", Ask::Set),
            ("create", Ask::Create),
            ("setmulti", Ask::MultiSet),
            ("delete", Ask::Delete),
        ]
        .into_iter()
        .map(|(suffix, ask)| {
            named(suffix, ask).shaped(1, 1_000).with(|setup| {
                setup.spare = if ask == Ask::Delete { 1_000_000 } else { 0 };
            })
        })
        .collect(),
        "raftkeeper-create" => vec![single(name, Ask::Create).shaped(100, 1)],
        "raftkeeper-mix" => {
            let request = |ask, weight| RequestSpec::new(ask).weight(weight);
            let requests = vec![
                request(Ask::Create, 1),
                request(Ask::Set, 8),
                request(Ask::Get, 45),
                request(Ask::Ls, 45),
                request(Ask::Delete, 1),
            ];
            let mix = stream(name, requests).shaped(100, 1);
            vec![mix.with(|setup| {
                setup.directories = 100;
                setup.child_name = 50;
            })]
        }
        "keeper-bench" => keeper_bench(),
        "ycsb" => ["a", "b", "c", "d", "f"].into_iter().filter_map(ycsb).collect(),
        _ => return None,
    })
}

/// Hunt and others, "ZooKeeper: wait-free coordination for internet-scale systems", figure 5.
fn atc(reads: u32) -> Job {
    reads_and_sets(&format!("atc-{reads}"), reads).shaped(250, 100).with(|setup| setup.size = 1_024)
}

/// Weights as in ClickHouse's keeper-bench-suite.
fn keeper_bench() -> Vec<Job> {
    let multi = |ask, ops| RequestSpec { ops, ..RequestSpec::new(ask) };
    let read = vec![
        RequestSpec::new(Ask::Ls).weight(20),
        multi(Ask::MultiCreate, 10).weight(2),
        multi(Ask::MultiSet, 10).weight(2),
        multi(Ask::MultiGet, 10).weight(75),
    ];
    let write = vec![
        RequestSpec::new(Ask::Ls).weight(20),
        RequestSpec::new(Ask::Create).weight(5),
        RequestSpec::new(Ask::Delete).weight(4),
        RequestSpec::new(Ask::Set).weight(5),
        multi(Ask::MultiMixed, 2).weight(70),
    ];
    let shape = |name, requests| {
        stream(name, requests).shaped(30, 1).with(|setup| {
            setup.size = 30;
            setup.directories = 10;
            setup.child_name = 50;
        })
    };
    vec![shape("keeper-bench-multi-read", read), shape("keeper-bench-multi-write-70", write)]
}

/// Records are ten fields of 100 bytes, one znode each, as in YCSB's binding.
fn ycsb(letter: &str) -> Option<Job> {
    let request = |ask, weight| RequestSpec::new(ask).weight(weight);
    let (keys, requests) = match letter {
        "a" => (Keys::Zipfian, vec![request(Ask::Get, 50), request(Ask::Set, 50)]),
        "b" => (Keys::Zipfian, vec![request(Ask::Get, 95), request(Ask::Set, 5)]),
        "c" => (Keys::Zipfian, vec![request(Ask::Get, 1)]),
        "d" => (Keys::Latest, vec![request(Ask::Get, 95), request(Ask::Create, 5)]),
        "e" => (Keys::Zipfian, vec![request(Ask::Ls, 95), request(Ask::Create, 5)]),
        "f" => (Keys::Zipfian, vec![request(Ask::Get, 50), request(Ask::ReadModifyWrite, 50)]),
        _ => return None,
    };
    let job = stream(&format!("ycsb-{letter}"), requests).keys(keys).shaped(16, 1);
    Some(job.with(|setup| {
        setup.size = 1_000;
        setup.directories = if letter == "e" { 100 } else { 0 };
    }))
}

#[cfg(test)]
mod tests {
    use super::{NAMES, Work, named};

    #[test]
    fn every_name_that_is_listed_means_loads_that_can_be_run() {
        for (name, _) in NAMES {
            let jobs = named(name).unwrap();
            assert!(!jobs.is_empty(), "{name}");
            for job in jobs {
                if let Work::Stream(spec) = job.work {
                    spec.check().unwrap();
                }
            }
        }
    }

    #[test]
    fn a_ratio_is_part_of_the_name_and_has_to_be_one() {
        assert_eq!(named("mixed-30").unwrap()[0].name, "mixed-30");
        assert_eq!(named("atc").unwrap().len(), 11);
        assert!(named("mixed-101").is_err());
        assert!(named("nothing").unwrap_err().to_string().contains("loads"));
    }

    #[test]
    fn every_letter_of_ycsb_is_there() {
        for letter in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(named(&format!("ycsb-{letter}")).unwrap().len(), 1);
        }
    }
}
