//! multi and multiRead: sequences of headers and ops, ended by a header that is done.

use crate::field::record;
use crate::{
    CheckVersionRequest, CreateMode, CreateRequest, CreateTtlRequest, DecodeError, DeleteRequest,
    Field, Op, PathWatchRequest, Reader, SetDataRequest,
};

record! {
    /// What stands before every op and every result. 9 bytes.
    MultiHeader {
        /// The op's number; −1 in the last header and before an error.
        op: i32,
        /// Whether this is the last header.
        done: bool,
        /// The outcome; −1 in requests.
        err: i32,
    }
}

impl MultiHeader {
    /// The header that ends a sequence.
    pub const END: Self = Self { op: -1, done: true, err: -1 };
}

/// A multi's ops, checked when read, kept as their bytes. Walks them in order.
#[derive(Clone, Debug)]
pub struct MultiOps<'a> {
    reader: Reader<'a>,
    count: usize,
    reads: bool,
}

impl<'a> MultiOps<'a> {
    /// Checks a whole multi or multiRead: op types, the flags of creates without a TTL, no mix of reads and writes, the end.
    ///
    /// # Errors
    /// [`DecodeError`]; the reference answers it with `MarshallingError` for the whole request.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let reader = Reader::new(bytes);
        let mut walk = Self { reader: reader.clone(), count: 0, reads: false };
        let mut count = 0;
        let mut reads = None;
        while let Some((op, _)) = walk.step()? {
            let read = matches!(op, Op::GetData | Op::GetChildren);
            if *reads.get_or_insert(read) != read {
                return Err(DecodeError::Mixed);
            }
            count += 1;
        }
        Ok(Self { reader, count, reads: reads.unwrap_or(false) })
    }

    /// How many ops.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no op.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the ops are reads.
    pub fn is_read(&self) -> bool {
        self.reads
    }

    fn step(&mut self) -> Result<Option<(Op, &'a [u8])>, DecodeError> {
        let header = MultiHeader::read(&mut self.reader)?;
        if header.done {
            return Ok(None);
        }
        let start = self.reader.rest();
        let op = skip(header.op, &mut self.reader)?;
        Ok(Some((op, &start[..start.len() - self.reader.rest().len()])))
    }
}

/// The next op and the bytes of its record.
impl<'a> Iterator for MultiOps<'a> {
    type Item = (Op, &'a [u8]);
    fn next(&mut self) -> Option<(Op, &'a [u8])> {
        self.step().ok().flatten()
    }
}

fn skip(number: i32, reader: &mut Reader<'_>) -> Result<Op, DecodeError> {
    let op = Op::from_number(number).ok_or(DecodeError::Op { op: number })?;
    match op {
        Op::Create | Op::Create2 | Op::CreateContainer => {
            let flags = CreateRequest::read(reader)?.flags;
            // Only createTTL has a TTL to give.
            let mode = CreateMode::from_flags(flags).filter(|mode| !mode.is_ttl());
            mode.ok_or(DecodeError::Flags { flags })?;
        }
        // Whatever its flags say: they fail the op, not the request.
        Op::CreateTtl => drop(CreateTtlRequest::read(reader)?),
        Op::Delete => drop(DeleteRequest::read(reader)?),
        Op::SetData => drop(SetDataRequest::read(reader)?),
        Op::Check => drop(CheckVersionRequest::read(reader)?),
        Op::GetData | Op::GetChildren => drop(PathWatchRequest::read(reader)?),
        _ => return Err(DecodeError::Op { op: number }),
    }
    Ok(op)
}
