//! Who a connection is, and what that lets it do.
//!
//! ZooKeeper: `ServerCnxn.getAuthInfo`, `ZooKeeperServer.checkACL`, `PrepRequestProcessor.fixupACL` and
//! `server/auth/*`. The schemes that a client can prove itself by are `digest` and `ensemble`; `ip` comes from the
//! address. Ids of any other scheme are carried in ACLs and in [`AuthIds`], but match nothing.
//!
//! Invariant: ids are never taken away from a connection, and none is there twice. Absent here: sockets, SASL,
//! certificates.

mod check;
mod digest;
mod ip;

use alloc::vec::Vec;
use core::net::IpAddr;

pub use check::{check_acl, fixup_acl, mask_acl};
pub use digest::DigestAlg;

/// One id of one scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthId {
    /// The scheme, as in an ACL entry.
    pub scheme: Vec<u8>,
    /// The id within the scheme.
    pub id: Vec<u8>,
}

/// All ids of a connection, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthIds {
    /// The ids; the first is the address.
    pub ids: Vec<AuthId>,
}

impl AuthIds {
    /// The ids of a connection that was just accepted: its address, in Java's spelling.
    ///
    /// An IPv4 address mapped into IPv6 is that IPv4 address, as Java has it; an IPv6 address is eight groups without
    /// `::`. Differs: the zone of a link-local address is left out, so that ACLs can match it.
    pub fn of_address(address: IpAddr) -> Self {
        let mut ids = Self::default();
        ids.add(SCHEME_IP, &ip::text(address));
        ids
    }

    /// Adds an id; false if it was there.
    pub fn add(&mut self, scheme: &[u8], id: &[u8]) -> bool {
        if self.ids.iter().any(|it| it.scheme == scheme && it.id == id) {
            return false;
        }
        self.ids.push(AuthId { scheme: scheme.to_vec(), id: id.to_vec() });
        true
    }

    /// Whether there is an id of this scheme.
    pub fn has_scheme(&self, scheme: &[u8]) -> bool {
        self.ids.iter().any(|it| it.scheme == scheme)
    }

    /// Whether every ACL lets this connection pass.
    pub fn is_super(&self) -> bool {
        self.has_scheme(SCHEME_SUPER)
    }

    /// What whoAmI answers: scheme and user of every id, in the order they were added. The user of a digest id is
    /// what stands before its hash; of a scheme without a provider it is empty.
    ///
    /// Source: `AuthUtil.getClientInfos`. Differs: the reference's order is that of its hash table.
    pub fn client_infos<'a>(
        &'a self,
        config: &'a AuthConfig,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.ids.iter().map(move |it| (it.scheme.as_slice(), config.user(it)))
    }
}

/// What the configuration says about authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether ACLs are looked at. Source: `zookeeper.skipACL`.
    pub acl: AclCheck,
    /// Whether, and by what hash, clients can prove a user and a password. `None` switches the scheme off.
    /// Source: `zookeeper.DigestAuthenticationProvider.enabled`, `.digestAlg`.
    pub digest: Option<DigestAlg>,
    /// The digest id whose owner may do everything: `user:base64(hash)`.
    /// Source: `zookeeper.DigestAuthenticationProvider.superDigest`.
    pub super_digest: Option<Vec<u8>>,
    /// Whether the scheme `ensemble` is there, and what names it takes; an empty list takes any name.
    /// Source: `EnsembleAuthenticationProvider`, `zookeeper.ensembleAuthName`.
    pub ensemble: Option<Vec<Vec<u8>>>,
    /// A connection must have an id of one of these schemes before it may ask for anything. Empty asks for none.
    /// Source: `zookeeper.enforce.auth.enabled`, `.schemes`.
    pub enforced: Vec<Vec<u8>>,
}

/// Whether ACLs are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AclCheck {
    /// They decide.
    #[default]
    On,
    /// Everybody may do everything.
    Skip,
}

