//! The files `snapshot.<zxid>`: header, stream, checksums, digest.
//!
//! Source: `FileSnap.serialize` and `deserialize`, `SnapStream.sealStream` and `checkSealIntegrity`, `DataTree.serializeZxidDigest`. A checksum is the
//! Adler-32 of all before it. What stands behind the first one may be absent: older releases did not write it.

use std::io::{self, Read, Write};

use adler2::Adler32;
use engine::tree::{DIGEST_VERSION, Tree, TreeView};
use jute::Zxid;

use super::{Decoder, Encoder, ExtendedTypes, StreamError, packed};

/// `ZKSN`
const MAGIC: &[u8; 4] = b"ZKSN";
const VERSION: i32 = 2;

/// Bytes read or written at once.
const CHUNK_LEN: usize = 256 << 10;

/// A file is none, or is not whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first bytes are not a snapshot's.
    #[error("magic {magic:?}, version {version}: no snapshot of ZooKeeper, which has ZKSN and 2")]
    Header {
        /// What should be the magic.
        magic: [u8; 4],
        /// What should be the version.
        version: i32,
    },
    /// What stands in the middle.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The checksum behind the stream, or a later one.
    #[error("checksum {found:#x}, expected {expected:#x}")]
    Checksum {
        /// Of what was read.
        expected: u64,
        /// In the file.
        found: u64,
    },
    /// What is there is not what the digest was made of.
    #[error("the tree's digest is {found:#x}, the file says {expected:#x} for zxid {zxid}")]
    Digest {
        /// When the digest was taken.
        zxid: Zxid,
        /// The file's.
        expected: u64,
        /// Of what was read.
        found: u64,
    },
}

/// The name of the file for a snapshot of `zxid`. Source: `Util.makeSnapshotName`.
pub fn name(zxid: Zxid) -> String {
    format!("snapshot.{:x}", zxid.0)
}

/// The zxid in a name, also of a compressed file; `None` if it is no snapshot's.
pub fn zxid_of(name: &str) -> Option<Zxid> {
    u64::from_str_radix(packed::bare(name).strip_prefix("snapshot.")?, 16)
        .ok()
        .map(|it| Zxid(it as i64))
}

/// Writes `tree` as a file, with its digest and its last transaction.
///
/// # Errors
/// The system's.
pub fn write(tree: &Tree, to: &mut impl Write) -> io::Result<()> {
    let mut out = Sealed { to, sum: Adler32::new() };
    out.put(MAGIC)?;
    out.put(&VERSION.to_be_bytes())?;
    out.put(&(-1_i64).to_be_bytes())?;
    let (mut encoder, mut chunk) = (Encoder::new(), Vec::new());
    while !encoder.is_done() {
        chunk.clear();
        encoder.fill(tree, CHUNK_LEN, &mut chunk);
        out.put(&chunk)?;
    }
    out.seal()?;
    out.put(&tree.zxid().0.to_be_bytes())?;
    out.put(&DIGEST_VERSION.to_be_bytes())?;
    out.put(&tree.look(TreeView::digest).to_be_bytes())?;
    out.seal()?;
    out.put(&tree.zxid().0.to_be_bytes())?;
    out.seal()
}

/// Reads a file into `tree`, which was just made, as the state after `zxid`, the one in its name. The tree may hold more than that: ZooKeeper writes
/// while it goes on. `true`: it does not, by its digest.
///
/// # Errors
/// [`FileError`]; the tree is then of no use.
pub fn read(
    tree: &mut Tree,
    zxid: Zxid,
    types: ExtendedTypes,
    from: &mut impl Read,
) -> Result<bool, FileError> {
    let mut from = Checked { from, sum: Adler32::new(), chunk: Vec::new(), at: 0 };
    let head = from.array::<16>()?;
    let (magic, version) =
        ([head[0], head[1], head[2], head[3]], [head[4], head[5], head[6], head[7]]);
    let version = i32::from_be_bytes(version);
    if magic != *MAGIC || version != VERSION {
        return Err(FileError::Header { magic, version });
    }
    let mut decoder = Decoder::new(types);
    tree.begin();
    while !decoder.is_done() {
        if !from.fill()? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let taken = decoder.push(tree, from.rest())?;
        from.pass(taken);
    }
    tree.commit(zxid);
    from.check()?;
    let Some(stamp) = from.digest()? else { return Ok(false) };
    let found = tree.look(TreeView::digest);
    match stamp {
        (at, expected) if at == zxid && 0 < zxid.0 && expected != found => {
            Err(FileError::Digest { zxid, expected, found })
        }
        (at, _) => Ok(at == zxid),
    }
}

/// Writes, and sums up what was written.
struct Sealed<'a, W> {
    to: &'a mut W,
    sum: Adler32,
}

impl<W: Write> Sealed<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.write_slice(bytes);
        self.to.write_all(bytes)
    }

    fn seal(&mut self) -> io::Result<()> {
        let sum = u64::from(self.sum.checksum());
        self.put(&sum.to_be_bytes())?;
        self.put(b"\0\0\0\x01/")
    }
}

/// Reads, and sums up what was read.
struct Checked<'a, R> {
    from: &'a mut R,
    sum: Adler32,
    chunk: Vec<u8>,
    /// What of the chunk was passed.
    at: usize,
}

impl<R: Read> Checked<'_, R> {
    /// Reads more if all was passed; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.at == self.chunk.len() {
            self.chunk.resize(CHUNK_LEN, 0);
            let len = loop {
                match self.from.read(&mut self.chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            self.chunk.truncate(len);
            self.at = 0;
        }
        Ok(self.at < self.chunk.len())
    }

    fn rest(&self) -> &[u8] {
        &self.chunk[self.at..]
    }

    fn pass(&mut self, len: usize) {
        self.sum.write_slice(&self.chunk[self.at..self.at + len]);
        self.at += len;
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (mut out, mut len) = ([0; N], 0);
        while len < N {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = self.rest().len().min(N - len);
            out[len..len + count].copy_from_slice(&self.rest()[..count]);
            self.pass(count);
            len += count;
        }
        Ok(out)
    }

    /// Compares the sum of what was read with the one that follows.
    fn check(&mut self) -> Result<(), FileError> {
        let expected = u64::from(self.sum.checksum());
        let found = u64::from_be_bytes(self.array()?);
        if self.array()? != *b"\0\0\0\x01/" || found != expected {
            return Err(FileError::Checksum { expected, found });
        }
        Ok(())
    }

    /// The digest and when it was taken; `None` if the file ends, or has one of another kind.
    fn digest(&mut self) -> Result<Option<(Zxid, u64)>, FileError> {
        if !self.fill()? {
            return Ok(None);
        }
        let zxid = Zxid(i64::from_be_bytes(self.array()?));
        let version = i32::from_be_bytes(self.array()?);
        if version != DIGEST_VERSION {
            return Ok(None);
        }
        let digest = u64::from_be_bytes(self.array()?);
        self.check()?;
        if self.fill()? {
            self.array::<8>()?;
            self.check()?;
        }
        Ok(Some((zxid, digest)))
    }
}
