//! Records read and written, to have their instructions counted: `bench/instructions` runs `jute_instructions CASE COUNT`.
#![expect(clippy::print_stdout, reason = "lists its cases")]

use std::hint::black_box;

use jute::{
    AclList, Code, CreateRequest, PathWatchRequest, Record as _, ReplyHeader, RequestHeader,
    SetDataRequest, Stat, Xid, Zxid,
};

const PATH: &[u8] = b"/bench/instructions/n0000000001";
const DATA: [u8; 100] = [b'd'; 100];

fn create() -> CreateRequest<'static> {
    CreateRequest { path: Some(PATH), data: Some(&DATA), acl: AclList::open(), flags: 0 }
}

fn stat() -> Stat {
    Stat {
        czxid: 1,
        mzxid: 2,
        ctime: 3,
        mtime: 4,
        version: 5,
        cversion: 6,
        aversion: 7,
        ephemeral_owner: 0,
        data_length: 100,
        num_children: 8,
        pzxid: 9,
    }
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    RequestHeader { xid: Xid(7), op: 4 }.encode(&mut out);
    write(&mut out);
    out
}

fn decode<'a, T: jute::Record<'a>>(count: usize, bytes: &'a [u8]) {
    for _ in 0..count {
        let bytes = black_box(bytes);
        let header = RequestHeader::decode(bytes).expect("a header");
        black_box((header, T::decode(&bytes[8..]).is_ok()));
    }
}

fn encode(count: usize, mut write: impl FnMut(&mut Vec<u8>)) {
    let mut out = Vec::with_capacity(1 << 10);
    for _ in 0..count {
        out.clear();
        write(&mut out);
        black_box(&out);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = |it: Option<String>| it.and_then(|it| it.parse().ok()).expect("a count");
    let header = ReplyHeader::new(Xid(7), Zxid(8), Code::Ok);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("decode-get"), it) => {
            let get = PathWatchRequest { path: Some(PATH), watch: false };
            decode::<PathWatchRequest<'_>>(count(it), &encoded(|out| get.encode(out)));
        }
        (Some("decode-set"), it) => {
            let set = SetDataRequest { path: Some(PATH), data: Some(&DATA), version: -1 };
            decode::<SetDataRequest<'_>>(count(it), &encoded(|out| set.encode(out)));
        }
        (Some("decode-create"), it) => {
            decode::<CreateRequest<'_>>(count(it), &encoded(|out| create().encode(out)));
        }
        (Some("encode-create"), it) => encode(count(it), |out| black_box(create()).encode(out)),
        (Some("encode-reply-with-stat"), it) => encode(count(it), |out| {
            black_box(header).encode(out);
            black_box(stat()).encode(out);
        }),
        _ => println!("decode-get decode-set decode-create encode-create encode-reply-with-stat"),
    }
}