impl Default for AuthConfig {
    /// What the reference does when nothing is configured.
    fn default() -> Self {
        Self {
            acl: AclCheck::On,
            digest: Some(DigestAlg::Sha1),
            super_digest: None,
            ensemble: None,
            enforced: Vec::new(),
        }
    }
}

impl AuthConfig {
    /// Whether a client can use `scheme`, and an ACL can name it.
    ///
    /// Source: `ProviderRegistry.getProvider`.
    pub fn has_provider(&self, scheme: &[u8]) -> bool {
        self.provider(scheme).is_some()
    }

    /// Whether a connection with these ids may ask for anything but to be authenticated. If not, the answer is
    /// `SessionClosedRequireAuth`, then the connection is closed.
    ///
    /// Source: `AuthenticationHelper.enforceAuthentication`.
    pub fn lets_in(&self, ids: &AuthIds) -> bool {
        self.enforced.is_empty() || self.enforced.iter().any(|scheme| ids.has_scheme(scheme))
    }

    fn provider(&self, scheme: &[u8]) -> Option<Provider> {
        match scheme {
            SCHEME_IP => Some(Provider::Ip),
            SCHEME_DIGEST => self.digest.map(Provider::Digest),
            SCHEME_ENSEMBLE if self.ensemble.is_some() => Some(Provider::Ensemble),
            _ => None,
        }
    }

    fn user<'a>(&self, id: &'a AuthId) -> &'a [u8] {
        match self.provider(&id.scheme) {
            None => b"",
            Some(Provider::Digest(_)) => digest::user(&id.id),
            Some(Provider::Ip | Provider::Ensemble) => &id.id,
        }
    }
}

/// What became of an auth packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Proved; the ids may be more than before. The answer is `Ok`.
    Proved,
    /// Not proved, or the scheme is not known. The answer is `AuthFailed`, then the connection is closed.
    Failed,
    /// The client means another ensemble: the connection is closed without an answer, so that the client looks for
    /// another server.
    WrongEnsemble,
}

/// Takes one auth packet of a connection: scheme and credentials, `None` where the packet has jute's null.
///
/// Source: `ZooKeeperServer.processPacket`.
pub fn authenticate(
    config: &AuthConfig,
    ids: &mut AuthIds,
    scheme: Option<&[u8]>,
    payload: Option<&[u8]>,
) -> AuthOutcome {
    match config.provider(scheme.unwrap_or_default()) {
        None => AuthOutcome::Failed,
        // The address was added when the connection was accepted.
        Some(Provider::Ip) => AuthOutcome::Proved,
        Some(Provider::Digest(alg)) => {
            let Some(payload) = payload else { return AuthOutcome::Failed };
            let id = alg.id(payload);
            if config.super_digest.as_ref() == Some(&id) {
                ids.add(SCHEME_SUPER, b"");
            }
            ids.add(SCHEME_DIGEST, &id);
            AuthOutcome::Proved
        }
        Some(Provider::Ensemble) => {
            let names = config.ensemble.as_deref().unwrap_or_default();
            let name = payload.unwrap_or_default();
            if name.is_empty() || names.is_empty() || names.iter().any(|it| it == name) {
                AuthOutcome::Proved
            } else {
                AuthOutcome::WrongEnsemble
            }
        }
    }
}

/// What stands behind a scheme.
#[derive(Clone, Copy, Debug)]
enum Provider {
    Ip,
    Digest(DigestAlg),
    Ensemble,
}

const SCHEME_IP: &[u8] = b"ip";
const SCHEME_DIGEST: &[u8] = b"digest";
const SCHEME_ENSEMBLE: &[u8] = b"ensemble";
const SCHEME_SUPER: &[u8] = b"super";
const SCHEME_WORLD: &[u8] = b"world";
const SCHEME_AUTH: &[u8] = b"auth";
const ID_ANYONE: &[u8] = b"anyone";

#[cfg(test)]
mod tests;
