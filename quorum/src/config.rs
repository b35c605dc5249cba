//! The members of the ensemble and how they vote: the configuration that servers agree on.
//!
//! ZooKeeper: the parts of `QuorumPeerConfig`, `QuorumMaj` and `QuorumHierarchical` that read, print and compare.
//! The text is what notifications, NEWLEADER, reconfig transactions and `/zookeeper/config` carry.
//! *Absent:* resolving names, files, the keys that are not about members.

mod address;
mod change;
mod member;

pub use address::Address;
pub use change::{MultiAddress, ReconfigError, ReconfigRules, Standalone};
pub use member::{ClientPart, Endpoint, Member, Role};

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::{Sid, Verifier};

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key that says nothing about members.
    #[error("unrecognised parameter {key}")]
    Key {
        /// The key.
        key: Box<str>,
    },
    /// No number where one belongs.
    #[error("{key}={value}: a number was expected")]
    Number {
        /// The key.
        key: Box<str>,
        /// What stands there.
        value: Box<str>,
    },
    /// An address of another form.
    #[error(
        "{spec} is not host:quorumPort:electionPort[:role][;[clientHost:]clientPort[;[host:]securePort]]"
    )]
    Spec {
        /// What stands there.
        spec: Box<str>,
    },
    /// No port.
    #[error("{port} is no port: 0 to 65535 were expected")]
    Port {
        /// What stands there.
        port: Box<str>,
    },
    /// A role that does not exist.
    #[error("unrecognised peer type {role}: participant or observer were expected")]
    Role {
        /// What stands there.
        role: Box<str>,
    },
    /// The hosts of one member with unlike roles.
    #[error("the addresses of server {sid} have different roles")]
    TwoRoles {
        /// The member.
        sid: Sid,
    },
    /// One port for two things.
    #[error("quorum port and election port of server {sid} are both {port}")]
    SamePort {
        /// The member.
        sid: Sid,
        /// The port.
        port: u16,
    },
    /// A member of two groups.
    #[error("server {sid} is in more than one group")]
    TwoGroups {
        /// The member.
        sid: Sid,
    },
    /// Groups, and a voter in none of them.
    #[error("server {sid} is not in a group")]
    NoGroup {
        /// The member.
        sid: Sid,
    },
    /// A group with somebody in it who neither votes nor has a weight.
    #[error("server {sid} is in group {gid}, and neither a participant nor given a weight")]
    Stranger {
        /// Who.
        sid: Sid,
        /// The group.
        gid: i64,
    },
}

/// The members of an ensemble, their groups and weights, and the version of all that.
///
/// Equality is the reference's: of the same version, or of the same members, groups and weights.
/// Source: `QuorumMaj.equals`, `QuorumHierarchical.equals`.
#[derive(Clone, Debug)]
pub struct QuorumConfig {
    members: BTreeMap<Sid, Member>,
    /// Empty: every voter counts alike.
    group_of: BTreeMap<Sid, i64>,
    /// Those given; another voter weighs 1.
    weight_of: BTreeMap<Sid, i64>,
    /// Whether groups or weights were spoken of.
    hierarchical: bool,
    /// The zxid of the transaction that made it; 0 before the first.
    version: i64,
    /// Made of the above.
    verifier: Verifier,
}

/// Nothing of it: what is equal by version may differ in members, and the other way round.
impl Hash for QuorumConfig {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl QuorumConfig {
    /// Members that count alike.
    pub fn of_members(members: impl IntoIterator<Item = Member>) -> Self {
        let members: BTreeMap<_, _> = members.into_iter().map(|it| (it.sid, it)).collect();
        let verifier = Verifier::majority(voters(&members));
        let (group_of, weight_of) = (BTreeMap::new(), BTreeMap::new());
        Self { members, group_of, weight_of, hierarchical: false, version: 0, verifier }
    }

    /// Reads the text that servers exchange: lines in any order, blank ones and comments allowed.
    ///
    /// # Errors
    /// [`ConfigError`], also for a key that is not about members.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|it| !it.is_empty() && !it.starts_with(['#', '!']));
        Self::from_entries(lines.map(|line| match line.find(['=', ':']) {
            Some(at) => (line[..at].trim_end(), line[at + 1..].trim_start()),
            None => (line, ""),
        }))
    }

