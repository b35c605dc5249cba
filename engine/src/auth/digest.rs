//! The scheme `digest`: a user, and a hash of user and password.
//!
//! ZooKeeper: `DigestAuthenticationProvider`.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest as _;

/// The hash of the scheme `digest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DigestAlg {
    /// SHA-1.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl DigestAlg {
    /// The algorithm that Java knows by this name, letters of either case.
    pub fn parse(name: &str) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|it| name.eq_ignore_ascii_case(it));
        if is(&["SHA1", "SHA-1", "SHA"]) {
            Some(Self::Sha1)
        } else if is(&["SHA-256"]) {
            Some(Self::Sha256)
        } else if is(&["SHA-512"]) {
            Some(Self::Sha512)
        } else {
            None
        }
    }

    /// The id that `user:password` proves: `user:base64(hash(user:password))`. Without a colon all of it is the user.
    ///
    /// Source: `DigestAuthenticationProvider.generateDigest`; as there, what is not UTF-8 is replaced before it is
    /// hashed.
    pub fn id(self, payload: &[u8]) -> Vec<u8> {
        let payload = String::from_utf8_lossy(payload);
        let payload = payload.as_bytes();
        let hash = match self {
            Self::Sha1 => STANDARD.encode(sha1::Sha1::digest(payload)),
            Self::Sha256 => STANDARD.encode(sha2::Sha256::digest(payload)),
            Self::Sha512 => STANDARD.encode(sha2::Sha512::digest(payload)),
        };
        let mut id = user(payload).to_vec();
        id.push(b':');
        id.extend_from_slice(hash.as_bytes());
        id
    }
}

/// What stands before the first colon.
pub(super) fn user(id: &[u8]) -> &[u8] {
    id.split(|&byte| byte == b':').next().unwrap_or_default()
}

/// Whether an ACL can have this id: two parts between colons, where empty ones at the end do not count.
///
/// Source: `DigestAuthenticationProvider.isValid`, which counts what `String.split` gives.
pub(super) fn is_valid(id: &[u8]) -> bool {
    let mut parts = 0;
    for (idx, part) in id.split(|&byte| byte == b':').enumerate() {
        if !part.is_empty() {
            parts = idx + 1;
        }
    }
    parts == 2
}
