//! The outboxes beside the dullest ones: a vector of bytes for each link.

use std::io::IoSlice;

use super::{Outbox, Stream};

/// A link, and what it must have got.
struct Twin {
    outbox: Outbox,
    joined: bool,
    expected: Vec<u8>,
    got: Vec<u8>,
}

/// Numbers without chance.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn send(twin: &mut Twin, stream: &Stream, most: usize) {
    let shared = twin.joined.then_some(stream);
    let mut slices = [IoSlice::new(&[]); 3];
    let mut bytes = Vec::new();
    for slice in twin.outbox.slices(shared, &mut slices) {
        bytes.extend_from_slice(slice);
    }
    bytes.truncate(most);
    twin.outbox.sent(bytes.len());
    twin.got.extend_from_slice(&bytes);
}

#[test]
fn every_link_gets_its_own_and_its_groups_bytes_in_the_order_they_were_queued() {
    for seed in 0..200 {
        let mut numbers = Numbers(seed);
        let mut stream = Stream::default();
        let twin = || Twin {
            outbox: Outbox::default(),
            joined: false,
            expected: Vec::new(),
            got: Vec::new(),
        };
        let mut twins: Vec<_> = (0..4).map(|_| twin()).collect();
        for step in 0..400_u64 {
            let bytes = vec![step as u8; 1 + numbers.below(9)];
            let idx = numbers.below(twins.len());
            match numbers.below(8) {
                0 | 1 => {
                    let one = &mut twins[idx];
                    let shared = one.joined.then_some(&stream);
                    one.outbox.append(shared, |it| it.extend_from_slice(&bytes));
                    one.expected.extend_from_slice(&bytes);
                }
                2 | 3 => {
                    stream.append(|it| it.extend_from_slice(&bytes));
                    for one in twins.iter_mut().filter(|it| it.joined) {
                        one.expected.extend_from_slice(&bytes);
                    }
                }
                4 if !twins[idx].joined => {
                    twins[idx].outbox.join(&stream);
                    twins[idx].joined = true;
                }
                5 if twins[idx].joined && numbers.below(8) == 0 => {
                    twins[idx].outbox.leave(&stream);
                    twins[idx].joined = false;
                }
                _ => send(&mut twins[idx], &stream, numbers.below(40)),
            }
            let least = twins.iter().filter_map(|it| it.outbox.place()).min();
            stream.forget(least.unwrap_or_else(|| stream.end()));
            for it in &twins {
                let shared = it.joined.then_some(&stream);
                assert_eq!(it.outbox.queued(shared), it.expected.len() - it.got.len());
            }
        }
        for mut one in twins {
            while one.got.len() < one.expected.len() {
                send(&mut one, &stream, 7);
            }
            assert_eq!(one.got, one.expected, "seed {seed}");
        }
    }
}
