//! Stores as `openssl` and `keytool` have written them: see `stores/make`.

use std::path::PathBuf;

use rustls::pki_types::CertificateDer;

use super::super::TlsError;
use super::super::x509::Certificate;
use super::{Password, StoreError, StoreFile, StoreKind};

/// A store that `stores/make` has made.
fn store(name: &str, password: &str) -> StoreFile {
    let location = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tls/stores").join(name);
    StoreFile { location, password: Password::new(password.into()), ..StoreFile::default() }
}

fn subjects(certificates: &[CertificateDer<'_>]) -> Vec<String> {
    certificates
        .iter()
        .map(|it| Certificate::read(it).unwrap().common_name().unwrap().unwrap())
        .collect()
}

fn refusal<T: std::fmt::Debug>(found: Result<T, TlsError>) -> StoreError {
    match found.unwrap_err() {
        TlsError::Store { cause, .. } => cause,
        other => panic!("{other}"),
    }
}

/// The key of `member.pem`, from any store that holds it.
fn secret(name: &str, password: &str) -> Vec<u8> {
    let store = store(name, password).key_store("ssl.quorum.keyStore").unwrap();
    assert_eq!(subjects(&store.chain), ["member", "ours"], "{name}");
    let key = rustls::crypto::ring::sign::any_ecdsa_type(&store.key).unwrap();
    key.public_key().unwrap().to_vec()
}

#[test]
fn every_kind_of_key_store_holds_the_same_key_and_chain() {
    let expected = secret("member.pem", "");
    for name in ["sec1.pem", "encrypted.pem", "encrypted-3des.pem"] {
        assert_eq!(secret(name, "secret"), expected, "{name}");
    }
    for name in ["member.p12", "legacy.p12", "java.p12", "member.jks", "new.jks"] {
        assert_eq!(secret(name, "secret"), expected, "{name}");
    }
}

#[test]
fn every_kind_of_trust_store_holds_the_same_certificate() {
    let trusted =
        |name, password| store(name, password).trust_store("ssl.quorum.trustStore").unwrap();
    let expected = trusted("trust.pem", "");
    assert_eq!(subjects(&expected), ["ours"]);
    for name in ["trust.jks", "trust.p12", "bare-trust.p12"] {
        assert_eq!(trusted(name, "secret"), expected, "{name}");
    }
    // As in Java, a password that is not given is not asked for.
    assert_eq!(trusted("trust.jks", ""), expected);
}

#[test]
fn beside_a_key_only_certificates_that_are_marked_are_trusted() {
    let trusted = |name| store(name, "secret").trust_store("ssl.quorum.trustStore");
    assert_eq!(subjects(&trusted("both.p12").unwrap()), ["foreign"]);
    assert_eq!(refusal(trusted("java.p12")), StoreError::NoCertificate);
    assert_eq!(refusal(trusted("member.jks")), StoreError::NoCertificate);
}

#[test]
fn a_wrong_password_is_called_one() {
    for name in [
        "encrypted.pem",
        "encrypted-3des.pem",
        "member.p12",
        "legacy.p12",
        "java.p12",
        "member.jks",
    ] {
        for password in ["", "Secret"] {
            let found = store(name, password).key_store("ssl.quorum.keyStore");
            assert_eq!(refusal(found), StoreError::WrongPassword, "{name}");
        }
    }
}

#[test]
fn a_password_may_be_in_a_file_and_counts_more_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    for (text, opens) in [("secret\n", true), ("secret", true), ("secret\n\n", false)] {
        std::fs::write(&file, text).unwrap();
        let store = StoreFile { password_path: Some(file.clone()), ..store("member.p12", "wrong") };
        assert_eq!(store.key_store("ssl.quorum.keyStore").is_ok(), opens, "{text:?}");
    }
    std::fs::remove_file(&file).unwrap();
    let store = StoreFile { password_path: Some(file), ..store("member.p12", "secret") };
    let refused = store.key_store("ssl.quorum.keyStore").unwrap_err().to_string();
    assert!(refused.starts_with("ssl.quorum.keyStore.passwordPath="), "{refused}");
}

