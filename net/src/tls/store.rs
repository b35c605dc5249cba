//! Files of keys and of trusted certificates: where they are, what kind they are of, what is in them.
//!
//! ZooKeeper: `X509Util.loadKeyStore`, `KeyStoreFileType`, `SecretUtils`. JKS and PKCS #12 are told apart by their first bytes, whatever they are called, as
//! Java's own reader does: `keytool` writes PKCS #12 into files that are named `.jks`. *Absent:* BCFKS.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{TlsError, jks, pem, pkcs12};

/// Bytes that a store may have.
const LEN_MAX: usize = 64 << 20;

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Java's, or PKCS #12.
    Jks,
    /// Text.
    Pem,
    /// PKCS #12, or Java's.
    Pkcs12,
}

impl StoreKind {
    /// The kind of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let kinds = [("jks", Self::Jks), ("pem", Self::Pem), ("pkcs12", Self::Pkcs12)];
        kinds.iter().find(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1)
    }

    /// The kind of a file by its ending: `.jks`, `.pem` or `.p12`.
    pub fn of_file(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "jks" => Some(Self::Jks),
            "pem" => Some(Self::Pem),
            "p12" => Some(Self::Pkcs12),
            _ => None,
        }
    }
}

/// A password, which is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// That word.
    pub fn new(word: String) -> Self {
        Self(word)
    }

    pub(crate) fn word(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Where a store is, and how it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFile {
    /// The file. Source: `.location`.
    pub location: PathBuf,
    /// Source: `.password`.
    pub password: Password,
    /// A file that has the password, which counts more. Source: `.passwordPath`.
    pub password_path: Option<PathBuf>,
    /// By default what the file's ending says. Source: `.type`.
    pub kind: Option<StoreKind>,
}

/// A key and the certificates that go with it.
#[derive(Debug)]
pub struct KeyStore {
    /// The key.
    pub key: PrivateKeyDer<'static>,
    /// Its own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
}

/// Why a store is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file's ending says nothing.
    #[error(
        "its ending is none of .jks, .pem, .p12: say what it is by {key}, which may be JKS, PEM or PKCS12"
    )]
    Kind {
        /// The key that would say it.
        key: String,
    },
    /// The bytes are none of the kind, or some are missing.
    #[error("it is damaged, or not of the kind that its ending or its type says")]
    Malformed,
    /// The seal or what is encrypted does not open.
    #[error("it does not open with this password")]
    WrongPassword,
    /// Something that no reader is there for.
    #[error("it has {what}, which is not read here")]
    Unsupported {
        /// What.
        what: &'static str,
    },
    /// A key store without a key.
    #[error("there is no private key in it")]
    NoKey,
    /// No certificate of use.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// Too long to be a store.
    #[error("it has {len} bytes, {LEN_MAX} are read")]
    Long {
        /// Bytes.
        len: usize,
    },
}

impl StoreFile {
    /// The key and its chain. `key` is the name of the store's keys without their last part, for messages.
    ///
    /// # Errors
    /// [`TlsError`], which names key and file.
    pub fn key_store(&self, key: &str) -> Result<KeyStore, TlsError> {
        let (kind, bytes, password) = self.open(key)?;
        let store = match kind {
            StoreKind::Pem => pem::key_store(&bytes, &password),
            _ if bytes.starts_with(&jks::MAGIC) => jks::key_store(&bytes, &password),
            _ => pkcs12::key_store(&bytes, &password),
        };
        let store = store.map_err(|cause| self.fault(key, cause))?;
        if store.chain.is_empty() {
            return Err(self.fault(key, StoreError::NoCertificate));
        }
        Ok(store)
    }

    /// The certificates that are trusted.
    ///
    /// # Errors
    /// [`TlsError`], which names key and file.
    pub fn trust_store(&self, key: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let (kind, bytes, password) = self.open(key)?;
        let store = match kind {
            StoreKind::Pem => pem::trust_store(&bytes),
            _ if bytes.starts_with(&jks::MAGIC) => jks::trust_store(&bytes, &password),
            _ => pkcs12::trust_store(&bytes, &password),
        };
        let store = store.map_err(|cause| self.fault(key, cause))?;
        if store.is_empty() {
            return Err(self.fault(key, StoreError::NoCertificate));
        }
        Ok(store)
    }

    fn open(&self, key: &str) -> Result<(StoreKind, Vec<u8>, String), TlsError> {
        if self.location.as_os_str().is_empty() {
            return Err(TlsError::NotSet { key: format!("{key}.location") });
        }
        let kind = self.kind.or_else(|| StoreKind::of_file(&self.location));
        let kind =
            kind.ok_or_else(|| self.fault(key, StoreError::Kind { key: format!("{key}.type") }))?;
        let read = |name: &str, file: &Path| {
            let (key, file) = (format!("{key}.{name}"), file.to_owned());
            std::fs::read(&file).map_err(|error| TlsError::Read { key, file, error })
        };
        let password = match &self.password_path {
            None => self.password.word().to_owned(),
            Some(file) => {
                let password = String::from_utf8(read("passwordPath", file)?);
                let mut password =
                    password.map_err(|_| self.fault(key, StoreError::WrongPassword))?;
                if password.ends_with('\n') {
                    password.pop();
                }
                password
            }
        };
        let bytes = read("location", &self.location)?;
        if LEN_MAX < bytes.len() {
            return Err(self.fault(key, StoreError::Long { len: bytes.len() }));
        }
        Ok((kind, bytes, password))
    }

    fn fault(&self, key: &str, cause: StoreError) -> TlsError {
        TlsError::Store { key: format!("{key}.location"), file: self.location.clone(), cause }
    }
}

#[cfg(test)]
mod tests;
