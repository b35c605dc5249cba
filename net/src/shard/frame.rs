//! Where a request begins and ends in what was read.
//!
//! ZooKeeper: `NIOServerCnxn.readLength`, `readPayload`.

/// The head of the bytes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A whole record, without its length.
    Whole(&'a [u8]),
    /// Not all of it is there.
    Part,
    /// A length that is too large, and as much of the record as is there: enough to tell what it asks for.
    Oversize {
        /// Bytes behind the length.
        len: usize,
        /// The beginning of them.
        head: &'a [u8],
    },
    /// A length below zero.
    Negative(i32),
}

/// Bytes of a length.
pub(crate) const LENGTH_LEN: usize = 4;

/// Bytes of an oversize record that are looked at: header, path length, a piece of the path.
const HEAD_LEN: usize = 8 + 4 + 256;

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, when records have at most `len_max` bytes.
    pub(crate) fn parse(bytes: &'a [u8], len_max: usize) -> Self {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_LEN>() else {
            return Self::Part;
        };
        let length = i32::from_be_bytes(*length);
        let Ok(len) = usize::try_from(length) else { return Self::Negative(length) };
        if len <= len_max {
            return rest.get(..len).map_or(Self::Part, Self::Whole);
        }
        match rest.get(..len.min(HEAD_LEN)) {
            Some(head) => Self::Oversize { len, head },
            None => Self::Part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn a_frame_is_whole_only_with_its_last_byte() {
        let bytes = [0, 0, 0, 2, 7, 8, 9];
        for len in 0..6 {
            assert_eq!(Frame::parse(&bytes[..len], 10), Frame::Part);
        }
        assert_eq!(Frame::parse(&bytes, 10), Frame::Whole(&[7, 8]));
        assert_eq!(Frame::parse(&bytes, 2), Frame::Whole(&[7, 8]));
        assert_eq!(Frame::parse(&bytes, 1), Frame::Oversize { len: 2, head: &[7, 8] });
    }

    #[test]
    fn a_length_below_zero_is_told_at_once() {
        assert_eq!(Frame::parse(&[0xff; 4], 10), Frame::Negative(-1));
    }

    #[test]
    fn an_oversize_frame_is_told_when_its_head_is_there() {
        let mut bytes = vec![0x7f, 0xff, 0xff, 0xff];
        bytes.resize(4 + 267, 1);
        assert_eq!(Frame::parse(&bytes, 10), Frame::Part);
        bytes.push(1);
        assert!(
            matches!(Frame::parse(&bytes, 10), Frame::Oversize { head, .. } if head.len() == 268)
        );
    }
}
