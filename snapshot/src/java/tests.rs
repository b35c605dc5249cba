//! Against a snapshot that ZooKeeper 3.9.5 wrote, and what its clients saw of the same tree.
//!
//! The listing has a line for each znode: path, data in hex, the numbers of a client's stat, the ACL.

use core::fmt::Write as _;

use engine::state::State;
use engine::tree::{Tree, TreeView};
use jute::Zxid;

use super::file::{self, FileError};
use super::{Decoder, Encoder, ExtendedTypes, SIGNATURE, StreamError};
use crate::Region;

const FILE: &[u8] = include_bytes!("../../tests/golden/snapshot.44");
const LISTING: &str = include_str!("../../tests/golden/snapshot.44.listing");
const ZXID: Zxid = Zxid(0x44);

/// Bytes of the header, and of what stands behind the stream.
const HEAD_LEN: usize = 16;
const TAIL_LEN: usize = 13 + 20 + 13 + 8 + 13;

fn tree() -> Tree {
    let (memory, _) = Region::reserve(16 << 20).unwrap().share().unwrap();
    Tree::format(memory, [1, 2]).unwrap()
}

fn read(bytes: &[u8]) -> Result<(Tree, bool), FileError> {
    let mut tree = tree();
    let is_exact = file::read(&mut tree, ZXID, ExtendedTypes::On, &mut &*bytes)?;
    Ok((tree, is_exact))
}

/// The stream in the file.
fn stream() -> &'static [u8] {
    &FILE[HEAD_LEN..FILE.len() - TAIL_LEN]
}

/// What a client sees.
fn listing(tree: &Tree) -> String {
    let mut lines = Vec::new();
    let mut at = Some(tree.look(TreeView::root));
    while let Some(znode) = at {
        let (mut path, mut data, mut acl) = (Vec::new(), Vec::new(), Vec::new());
        let stat = tree.look(|it| {
            it.path(znode, &mut path)?;
            it.data(znode, &mut data)?;
            it.encode_acl(it.acl(znode)?, &mut acl)?;
            it.shown_stat(znode)
        });
        let mut line = format!("{}\t", String::from_utf8(path).unwrap());
        for byte in data {
            write!(line, "{byte:02x}").unwrap();
        }
        write!(
            line,
            "\t{} {} {} {} {} {} {} {} {} {} {}\t",
            stat.czxid,
            stat.mzxid,
            stat.ctime,
            stat.mtime,
            stat.version,
            stat.cversion,
            stat.aversion,
            stat.ephemeral_owner,
            stat.data_length,
            stat.num_children,
            stat.pzxid
        )
        .unwrap();
        line += &shown_acl(&acl);
        lines.push(line);
        at = tree.look(|it| it.next_below(it.root()?, znode));
    }
    lines.sort();
    lines.join("\n") + "\n"
}

fn shown_acl(list: &[u8]) -> String {
    let int = |at: usize| u32::from_be_bytes(list[at..at + 4].try_into().unwrap());
    let (mut at, mut shown) = (4, Vec::new());
    for _ in 0..int(0) {
        let perms = int(at);
        at += 4;
        let mut text = || {
            let len = int(at) as usize;
            at += 4 + len;
            String::from_utf8_lossy(&list[at - len..at]).into_owned()
        };
        let (scheme, id) = (text(), text());
        shown.push(format!("{perms}:{scheme}:{id}"));
    }
    shown.join(",")
}

fn sessions(tree: &Tree) -> Vec<(i64, u32, u32)> {
    let count = tree.look(TreeView::session_count);
    let session = |i| tree.look(|it| it.session_at(i));
    (0..count).map(session).map(|it| (it.id.0, it.timeout_ms, it.ephemeral_count)).collect()
}

#[test]
fn a_file_of_java_is_the_tree_that_its_clients_saw() {
    let (tree, is_exact) = read(FILE).unwrap();
    assert!(is_exact, "its digest is that of the tree");
    assert_eq!(tree.zxid(), ZXID);
    // The client that lists has a session too, which came later.
    assert_eq!(listing(&tree), LISTING);
    let sessions = sessions(&tree);
    assert!(sessions.iter().any(|it| it.1 == 300_000 && it.2 == 2), "{sessions:?}");
    let state = State::new(tree);
    assert_eq!(state.tree().look(TreeView::counters).containers, 1);
    assert_eq!(state.tree().look(TreeView::counters).ttls, 1);
}

#[test]
fn what_is_written_reads_back_the_same() {
    let (first, _) = read(FILE).unwrap();
    let mut bytes = Vec::new();
    file::write(&first, &mut bytes).unwrap();
    let (second, is_exact) = read(&bytes).unwrap();
    assert!(is_exact);
    assert_eq!((listing(&second), sessions(&second)), (listing(&first), sessions(&first)));
    assert_eq!(second.look(TreeView::counters), first.look(TreeView::counters));
}

