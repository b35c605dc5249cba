//! Java's own key stores, JKS: big-endian, keys hidden by a chain of SHA-1, the whole sealed by another.
//!
//! Source: `sun.security.provider.JavaKeyStore` and `KeyProtector`, whose formats others have described. Newer tools write PKCS #12 under the same name, which
//! [`super::store`] sees. *Absent:* JCEKS.

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha1::{Digest as _, Sha1};

use super::der::{Der, OCTETS, OID, SEQUENCE};
use super::store::{KeyStore, StoreError};

/// How a store begins.
pub(super) const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// What the seal is made with, beside the password.
const SEAL: &[u8] = b"Mighty Aphrodite";
/// 1.3.6.1.4.1.42.2.17.1.1
const PROTECTOR: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];
/// Of a SHA-1.
const HASH_LEN: usize = 20;

/// The first key and its chain.
pub(super) fn key_store(bytes: &[u8], password: &str) -> Result<KeyStore, StoreError> {
    let Entries { key, .. } = entries(bytes, password)?;
    let (key, chain) = key.ok_or(StoreError::NoKey)?;
    let key = PrivatePkcs8KeyDer::from(reveal(key, password)?).into();
    Ok(KeyStore { key, chain })
}

/// Every certificate that is not a key's.
pub(super) fn trust_store(
    bytes: &[u8],
    password: &str,
) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    Ok(entries(bytes, password)?.trusted)
}

#[derive(Default)]
struct Entries<'a> {
    /// Hidden.
    key: Option<(&'a [u8], Vec<CertificateDer<'static>>)>,
    trusted: Vec<CertificateDer<'static>>,
}

fn entries<'a>(bytes: &'a [u8], password: &str) -> Result<Entries<'a>, StoreError> {
    let sealed_len = bytes.len().checked_sub(HASH_LEN).ok_or(StoreError::Malformed)?;
    let (sealed, seal) = bytes.split_at(sealed_len);
    // Without a password it is not asked whether the store is whole, as in Java.
    if !password.is_empty() {
        let hash = Sha1::new().chain_update(utf16(password)).chain_update(SEAL);
        if hash.chain_update(sealed).finalize()[..] != *seal {
            return Err(StoreError::WrongPassword);
        }
    }
    let mut reader = Reader(sealed);
    if reader.take(4)? != MAGIC {
        return Err(StoreError::Malformed);
    }
    let version = reader.number()?;
    let mut found = Entries::default();
    for _ in 0..reader.number()? {
        let tag = reader.number()?;
        reader.text()?; // its alias
        reader.take(8)?; // its date
        match tag {
            1 => {
                let key = reader.bytes()?;
                let mut chain = Vec::new();
                for _ in 0..reader.number()? {
                    chain.push(reader.certificate(version)?);
                }
                found.key.get_or_insert((key, chain));
            }
            2 => found.trusted.push(reader.certificate(version)?),
            _ => return Err(StoreError::Malformed),
        }
    }
    Ok(found)
}

/// The key behind what hides it.
fn reveal(hidden: &[u8], password: &str) -> Result<Vec<u8>, StoreError> {
    let mut info = Der::new(hidden).enter(SEQUENCE)?;
    if info.enter(SEQUENCE)?.take(OID)? != PROTECTOR {
        return Err(StoreError::Unsupported { what: "its way to protect keys" });
    }
    let hidden = info.take(OCTETS)?;
    let (salt, rest) = hidden.split_at_checked(HASH_LEN).ok_or(StoreError::Malformed)?;
    let len = rest.len().checked_sub(HASH_LEN).ok_or(StoreError::Malformed)?;
    let (hidden, check) = rest.split_at(len);
    let password = utf16(password);
    let mut key = Vec::with_capacity(len);
    let mut hash = salt.to_vec();
    for chunk in hidden.chunks(HASH_LEN) {
        hash = Sha1::new().chain_update(&password).chain_update(&hash).finalize().to_vec();
        key.extend(chunk.iter().zip(&hash).map(|(byte, hash)| byte ^ hash));
    }
    if Sha1::new().chain_update(&password).chain_update(&key).finalize()[..] != *check {
        return Err(StoreError::WrongPassword);
    }
    Ok(key)
}

fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(StoreError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, StoreError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// Bytes behind their length.
    fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let len = self.number()?;
        self.take(len as usize)
    }

    /// Text behind its length, which nobody needs.
    fn text(&mut self) -> Result<&'a [u8], StoreError> {
        let len = self.take(2)?;
        self.take(len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)))
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, StoreError> {
        // The first version has no kinds.
        if version != 1 && self.text()? != b"X.509" {
            return Err(StoreError::Unsupported { what: "a certificate that is not X.509" });
        }
        Ok(self.bytes()?.to_vec().into())
    }
}
