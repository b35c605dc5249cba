//! One server of the ensemble: the right side of a `server.N=` line.

use alloc::vec::Vec;
use core::fmt;

use super::address::{Bracketed, parse_port, split};
use super::{Address, ConfigError};
use crate::Sid;

/// What a member is in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// It votes in elections and on proposals.
    #[default]
    Participant,
    /// It learns what was decided.
    Observer,
}

impl Role {
    /// Reads `participant` or `observer`, in any case.
    ///
    /// # Errors
    /// [`ConfigError::Role`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let word = text.trim();
        if word.eq_ignore_ascii_case("participant") {
            Ok(Self::Participant)
        } else if word.eq_ignore_ascii_case("observer") {
            Ok(Self::Observer)
        } else {
            Err(ConfigError::Role { role: text.into() })
        }
    }

    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        }
    }
}

/// One host of a member with its two ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name or a literal address; an IPv6 literal without its brackets.
    pub host: alloc::boxed::Box<str>,
    /// Where the leader listens for learners.
    pub quorum_port: u16,
    /// Where every server listens for election messages.
    pub election_port: u16,
}

/// Where clients of a member connect, and whether the configuration text says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientPart {
    /// The plaintext port.
    pub plain: Option<Address>,
    /// The TLS port. Printed only if the text had it: readers before 3.10 refuse a text with it.
    pub secure: Option<Address>,
}

/// One server of the ensemble.
///
/// Source: `QuorumPeer.QuorumServer`. **Differs:** a port taken from the static `clientPort` is no part of it, so
/// that what is printed and what is compared are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its id.
    pub sid: Sid,
    /// Its hosts, at least one, sorted.
    pub endpoints: Vec<Endpoint>,
    /// Whether it votes.
    pub role: Role,
    /// Where its clients connect.
    pub client: ClientPart,
}

impl Member {
    /// Reads `host:quorum:election[:role][|…][;[clientHost:]clientPort[;[secureHost:]securePort]]`.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong with which part.
    pub fn parse(sid: Sid, spec: &str) -> Result<Self, ConfigError> {
        let mut parts = spec.split(';');
        let servers = parts.next().unwrap_or_default();
        let client = ClientPart {
            plain: client_address(parts.next().unwrap_or_default())?,
            secure: client_address(parts.next().unwrap_or_default())?,
        };
        if parts.next().is_some() {
            return Err(ConfigError::Spec { spec: spec.into() });
        }
        let mut role = None;
        let mut endpoints = Vec::new();
        for server in servers.split('|') {
            let (endpoint, its_role) = endpoint(sid, server.trim())?;
            endpoints.push(endpoint);
            if let Some(its_role) = its_role
                && *role.get_or_insert(its_role) != its_role
            {
                return Err(ConfigError::TwoRoles { sid });
            }
        }
        endpoints.sort();
        Ok(Self { sid, endpoints, role: role.unwrap_or_default(), client })
    }

    /// Where it listens for election messages, in the order of its hosts.
    pub fn election_addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.endpoints.iter().map(|it| Address { host: it.host.clone(), port: it.election_port })
    }

    /// Where it listens for learners while it leads, in the order of its hosts.
    pub fn quorum_addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.endpoints.iter().map(|it| Address { host: it.host.clone(), port: it.quorum_port })
    }

    /// The same at another port: where it listens for observers while it follows. Source: `observerMasterPort`.
    pub fn quorum_addresses_at(&self, port: u16) -> Vec<Address> {
        self.endpoints.iter().map(|it| Address { host: it.host.clone(), port }).collect()
    }

    /// Whether it votes.
    pub fn is_participant(&self) -> bool {
        self.role == Role::Participant
    }
}

impl fmt::Display for Member {
    /// The right side of its line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, it) in self.endpoints.iter().enumerate() {
            let bar = if idx == 0 { "" } else { "|" };
            write!(f, "{bar}{}:{}:{}", Bracketed(&it.host), it.quorum_port, it.election_port)?;
        }
        write!(f, ":{}", self.role.word())?;
        match (&self.client.plain, &self.client.secure) {
            (None, None) => Ok(()),
            (Some(plain), None) => write!(f, ";{plain}"),
            (None, Some(secure)) => write!(f, ";;{secure}"),
            (Some(plain), Some(secure)) => write!(f, ";{plain};{secure}"),
        }
    }
}

/// Reads one `host:quorum:election[:role]`.
fn endpoint(sid: Sid, text: &str) -> Result<(Endpoint, Option<Role>), ConfigError> {
    let (host, quorum, election, role) = match split(text)?.as_slice() {
        [host, quorum, election] if !host.is_empty() => (*host, *quorum, *election, None),
        [host, quorum, election, role] if !host.is_empty() => {
            (*host, *quorum, *election, Some(Role::parse(role)?))
        }
        _ => return Err(ConfigError::Spec { spec: text.into() }),
    };
    let (quorum_port, election_port) = (parse_port(quorum)?, parse_port(election)?);
    if quorum_port == election_port {
        return Err(ConfigError::SamePort { sid, port: quorum_port });
    }
    Ok((Endpoint { host: host.into(), quorum_port, election_port }, role))
}

/// Reads `host:port` or `port`; nothing from nothing.
fn client_address(text: &str) -> Result<Option<Address>, ConfigError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match split(text)?.as_slice() {
        [port] => Ok(Some(Address::new("0.0.0.0", parse_port(port)?))),
        [host, port] => Ok(Some(Address::new(host, parse_port(port)?))),
        _ => Err(ConfigError::Spec { spec: text.into() }),
    }
}
