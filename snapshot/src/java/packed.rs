//! Compressed snapshots: `snapshot.<zxid>.gz` and `.snappy`, read as what was compressed.
//!
//! Source: `SnapStream.getInputStream`, `snapshot.compression.method`. The first is gzip. The second is not snappy's own framing but that of
//! snappy-java: a header of 16 bytes, then blocks, each with its length before it. Absent: writing either.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The bytes of a snapshot's file, whatever packs them; its name says what does.
///
/// # Errors
/// The system's, or a header that is none.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(READ_LEN, File::open(path)?);
    Ok(match path.extension().and_then(|it| it.to_str()) {
        Some(GZIP) => Box::new(MultiGzDecoder::new(file)),
        Some(SNAPPY) => Box::new(Snappy::open(file)?),
        _ => Box::new(file),
    })
}

/// A name without what says how the file is packed.
pub(crate) fn bare(name: &str) -> &str {
    let (bare, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    if [GZIP, SNAPPY].contains(&extension) { bare } else { name }
}

/// What snappy-java writes, being read.
struct Snappy<R> {
    from: R,
    packed: Vec<u8>,
    block: Vec<u8>,
    /// What of the block was given.
    at: usize,
}

impl<R: Read> Snappy<R> {
    fn open(mut from: R) -> io::Result<Self> {
        let mut head = [0; 16];
        from.read_exact(&mut head)?;
        if !head.starts_with(MAGIC) {
            return Err(damaged(format!("{head:?} is no header of snappy-java")));
        }
        Ok(Self { from, packed: Vec::new(), block: Vec::new(), at: 0 })
    }

    /// Reads the next block; `false` at the end of the file.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut len = [0; 4];
        match self.from.read(&mut len[..1])? {
            0 => return Ok(false),
            _ => self.from.read_exact(&mut len[1..])?,
        }
        let len = len.iter().fold(0, |len, &it| len << 8 | u64::from(it));
        self.packed.clear();
        // As long as the file allows, whatever the length says.
        let read = (&mut self.from).take(len).read_to_end(&mut self.packed)?;
        if (read as u64) < len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let bad = |error: snap::Error| damaged(error.to_string());
        let block_len = snap::raw::decompress_len(&self.packed).map_err(bad)?;
        if RATIO_MAX * self.packed.len() < block_len {
            return Err(damaged(format!("a block of {block_len} bytes")));
        }
        self.block.resize(block_len, 0);
        snap::raw::Decoder::new().decompress(&self.packed, &mut self.block).map_err(bad)?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Snappy<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let len = out.len().min(self.block.len() - self.at);
        out[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

fn damaged(text: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

const GZIP: &str = "gz";
const SNAPPY: &str = "snappy";

/// What a file of snappy-java begins with; two numbers of its versions follow.
const MAGIC: &[u8] = b"\x82SNAPPY\0";

/// Nothing is packed better: two bytes of snappy make 64 at most.
const RATIO_MAX: usize = 32;

const READ_LEN: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(blocks: &[&[u8]]) -> Vec<u8> {
        let mut out = [MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for block in blocks {
            let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
            out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
            out.extend_from_slice(&packed);
        }
        out
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Snappy::open(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn blocks_come_out_in_their_order_and_a_cut_is_an_error() {
        let long = vec![b'x'; 4_000];
        let bytes = file(&[b"one", b"", &long, b"two"]);
        let whole = [b"one", &long[..], b"two"].concat();
        assert_eq!(read(&bytes).unwrap(), whole);
        let ends = [file(&[]), file(&[b"one"]), file(&[b"one", b""])].map(|it| it.len());
        for len in (0..bytes.len()).filter(|it| !ends.contains(it)) {
            match read(&bytes[..len]) {
                Err(_) => {}
                Ok(out) => assert_eq!(out.len(), 4_003, "{len} bytes"),
            }
        }
    }

    #[test]
    fn what_is_none_of_it_takes_no_memory() {
        let mut bytes = file(&[b"one"]);
        bytes[16] = 0x7f;
        assert_eq!(read(&bytes).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        bytes = [file(&[]), vec![0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]].concat();
        assert_eq!(read(&bytes).unwrap_err().kind(), ErrorKind::InvalidData);
        bytes[1] = b's';
        assert_eq!(read(&bytes).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_name_tells_how_a_file_is_packed() {
        let all = ["snapshot.44", "snapshot.44.gz", "snapshot.44.snappy", "snapshot.44.zip"];
        assert_eq!(all.map(bare), ["snapshot.44", "snapshot.44", "snapshot.44", all[3]]);
    }
}
