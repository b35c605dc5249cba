//! What the disk itself allows: the time of one bare write that is on the medium when it returns.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rustix::fs::OFlags;

use crate::clock;
use crate::outcome::Latency;
use crate::process;

/// Bytes of a write, and what its memory and its place in the file are a multiple of.
const BLOCK: usize = 4096;

/// Blocks of the file that is written over and over.
const BLOCKS: u64 = 256;

/// Overwrites blocks of a file of zeros with `O_DIRECT | O_DSYNC`, one after the other, on one core, for `seconds`.
///
/// # Errors
/// The file system takes no direct writes, or the disk fails.
pub(crate) fn forced_writes(dir: &Path, core: usize, seconds: f64) -> Result<Latency> {
    let worker = || {
        process::pin(core)?;
        write_for(dir, seconds)
    };
    std::thread::scope(|scope| {
        let joined = scope.spawn(worker).join();
        joined.map_err(|_| anyhow::anyhow!("the writing thread panicked"))?
    })
}

fn write_for(dir: &Path, seconds: f64) -> Result<Latency> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("forced-writes");
    std::fs::write(&path, vec![0; BLOCK * BLOCKS as usize])?;
    File::open(&path)?.sync_all()?;
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
    let mut file = File::options().write(true).custom_flags(flags).open(&path)?;
    let mut memory = vec![b'x'; 2 * BLOCK];
    let from = memory.as_ptr().align_offset(BLOCK);
    let block = &mut memory[from..from + BLOCK];
    let mut latency = Histogram::<u64>::new(3).context("three digits are allowed")?;
    let end = clock::now() + clock::ns(seconds);
    for number in 0.. {
        let start = clock::now();
        if start >= end {
            break;
        }
        file.seek(SeekFrom::Start(number % BLOCKS * BLOCK as u64))?;
        file.write_all(block).context("a direct write")?;
        latency += clock::now() - start;
    }
    std::fs::remove_file(&path)?;
    Ok(Latency::of(&latency))
}

#[cfg(test)]
mod tests {
    use super::forced_writes;

    #[test]
    fn a_forced_write_takes_time() {
        let dir = std::env::temp_dir().join(format!("ringkeeper-floor-{}", std::process::id()));
        let latency = forced_writes(&dir, 0, 0.05).unwrap();
        assert!(latency.p50 > 0.0 && latency.p50 <= latency.max);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
