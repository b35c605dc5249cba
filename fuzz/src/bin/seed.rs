//! Writes the seeds: `seed GOLDEN CORPUS` puts a file per seed into `CORPUS/TARGET/`.
//!
//! It is a fuzz target that ends before the first input: what is built for fuzzing links only beside a fuzzer.
#![no_main]

use std::path::Path;
use std::{env, fs, io, process};

libfuzzer_sys::fuzz_target!(
    init: finish(),
    |_bytes: &[u8]| {}
);

/// Does not return; the type says otherwise because the macro goes on behind it.
fn finish() {
    process::exit(match write() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("seed: {error}");
            1
        }
    })
}

fn write() -> io::Result<()> {
    let mut args = env::args_os().skip(1);
    let (Some(golden), Some(corpus)) = (args.next(), args.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: seed GOLDEN CORPUS"));
    };
    for (number, seed) in fuzz::seeds(Path::new(&golden))?.into_iter().enumerate() {
        let folder = Path::new(&corpus).join(seed.target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("seed-{number:04}")), seed.bytes)?;
    }
    Ok(())
}
