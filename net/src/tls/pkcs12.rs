//! PKCS #12 stores (RFC 7292), as `keytool` and `openssl` write them.
//!
//! *Absent:* stores that are sealed by a public key; BER.

use hmac::{Mac as _, SimpleHmac};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha1::Sha1;
use sha1::digest::{Digest, core_api::BlockSizeUser};
use sha2::{Sha256, Sha384, Sha512};

use super::der::{Der, OCTETS, OID, SEQUENCE, SET, field};
use super::pkcs8::{self, Id};
use super::store::{KeyStore, StoreError};
use super::x509::Certificate;

/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.7.6
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
/// 1.2.840.113549.1.12.10.1, below which the kinds of bags are.
const BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
/// 1.2.840.113549.1.9.22.1
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
/// 1.2.840.113549.1.9.21
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];
/// 2.16.840.1.113894.746875.1.1: how Java marks a certificate that is trusted.
const TRUSTED: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];
/// 1.3.14.3.2.26
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// 2.16.840.1.101.3.4.2, below which the kinds of SHA-2 are.
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// The first key, its certificate and those that issued it.
pub(super) fn key_store(bytes: &[u8], password: &str) -> Result<KeyStore, StoreError> {
    let Bags { key, certificates } = bags(bytes, password)?;
    let (key, id) = key.ok_or(StoreError::NoKey)?;
    let mut left: Vec<_> = certificates;
    let own = left.iter().position(|it| it.id.is_some() && it.id == id).unwrap_or_default();
    let mut chain = Vec::new();
    if own < left.len() {
        chain.push(left.swap_remove(own).der);
    }
    while let Some(last) = chain.last() {
        let issuer = Certificate::read(last)?.issuer.to_vec();
        let is_issuer = |it: &Held| Certificate::read(&it.der).is_ok_and(|it| it.subject == issuer);
        let Some(next) = left.iter().position(is_issuer) else { break };
        chain.push(left.swap_remove(next).der);
    }
    Ok(KeyStore { key: PrivatePkcs8KeyDer::from(key).into(), chain })
}

/// The certificates that are marked as trusted; all, where none is marked and no key is beside them.
pub(super) fn trust_store(
    bytes: &[u8],
    password: &str,
) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let Bags { key, certificates } = bags(bytes, password)?;
    let all = key.is_none() && !certificates.iter().any(|it| it.is_trusted);
    let trusted = certificates.into_iter().filter(|it| all || it.is_trusted);
    Ok(trusted.map(|it| it.der).collect())
}

/// A certificate of a store.
struct Held {
    der: CertificateDer<'static>,
    id: Option<Vec<u8>>,
    is_trusted: bool,
}

#[derive(Default)]
struct Bags {
    /// And what its certificate has too.
    key: Option<(Vec<u8>, Option<Vec<u8>>)>,
    certificates: Vec<Held>,
}

fn bags(bytes: &[u8], password: &str) -> Result<Bags, StoreError> {
    let mut pfx = Der::new(bytes).enter(SEQUENCE)?;
    pfx.number()?; // its version
    let mut safe = pfx.enter(SEQUENCE)?;
    if safe.take(OID)? != DATA {
        return Err(StoreError::Unsupported { what: "a store that is sealed by a public key" });
    }
    let safe = safe.enter(field(0))?.take(OCTETS)?;
    if !pfx.is_empty() {
        check_mac(pfx.enter(SEQUENCE)?, safe, password)?;
    }
    let mut bags = Bags::default();
    let mut contents = Der::new(safe).enter(SEQUENCE)?;
    while !contents.is_empty() {
        let mut content = contents.enter(SEQUENCE)?;
        match content.take(OID)? {
            DATA => read_bags(content.enter(field(0))?.take(OCTETS)?, password, &mut bags)?,
            ENCRYPTED_DATA => {
                let mut data = content.enter(field(0))?.enter(SEQUENCE)?;
                data.number()?;
                let mut data = data.enter(SEQUENCE)?;
                data.take(OID)?;
                let (_, _, way) = data.next_whole()?;
                let opened = pkcs8::decrypt(way, data.take(0x80)?, password)?;
                read_bags(&opened, password, &mut bags)?;
            }
            _ => {
                return Err(StoreError::Unsupported {
                    what: "a store that is sealed by a public key",
                });
            }
        }
    }
    Ok(bags)
}

fn read_bags(bytes: &[u8], password: &str, bags: &mut Bags) -> Result<(), StoreError> {
    let mut contents = Der::new(bytes).enter(SEQUENCE)?;
    while !contents.is_empty() {
        let mut bag = contents.enter(SEQUENCE)?;
        let kind = bag.take(OID)?.strip_prefix(BAG);
        let value = bag.take(field(0))?;
        let (id, is_trusted) = attributes(bag)?;
        match kind {
            Some([1]) => {
                bags.key.get_or_insert_with(|| (value.to_vec(), id));
            }
            Some([2]) if bags.key.is_none() => {
                bags.key = Some((pkcs8::open(value, password)?, id));
            }
            Some([3]) => {
                let mut certificate = Der::new(value).enter(SEQUENCE)?;
                if certificate.take(OID)? == X509 {
                    let der = certificate.enter(field(0))?.take(OCTETS)?.to_vec().into();
                    bags.certificates.push(Held { der, id, is_trusted });
                }
            }
            // Other keys, lists of what is revoked, secrets.
            _ => {}
        }
    }
    Ok(())
}

/// The local id, and whether the mark of trust is there.
fn attributes(mut bag: Der<'_>) -> Result<(Option<Vec<u8>>, bool), StoreError> {
    let (mut id, mut is_trusted) = (None, false);
    if bag.is_empty() {
        return Ok((id, is_trusted));
    }
    let mut set = bag.enter(SET)?;
    while !set.is_empty() {
        let mut attribute = set.enter(SEQUENCE)?;
        match attribute.take(OID)? {
            LOCAL_KEY_ID => id = Some(attribute.enter(SET)?.take(OCTETS)?.to_vec()),
            TRUSTED => is_trusted = true,
            _ => {}
        }
    }
    Ok((id, is_trusted))
}

/// Whether the store is whole and the password the right one.
fn check_mac(mut mac: Der<'_>, safe: &[u8], password: &str) -> Result<(), StoreError> {
    let mut info = mac.enter(SEQUENCE)?;
    let algorithm = info.enter(SEQUENCE)?.take(OID)?;
    let expected = info.take(OCTETS)?;
    let salt = mac.take(OCTETS)?;
    let rounds = if mac.is_empty() { 1 } else { pkcs8::checked(mac.number()?)? };
    let password = pkcs8::bmp(password);
    let by = (&*password, salt, rounds);
    let is_right = match (algorithm, algorithm.strip_prefix(SHA2)) {
        (SHA1, _) => is_mac::<Sha1>(by, safe, expected),
        (_, Some([1])) => is_mac::<Sha256>(by, safe, expected),
        (_, Some([2])) => is_mac::<Sha384>(by, safe, expected),
        (_, Some([3])) => is_mac::<Sha512>(by, safe, expected),
        _ => return Err(StoreError::Unsupported { what: "its kind of seal" }),
    };
    if is_right { Ok(()) } else { Err(StoreError::WrongPassword) }
}

fn is_mac<D: Digest + BlockSizeUser>(by: (&[u8], &[u8], u32), safe: &[u8], mac: &[u8]) -> bool {
    let key = pkcs8::derive::<D>(Id::Mac, by, <D as Digest>::output_size());
    SimpleHmac::<D>::new_from_slice(&key)
        .is_ok_and(|it| it.chain_update(safe).verify_slice(mac).is_ok())
}
