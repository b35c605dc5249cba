//! A load as data: what is prepared, which requests in which proportion, which znodes. The form of the files that
//! `ringkeeper-bench load --file` takes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::random::Keys;

/// A load made of independent requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Spec {
    /// Its name.
    pub(crate) name: String,
    /// What is there before.
    #[serde(default)]
    pub(crate) setup: Setup,
    /// How znodes are chosen.
    #[serde(default)]
    pub(crate) keys: Keys,
    /// What is asked.
    pub(crate) requests: Vec<RequestSpec>,
}

/// What is created before the load, and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Setup {
    /// Znodes that reads and sets choose from.
    pub(crate) znodes: u64,
    /// Data of each, bytes.
    pub(crate) size: usize,
    /// Directories that `ls` chooses from.
    pub(crate) directories: u64,
    /// Children of each.
    pub(crate) children: u64,
    /// Bytes of each child's name.
    pub(crate) child_name: usize,
    /// Znodes that `delete` takes, each once.
    pub(crate) spare: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { znodes: 10_000, size: 100, directories: 0, children: 100, child_name: 11, spare: 0 }
    }
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct RequestSpec {
    /// What.
    pub(crate) ask: Ask,
    /// How often, against the others.
    #[serde(default = "one")]
    pub(crate) weight: u32,
    /// Data that creates and sets carry, bytes; without it, as in the setup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<usize>,
    /// Ops in a multi.
    #[serde(default = "ten")]
    pub(crate) ops: usize,
    /// Whether a read leaves a watch.
    #[serde(default)]
    pub(crate) watch: bool,
}

fn one() -> u32 {
    1
}

fn ten() -> usize {
    10
}

impl RequestSpec {
    /// One request of this kind, weight 1.
    pub(crate) fn new(ask: Ask) -> Self {
        Self { ask, weight: one(), size: None, ops: ten(), watch: false }
    }

    /// With another weight.
    pub(crate) fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// getData.
    Get,
    /// setData.
    Set,
    /// create of a znode that was not there.
    Create,
    /// delete of a znode that this load created, or else of a spare one.
    Delete,
    /// exists.
    Exists,
    /// getChildren of a directory.
    Ls,
    /// sync.
    Sync,
    /// A multi of sets.
    MultiSet,
    /// A multi of creates.
    MultiCreate,
    /// A multi of creates and sets in turn.
    MultiMixed,
    /// A multi of reads.
    MultiGet,
    /// A create and a delete of the same ephemeral znode in turn.
    Churn,
    /// getData, and setData when the reply is there; counted as one.
    ReadModifyWrite,
}

impl Ask {
    /// The word that files use.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Exists => "exists",
            Self::Ls => "ls",
            Self::Sync => "sync",
            Self::MultiSet => "multi-set",
            Self::MultiCreate => "multi-create",
            Self::MultiMixed => "multi-mixed",
            Self::MultiGet => "multi-get",
            Self::Churn => "churn",
            Self::ReadModifyWrite => "read-modify-write",
        }
    }
}

/// The reference's frame limit less what stands around the data.
const SIZE_MAX: usize = (1 << 20) - 1024;

impl Spec {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is no such TOML, or asks for something impossible.
    pub(crate) fn from_file(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        let spec: Self = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
        spec.check().with_context(|| format!("{}", file.display()))?;
        Ok(spec)
    }

    /// Refuses what cannot be done.
    ///
    /// # Errors
    /// What, and why.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(!self.requests.is_empty(), "{}: no request is named", self.name);
        ensure!(self.requests.len() <= 64, "{}: more than 64 kinds of requests", self.name);
        let weight: u32 = self.requests.iter().map(|it| it.weight).sum();
        ensure!(weight > 0, "{}: every weight is 0", self.name);
        for request in self.requests.iter().filter(|it| it.weight > 0) {
            let size = request.size.unwrap_or(self.setup.size).max(self.setup.size);
            let word = request.ask.word();
            ensure!(size <= SIZE_MAX, "{word}: {size} bytes of data, more than {SIZE_MAX}");
            ensure!(request.ops > 0, "{word}: a multi of no ops");
            let all = request.ops * size;
            let multi = matches!(request.ask, Ask::MultiSet | Ask::MultiCreate | Ask::MultiMixed);
            ensure!(!multi || all <= SIZE_MAX, "{word}: {all} bytes in one multi");
            let needs = !matches!(request.ask, Ask::Create | Ask::MultiCreate | Ask::Delete)
                && !matches!(request.ask, Ask::Ls | Ask::Churn);
            ensure!(!needs || self.setup.znodes > 0, "{word} needs setup.znodes");
            let lists = request.ask == Ask::Ls;
            ensure!(!lists || self.setup.directories > 0, "{word} needs setup.directories");
            let children = self.setup.children * (self.setup.child_name as u64 + 4);
            ensure!(!lists || children < 1 << 26, "ls: a reply of {children} bytes");
        }
        let creates = |it: &RequestSpec| it.ask == Ask::Create && it.weight > 0;
        let deletes = self.requests.iter().any(|it| it.ask == Ask::Delete && it.weight > 0);
        ensure!(
            !deletes || self.setup.spare > 0 || self.requests.iter().any(creates),
            "delete needs creates beside it, or setup.spare znodes to delete"
        );
        Ok(())
    }

    /// The names of the kinds, in the order of the requests; a second one of a kind gets a number.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut seen = BTreeMap::new();
        let name = |request: &RequestSpec| {
            let count = seen.entry(request.ask).or_insert(0);
            *count += 1;
            match *count {
                1 => request.ask.word().to_owned(),
                more => format!("{}-{more}", request.ask.word()),
            }
        };
        self.requests.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ask, RequestSpec, Setup, Spec};
    use crate::random::Keys;

    fn parse(text: &str) -> Spec {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_file_needs_a_name_and_requests_and_nothing_else() {
        let spec = parse("name = 'mine'\n[[requests]]\nask = 'get'\n");
        let requests = vec![RequestSpec::new(Ask::Get)];
        let setup = Setup::default();
        assert_eq!(spec, Spec { name: "mine".into(), setup, keys: Keys::Uniform, requests });
        spec.check().unwrap();
    }

    #[test]
    fn words_that_are_not_known_are_refused() {
        assert!(toml::from_str::<Spec>("name = 'a'\nrequests = []\nznodes = 1\n").is_err());
        assert!(toml::from_str::<Spec>("name = 'a'\n[[requests]]\nask = 'got'\n").is_err());
    }

    #[test]
    fn what_is_impossible_is_refused_with_the_reason() {
        let refusal = |text: &str| parse(text).check().unwrap_err().to_string();
        assert!(refusal("name = 'a'\nrequests = []\n").contains("no request"));
        let big = "name = 'a'\n[[requests]]\nask = 'set'\nsize = 2000000\n";
        assert!(refusal(big).contains("2000000 bytes"));
        assert!(refusal("name = 'a'\n[[requests]]\nask = 'ls'\n").contains("directories"));
        assert!(refusal("name = 'a'\n[[requests]]\nask = 'delete'\n").contains("spare"));
        let none = "name = 'a'\n[setup]\nznodes = 0\n[[requests]]\nask = 'get'\n";
        assert!(refusal(none).contains("znodes"));
    }

    #[test]
    fn a_spec_survives_its_own_writing() {
        let spec =
            parse("name = 'a'\nkeys = 'zipfian'\n[[requests]]\nask = 'multi-set'\nops = 3\n");
        assert_eq!(parse(&toml::to_string(&spec).unwrap()), spec);
    }
}
