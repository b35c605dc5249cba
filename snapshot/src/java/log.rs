//! The files `log.<zxid>`: ZooKeeper's transaction log, read and written.
//!
//! Source: `FileTxnLog.append` and `FileTxnIterator`, `FileHeader`, `Util.readTxnBytes`. A header, then entries: the Adler-32 of the transaction, its
//! length, the transaction as servers send it to each other, and `B`. Behind the last entry stand zeros, where the file was made longer ahead
//! of time, or the beginning of one that was never whole.

use std::io::{self, Read, Write};

use adler2::Adler32;
use jute::Zxid;

/// `ZKLG`
const MAGIC: &[u8; 4] = b"ZKLG";
const VERSION: i32 = 2;

/// Bytes of a transaction: what `jute.maxbuffer` could allow.
const LEN_MAX: u32 = 64 << 20;

/// A file is none, or is damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The system's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first bytes are not a log's.
    #[error("magic {magic:?}, version {version}: no log of ZooKeeper, which has ZKLG and 2")]
    Header {
        /// What should be the magic.
        magic: [u8; 4],
        /// What should be the version.
        version: i32,
    },
    /// A length that cannot be.
    #[error("byte {offset}: a transaction of {len} bytes")]
    Length {
        /// In the file.
        offset: u64,
        /// What stands there.
        len: u32,
    },
    /// A transaction is not what was written.
    #[error("byte {offset}: checksum {found:#x}, expected {expected:#x}")]
    Checksum {
        /// In the file.
        offset: u64,
        /// In the file.
        expected: u64,
        /// Of what was read.
        found: u64,
    },
}

/// The zxid in a name; `None` if it is not a log's.
pub fn zxid_of(name: &str) -> Option<Zxid> {
    u64::from_str_radix(name.strip_prefix("log.")?, 16).ok().map(|it| Zxid(it as i64))
}

/// The name of a file that begins with this transaction. Source: `Util.makeLogName`.
pub fn name(first: Zxid) -> String {
    format!("log.{:x}", first.0)
}

/// Writes what a file begins with.
///
/// # Errors
/// The system's.
pub fn begin(to: &mut impl Write) -> io::Result<()> {
    to.write_all(MAGIC)?;
    to.write_all(&VERSION.to_be_bytes())?;
    // The number of the database, which is always 0.
    to.write_all(&[0; 8])
}

/// Writes a transaction, header and all.
///
/// # Errors
/// The system's.
pub fn append(to: &mut impl Write, txn: &[u8]) -> io::Result<()> {
    to.write_all(&u64::from(sum_of(txn)).to_be_bytes())?;
    to.write_all(&(txn.len() as u32).to_be_bytes())?;
    to.write_all(txn)?;
    to.write_all(b"B")
}

fn sum_of(txn: &[u8]) -> u32 {
    let mut adler = Adler32::new();
    adler.write_slice(txn);
    adler.checksum()
}

/// A log file being read.
#[derive(Debug)]
pub struct LogFile<R> {
    from: R,
    offset: u64,
    txn: Vec<u8>,
    is_over: bool,
}

impl<R: Read> LogFile<R> {
    /// Reads the header. A file without a whole one was never begun, and has no transaction.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(mut from: R) -> Result<Self, LogError> {
        let mut head = [0; 16];
        let is_over = !fill(&mut from, &mut head)?;
        let (magic, version) =
            ([head[0], head[1], head[2], head[3]], [head[4], head[5], head[6], head[7]]);
        let version = i32::from_be_bytes(version);
        if !is_over && (magic != *MAGIC || version != VERSION) {
            return Err(LogError::Header { magic, version });
        }
        Ok(Self { from, offset: head.len() as u64, txn: Vec::new(), is_over })
    }

    /// The next transaction; `None` behind the last that is whole.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn next_txn(&mut self) -> Result<Option<&[u8]>, LogError> {
        let offset = self.offset;
        let mut head = [0; 12];
        if self.is_over || !fill(&mut self.from, &mut head)? {
            return Ok(None);
        }
        let (sum, len) = head.split_at(8);
        let expected = sum.iter().fold(0, |sum, &it| sum << 8 | u64::from(it));
        let len = len.iter().fold(0, |len, &it| len << 8 | u32::from(it));
        self.is_over = len == 0;
        if self.is_over {
            return Ok(None);
        }
        if LEN_MAX < len {
            return Err(LogError::Length { offset, len });
        }
        self.txn.clear();
        let read = (&mut self.from).take(u64::from(len)).read_to_end(&mut self.txn)?;
        let mut end = [0];
        if read < len as usize || !fill(&mut self.from, &mut end)? || end != *b"B" {
            self.is_over = true;
            return Ok(None);
        }
        self.offset += head.len() as u64 + u64::from(len) + 1;
        let found = u64::from(sum_of(&self.txn));
        if found != expected {
            return Err(LogError::Checksum { offset, expected, found });
        }
        Ok(Some(&self.txn))
    }
}

/// Fills `out`; `false` if the file ends before.
fn fill(from: &mut impl Read, out: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(out) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(txns: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        begin(&mut out).unwrap();
        for txn in txns {
            append(&mut out, txn).unwrap();
        }
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, LogError> {
        let mut log = LogFile::open(bytes)?;
        let mut txns = Vec::new();
        while let Some(txn) = log.next_txn()? {
            txns.push(txn.to_vec());
        }
        Ok(txns)
    }

    #[test]
    fn what_is_whole_is_read_wherever_the_file_ends() {
        let txns: [&[u8]; 3] = [b"one", b"another", b"a third"];
        let ends: Vec<usize> = (0..=3).map(|it| file(&txns[..it]).len()).collect();
        let bytes = file(&txns);
        for len in 0..=bytes.len() {
            let whole = ends.iter().filter(|&&it| it <= len).count().saturating_sub(1);
            assert_eq!(read(&bytes[..len]).unwrap(), txns[..whole], "{len} bytes");
        }
        let padded = [bytes, vec![0; 4096]].concat();
        assert_eq!(read(&padded).unwrap(), txns);
    }

    #[test]
    fn what_was_changed_is_named() {
        let mut bytes = file(&[b"one", b"another"]);
        let at = bytes.len() - 3;
        bytes[at] ^= 1;
        assert!(matches!(read(&bytes), Err(LogError::Checksum { offset: 32, .. })));
        bytes[32 + 8] = 0x7f;
        assert!(matches!(read(&bytes), Err(LogError::Length { offset: 32, len: 0x7f00_0007 })));
        bytes[3] = b'x';
        assert!(matches!(read(&bytes), Err(LogError::Header { .. })));
    }
}
