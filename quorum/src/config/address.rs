//! A host and a port, as the configuration writes them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::ConfigError;

/// Where a server listens. The name is resolved anew at each attempt, never kept resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or a literal address; an IPv6 literal without its brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
}

impl Address {
    /// An address from its parts.
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host:port`, the host in brackets if it is an IPv6 literal.
    ///
    /// # Errors
    /// [`ConfigError::Spec`], [`ConfigError::Port`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        match split(text)?.as_slice() {
            [host, port] if !host.is_empty() => Ok(Self::new(host, parse_port(port)?)),
            _ => Err(ConfigError::Spec { spec: text.into() }),
        }
    }

    /// Whether it names every local address, so that nobody else can connect to it.
    pub fn is_wildcard(&self) -> bool {
        matches!(&*self.host, "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0" | "")
    }

    /// Whether it is a machine's own way to itself.
    pub fn is_loopback(&self) -> bool {
        let literal = self.host.parse::<core::net::IpAddr>();
        &*self.host == "localhost" || literal.is_ok_and(|it| it.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

/// Prints a host so that a port may follow: an IPv6 literal in brackets.
pub(super) struct Bracketed<'a>(pub(super) &'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// Cuts `text` at its colons; a part in brackets may only stand first, and loses them.
///
/// Source: `ConfigUtils.getHostAndPort`.
pub(super) fn split(text: &str) -> Result<Vec<&str>, ConfigError> {
    let bad = || ConfigError::Spec { spec: text.into() };
    let Some(literal) = text.strip_prefix('[') else {
        return Ok(text.split(':').collect());
    };
    let (host, rest) = literal.split_once(']').ok_or_else(bad)?;
    let mut parts = Vec::from([host]);
    if !rest.is_empty() {
        parts
            .extend(rest.strip_prefix(':').filter(|it| !it.is_empty()).ok_or_else(bad)?.split(':'));
    }
    Ok(parts)
}

/// Reads a port, 0 to 65535.
pub(super) fn parse_port(text: &str) -> Result<u16, ConfigError> {
    text.trim().parse().map_err(|_| ConfigError::Port { port: text.into() })
}
