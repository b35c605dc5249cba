//! A file of the log or an image, seen through memory maps: for looking at it while a server uses it.
//!
//! Driver, blocking. A map shows the file as it is at each moment, so nothing here lends its bytes: they are taken out word by word, each
//! once, and what is checked is what is shown. A window is filled before it is read, so that a file which ends too early or a
//! disk which gives an error is an error here and not a signal.
//!
//! Who could break this: somebody who shortens a file between the filling of a window and the reading of it, a millisecond at most, ends
//! the process by SIGBUS. No server of ours shortens a file that is looked at: it renames, erases headers in place, unlinks, and begins new files
//! under new names; what another image is written over nobody holds (`snapshot::inspect::hold`).
//! Absent here: writing. What a map shows is never written to: it is private.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::io::Errno;
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::frame::BLOCK;

/// An open file, mapped where it is looked at.
#[derive(Debug)]
pub struct FileMap {
    file: File,
    len: u64,
}

impl FileMap {
    /// Opens the file for reading. Its length is taken now; what grows behind it is not seen.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Without a byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The file, to ask the system about it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Copies the bytes from `offset` on, a multiple of [`BLOCK`], into `out`.
    ///
    /// From back to front: in a file that only grows at its end meanwhile, no later block is there without the earlier ones. Maps
    /// a few MiB at a time.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end; the disk's.
    pub fn copy(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.len < offset + out.len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let windows = (offset..).step_by(WINDOW_LEN).zip(out.chunks_mut(WINDOW_LEN));
        let mut windows: Vec<_> = windows.collect();
        while let Some((at, out)) = windows.pop() {
            let mut window = self.map(at, out.len())?;
            match window.advise(Advice::PopulateRead) {
                // A read names what the map cannot; or the disk has come round, and all is well.
                Err(err) if err.raw_os_error() == Some(Errno::FAULT.raw_os_error()) => {
                    self.file.read_exact_at(out, at)?;
                }
                // Linux before 5.14 does not know the advice. A disk's error is then a signal.
                Err(err) if err.raw_os_error() != Some(Errno::INVAL.raw_os_error()) => {
                    return Err(err);
                }
                Ok(()) | Err(_) => take(words(&mut window), out),
            }
        }
        Ok(())
    }

    /// The words of a part of the file, in place, for as long as the process lives. Takes no memory that the system cannot have back at any
    /// time.
    ///
    /// Only for what has been read once with [`Self::copy`] and does not change any more: a disk that gives an error later
    /// ends the process.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` past the end.
    pub fn words(&self, offset: u64, len: usize) -> io::Result<&'static [AtomicU64]> {
        if self.len < offset + len as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(words(Box::leak(Box::new(self.map(offset, len)?))))
    }

    #[expect(unsafe_code, reason = "a file can change under its map")]
    fn map(&self, offset: u64, len: usize) -> io::Result<MmapMut> {
        let mut how = MmapOptions::new();
        how.offset(offset).len(len.next_multiple_of(size_of::<AtomicU64>())).no_reserve_swap();
        // SAFETY: the map's bytes are only ever seen as atomic words, by the two callers, so a change of the file is a store by another
        // thread and no more; private, so that nothing stored here reaches the file. Rounding up stays in the last page, where zeros follow.
        unsafe { how.map_copy(&self.file) }
    }
}

fn words(map: &mut MmapMut) -> &[AtomicU64] {
    <[AtomicU64]>::mut_from_bytes(map)
        .unwrap_or_else(|_| unreachable!("a map begins with a page and ends with a whole word"))
}

fn take(words: &[AtomicU64], out: &mut [u8]) {
    let blocks = out.chunks_mut(BLOCK).zip(words.chunks(BLOCK / size_of::<u64>()));
    for (out, words) in blocks.rev() {
        for (to, from) in out.chunks_mut(size_of::<u64>()).zip(words) {
            to.copy_from_slice(&from.load(Relaxed).as_bytes()[..to.len()]);
        }
    }
}

/// Bytes mapped at once.
const WINDOW_LEN: usize = 4 << 20;

const _: () = assert!(WINDOW_LEN.is_multiple_of(BLOCK));

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;
    use std::fs;
    use std::io;

    use super::{BLOCK, FileMap, WINDOW_LEN};

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|it| (it * 31 + it / 4096) as u8).collect()
    }

    #[test]
    fn what_is_copied_is_what_the_file_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for len in [0, 1, 7, BLOCK - 1, BLOCK, BLOCK + 9, WINDOW_LEN, 2 * WINDOW_LEN + 4099] {
            let bytes = bytes(len);
            fs::write(&path, &bytes).unwrap();
            let map = FileMap::open(&path).unwrap();
            assert_eq!((map.len(), map.is_empty()), (len as u64, len == 0));
            let mut out = vec![0; len];
            map.copy(0, &mut out).unwrap();
            assert!(out == bytes, "{len} bytes");
            if BLOCK < len {
                let mut out = vec![0; len - BLOCK];
                map.copy(BLOCK as u64, &mut out).unwrap();
                assert!(out == bytes[BLOCK..], "{len} bytes from the second block on");
            }
        }
    }

    #[test]
    fn words_are_those_of_the_file_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, bytes(3 * BLOCK)).unwrap();
        let words = FileMap::open(&path).unwrap().words(BLOCK as u64, BLOCK).unwrap();
        assert_eq!(words.len(), BLOCK / 8);
        let first: [u8; 8] = bytes(2 * BLOCK)[BLOCK..BLOCK + 8].try_into().unwrap();
        assert_eq!(words[0].load(Relaxed), zerocopy::transmute!(first));
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_and_no_signal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, bytes(2 * WINDOW_LEN)).unwrap();
        let map = FileMap::open(&path).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(BLOCK as u64 + 1).unwrap();
        for (offset, len) in [(0, 2 * WINDOW_LEN), (0, 3 * BLOCK), (BLOCK as u64, 2 * BLOCK)] {
            let err = map.copy(offset, &mut vec![0; len]).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::UnexpectedEof);
        }
        map.copy(0, &mut [0; BLOCK]).unwrap();
        let err = map.copy(0, &mut vec![0; 2 * WINDOW_LEN + 1]).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::UnexpectedEof);
        assert!(map.words(WINDOW_LEN as u64, WINDOW_LEN + 1).is_err());
    }
}
