//! PEM files: blocks of base64 between lines that say what they are. What stands between blocks is ignored.
//!
//! ZooKeeper: `PemReader`. **Differs:** keys in the older forms `RSA PRIVATE KEY` and `EC PRIVATE KEY` are taken too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use super::pkcs8;
use super::store::{KeyStore, StoreError};

/// The key and its chain, in the order of the file.
pub(super) fn key_store(bytes: &[u8], password: &str) -> Result<KeyStore, StoreError> {
    let blocks = blocks(bytes)?;
    let key = blocks.iter().find(|it| it.label.ends_with("PRIVATE KEY"));
    let key = key.ok_or(StoreError::NoKey)?.key(password)?;
    Ok(KeyStore { key, chain: certificates(blocks) })
}

/// Every certificate.
pub(super) fn trust_store(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    blocks(bytes).map(certificates)
}

struct Block {
    label: String,
    der: Vec<u8>,
    /// Encrypted as a whole, in a way of before PKCS #8.
    is_enciphered: bool,
}

impl Block {
    fn key(&self, password: &str) -> Result<PrivateKeyDer<'static>, StoreError> {
        let der = self.der.clone();
        match &*self.label {
            _ if self.is_enciphered => Err(StoreError::Unsupported {
                what: "a key with Proc-Type: ENCRYPTED; openssl pkcs8 -topk8 writes one that is read",
            }),
            "ENCRYPTED PRIVATE KEY" => {
                Ok(PrivatePkcs8KeyDer::from(pkcs8::open(&der, password)?).into())
            }
            "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(der).into()),
            "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(der).into()),
            "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(der).into()),
            _ => Err(StoreError::Unsupported { what: "a private key that is neither RSA nor EC" }),
        }
    }
}

fn certificates(blocks: Vec<Block>) -> Vec<CertificateDer<'static>> {
    let is_certificate = |it: &Block| it.label.ends_with("CERTIFICATE");
    blocks.into_iter().filter(is_certificate).map(|it| it.der.into()).collect()
}

fn blocks(bytes: &[u8]) -> Result<Vec<Block>, StoreError> {
    let text = core::str::from_utf8(bytes).map_err(|_| StoreError::Malformed)?;
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = marked(line, "BEGIN ") else { continue };
        let (mut base64, mut is_enciphered) = (String::new(), false);
        loop {
            let line = lines.next().ok_or(StoreError::Malformed)?;
            if marked(line, "END ").is_some_and(|it| it == label) {
                break;
            }
            // A header of the older forms.
            if line.contains(':') {
                is_enciphered |= line.contains("ENCRYPTED");
            } else {
                base64.push_str(line);
            }
        }
        let is_of_use = label.ends_with("PRIVATE KEY") || label.ends_with("CERTIFICATE");
        if !is_of_use {
            continue;
        }
        let der = if is_enciphered { Ok(Vec::new()) } else { STANDARD.decode(&base64) };
        let der = der.map_err(|_| StoreError::Malformed)?;
        blocks.push(Block { label: label.to_owned(), der, is_enciphered });
    }
    Ok(blocks)
}

/// What a line between dashes says behind `mark`.
fn marked<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_suffix("-----")?.strip_prefix(mark)
}
