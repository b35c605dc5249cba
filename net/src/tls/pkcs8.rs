//! What is encrypted by a password: keys, and the parts of a PKCS #12 store.
//!
//! PBES2 is opened by the crate `pkcs5`; the ways of PKCS #12 itself (RFC 7292, appendices B and C), which older tools write, here.

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut as _, InnerIvInit as _, KeyIvInit as _};
use pkcs5::EncryptionScheme;
use rc2::Rc2;
use sha1::Sha1;
use sha1::digest::{Digest, Output};

use super::der::{Der, OCTETS, OID, SEQUENCE};
use super::store::StoreError;

/// Rounds of a password's hash that are gone through; more are refused.
pub(super) const ROUNDS_MAX: u32 = 5_000_000;

/// 1.2.840.113549.1.5.13
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
/// 1.2.840.113549.1.12.1, below which the ways of PKCS #12 are.
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];

/// Opens an `EncryptedPrivateKeyInfo`.
pub(super) fn open(der: &[u8], password: &str) -> Result<Vec<u8>, StoreError> {
    let mut info = Der::new(der).enter(SEQUENCE)?;
    let (_, _, way) = info.next_whole()?;
    decrypt(way, info.take(OCTETS)?, password)
}

/// Decrypts `bytes` in the way that the `AlgorithmIdentifier` says.
pub(super) fn decrypt(way: &[u8], bytes: &[u8], password: &str) -> Result<Vec<u8>, StoreError> {
    let mut fields = Der::new(way).enter(SEQUENCE)?;
    let oid = fields.take(OID)?;
    if oid == PBES2 {
        check_rounds(fields)?;
        let scheme = EncryptionScheme::try_from(way)
            .map_err(|_| StoreError::Unsupported { what: "its kind of encryption" })?;
        return scheme.decrypt(password, bytes).map_err(|_| StoreError::WrongPassword);
    }
    let Some([way]) = oid.strip_prefix(PKCS12_PBE) else {
        return Err(StoreError::Unsupported { what: "its kind of encryption" });
    };
    let mut params = fields.enter(SEQUENCE)?;
    let salt = params.take(OCTETS)?;
    let rounds = checked(params.number()?)?;
    let password = bmp(password);
    let derive = |id, len| derive::<Sha1>(id, (&password, salt, rounds), len);
    let (iv, key_id) = (derive(Id::Iv, 8), Id::Key);
    match way {
        3 => {
            let key = derive(key_id, 24);
            let way = cbc::Decryptor::<des::TdesEde3>::new_from_slices(&key, &iv);
            way.map_err(|_| StoreError::Malformed)?.decrypt_padded_vec_mut::<Pkcs7>(bytes)
        }
        4 => {
            let key = derive(key_id, 16);
            let way = cbc::Decryptor::<des::TdesEde2>::new_from_slices(&key, &iv);
            way.map_err(|_| StoreError::Malformed)?.decrypt_padded_vec_mut::<Pkcs7>(bytes)
        }
        5 | 6 => {
            let len = if *way == 5 { 16 } else { 5 };
            let rc2 = Rc2::new_with_eff_key_len(&derive(key_id, len), 8 * len);
            let way = cbc::Decryptor::<Rc2>::inner_iv_slice_init(rc2, &iv);
            way.map_err(|_| StoreError::Malformed)?.decrypt_padded_vec_mut::<Pkcs7>(bytes)
        }
        _ => return Err(StoreError::Unsupported { what: "encryption by RC4" }),
    }
    .map_err(|_| StoreError::WrongPassword)
}

/// The rounds of PBKDF2; those of scrypt are bounded by the crate, or not there.
fn check_rounds(mut fields: Der<'_>) -> Result<(), StoreError> {
    let mut kdf = fields.enter(SEQUENCE)?.enter(SEQUENCE)?;
    kdf.take(OID)?;
    let mut params = kdf.enter(SEQUENCE)?;
    params.take(OCTETS)?;
    checked(params.number()?).map(|_| ())
}

/// `rounds`, unless they are too many.
pub(super) fn checked(rounds: u32) -> Result<u32, StoreError> {
    if ROUNDS_MAX < rounds {
        return Err(StoreError::Unsupported { what: "a password that is hashed so often" });
    }
    Ok(rounds)
}

/// A password as PKCS #12 hashes it.
pub(super) fn bmp(password: &str) -> Vec<u8> {
    password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect()
}

/// What bytes are derived for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Id {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// `len` bytes of a password, a salt and a number of rounds, as RFC 7292, appendix B.2, has it.
pub(super) fn derive<D: Digest + sha1::digest::core_api::BlockSizeUser>(
    id: Id,
    (password, salt, rounds): (&[u8], &[u8], u32),
    len: usize,
) -> Vec<u8> {
    let block = D::block_size();
    let filled = |bytes: &[u8]| -> Vec<u8> {
        let len = bytes.len().next_multiple_of(block);
        bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { len }).collect()
    };
    let mut rest = filled(salt);
    rest.extend(filled(password));
    let mut derived = Vec::new();
    while derived.len() < len {
        let first = vec![id as u8; block];
        let mut hash: Output<D> = D::new().chain_update(&first).chain_update(&rest).finalize();
        for _ in 1..rounds {
            hash = D::digest(&hash);
        }
        for chunk in rest.chunks_mut(block) {
            // chunk + hash, repeated, + 1; big-endian, the carry out of it is lost.
            let mut carry = 1_u16;
            for (idx, byte) in chunk.iter_mut().enumerate().rev() {
                let sum = u16::from(*byte) + u16::from(hash[idx % hash.len()]) + carry;
                (*byte, carry) = (sum as u8, sum >> 8);
            }
        }
        derived.extend_from_slice(&hash);
    }
    derived.truncate(len);
    derived
}
