//! Reads a snapshot file of ZooKeeper's and writes it anew: `rewrite FROM TO`, to see whether a Java server starts from what we write.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::Context as _;
use engine::tree::Tree;
use snapshot::Region;
use snapshot::java::{ExtendedTypes, file};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (from, to) = (args.next().context("FROM")?, args.next().context("TO")?);
    let name = from.file_name().and_then(|it| it.to_str()).context("a name")?;
    let zxid = file::zxid_of(name).context("snapshot.<zxid>")?;
    let (memory, _) = Region::reserve(1 << 32)?.share()?;
    let mut tree = Tree::format(memory, [1, 2])?;
    file::read(&mut tree, zxid, ExtendedTypes::On, &mut File::open(&from)?)?;
    let mut out = BufWriter::new(File::create(to.join(file::name(zxid)))?);
    file::write(&tree, &mut out)?;
    out.into_inner()?.sync_all()?;
    File::open(to)?.sync_all()?;
    Ok(())
}
