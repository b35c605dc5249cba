//! The lines that list servers, as far as a standalone server needs to understand them.
//!
//! Source: `QuorumServer.initializeWithAddressString`, `ConfigUtils.getHostAndPort`, `QuorumPeerConfig.parseDynamicConfig`.
//! A line is `host:port:port[:participant|observer]`, several of them joined by `|`, then `;[address:]port` of clients and
//! `;[address:]port` of clients with TLS, both optional.
//! Absent: hosts and ports of the servers among themselves, which a standalone server does not use.

use super::draft::Bad;
use super::settings::ClientAddress;

/// What one `server.N` line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The `N`.
    pub(super) sid: i64,
    pub(super) observer: bool,
    /// Where its clients connect, if the line says it.
    pub(super) client: Option<(ClientAddress, u16)>,
}

/// The form of a server line, for messages.
pub(super) const SERVER_LINE: &str =
    "host:port:port[:participant|observer][;[address:]port], and a number after 'server.'";

impl Member {
    /// Reads the line `server.<sid>=<value>`.
    pub(super) fn parse(sid: &str, value: &str) -> Result<Self, Bad> {
        let mut parts = value.split(';');
        let mut observer = false;
        for address in parts.next().ok_or(Bad)?.split('|') {
            observer |= is_observer(address)?;
        }
        let client = parts.next().map(client_address).transpose()?;
        parts.next().map(client_address).transpose()?;
        if parts.next().is_some() {
            return Err(Bad);
        }
        Ok(Self { sid: sid.parse().map_err(|_| Bad)?, observer, client })
    }
}

/// Whether `host:port:port[:role]` is an observer's.
fn is_observer(address: &str) -> Result<bool, Bad> {
    let (host, rest) = split_host(address)?;
    let mut rest = rest.split(':');
    if host.is_empty() {
        return Err(Bad);
    }
    let mut port = || rest.next().and_then(|it| it.parse::<u16>().ok()).ok_or(Bad);
    if port()? == port()? {
        return Err(Bad);
    }
    let observer = match rest.next().map(|it| it.trim().to_ascii_lowercase()).as_deref() {
        None | Some("participant") => false,
        Some("observer") => true,
        Some(_) => return Err(Bad),
    };
    if rest.next().is_some() { Err(Bad) } else { Ok(observer) }
}

/// `[address:]port`.
fn client_address(text: &str) -> Result<(ClientAddress, u16), Bad> {
    let text = text.trim();
    let (address, port) = match split_host(text) {
        Ok((host, port)) => {
            let Ok(address) = host.parse();
            (address, port)
        }
        Err(Bad) => (ClientAddress::Any, text),
    };
    Ok((address, port.parse().map_err(|_| Bad)?))
}

/// Cuts behind the host, which stands in brackets if it is an IPv6 address.
fn split_host(text: &str) -> Result<(&str, &str), Bad> {
    let text = text.trim();
    match text.strip_prefix('[') {
        Some(inner) => inner.split_once("]:").ok_or(Bad),
        None => text.split_once(':').ok_or(Bad),
    }
}
