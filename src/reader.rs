//! A session shard's reads of the tree, under the version word.

use engine::ahead;
use engine::arena::Reader;
use engine::read::{self, ReadRequest};
use engine::rules::Rules;
use engine::tree::TreeView;
use jute::{Code, Op, Zxid};
use net::shard::{Read, Tree};

/// Reads the arena from a session shard's thread.
#[derive(Clone, Debug)]
pub struct ArenaReader {
    reader: Reader,
    rules: Rules,
}

impl ArenaReader {
    /// Reads by `rules` what `reader` sees.
    pub fn new(reader: Reader, rules: Rules) -> Self {
        Self { reader, rules }
    }
}

impl Tree for ArenaReader {
    fn zxid(&self) -> Option<Zxid> {
        self.reader.read(|_| Ok(())).map(|((), zxid)| zxid)
    }

    fn look_ahead<'a>(&self, requests: impl Iterator<Item = (Op, &'a [u8])>) {
        self.reader.glance(|view| ahead::look(TreeView::new(view), requests));
    }

    fn serve(&self, read: Read<'_>, out: &mut Vec<u8>) -> Option<(Zxid, Code)> {
        let Read { session, auth, op, body } = read;
        let request = ReadRequest { op, body, session, auth };
        let start = out.len();
        let served = self.reader.read(|view| {
            out.truncate(start);
            read::serve(TreeView::new(view), &self.rules, &request, out)
        });
        served.map(|(served, zxid)| (zxid, served.code))
    }
}
