//! What stands in the two files that hold a server's epochs.
//!
//! ZooKeeper: `QuorumPeer.readLongFromFile`, `writeLongToFile`. Two lines: the number, as there, and a checksum of it and of the file's
//! name. The reference reads the first line only, and so takes ours; one of its own, without the second, is taken here.
//!
//! **Differs:** of a number alone nobody could tell that it is not what was written. A promise that rots into a smaller one
//! is a promise that is broken; a current epoch that rots into a greater one wins elections that it must not.
//!
//! *Absent:* how a file is replaced.

use alloc::format;
use alloc::string::String;

use crate::Epoch;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochFile {
    /// The epoch promised to a leader.
    Accepted,
    /// The epoch whose history is here.
    Current,
}

impl EpochFile {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "acceptedEpoch",
            Self::Current => "currentEpoch",
        }
    }
}

/// A file holds no epoch, or not the one that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochFileError {
    /// No number, or something behind it.
    #[error("allowed is one decimal number from 0 to 9223372036854775807")]
    NoNumber,
    /// The checksum is of another number, or of another file.
    #[error("the checksum is not that of {epoch}: it should be {expected:08x}")]
    Checksum {
        /// What the first line says.
        epoch: Epoch,
        /// What the second should say.
        expected: u32,
    },
}

/// The text of a file.
pub fn text(file: EpochFile, epoch: Epoch) -> String {
    format!("{epoch}\n{:08x}\n", checksum(file, epoch))
}

/// What a file says.
///
/// # Errors
/// [`EpochFileError`].
pub fn read(file: EpochFile, bytes: &[u8]) -> Result<Epoch, EpochFileError> {
    let text = core::str::from_utf8(bytes).map_err(|_| EpochFileError::NoNumber)?;
    let mut lines = text.lines();
    let line = lines.next().unwrap_or("");
    let is_number = !line.is_empty() && line.bytes().all(|it| it.is_ascii_digit());
    let epoch = line.parse().ok().filter(|_| is_number);
    let epoch = Epoch(epoch.ok_or(EpochFileError::NoNumber)?);
    let expected = checksum(file, epoch);
    match (lines.next(), lines.next()) {
        (None, _) => Ok(epoch),
        (Some(line), None) if line == format!("{expected:08x}") => Ok(epoch),
        _ => Err(EpochFileError::Checksum { epoch, expected }),
    }
}

/// CRC32C of the file's name, a space, and the number.
fn checksum(file: EpochFile, epoch: Epoch) -> u32 {
    crc32c(format!("{} {epoch}", file.name()).as_bytes())
}

/// Bit by bit: the bytes are few, and seldom.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |it: u32, _| (it >> 1) ^ (0x82f6_3b78 * (it & 1));
    let byte = |it: u32, &byte: &u8| (0..8).fold(it ^ u32::from(byte), bit);
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_catalogues_have() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn what_is_written_is_read_and_so_is_what_java_writes() {
        for file in [EpochFile::Accepted, EpochFile::Current] {
            for epoch in [0, 7, i64::MAX].map(Epoch) {
                assert_eq!(read(file, text(file, epoch).as_bytes()), Ok(epoch));
                assert_eq!(read(file, format!("{epoch}").as_bytes()), Ok(epoch));
                assert_eq!(read(file, format!("{epoch}\n").as_bytes()), Ok(epoch));
            }
        }
    }

    #[test]
    fn no_bit_may_flip_and_no_file_may_be_the_other() {
        let whole = text(EpochFile::Current, Epoch(12));
        assert!(read(EpochFile::Accepted, whole.as_bytes()).is_err());
        for bit in 0..8 * (whole.len() - 1) {
            let mut bytes = whole.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(EpochFile::Current, &bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_is_no_epoch_is_none() {
        for text in
            ["", "x", "-1", "+1", " 1", "1 2", "99999999999999999999", "\n7", "7\n\n", "7\n8"]
        {
            assert!(read(EpochFile::Current, text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