#[test]
fn a_stream_may_come_in_pieces_and_ends_where_it_ends() {
    for piece in [1, 3, 64, 1_000, 100_000] {
        let mut bytes = stream().to_vec();
        bytes.extend_from_slice(&(SIGNATURE.len() as u32).to_be_bytes());
        bytes.extend_from_slice(SIGNATURE);
        let with = [(Decoder::new(ExtendedTypes::On), stream().len())];
        let signed = (Decoder::signed(ExtendedTypes::On), bytes.len());
        bytes.extend_from_slice(b"packets");
        for (mut decoder, len) in with.into_iter().chain([signed]) {
            let mut tree = tree();
            tree.begin();
            let mut taken = 0;
            for part in bytes.chunks(piece) {
                assert!(!decoder.is_done() || len <= taken);
                taken += decoder.push(&mut tree, part).unwrap();
            }
            tree.commit(ZXID);
            assert!(decoder.is_done());
            assert_eq!(taken, len, "in pieces of {piece}");
            assert_eq!(listing(&tree), LISTING);
        }
    }
}

#[test]
fn a_stream_that_is_cut_at_any_byte_is_not_whole_and_no_other_signature_will_do() {
    let (tree_of_file, _) = read(FILE).unwrap();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::signed();
    encoder.fill(&tree_of_file, usize::MAX, &mut bytes);
    assert!(encoder.is_done() && bytes.ends_with(b"\0\0\0\x0aBenWasHere"));
    // One tree after the other, at every length of what came.
    let (mut tree, mut decoder) = (tree(), Decoder::signed(ExtendedTypes::On));
    tree.begin();
    for (at, byte) in bytes.iter().enumerate() {
        assert!(!decoder.is_done(), "whole after {at} of {} bytes", bytes.len());
        assert_eq!(decoder.push(&mut tree, &[*byte]).unwrap(), 1);
    }
    tree.commit(ZXID);
    assert!(decoder.is_done());
    assert_eq!(listing(&tree), LISTING);
    for at in bytes.len() - SIGNATURE.len() - 4..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let (mut tree, mut decoder) = (self::tree(), Decoder::signed(ExtendedTypes::On));
        tree.begin();
        let offset = (bytes.len() - SIGNATURE.len() - 4) as u64;
        let found = decoder.push(&mut tree, &changed);
        assert_eq!(found, Err(StreamError::Signature { offset }), "byte {at}");
    }
}

#[test]
fn a_stream_is_written_in_pieces_too() {
    let (tree, _) = read(FILE).unwrap();
    let whole = |len_min: usize| {
        let (mut encoder, mut out, mut chunk) = (Encoder::new(), Vec::new(), Vec::new());
        while !encoder.is_done() {
            chunk.clear();
            encoder.fill(&tree, len_min, &mut chunk);
            assert!(chunk.len() < len_min + 1_000, "no znode here is larger");
            out.extend_from_slice(&chunk);
        }
        out
    };
    assert_eq!(whole(1), whole(1 << 20));
    assert_eq!(whole(1)[..4], stream()[..4], "as many sessions");
}

#[test]
fn a_file_that_is_cut_or_changed_is_refused() {
    for len in (0..FILE.len() - TAIL_LEN + 13).step_by(67) {
        assert!(read(&FILE[..len]).is_err(), "{len} bytes");
    }
    for at in (0..FILE.len()).step_by(41) {
        let mut bytes = FILE.to_vec();
        bytes[at] ^= 0x10;
        assert!(read(&bytes).is_err(), "byte {at}");
    }
    // Releases before 3.6 end with the first checksum.
    let (tree, is_exact) = read(&FILE[..FILE.len() - TAIL_LEN + 13]).unwrap();
    assert!(!is_exact);
    assert_eq!(listing(&tree), LISTING);
}

#[test]
fn what_no_server_writes_is_named() {
    let refusal = |bytes: &[u8]| {
        let (mut tree, mut decoder) = (tree(), Decoder::new(ExtendedTypes::Off));
        tree.begin();
        decoder.push(&mut tree, bytes).unwrap_err()
    };
    assert_eq!(refusal(&[0xff; 4]), StreamError::Length { offset: 0, found: -1 });
    let session = [&[0, 0, 0, 1][..], &[0, 0, 0, 0, 0, 0, 0, 9], &[0x80, 0, 0, 0]].concat();
    assert_eq!(refusal(&session).to_string(), "session 0x9: a timeout of -2147483648 ms");
    let znode = |path: &[u8], acl: i64| {
        let len = (path.len() as u32).to_be_bytes();
        [&[0; 8][..], &len, path, &[0xff; 4], &acl.to_be_bytes(), &[0; 60]].concat()
    };
    let no_parent = "znode /a/b: its parent did not come before it, or it came twice";
    assert_eq!(refusal(&znode(b"/a/b", -1)).to_string(), no_parent);
    assert_eq!(refusal(&znode(b"/a", 7)).to_string(), "znode /a: its ACL 7 is not in the table");
    for path in [&b"a"[..], b"/a/", b"//", b"//a", b"x/a"] {
        assert!(matches!(refusal(&znode(path, -1)), StreamError::Path { .. }));
    }
}
