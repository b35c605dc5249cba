//! ACLs: whether one lets a connection pass, and what becomes of one that a client sends.
//!
//! ZooKeeper: `ZooKeeperServer.checkACL`, `PrepRequestProcessor.fixupACL`, the masking in
//! `FinalRequestProcessor`'s getACL.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use jute::{AclEntry, AclList, Code, Field as _, Perms};

use super::{
    AclCheck, AuthConfig, AuthIds, ID_ANYONE, Provider, SCHEME_AUTH, SCHEME_DIGEST, SCHEME_WORLD,
    digest, ip,
};

/// Whether `acl` gives any bit of `perms` to a connection with these ids. A null or empty list gives everything.
///
/// Allocates nothing. Source: `ZooKeeperServer.checkACL`; a refusal is [`Code::NoAuth`].
pub fn check_acl(config: &AuthConfig, ids: &AuthIds, acl: AclList<'_>, perms: Perms) -> bool {
    if config.acl == AclCheck::Skip || acl.is_empty() {
        return true;
    }
    acl.iter().any(|entry| entry.perms.any(perms) && matches(config, ids, &entry)) || ids.is_super()
}

/// What is stored when a client sends `acl`: as a jute list of at most `len_max` bytes, without duplicates, `auth` replaced by
/// the connection's own ids.
///
/// Source: `PrepRequestProcessor.fixupACL`.
///
/// # Errors
/// [`Code::InvalidAcl`] if nothing is left, or an entry has no scheme, one that is not there, or an id that its scheme
/// does not take; [`Code::MarshallingError`] if an id is null where its scheme reads it; [`Code::BadArguments`] if it would be
/// longer.
pub fn fixup_acl(
    config: &AuthConfig,
    ids: &AuthIds,
    acl: AclList<'_>,
    len_max: usize,
) -> Result<Vec<u8>, Code> {
    let mut seen = BTreeSet::new();
    let mut count = 0_i32;
    let mut out = Vec::new();
    count.write(&mut out);
    for entry in &acl {
        if !seen.insert((entry.perms.0, entry.scheme, entry.id)) {
            continue;
        }
        if len_max < out.len() {
            return Err(Code::BadArguments);
        }
        let scheme = entry.scheme.ok_or(Code::InvalidAcl)?;
        if scheme == SCHEME_AUTH {
            count += write_own_ids(config, ids, entry.perms, &mut out)?;
            continue;
        }
        if !is_valid(config, scheme, entry.id)? {
            return Err(Code::InvalidAcl);
        }
        entry.write(&mut out);
        count += 1;
    }
    if count == 0 {
        return Err(Code::InvalidAcl);
    }
    if len_max < out.len() {
        return Err(Code::BadArguments);
    }
    out[..4].copy_from_slice(&count.to_be_bytes());
    Ok(out)
}

/// Appends `acl` as a connection without the permission ADMIN may see it: of digest ids only the user.
///
/// Differs: in an id of several lines the reference masks each line by itself; here all behind the first colon goes.
pub fn mask_acl(acl: AclList<'_>, out: &mut Vec<u8>) {
    if acl.is_null() {
        return acl.write(out);
    }
    (acl.len() as i32).write(out);
    for entry in &acl {
        let id = entry.id.unwrap_or_default();
        if entry.scheme != Some(SCHEME_DIGEST) || !id.contains(&b':') {
            entry.write(out);
            continue;
        }
        entry.perms.0.write(out);
        entry.scheme.write(out);
        let user = digest::user(id);
        (user.len() as i32 + 2).write(out);
        out.extend_from_slice(user);
        out.extend_from_slice(b":x");
    }
}

fn matches(config: &AuthConfig, ids: &AuthIds, entry: &AclEntry<'_>) -> bool {
    let (Some(scheme), Some(id)) = (entry.scheme, entry.id) else { return false };
    if scheme == SCHEME_WORLD && id == ID_ANYONE {
        return true;
    }
    let Some(provider) = config.provider(scheme) else { return false };
    ids.ids.iter().filter(|own| own.scheme == scheme).any(|own| match provider {
        Provider::Ip => ip::matches(&own.id, id),
        Provider::Digest(_) => own.id == id,
        Provider::Ensemble => false,
    })
}

fn is_valid(config: &AuthConfig, scheme: &[u8], id: Option<&[u8]>) -> Result<bool, Code> {
    if scheme == SCHEME_WORLD {
        // Any other id of `world` would need a provider of that name.
        return id.map(|id| id == ID_ANYONE).ok_or(Code::MarshallingError);
    }
    let Some(provider) = config.provider(scheme) else { return Ok(false) };
    match provider {
        Provider::Ip => id.map(ip::is_valid).ok_or(Code::MarshallingError),
        Provider::Digest(_) => id.map(digest::is_valid).ok_or(Code::MarshallingError),
        Provider::Ensemble => Ok(false),
    }
}

/// Appends an entry for each id that says who the client is; how many.
fn write_own_ids(
    config: &AuthConfig,
    ids: &AuthIds,
    perms: Perms,
    out: &mut Vec<u8>,
) -> Result<i32, Code> {
    let mut count = 0;
    for own in &ids.ids {
        if let Some(Provider::Digest(_)) = config.provider(&own.scheme) {
            let (scheme, id) = (Some(own.scheme.as_slice()), Some(own.id.as_slice()));
            AclEntry { perms, scheme, id }.write(out);
            count += 1;
        }
    }
    if count == 0 { Err(Code::InvalidAcl) } else { Ok(count) }
}
