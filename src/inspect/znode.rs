//! The znodes of an image as lines, parents before children.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use engine::arena::Torn;
use engine::tree::{Owner, Tree, TreeView, Znode};
use jute::AclList;
use wal::FileMap;

use super::line::Line;
use super::mapped::Mapped;
use super::{Health, InspectError, txn};
use crate::cli::InspectArgs;

/// Prints the znodes of the image at `path` that `args` want: verified first, then walked in place, so that an image larger than memory will do.
///
/// # Errors
/// [`InspectError`].
pub(super) fn show(
    args: &InspectArgs,
    path: &Path,
    map: &FileMap,
    out: &mut dyn Write,
) -> Result<Health, InspectError> {
    let header = snapshot::inspect::verify_from(path, &Mapped(map))?;
    let tree = Tree::open(Mapped(map).memory(&header)?);
    let tree = tree.map_err(|source| InspectError::Tree { path: path.to_owned(), source })?;
    let mut line = Line::new("snapshot");
    line.path("file", path);
    line.hex("zxid", header.zxid.0);
    line.hex("digest", tree.look(TreeView::digest) as i64);
    line.number("sessions", tree.look(TreeView::session_count));
    line.print(args, out)?;
    let view = tree.view();
    let top = view.root().map_err(torn)?;
    let mut next = Some(top);
    let mut name = Vec::new();
    while let Some(znode) = next {
        name.clear();
        view.path(znode, &mut name).map_err(torn)?;
        if txn::is_wanted(args, Some(&name)) {
            line_of(view, znode, &name).map_err(torn)?.print(args, out)?;
        }
        next = view.next_below(top, znode).map_err(torn)?;
    }
    Ok(Health::Whole)
}

fn line_of(view: TreeView<'_>, znode: Znode, path: &[u8]) -> Result<Line, Torn> {
    let stat = view.stat(znode)?;
    let mut line = Line::new("znode");
    line.bytes("path", path);
    line.hex("czxid", stat.czxid);
    line.hex("mzxid", stat.mzxid);
    line.hex("pzxid", stat.pzxid);
    line.number("ctime_ms", stat.ctime);
    line.number("mtime_ms", stat.mtime);
    line.number("version", stat.version);
    line.number("creations", stat.cversion);
    line.number("aversion", stat.aversion);
    line.number("children", view.child_count(znode)?);
    match stat.owner {
        Owner::Nobody => {}
        Owner::Session(id) => line.hex("session", id.0),
        Owner::Container => line.text("container", "yes"),
        Owner::Ttl(raw) => line.number("ttl_ms", raw & Owner::TTL_MASK),
    }
    let mut bytes = Vec::new();
    let len = view.data(znode, &mut bytes)?;
    txn::data(&mut line, len.map(|_| bytes.as_slice()));
    let mut bytes = Vec::new();
    view.encode_acl(view.acl(znode)?, &mut bytes)?;
    if let Ok(list) = AclList::decode(&bytes) {
        txn::acl(&mut line, &list);
    }
    Ok(line)
}

/// Nobody writes here, so a torn read is a tree whose checksums are right and that is none.
fn torn(_: Torn) -> InspectError {
    InspectError::Io(io::Error::new(
        ErrorKind::InvalidData,
        "the tree in the snapshot is inconsistent",
    ))
}
