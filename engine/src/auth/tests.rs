//! What schemes take, what ACLs let pass, and what is stored of an ACL.

use alloc::vec::Vec;
use core::net::IpAddr;

use jute::{AclEntry, AclList, Code, Field as _, Perms};

use super::{
    AclCheck, AuthConfig, AuthIds, AuthOutcome, DigestAlg, authenticate, check_acl, fixup_acl,
    mask_acl,
};

type Entry<'a> = (i32, &'a str, &'a str);

fn list(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    (entries.len() as i32).write(&mut out);
    for &(perms, scheme, id) in entries {
        let (scheme, id) = (Some(scheme.as_bytes()), Some(id.as_bytes()));
        AclEntry { perms: Perms(perms), scheme, id }.write(&mut out);
    }
    out
}

fn from(address: &str) -> AuthIds {
    AuthIds::of_address(address.parse::<IpAddr>().unwrap())
}

fn with_digest(payload: &[u8]) -> AuthIds {
    let mut ids = from("10.0.0.1");
    let config = AuthConfig::default();
    let outcome = authenticate(&config, &mut ids, Some(b"digest"), Some(payload));
    assert_eq!(outcome, AuthOutcome::Proved);
    ids
}

fn passes(ids: &AuthIds, entries: &[Entry<'_>], perms: Perms) -> bool {
    let bytes = list(entries);
    check_acl(&AuthConfig::default(), ids, AclList::decode(&bytes).unwrap(), perms)
}

fn fixed(ids: &AuthIds, entries: &[Entry<'_>]) -> Result<Vec<u8>, Code> {
    let bytes = list(entries);
    fixup_acl(&AuthConfig::default(), ids, AclList::decode(&bytes).unwrap(), 1 << 10)
}

const PAT: &str = "pat:QmZH8xVB+g4zYsrmbFpVhXoKdNs=";

#[test]
fn a_digest_id_is_the_user_and_the_base64_of_the_hash_of_all() {
    for (name, id) in [
        ("SHA1", "super:D/InIHSb7yEEbrWz8b9l71RjZJU="),
        ("SHA-256", "super:wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig="),
        (
            "SHA-512",
            "super:cMAGk13FCMtJkaVQImGEKhjqoGELCiVjYdIhiD8stB1FnIpdGeFvKwAHh5mf4tUYmBR2ZY9181dZTXEHMlkVhg==",
        ),
    ] {
        assert_eq!(DigestAlg::parse(name).unwrap().id(b"super:test"), id.as_bytes());
    }
    assert_eq!(DigestAlg::parse("MD2"), None);
    assert_eq!(DigestAlg::Sha1.id(b"pat"), b"pat:f/4bpA8lhLlpkd7ESsRP5+jWvGg=");
    assert_eq!(DigestAlg::Sha1.id(b""), b":2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
}

#[test]
fn digest_credentials_add_an_id_once() {
    let config = AuthConfig::default();
    let mut ids = from("10.0.0.1");
    for _ in 0..2 {
        let outcome = authenticate(&config, &mut ids, Some(b"digest"), Some(b"a:b"));
        assert_eq!(outcome, AuthOutcome::Proved);
        assert_eq!(ids.ids.len(), 2);
    }
    assert_eq!(ids.ids[1].id, DigestAlg::Sha1.id(b"a:b"));
    assert!(!ids.is_super());
}

#[test]
fn the_super_digest_adds_the_super_id_before_the_digest_id() {
    let super_digest = Some(DigestAlg::Sha1.id(b"super:judge"));
    let config = AuthConfig { super_digest, ..AuthConfig::default() };
    let mut ids = from("10.0.0.1");
    authenticate(&config, &mut ids, Some(b"digest"), Some(b"super:other"));
    assert!(!ids.is_super());
    authenticate(&config, &mut ids, Some(b"digest"), Some(b"super:judge"));
    let schemes: Vec<&[u8]> = ids.ids.iter().map(|it| it.scheme.as_slice()).collect();
    assert_eq!(schemes, [b"ip".as_slice(), b"digest", b"super", b"digest"]);
    let nobody = list(&[(0, "world", "anyone")]);
    assert!(check_acl(&config, &ids, AclList::decode(&nobody).unwrap(), Perms::ADMIN));
}

#[test]
fn what_has_no_provider_or_no_credentials_is_not_proved() {
    let config = AuthConfig::default();
    let off = AuthConfig { digest: None, ..AuthConfig::default() };
    let mut ids = from("10.0.0.1");
    let before = ids.clone();
    for scheme in [None, Some("".as_bytes()), Some(b"world"), Some(b"super"), Some(b"sasl")] {
        let outcome = authenticate(&config, &mut ids, scheme, Some(b"a:b"));
        assert_eq!(outcome, AuthOutcome::Failed, "{scheme:?}");
    }
    assert_eq!(authenticate(&config, &mut ids, Some(b"digest"), None), AuthOutcome::Failed);
    assert_eq!(authenticate(&off, &mut ids, Some(b"digest"), Some(b"a:b")), AuthOutcome::Failed);
    assert_eq!(authenticate(&config, &mut ids, Some(b"ensemble"), None), AuthOutcome::Failed);
    assert_eq!(authenticate(&config, &mut ids, Some(b"ip"), None), AuthOutcome::Proved);
    assert_eq!(ids, before);
}

#[test]
fn only_another_ensembles_name_is_sent_away() {
    let named = |names: &[&str]| AuthConfig {
        ensemble: Some(names.iter().map(|it| it.as_bytes().to_vec()).collect()),
        ..AuthConfig::default()
    };
    let mut ids = from("10.0.0.1");
    let mut ask =
        |config: &AuthConfig, name| authenticate(config, &mut ids, Some(b"ensemble"), name);
    let east = named(&["east", "eastern"]);
    assert_eq!(ask(&east, Some(b"east")), AuthOutcome::Proved);
    assert_eq!(ask(&east, Some(b"eastern")), AuthOutcome::Proved);
    assert_eq!(ask(&east, Some(b"")), AuthOutcome::Proved);
    assert_eq!(ask(&east, None), AuthOutcome::Proved);
    assert_eq!(ask(&east, Some(b"west")), AuthOutcome::WrongEnsemble);
    assert_eq!(ask(&named(&[]), Some(b"west")), AuthOutcome::Proved);
    assert_eq!(ids.ids.len(), 1);
}

#[test]
fn addresses_are_spelt_as_java_spells_them() {
    for (address, text) in [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("2001:db8::ff00:42", "2001:db8:0:0:0:0:ff00:42"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
    ] {
        let ids = from(address);
        assert_eq!((ids.ids.len(), ids.ids[0].id.as_slice()), (1, text.as_bytes()));
    }
}

#[test]
fn an_address_matches_the_blocks_it_is_in() {
    let inside = [
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.0/24"),
        ("10.1.2.3", "10.1.2.255/24"),
        ("10.1.2.3", "10.1.2.2/31"),
        ("10.1.2.3", "192.168.0.1/0"),
        ("10.1.2.3", "+10.01.2.3"),
        ("::ffff:10.1.2.3", "10.1.0.0/16"),
        ("::1", "::1"),
        ("::1", "0:0:0:0:0:0:0:1/128"),
        ("2001:db8:1::5", "2001:db8::/32"),
        ("2001:db8:1::5", "2001:db8:1:0::/64"),
        ("2001:db8:1::5", "::/0"),
        ("fe80::1", "fe80::/10"),
    ];
    for (address, block) in inside {
        assert!(passes(&from(address), &[(1, "ip", block)], Perms::READ), "{address} {block}");
    }
    let outside = [
        ("10.1.2.3", "10.1.2.4"),
        ("10.1.2.3", "10.1.3.0/24"),
        ("10.1.2.3", "10.1.2.4/30"),
        ("10.1.2.3", "::/0"),
        ("::1", "0.0.0.0/0"),
        ("10.1.2.3", "::ffff:a01:203"),
        ("2001:db9::", "2001:db8::/32"),
        ("10.1.2.3", "10.1.2.3/33"),
        ("10.1.2.3", "10.1.2.3/-1"),
        ("10.1.2.3", "10.1.2.3/"),
        ("10.1.2.3", "10.1.2"),
        ("::1", "::1/129"),
    ];
    for (address, block) in outside {
        assert!(!passes(&from(address), &[(1, "ip", block)], Perms::READ), "{address} {block}");
    }
}

#[test]
fn the_ids_that_an_acl_can_have_are_those_of_the_reference() {
    let ids = with_digest(b"pat:pw");
    let good = [
        ("world", "anyone"),
        ("ip", "10.0.0.1"),
        ("ip", "10.0.0.1/32"),
        ("ip", "10.0.0.1/0"),
        ("ip", "::"),
        ("ip", "1::2/64"),
        ("ip", "1:2:3:4:5:6:7:8"),
        ("digest", "a:b"),
        ("digest", ":b"),
        ("digest", "a:b:"),
        ("digest", "a:b::"),
        ("auth", ""),
        ("auth", "whatever"),
    ];
    for (scheme, id) in good {
        assert!(fixed(&ids, &[(31, scheme, id)]).is_ok(), "{scheme}:{id}");
    }
    let bad = [
        ("world", "nobody"),
        ("World", "anyone"),
        ("super", ""),
        ("sasl", "pat"),
        ("ensemble", "east"),
        ("", ""),
        ("ip", ""),
        ("ip", "localhost"),
        ("ip", "10.0.0"),
        ("ip", "10.0.0.1.2"),
        ("ip", "10.0.0.256"),
        ("ip", "10.0.0.1/33"),
        ("ip", "1:2:3:4:5:6:7"),
        ("ip", "1:2:3:4:5:6:7:8:9"),
        ("ip", "1::2::3"),
        ("ip", "1:2:3:4::5:6:7:8"),
        ("ip", ":::"),
        ("ip", "12345::"),
        ("ip", "::ffff:1.2.3.4"),
        ("digest", ""),
        ("digest", "a"),
        ("digest", "a:"),
        ("digest", ":"),
        ("digest", "a::b"),
        ("digest", "a:b:c"),
    ];
    for (scheme, id) in bad {
        assert_eq!(fixed(&ids, &[(31, scheme, id)]), Err(Code::InvalidAcl), "{scheme}:{id}");
    }
}

#[test]
fn what_is_stored_has_no_duplicates_and_the_clients_own_ids_for_auth() {
    let mut ids = with_digest(b"pat:pw");
    authenticate(&AuthConfig::default(), &mut ids, Some(b"digest"), Some(b"sam:pw"));
    let (pat, sam) = (DigestAlg::Sha1.id(b"pat:pw"), DigestAlg::Sha1.id(b"sam:pw"));
    let (pat, sam) = (core::str::from_utf8(&pat).unwrap(), core::str::from_utf8(&sam).unwrap());
    let sent = [
        (1, "world", "anyone"),
        (3, "auth", ""),
        (1, "world", "anyone"),
        (2, "world", "anyone"),
        (3, "auth", ""),
        (3, "digest", pat),
    ];
    let stored = [
        (1, "world", "anyone"),
        (3, "digest", pat),
        (3, "digest", sam),
        (2, "world", "anyone"),
        (3, "digest", pat),
    ];
    assert_eq!(fixed(&ids, &sent), Ok(list(&stored)));
    assert_eq!(fixed(&from("10.0.0.1"), &[(31, "auth", "")]), Err(Code::InvalidAcl));
    assert_eq!(fixed(&ids, &[]), Err(Code::InvalidAcl));
}

#[test]
fn null_where_an_acl_needs_a_name_is_refused() {
    let config = AuthConfig::default();
    let ids = with_digest(b"pat:pw");
    let null_vector = (-1_i32).to_be_bytes();
    let null_vector = AclList::decode(&null_vector).unwrap();
    assert_eq!(fixup_acl(&config, &ids, null_vector, 1 << 10), Err(Code::InvalidAcl));
    let outcome = |scheme: Option<&[u8]>, id: Option<&[u8]>| {
        let mut bytes = Vec::new();
        1_i32.write(&mut bytes);
        AclEntry { perms: Perms::ALL, scheme, id }.write(&mut bytes);
        fixup_acl(&config, &ids, AclList::decode(&bytes).unwrap(), 1 << 10).map(drop)
    };
    assert_eq!(outcome(None, Some(b"anyone")), Err(Code::InvalidAcl));
    assert_eq!(outcome(Some(b"world"), None), Err(Code::MarshallingError));
    assert_eq!(outcome(Some(b"digest"), None), Err(Code::MarshallingError));
    assert_eq!(outcome(Some(b"ip"), None), Err(Code::MarshallingError));
    assert_eq!(outcome(Some(b"nothing"), None), Err(Code::InvalidAcl));
    assert_eq!(outcome(Some(b"auth"), None), Ok(()));
}

#[test]
fn an_acl_lets_pass_whom_an_entry_with_the_permission_names() {
    let pat = with_digest(b"pat:pw");
    let id = DigestAlg::Sha1.id(b"pat:pw");
    let id = core::str::from_utf8(&id).unwrap();
    assert!(passes(&pat, &[], Perms::ADMIN));
    assert!(passes(&pat, &[(1, "world", "anyone")], Perms::READ));
    assert!(!passes(&pat, &[(1, "world", "anyone")], Perms::WRITE));
    assert!(passes(&pat, &[(16, "world", "anyone")], Perms::READ.or(Perms::ADMIN)));
    assert!(passes(&pat, &[(1, "world", "anyone"), (2, "digest", id)], Perms::WRITE));
    assert!(!passes(&from("10.0.0.1"), &[(31, "digest", id)], Perms::READ));
    assert!(!passes(&pat, &[(31, "digest", PAT)], Perms::READ));
    assert!(!passes(&pat, &[(31, "world", "pat"), (31, "auth", "")], Perms::READ));
}

#[test]
fn ids_of_a_scheme_without_provider_are_carried_and_match_nothing() {
    let mut ids = from("10.0.0.1");
    ids.add(b"sasl", b"pat");
    assert!(!passes(&ids, &[(31, "sasl", "pat")], Perms::READ));
    let config = AuthConfig { digest: None, ..AuthConfig::default() };
    ids.add(b"digest", b"a:b");
    let acl = list(&[(31, "digest", "a:b")]);
    assert!(!check_acl(&config, &ids, AclList::decode(&acl).unwrap(), Perms::READ));
    assert!(passes(&ids, &[(31, "digest", "a:b")], Perms::READ));
}

#[test]
fn skipping_acls_lets_everybody_do_everything() {
    let config = AuthConfig { acl: AclCheck::Skip, ..AuthConfig::default() };
    let acl = list(&[(0, "world", "anyone")]);
    let acl = AclList::decode(&acl).unwrap();
    assert!(check_acl(&config, &from("10.0.0.1"), acl, Perms::ALL));
    assert!(!check_acl(&AuthConfig::default(), &from("10.0.0.1"), acl, Perms::ALL));
}

#[test]
fn a_masked_acl_shows_of_digest_ids_only_the_user() {
    let acl =
        list(&[(31, "digest", PAT), (1, "ip", "::1"), (1, "digest", "odd"), (2, "digest", ":")]);
    let masked = list(&[
        (31, "digest", "pat:x"),
        (1, "ip", "::1"),
        (1, "digest", "odd"),
        (2, "digest", ":x"),
    ]);
    let mut out = Vec::new();
    mask_acl(AclList::decode(&acl).unwrap(), &mut out);
    assert_eq!(out, masked);
    for count in [-1_i32, 0] {
        out.clear();
        mask_acl(AclList::decode(&count.to_be_bytes()).unwrap(), &mut out);
        assert_eq!(out, count.to_be_bytes());
    }
}

#[test]
fn who_am_i_names_users_without_their_hashes() {
    let super_digest = Some(DigestAlg::Sha1.id(b"pat:pw"));
    let config = AuthConfig { super_digest, ..AuthConfig::default() };
    let mut ids = from("::1");
    authenticate(&config, &mut ids, Some(b"digest"), Some(b"pat:pw"));
    ids.add(b"x509", b"CN=pat");
    let infos: Vec<(&[u8], &[u8])> = ids.client_infos(&config).collect();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"ip", b"0:0:0:0:0:0:0:1"), (b"super", b""), (b"digest", b"pat"), (b"x509", b"")];
    assert_eq!(infos, expected);
}

#[test]
fn enforced_schemes_keep_out_who_has_none_of_them() {
    let enforced = [b"sasl".to_vec(), b"digest".to_vec()].to_vec();
    let config = AuthConfig { enforced, ..AuthConfig::default() };
    assert!(!config.lets_in(&from("10.0.0.1")));
    assert!(config.lets_in(&with_digest(b"a:b")));
    assert!(AuthConfig::default().lets_in(&from("10.0.0.1")));
}
