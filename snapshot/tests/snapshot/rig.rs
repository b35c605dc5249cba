//! A real arena that a test changes at will, with the image's end of it.

use std::path::Path;

use engine::arena::{Arena, Memory, Offset};
use jute::Zxid;
use snapshot::{Imager, ImagerOptions, Label, Outcome, Region, Shadow};

/// An arena with one large block in it, and the memory it lies in.
pub(crate) struct Rig {
    pub(crate) arena: Arena,
    memory: Memory,
    shadow: Shadow,
    block: Offset,
    block_words: u64,
    zxid: i64,
    chance: u64,
}

/// Bytes of every region here.
pub(crate) const REGION_LEN: usize = 64 << 20;

impl Rig {
    /// With a block of `pages` pages, filled by chance from `seed`.
    pub(crate) fn new(pages: u64, seed: u64) -> Self {
        let (memory, shadow) = Region::reserve(REGION_LEN).unwrap().share().unwrap();
        let mut arena = Arena::format(memory, [1, 2]).unwrap();
        let block_words = pages * 512;
        arena.begin();
        let block = arena.alloc(block_words).unwrap();
        arena.commit(Zxid(1));
        let mut rig = Self { arena, memory, shadow, block, block_words, zxid: 1, chance: seed };
        for _ in 0..pages {
            rig.change(8);
        }
        rig
    }

    /// A batch of `count` changes at random places.
    pub(crate) fn change(&mut self, count: u64) {
        self.zxid += 1;
        self.arena.begin();
        for _ in 0..count {
            let at = self.random() % self.block_words;
            let value = self.random();
            self.arena.set(self.block.plus(at), value);
        }
        self.arena.commit(Zxid(self.zxid));
    }

    /// An imager of this arena that does not rest.
    pub(crate) fn imager(&self, dir: &Path) -> Imager {
        let options = ImagerOptions { rest_percent: 0, ..ImagerOptions::new(dir) };
        Imager::start(options, self.shadow).unwrap()
    }

    /// An imager that does not rest, and whose images are purged: so many are retained.
    pub(crate) fn purged_imager(&self, dir: &Path, retain: usize) -> Imager {
        let options =
            ImagerOptions { rest_percent: 0, retain: Some(retain), ..ImagerOptions::new(dir) };
        Imager::start(options, self.shadow).unwrap()
    }

    /// A block that is never written, of so many pages: the next images are longer.
    pub(crate) fn grow(&mut self, pages: u64) {
        self.zxid += 1;
        self.arena.begin();
        self.arena.alloc(pages * 512).unwrap();
        self.arena.commit(Zxid(self.zxid));
    }

    /// The state becomes another one, of so many transactions before.
    pub(crate) fn back(&mut self, txns: i64) {
        self.zxid -= txns;
        let mut other = Arena::format(Memory::leaked(Memory::WORDS_MIN * 8), [3, 4]).unwrap();
        other.begin();
        assert_eq!(other.alloc(self.block_words), Ok(self.block));
        for word in 0..self.block_words {
            other.set(self.block.plus(word), self.random());
        }
        other.commit(Zxid(self.zxid));
        self.arena.replace(&other).unwrap();
    }

    /// Every word that is in use now.
    pub(crate) fn words(&self, page_count: u64) -> Vec<u64> {
        let words = &self.memory.words[..page_count as usize * 512];
        words.iter().map(|it| it.load(std::sync::atomic::Ordering::Relaxed)).collect()
    }

    /// Takes an image with `changes` batches of 16 changes meanwhile; gives what the image must hold.
    pub(crate) fn image(&mut self, imager: &mut Imager, changes: u64) -> (Vec<u64>, Outcome) {
        let source = self.arena.begin_image();
        let want = self.words(source.page_count());
        imager.begin(source, Label { tree_digest: 77, begun_at_ms: 5, ..Label::default() });
        let mut left = changes;
        let outcome = loop {
            if 0 < left {
                left -= 1;
                self.change(16);
            }
            if let Some(outcome) = imager.poll() {
                break outcome;
            }
        };
        self.arena.end_image();
        (want, outcome)
    }

    fn random(&mut self) -> u64 {
        // Splitmix64.
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

/// What a region holds in its first words; all behind is zero.
pub(crate) fn held(region: Region, count: usize) -> Vec<u64> {
    let words = region.share_words();
    let load = |it: &std::sync::atomic::AtomicU64| it.load(std::sync::atomic::Ordering::Relaxed);
    assert!(words[count..].iter().all(|it| load(it) == 0));
    words[..count].iter().map(load).collect()
}
