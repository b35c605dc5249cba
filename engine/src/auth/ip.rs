//! The scheme `ip`: addresses, and blocks of addresses.
//!
//! ZooKeeper: `IPAuthenticationProvider`. Invariant: an IPv4 expression matches no IPv6 address, and the other way
//! round.

use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;

/// The address as `InetAddress.getHostAddress` spells it.
pub(super) fn text(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("{v4}").into_bytes(),
        IpAddr::V6(v6) => {
            let groups = v6.segments().map(|group| format!("{group:x}"));
            groups.join(":").into_bytes()
        }
    }
}

/// Whether the address `id` is in the block `expression`: `address` or `address/bits`.
pub(super) fn matches(id: &[u8], expression: &[u8]) -> bool {
    let (Some(block), Some(address)) = (Block::parse(expression), Address::parse(id)) else {
        return false;
    };
    block.address.bytes == address.bytes
        && block.prefix <= (block.address.bits ^ address.bits).leading_zeros()
}

/// Whether an ACL can have this id.
pub(super) fn is_valid(id: &[u8]) -> bool {
    Block::parse(id).is_some()
}

/// An address, its first bit the highest of `bits`.
struct Address {
    bits: u128,
    /// 4 or 16.
    bytes: u32,
}

impl Address {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?;
        if text.contains(':') { Self::parse_v6(text) } else { Self::parse_v4(text) }
    }

    fn parse_v4(text: &str) -> Option<Self> {
        let mut bits = 0;
        let mut count = 0;
        for part in text.split('.') {
            // As Java does, a sign and leading zeros are let pass.
            let part: i32 = part.parse().ok()?;
            bits = bits << 8 | u128::from(u8::try_from(part).ok()?);
            count += 1;
            if 4 < count {
                return None;
            }
        }
        (count == 4).then_some(Self { bits: bits << 96, bytes: 4 })
    }

    fn parse_v6(text: &str) -> Option<Self> {
        let mut halves = text.split("::");
        let head = halves.next().unwrap_or_default();
        let tail = halves.next();
        if halves.next().is_some() {
            return None;
        }
        let (head, head_count) = groups(head)?;
        let Some(tail) = tail else {
            return (head_count == 8).then_some(Self { bits: head, bytes: 16 });
        };
        let (tail, tail_count) = groups(tail)?;
        if 8 <= head_count + tail_count {
            return None;
        }
        // Nothing shifts by 128: the head is empty, or at least 16 bits long.
        let head = if head_count == 0 { 0 } else { head << (128 - 16 * head_count) };
        Some(Self { bits: head | tail, bytes: 16 })
    }
}

/// Groups of up to four hexadecimal digits between colons: their bits, and how many groups.
fn groups(text: &str) -> Option<(u128, u32)> {
    if text.is_empty() {
        return Some((0, 0));
    }
    let mut bits = 0;
    let mut count = 0;
    for group in text.split(':') {
        if 4 < group.len() || count == 8 {
            return None;
        }
        let group = i32::from_str_radix(group, 16).ok()?;
        bits = bits << 16 | u128::from(group as u16);
        count += 1;
    }
    Some((bits, count))
}

/// The addresses that begin like this one.
struct Block {
    address: Address,
    /// How many bits must be the same.
    prefix: u32,
}

impl Block {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.splitn(2, |&byte| byte == b'/');
        let address = Address::parse(parts.next()?)?;
        let prefix = match parts.next() {
            None => 8 * address.bytes,
            Some(bits) => {
                let bits: i32 = core::str::from_utf8(bits).ok()?.parse().ok()?;
                u32::try_from(bits).ok().filter(|&bits| bits <= 8 * address.bytes)?
            }
        };
        Some(Self { address, prefix })
    }
}