#[test]
fn what_is_no_store_is_refused_with_key_file_and_cause() {
    let refused =
        |name| store(name, "secret").key_store("ssl.quorum.keyStore").unwrap_err().to_string();
    for (name, cause) in [
        (
            "make",
            "its ending is none of .jks, .pem, .p12: say what it is by ssl.quorum.keyStore.type, which may be JKS, PEM or PKCS12",
        ),
        ("trust.pem", "there is no private key in it"),
        ("trust.jks", "there is no private key in it"),
        ("trust.p12", "there is no private key in it"),
        (
            "enciphered.pem",
            "it has a key with Proc-Type: ENCRYPTED; openssl pkcs8 -topk8 writes one that is read, which is not read here",
        ),
        ("nowhere.p12", "No such file or directory (os error 2)"),
    ] {
        let text = refused(name);
        assert!(text.starts_with("ssl.quorum.keyStore.location=/"), "{text}");
        assert!(text.ends_with(&format!("/{name}: {cause}")), "{text}");
    }
    let nothing = StoreFile::default().trust_store("ssl.quorum.trustStore").unwrap_err();
    assert_eq!(nothing.to_string(), "ssl.quorum.trustStore.location is not set: TLS needs it");
    let wrong = StoreFile { kind: Some(StoreKind::Pkcs12), ..store("member.pem", "secret") };
    assert_eq!(refusal(wrong.key_store("ssl.quorum.keyStore")), StoreError::Malformed);
}

#[test]
fn a_kind_is_told_by_its_name_or_by_the_files_ending() {
    assert_eq!(StoreKind::named("pkcs12"), Some(StoreKind::Pkcs12));
    assert_eq!(StoreKind::named("Jks"), Some(StoreKind::Jks));
    assert_eq!(StoreKind::named("BCFKS"), None);
    assert_eq!(StoreKind::of_file("a.b.pem".as_ref()), Some(StoreKind::Pem));
    assert_eq!(StoreKind::of_file("a.PEM".as_ref()), None);
}

#[test]
fn a_damaged_store_is_refused_wherever_the_damage_is() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["member.p12", "legacy.p12", "java.p12", "member.jks"] {
        let whole = std::fs::read(store(name, "").location).unwrap();
        let damaged = StoreFile { location: dir.path().join(name), ..store(name, "secret") };
        for len in (0..whole.len()).step_by(7) {
            std::fs::write(&damaged.location, &whole[..len]).unwrap();
            assert!(damaged.key_store("k").is_err(), "{name}, {len} bytes of it");
        }
        // Whatever a flip does, it does not end the process.
        for idx in (0..whole.len()).step_by(11) {
            let mut bytes = whole.clone();
            bytes[idx] ^= 0x41;
            std::fs::write(&damaged.location, &bytes).unwrap();
            drop((damaged.key_store("k"), damaged.trust_store("k")));
        }
    }
}

#[test]
fn a_certificate_is_for_its_alternative_names_and_else_for_its_common_name() {
    let is_for = |store_name: &str, name: &str| {
        let chain = store(store_name, "").key_store("k").unwrap().chain;
        Certificate::read(&chain[0]).unwrap().is_for(name).unwrap()
    };
    for name in ["127.0.0.1", "::1", "member.test", "MEMBER.test", "zk-0.pod.test"] {
        assert!(is_for("member.pem", name), "{name}");
    }
    // Not the common name, where there are others; a star has no dot; a name is no address.
    for name in ["member", "a.b.pod.test", "127.0.0.2", "test", "pod.test", ""] {
        assert!(!is_for("member.pem", name), "{name}");
    }
    assert!(is_for("nameless.pem", "nameless"));
    assert!(!is_for("nameless.pem", "127.0.0.1"));
    let chain = store("member.pem", "").key_store("k").unwrap().chain;
    let names = Certificate::read(&chain[0]).unwrap().names();
    assert_eq!(names, "member.test, *.pod.test, 127.0.0.1, ::1");
}
