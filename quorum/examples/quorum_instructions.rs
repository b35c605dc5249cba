//! Packets read and written, to have their instructions counted: `bench/instructions` runs `quorum_instructions CASE COUNT`.
#![expect(clippy::print_stdout, reason = "lists its cases")]

use std::hint::black_box;

use jute::Zxid;
use quorum::wire::{IdList, PacketKind, QuorumPacket};

const TXN: [u8; 180] = [7; 180];

fn proposal() -> QuorumPacket<'static> {
    QuorumPacket {
        kind: PacketKind::Proposal,
        zxid: Zxid(0x1_0000_0001),
        data: Some(&TXN),
        authinfo: IdList::NULL,
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next();
    let count: usize = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut out = Vec::with_capacity(1 << 10);
    match case.as_deref() {
        Some("encode-proposal") => {
            for _ in 0..count {
                out.clear();
                black_box(proposal()).encode(&mut out);
                black_box(&out);
            }
        }
        Some("split-proposal") => {
            proposal().encode(&mut out);
            for _ in 0..count {
                let split = QuorumPacket::split(black_box(&out), 1 << 20);
                black_box(split.expect("a packet"));
            }
        }
        _ => println!("encode-proposal split-proposal"),
    }
}
