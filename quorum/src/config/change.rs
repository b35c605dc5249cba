//! From what a reconfiguration asks for to the configuration that it makes, or to why it makes none.
//!
//! Source: `PrepRequestProcessor.pRequest2Txn`, in its order: is another one under way, is the version as expected, can the
//! members be read, are there voters enough, and is a quorum of them here already. Who may ask is checked behind that.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use jute::{Code, ReconfigRequest};

use super::{Address, ConfigError, Member, QuorumConfig};
use crate::{Sid, Views};

/// What a lone voter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standalone {
    /// A server alone, so that an ensemble cannot shrink to it. Source: `standaloneEnabled=true`.
    #[default]
    Enabled,
    /// An ensemble of one.
    Disabled,
}

/// Whether a member may have several hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiAddress {
    /// It has one.
    #[default]
    Disabled,
    /// It may. Source: `multiAddress.enabled`.
    Enabled,
}

/// What a server's own file says of new configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconfigRules {
    /// What a lone voter is.
    pub standalone: Standalone,
    /// Whether a member may have several hosts.
    pub multi_address: MultiAddress,
}

/// Why a reconfiguration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigError {
    /// Another is proposed and not agreed.
    #[error("the reconfiguration to version {version:#x} is under way")]
    InProgress {
        /// The version of that.
        version: i64,
    },
    /// It was made for another configuration.
    #[error("it is meant for version {expected:#x}, the configuration has {found:#x}")]
    Version {
        /// What the request says.
        expected: i64,
        /// What there is.
        found: i64,
    },
    /// The members cannot be read.
    #[error(transparent)]
    Members(#[from] ConfigError),
    /// What leaves is no server's id.
    #[error("{text} is no server's id")]
    Leaving {
        /// What stands there.
        text: Box<str>,
    },
    /// What joins is no line of a server, or says not where clients connect.
    #[error("{text} is not server.N=host:quorumPort:electionPort[:role];[clientHost:]clientPort")]
    Joining {
        /// What stands there.
        text: Box<str>,
    },
    /// Two servers at one address.
    #[error("servers {sid} and {other} are both at {address}")]
    SameAddress {
        /// Who joins.
        sid: Sid,
        /// Who is there.
        other: Sid,
        /// Where.
        address: Address,
    },
    /// A server with several hosts, which is not allowed.
    #[error("server {sid} has {hosts} hosts; multiAddress.enabled is false")]
    Hosts {
        /// Who.
        sid: Sid,
        /// How many.
        hosts: usize,
    },
    /// Groups can only be replaced as a whole.
    #[error("an ensemble with groups is reconfigured by all of its members, not by steps")]
    Groups,
    /// Too few would vote.
    #[error("{voters} servers would vote, {least} at least are needed")]
    Voters {
        /// How many.
        voters: usize,
        /// How many it takes.
        least: usize,
    },
    /// Observers alone, or beside a lone server.
    #[error("{observers} observers and {voters} voters are no ensemble")]
    Observers {
        /// How many would vote.
        voters: usize,
        /// How many would not.
        observers: usize,
    },
    /// Too few of the new voters follow this leader.
    #[error("no quorum of the new voters follows and is in step")]
    NoQuorum,
}

impl ReconfigError {
    /// What the client is told. As in the reference, numbers that are none are no members' fault but the request's.
    pub fn code(&self) -> Code {
        match self {
            Self::InProgress { .. } => Code::ReconfigInProgress,
            Self::Version { .. } => Code::BadVersion,
            Self::Members(ConfigError::Number { .. })
            | Self::Leaving { .. }
            | Self::Observers { .. } => Code::MarshallingError,
            Self::Members(_)
            | Self::Joining { .. }
            | Self::SameAddress { .. }
            | Self::Hosts { .. }
            | Self::Groups
            | Self::Voters { .. } => Code::BadArguments,
            Self::NoQuorum => Code::NewConfigNoQuorum,
        }
    }
}

