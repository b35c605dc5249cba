//! A znode's share of the tree digest.
//!
//! ZooKeeper: `DigestCalculator`, version 2: the CRC32 of path, data and 60 bytes of the header. The record
//! keeps the CRC of path and data, so that a change of the header costs 60 bytes. Znodes below /zookeeper
//! have no share.

use crc32fast::Hasher;

use super::stat::StatPersisted;

/// The version of the calculation, as transactions carry it.
pub const DIGEST_VERSION: i32 = 2;

/// The CRC of path and data; the root's path counts as empty.
pub(crate) fn prefix(path: &[u8], data: Option<&[u8]>) -> u32 {
    let mut crc = Hasher::new();
    crc.update(if path == b"/" { b"" } else { path });
    crc.update(data.unwrap_or_default());
    crc.finalize()
}

/// A znode's digest, from the CRC of its path and data, and its header.
pub(crate) fn of(prefix: u32, stat: &StatPersisted) -> u32 {
    let mut bytes = [0; 60];
    let longs = [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime];
    for (chunk, long) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(longs) {
        *chunk = long.to_be_bytes();
    }
    let ints = [stat.version, stat.cversion, stat.aversion];
    for (chunk, int) in bytes[40..].as_chunks_mut::<4>().0.iter_mut().zip(ints) {
        *chunk = int.to_be_bytes();
    }
    bytes[52..].copy_from_slice(&stat.owner.raw().to_be_bytes());
    let mut crc = Hasher::new_with_initial(prefix);
    crc.update(&bytes);
    crc.finalize()
}