    /// Makes a configuration of keys and values; a later one replaces an earlier one of the same key.
    ///
    /// Source: `QuorumPeerConfig.parseDynamicConfig`.
    ///
    /// # Errors
    /// [`ConfigError`], also for a key that is not about members.
    pub fn from_entries<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let mut config = Self::of_members([]);
        for (key, value) in entries {
            config.entry(key, value.trim())?;
        }
        if config.hierarchical {
            config.check_groups()?;
            let voters = voters(&config.members);
            config.verifier = Verifier::hierarchical(voters, &config.group_of, &config.weight_of);
        } else {
            config.verifier = Verifier::majority(voters(&config.members));
        }
        Ok(config)
    }

    /// Whether `key` of zoo.cfg is about members, and so belongs here.
    pub fn is_member_key(key: &str) -> bool {
        key.starts_with("server.") || key.starts_with("group") || key.starts_with("weight")
    }

    /// Takes one line.
    fn entry(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let bad = || ConfigError::Number { key: key.into(), value: value.into() };
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| bad());
        let id_of = |key: &str| number(key.split_once('.').map_or(key, |(_, id)| id));
        if key.starts_with("server.") {
            let sid = Sid(id_of(key)?);
            self.members.insert(sid, Member::parse(sid, value)?);
        } else if key.starts_with("group") {
            self.hierarchical = true;
            let gid = id_of(key)?;
            for sid in value.split(':') {
                let sid = Sid(number(sid)?);
                if self.group_of.insert(sid, gid).is_some() {
                    return Err(ConfigError::TwoGroups { sid });
                }
            }
        } else if key.starts_with("weight") {
            self.hierarchical = true;
            self.weight_of.insert(Sid(id_of(key)?), number(value)?);
        } else if key == "version" {
            self.version = version(value).ok_or_else(bad)?;
        } else {
            return Err(ConfigError::Key { key: key.into() });
        }
        Ok(())
    }

    /// Gives every voter a weight; every voter must be in a group, and every member of a group must weigh something.
    fn check_groups(&mut self) -> Result<(), ConfigError> {
        for sid in voters(&self.members) {
            if !self.group_of.contains_key(&sid) {
                return Err(ConfigError::NoGroup { sid });
            }
            self.weight_of.entry(sid).or_insert(1);
        }
        let stranger = self.group_of.iter().find(|(sid, _)| !self.weight_of.contains_key(sid));
        stranger.map_or(Ok(()), |(&sid, &gid)| Err(ConfigError::Stranger { sid, gid }))
    }

    /// The same, of another version.
    #[must_use]
    pub fn with_version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// The zxid of the transaction that made it, or 0.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// All members, ascending.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The member of this id.
    pub fn member(&self, sid: Sid) -> Option<&Member> {
        self.members.get(&sid)
    }

    /// Who votes and what a quorum is.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The group of each server in one; empty if all count alike.
    pub fn groups(&self) -> &BTreeMap<Sid, i64> {
        &self.group_of
    }

    /// The weight of each server that has one; empty if all count alike.
    pub fn weights(&self) -> &BTreeMap<Sid, i64> {
        &self.weight_of
    }

    /// Whether it has groups or weights, which a reconfiguration by members cannot express.
    pub fn is_hierarchical(&self) -> bool {
        self.hierarchical
    }
}

impl PartialEq for QuorumConfig {
    fn eq(&self, other: &Self) -> bool {
        self.hierarchical == other.hierarchical
            && (self.version == other.version
                || (self.members == other.members
                    && self.group_of == other.group_of
                    && self.weight_of == other.weight_of))
    }
}

impl Eq for QuorumConfig {}

impl fmt::Display for QuorumConfig {
    /// The text that servers exchange, without an end of line behind the version.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sid, member) in &self.members {
            writeln!(f, "server.{sid}={member}")?;
        }
        let mut gids: alloc::vec::Vec<_> = self.group_of.values().collect();
        gids.sort_unstable();
        gids.dedup();
        for gid in gids {
            write!(f, "group.{gid}")?;
            let sids = self.group_of.iter().filter(|&(_, it)| it == gid).map(|(sid, _)| sid);
            for (idx, sid) in sids.enumerate() {
                write!(f, "{}{sid}", if idx == 0 { '=' } else { ':' })?;
            }
            writeln!(f)?;
        }
        for (sid, weight) in &self.weight_of {
            writeln!(f, "weight.{sid}={weight}")?;
        }
        write!(f, "version={:x}", self.version)
    }
}

/// Reads a version: hexadecimal, signed.
pub fn version(text: &str) -> Option<i64> {
    i64::from_str_radix(text, 16).ok()
}

/// The ids of those that vote.
fn voters(members: &BTreeMap<Sid, Member>) -> alloc::vec::Vec<Sid> {
    members.values().filter(|it| it.is_participant()).map(|it| it.sid).collect()
}

#[cfg(test)]
mod tests;
