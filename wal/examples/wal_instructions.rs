//! Batches filled and frames encoded, to have their instructions counted: `bench/instructions` runs `wal_instructions CASE COUNT`.
#![expect(clippy::print_stdout, reason = "lists its cases")]

use std::hint::black_box;

use jute::Zxid;
use wal::Batch;
use wal::append::Appender;
use wal::frame::{Chain, SegmentId};
use wal::replay::End;

const REST: [u8; 160] = [7; 160];
const BATCH: u64 = 64;

/// Fills batches of 64 records; `each` takes them.
fn batches(count: usize, mut each: impl FnMut(&Batch)) {
    let mut batch = Batch::with_capacity(1 << 16);
    let mut zxid = 0_i64;
    for _ in 0..count {
        batch.clear();
        for _ in 0..BATCH {
            zxid += 1;
            // The zxid stands where a transaction's header has it.
            batch.push(Zxid(zxid), |out| {
                out.extend_from_slice(&[0; 12]);
                out.extend_from_slice(&zxid.to_be_bytes());
                out.extend_from_slice(black_box(&REST));
            });
        }
        each(&batch);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next();
    let count: usize = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(0);
    match case.as_deref() {
        Some("fill-batch-of-64") => batches(count, |batch| {
            black_box(batch.len_bytes());
        }),
        Some("fill-and-encode-frame-of-64") => {
            let end = End { last_zxid: Zxid::ZERO, chain: Chain(0), sequence: 0, position: None };
            let mut log = Appender::new(&end, 0);
            log.begin(SegmentId(1), 1 << 40, 0);
            let mut out = vec![0; 1 << 16];
            batches(count, |batch| {
                let extent = log.extent(batch);
                let chain = log.encode(batch, &mut out[..extent.len]);
                black_box(&out);
                log.durable(batch, chain);
            });
        }
        _ => println!("fill-batch-of-64 fill-and-encode-frame-of-64"),
    }
}