impl Views {
    /// The configuration that `request` makes of the last one seen; it has no version yet. `synced` are the servers that follow
    /// and are in step, the leader among them.
    ///
    /// # Errors
    /// [`ReconfigError`].
    pub fn reconfigured(
        &self,
        request: &ReconfigRequest<'_>,
        rules: ReconfigRules,
        synced: &[Sid],
    ) -> Result<QuorumConfig, ReconfigError> {
        let last = self.last_seen();
        let found = last.version();
        if found != self.committed().version() {
            return Err(ReconfigError::InProgress { version: found });
        }
        if request.config != -1 && request.config != found {
            return Err(ReconfigError::Version { expected: request.config, found });
        }
        let next = match request.members {
            Some(members) => whole(members, rules.standalone)?,
            None => stepwise(last, request)?,
        };
        let several = next.members().find(|it| 1 < it.endpoints.len());
        if let Some(Member { sid, endpoints, .. }) = several
            && rules.multi_address == MultiAddress::Disabled
        {
            return Err(ReconfigError::Hosts { sid: *sid, hosts: endpoints.len() });
        }
        let voters = next.verifier().voters().len();
        let least = match rules.standalone {
            Standalone::Enabled => 2,
            Standalone::Disabled => 1,
        };
        if voters < least {
            return Err(ReconfigError::Voters { voters, least });
        }
        if !next.verifier().contains_quorum(|it| synced.contains(&it)) {
            return Err(ReconfigError::NoQuorum);
        }
        Ok(next.with_version(0))
    }
}

/// All of the members, separated by commas or by ends of lines.
fn whole(members: &[u8], standalone: Standalone) -> Result<QuorumConfig, ReconfigError> {
    let text = utf8(members).map_err(|text| ReconfigError::Joining { text })?.replace(',', "\n");
    let next = QuorumConfig::parse(&text)?;
    let voters = next.verifier().voters().len();
    let observers = next.members().count() - voters;
    let is_alone = voters == 0 || voters == 1 && standalone == Standalone::Enabled;
    if is_alone && (observers != 0 || standalone == Standalone::Disabled) {
        return Err(ReconfigError::Observers { voters, observers });
    }
    Ok(next)
}

/// Some leave, and some join or change.
fn stepwise(
    last: &QuorumConfig,
    request: &ReconfigRequest<'_>,
) -> Result<QuorumConfig, ReconfigError> {
    if last.is_hierarchical() {
        return Err(ReconfigError::Groups);
    }
    let leaving = utf8(request.leaving.unwrap_or_default());
    let leaving = leaving.map_err(|text| ReconfigError::Leaving { text })?;
    let joining = utf8(request.joining.unwrap_or_default());
    let joining = joining.map_err(|text| ReconfigError::Joining { text })?;
    let members = last.members().map(|it| (it.sid, it.clone()));
    let mut members: BTreeMap<Sid, Member> = members.collect();
    for text in parts(leaving, ',') {
        let sid = text.parse().map_err(|_| ReconfigError::Leaving { text: text.into() })?;
        members.remove(&Sid(sid));
    }
    for text in parts(joining, ',') {
        let joiner = joiner(text)?;
        for other in members.values().filter(|it| it.sid != joiner.sid) {
            if let Some(address) = shared(&joiner, other) {
                let (sid, other) = (joiner.sid, other.sid);
                return Err(ReconfigError::SameAddress { sid, other, address });
            }
        }
        members.insert(joiner.sid, joiner);
    }
    Ok(QuorumConfig::of_members(members.into_values()))
}

/// One `server.N=…` with a port for clients.
fn joiner(text: &str) -> Result<Member, ReconfigError> {
    let bad = || ReconfigError::Joining { text: text.into() };
    let mut sides = parts(text, '=');
    let (Some(key), Some(spec), None) = (sides.next(), sides.next(), sides.next()) else {
        return Err(bad());
    };
    let id = key.rsplit_once('.').map_or(key, |(_, id)| id);
    let number = || ConfigError::Number { key: key.into(), value: id.into() };
    let member = Member::parse(Sid(id.parse().map_err(|_| number())?), spec)?;
    let listens = member.client.plain.is_some() || member.client.secure.is_some();
    if listens { Ok(member) } else { Err(bad()) }
}

/// An address that both have; what means another machine on each machine is nobody's.
fn shared(one: &Member, other: &Member) -> Option<Address> {
    let others: alloc::vec::Vec<_> = addresses(other).collect();
    addresses(one).find(|it| !it.is_wildcard() && !it.is_loopback() && others.contains(it))
}

fn addresses(member: &Member) -> impl Iterator<Item = Address> + '_ {
    let client = [&member.client.plain, &member.client.secure];
    let client = client.into_iter().flatten().cloned();
    member.quorum_addresses().chain(client).chain(member.election_addresses())
}

/// What stands between separators, without blanks. Source: `StringUtils.split`.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).map(str::trim).filter(|it| !it.is_empty())
}

/// The text; else what could be read of it.
fn utf8(bytes: &[u8]) -> Result<&str, Box<str>> {
    core::str::from_utf8(bytes).map_err(|_| alloc::string::String::from_utf8_lossy(bytes).into())
}

#[cfg(test)]
mod tests;
