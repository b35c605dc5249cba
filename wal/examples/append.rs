//! Measures the log alone: `cargo run --release -p wal --example append -- DIR [SECONDS] [BYTES_PER_BATCH]`.
//!
//! One batch in flight, as the pipeline shard has it. Prints appends per second and latency; under `strace -c -f` it shows that a batch
//! is one write.
#![expect(clippy::print_stdout, reason = "a tool")]
#![expect(clippy::disallowed_methods, reason = "a driver: it reads the clock")]

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Instant;

use jute::Zxid;
use wal::{Batch, Log, Options};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "wal-bench".into()));
    let seconds: u64 = args.next().map_or(Ok(5), |it| it.parse())?;
    let bytes: usize = args.next().map_or(Ok(200), |it| it.parse())?;
    let (tail, report) =
        wal::open(&dir, &Options::default(), Zxid(0), |_| Ok::<_, (Zxid, Infallible)>(()))?;
    println!("{report:?}");
    let mut zxid = tail.last_zxid().0;
    let mut log = Log::start(tail, || 0)?;
    let releaser = log.releaser();
    let mut batch = Batch::with_capacity(bytes + 100);
    let mut micros = Vec::new();
    let begin = Instant::now();
    while begin.elapsed().as_secs() < seconds {
        batch.clear();
        while batch.len_bytes() < bytes {
            zxid += 1;
            batch.push(Zxid(zxid), |out| {
                out.extend_from_slice(&[0; 12]);
                out.extend_from_slice(&zxid.to_be_bytes());
                out.extend_from_slice(&[7; 160]);
            });
        }
        let at = Instant::now();
        log.append(&batch)?;
        micros.push(at.elapsed().as_secs_f64() * 1e6);
        if micros.len() % 4096 == 0 {
            releaser.release(Zxid(zxid - 1000));
        }
    }
    let per_second = micros.len() as f64 / begin.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    println!(
        "{} appends of {} bytes, {per_second:.0}/s; microseconds p50 {:.0} p90 {:.0} p99 {:.0} p99.9 {:.0} max {:.0}",
        micros.len(),
        batch.len_bytes(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    Ok(())
}
