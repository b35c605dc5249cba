//! Addresses that clients connect to: from text, and to what a socket is bound to.
//!
//! Source: `new InetSocketAddress(port)`, which listens on every address of both families.

use core::convert::Infallible;
use core::fmt;
use core::str::FromStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::settings::ClientAddress;

impl ClientAddress {
    /// What to bind to, the first that works: for every address that is both families, then IPv4 alone.
    ///
    /// # Errors
    /// What the resolver says about a host name; an empty answer is `NotFound`.
    pub fn resolve(&self, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = match self {
            Self::Any => vec![
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            ],
            Self::Ip(ip) => vec![SocketAddr::from((*ip, port))],
            Self::Name(name) => (name.as_str(), port).to_socket_addrs()?.collect(),
        };
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }

    /// Whether it stands for every address of the machine.
    pub fn is_any(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Ip(ip) => ip.is_unspecified(),
            Self::Name(_) => false,
        }
    }
}

impl FromStr for ClientAddress {
    type Err = Infallible;

    /// An IP address, in brackets or not, `*` for every address, or else a host name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
        Ok(match bare.parse::<IpAddr>() {
            Ok(ip) => Self::Ip(ip),
            Err(_) if text == "*" => Self::Any,
            Err(_) => Self::Name(text.into()),
        })
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}
