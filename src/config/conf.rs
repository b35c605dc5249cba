//! What four-letter words need of the settings: `conf`, and which words are answered.
//!
//! Source: `ZooKeeperServer.dumpConf`; what is not shown there is not shown here.

use core::fmt::Write as _;
use std::path::{Path, PathBuf};

use net::words::{Whitelist, Word};
use quorum::Role;
use quorum::config::Endpoint;

use super::ensemble::EnsembleConfig;
use super::settings::{Config, WordList};

/// What `conf` shows beside the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfFigures<'a> {
    /// Port that clients connect to; the one picked, where the settings say 0.
    pub client_port: u16,
    /// Where the snapshots themselves are, in `dataDir`.
    pub data_dir: &'a Path,
    /// What they take. Bytes.
    pub data_dir_size: u64,
    /// Where the log itself is, in `dataLogDir`.
    pub data_log_dir: &'a Path,
    /// What it takes. Bytes.
    pub data_log_size: u64,
    /// The members as they are now, if that is known and the server is one of them.
    pub membership: Option<String>,
}

impl Config {
    /// The answer to `conf`: lines of `key=value`, each ended.
    ///
    /// Source: `ZooKeeperServer.dumpConf` and, of a member, `QuorumZooKeeperServer.dumpConf`; a server that is alone has the id 0.
    /// For a TLS port that it has not got the reference says -1.
    pub fn conf(&self, figures: ConfFigures<'_>) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &dyn core::fmt::Display| {
            let written = writeln!(text, "{key}={value}");
            assert!(written.is_ok(), "a string takes what is written to it");
        };
        let backlog = self.network.listen_backlog.map_or(-1, i64::from);
        line("clientPort", &figures.client_port);
        line("secureClientPort", &-1);
        line("dataDir", &absolute(figures.data_dir).display());
        line("dataDirSize", &figures.data_dir_size);
        line("dataLogDir", &absolute(figures.data_log_dir).display());
        line("dataLogSize", &figures.data_log_size);
        line("tickTime", &self.sessions.tick_ms);
        line("maxClientCnxns", &self.network.max_client_cnxns);
        line("minSessionTimeout", &self.sessions.timeout_ms_min);
        line("maxSessionTimeout", &self.sessions.timeout_ms_max);
        line("clientPortListenBacklog", &backlog);
        line("serverId", &self.ensemble.as_ref().map_or(0, |it| it.myid.0));
        if let Some(ensemble) = &self.ensemble {
            text += &own_place(ensemble);
            text += &figures.membership.unwrap_or_else(|| ensemble.members.to_string());
        }
        text
    }
}

/// What `conf` shows of a member above the members, the last of whose lines has no end.
fn own_place(ensemble: &EnsembleConfig) -> String {
    let own = ensemble.own();
    let ports = |port: fn(&Endpoint) -> u16| {
        let ports: Vec<_> = own.endpoints.iter().map(|it| port(it).to_string()).collect();
        ports.join("|")
    };
    format!(
        "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\nquorumPort={}\npeerType={}\nmembership: \n",
        ensemble.init_limit,
        ensemble.sync_limit,
        ports(|it| it.election_port),
        ports(|it| it.quorum_port),
        u8::from(own.role == Role::Observer),
    )
}

impl Config {
    /// The words that are answered.
    pub fn whitelist(&self) -> Whitelist {
        match &self.words {
            WordList::All => Whitelist::all(),
            WordList::Named(names) => {
                let isro = self.readonly_mode.then_some(Word::Isro.name());
                Whitelist::named(names.iter().map(String::as_str).chain(isro))
            }
        }
    }
}

/// `dir` from the root, where the working directory is known.
fn absolute(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.into())
}
