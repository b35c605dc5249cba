//! What of a certificate the names are compared with. Whether it is genuine, `rustls` says.
//!
//! ZooKeeper: `ZKHostnameVerifier`: alternative names; the common name only where there are none.

use std::net::IpAddr;

use super::der::{BMP_STRING, Der, OCTETS, OID, SEQUENCE, SET, field};
use super::store::StoreError;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// The tags of alternative names.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// A certificate, half read.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// Encoded.
    pub(super) issuer: &'a [u8],
    /// Encoded.
    pub(super) subject: &'a [u8],
    extensions: Option<Der<'a>>,
}

impl<'a> Certificate<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, StoreError> {
        let mut fields = Der::new(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
        if fields.peek() == Some(field(0)) {
            fields.next()?; // the version
        }
        fields.next()?; // the serial number
        fields.next()?; // how it is signed
        let issuer = fields.take(SEQUENCE)?;
        fields.next()?; // from when to when
        let subject = fields.take(SEQUENCE)?;
        fields.next()?; // the key
        let mut extensions = None;
        while !fields.is_empty() {
            let (tag, body) = fields.next()?;
            if tag == field(3) {
                extensions = Some(Der::new(body).enter(SEQUENCE)?);
            }
        }
        Ok(Self { issuer, subject, extensions })
    }

    /// Whether it is for `name`, an address or a host.
    pub(super) fn is_for(&self, name: &str) -> Result<bool, StoreError> {
        let (mut alternatives, mut fits) = (false, false);
        let ip = name.parse::<IpAddr>().ok().map(|it| it.to_canonical());
        let mut names = self.alternative_names()?;
        while !names.is_empty() {
            match names.next()? {
                (DNS_NAME, dns) => {
                    alternatives = true;
                    fits |= ip.is_none() && is_host(name, dns);
                }
                (IP_ADDRESS, bytes) => {
                    alternatives = true;
                    fits |= ip.is_some() && ip == read_ip(bytes);
                }
                _ => {}
            }
        }
        if alternatives {
            return Ok(fits);
        }
        // The reference compares it with addresses too.
        Ok(self.common_name()?.is_some_and(|it| is_host(name, it.as_bytes())))
    }

    /// What it is for, in words.
    pub(super) fn names(&self) -> String {
        let mut shown = Vec::new();
        let mut names = self.alternative_names().unwrap_or_else(|_| Der::new(&[]));
        while let Ok(name) = names.next() {
            match name {
                (DNS_NAME, dns) => shown.push(String::from_utf8_lossy(dns).into_owned()),
                (IP_ADDRESS, bytes) => shown.extend(read_ip(bytes).map(|it| it.to_string())),
                _ => {}
            }
        }
        if shown.is_empty() {
            shown.extend(self.common_name().ok().flatten());
        }
        let mut shown = shown.join(", ");
        if SHOWN_MAX < shown.len() {
            shown = shown.chars().take(SHOWN_MAX).collect();
        }
        shown.escape_debug().to_string()
    }

    fn alternative_names(&self) -> Result<Der<'a>, StoreError> {
        let Some(mut extensions) = self.extensions else { return Ok(Der::new(&[])) };
        while !extensions.is_empty() {
            let mut extension = extensions.enter(SEQUENCE)?;
            if extension.take(OID)? != ALTERNATIVE_NAMES {
                continue;
            }
            if extension.peek() != Some(OCTETS) {
                extension.next()?; // whether it is critical
            }
            return Der::new(extension.take(OCTETS)?).enter(SEQUENCE);
        }
        Ok(Der::new(&[]))
    }

    /// The most specific one, which stands last.
    pub(super) fn common_name(&self) -> Result<Option<String>, StoreError> {
        let (mut subject, mut found) = (Der::new(self.subject), None);
        while !subject.is_empty() {
            let mut set = subject.enter(SET)?;
            while !set.is_empty() {
                let mut attribute = set.enter(SEQUENCE)?;
                if attribute.take(OID)? == COMMON_NAME {
                    let (tag, text) = attribute.next()?;
                    found = (tag != BMP_STRING)
                        .then(|| String::from_utf8(text.to_vec()).ok())
                        .flatten();
                }
            }
        }
        Ok(found)
    }
}

/// Characters of a certificate's names that a line bears.
const SHOWN_MAX: usize = 200;

fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|it| IpAddr::from(it).to_canonical())
}

/// Whether `host` fits, without regard to case; a `*` stands for what has no dot.
fn is_host(host: &str, pattern: &[u8]) -> bool {
    let Ok(pattern) = core::str::from_utf8(pattern) else { return false };
    let (host, pattern) = (host.to_ascii_lowercase(), pattern.to_ascii_lowercase());
    let Some((before, behind)) = pattern.split_once('*') else { return host == pattern };
    let rest = host.strip_prefix(before).and_then(|it| it.strip_suffix(behind));
    rest.is_some_and(|it| !it.contains('.'))
}
