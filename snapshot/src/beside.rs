//! A tree beside the one that serves: one that a leader sends is put together here, one that is sent is read from its image here.
//!
//! Driver. Its memory goes back to the system with it, unlike that of the tree that serves, whose readers live as long as the process.
//!
//! *Unsafe:* [`lend`] gives words of a map a lifetime that is longer than the map's. Invariants: the map goes after the tree (fields are dropped in
//! order); no reference to the tree, no [`Reader`](engine::arena::Reader) and no [`ImageSource`](engine::arena::ImageSource) of it leaves this
//! module, which a method that hands one out would break. And an image's file is mapped, private: as long as it is open here it is locked, so that
//! nobody writes it again, and it is unlinked, never cut; a disk that cannot read it any more ends the process.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use engine::arena::{Full, Memory, OpenError};
use engine::state::State;
use engine::tree::{Tree, TreeView};
use jute::Zxid;
use memmap2::{MmapMut, MmapOptions};
use zerocopy::FromBytes as _;

use crate::disk::hold;
use crate::format::{ImageHeader, Label, PAGE_LEN};
use crate::imager::ImageError;
use crate::inspect::{self, InspectError};
use crate::java::file::{self, FileError};
use crate::java::{Decoder, Encoder, ExtendedTypes, StreamError, packed};
use crate::region::{Region, anonymous};
use crate::{load, still};

/// A tree whose memory goes with it.
#[derive(Debug)]
pub struct Beside {
    // In front of what it lies in: see the header.
    tree: Tree,
    _words: MmapMut,
    _page_states: MmapMut,
    _last_changes: MmapMut,
    _shadow: MmapMut,
    // The last: its lock goes with it.
    _file: Option<File>,
}

/// There is no tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BesideError {
    /// The system gives no memory, or refuses the directory.
    #[error("a tree beside the one that serves: {0}")]
    Io(#[from] io::Error),
    /// The image is damaged, or cannot be read.
    #[error(transparent)]
    Image(#[from] InspectError),
    /// A file of ZooKeeper's is damaged.
    #[error("{path}: {source}", path = .path.display())]
    Java {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: FileError,
    },
    /// What an image holds is not to be used.
    #[error("{path}: {source}", path = .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
}

impl Beside {
    /// The tree of a new server, in a region of `len` bytes, of which memory is taken as it fills. `seed` is chance.
    ///
    /// # Errors
    /// [`BesideError`].
    pub fn fresh(len: usize, seed: [u64; 2]) -> Result<Self, BesideError> {
        let region = Region::reserve(len)?.map;
        Self::over(region, &PathBuf::new(), |memory| Tree::format(memory, seed))
    }

    /// The newest whole image in `dir`, in place; `None` if there is none. Reads it once, to know that it is whole. Damaged ones are logged
    /// and passed over.
    ///
    /// # Errors
    /// [`BesideError`].
    pub fn newest(dir: &Path) -> Result<Option<Self>, BesideError> {
        for path in inspect::images(dir)?.iter().rev() {
            match Self::of_image(path) {
                Ok(beside) => return Ok(Some(beside)),
                Err(error) => tracing::error!("image not sent, trying the one before: {error}"),
            }
        }
        Ok(None)
    }

    fn of_image(path: &Path) -> Result<Self, BesideError> {
        // Through the page cache, where the map finds it.
        let file = File::open(path)?;
        hold(&file)?;
        let header = inspect::verify_from(path, &file)?;
        let len = header.page_count as usize * PAGE_LEN;
        let words = if len < Memory::WORDS_MIN * size_of::<u64>() {
            let mut region = Region::reserve(Memory::WORDS_MIN * size_of::<u64>())?;
            load::load_one(path, header.zxid, region.bytes_mut()).map_err(io::Error::other)?;
            region.map
        } else {
            map(&file, len)?
        };
        Ok(Self { _file: Some(file), ..Self::over(words, path, Tree::open)? })
    }

    fn over(
        mut words: MmapMut,
        path: &Path,
        make: impl FnOnce(Memory) -> Result<Tree, OpenError>,
    ) -> Result<Self, BesideError> {
        let mut page_states = anonymous(words.len() / PAGE_LEN)?;
        let mut last_changes = anonymous(words.len() / PAGE_LEN * size_of::<AtomicU32>())?;
        let mut shadow = anonymous(words.len())?;
        let memory = Memory {
            words: lend(<[AtomicU64]>::mut_from_bytes(&mut words).unwrap_or_default()),
            version: Box::leak(Box::default()),
            page_states: lend(<[AtomicU8]>::mut_from_bytes(&mut page_states).unwrap_or_default()),
            last_changes: lend(
                <[AtomicU32]>::mut_from_bytes(&mut last_changes).unwrap_or_default(),
            ),
            shadow: lend(<[AtomicU64]>::mut_from_bytes(&mut shadow).unwrap_or_default()),
        };
        let tree = make(memory);
        let tree = tree.map_err(|source| BesideError::Open { path: path.to_owned(), source })?;
        Ok(Self {
            tree,
            _words: words,
            _page_states: page_states,
            _last_changes: last_changes,
            _shadow: shadow,
            _file: None,
        })
    }

    /// The tree of a file `snapshot.<zxid>`, compressed or not, in a region of `len` bytes; it may be ahead of its zxid.
    ///
    /// # Errors
    /// [`BesideError`].
    pub fn of_java(
        path: &Path,
        zxid: Zxid,
        types: ExtendedTypes,
        (len, seed): (usize, [u64; 2]),
    ) -> Result<Self, BesideError> {
        let mut beside = Self::fresh(len, seed)?;
        let java = |source| BesideError::Java { path: path.to_owned(), source };
        file::read(&mut beside.tree, zxid, types, &mut packed::open(path)?).map_err(java)?;
        Ok(beside)
    }

    /// The last transaction in it.
    pub fn zxid(&self) -> Zxid {
        self.tree.zxid()
    }

    /// Says which the last transaction in it is.
    pub fn set_zxid(&mut self, zxid: Zxid) {
        self.tree.begin();
        self.tree.commit(zxid);
    }

    /// Takes the next bytes of a stream; see [`Decoder::push`].
    ///
    /// # Errors
    /// [`StreamError`]; the tree is then of no use.
    pub fn take(&mut self, decoder: &mut Decoder, bytes: &[u8]) -> Result<usize, StreamError> {
        self.tree.begin();
        let taken = decoder.push(&mut self.tree, bytes);
        self.tree.commit(Zxid::ZERO);
        taken
    }

    /// Appends the next bytes of its stream; see [`Encoder::fill`].
    pub fn give(&self, encoder: &mut Encoder, len_min: usize, out: &mut Vec<u8>) {
        encoder.fill(&self.tree, len_min, out);
    }

    /// Makes it durable in `dir`, as an image. Its digest is put into `label`.
    ///
    /// # Errors
    /// [`ImageError`]; nothing is left of it.
    pub fn write(&mut self, dir: &Path, label: Label) -> Result<(), ImageError> {
        let label = Label { tree_digest: self.tree.look(TreeView::digest), ..label };
        let source = self.tree.begin_image();
        let written = still::write(dir, &source, label);
        self.tree.arena().end_image();
        written
    }

    /// Puts all that it holds into `state`, in place of what is there.
    ///
    /// # Errors
    /// [`Full`]: nothing is changed.
    pub fn replace(&self, state: &mut State) -> Result<(), Full> {
        state.replace(&self.tree)
    }
}

#[expect(unsafe_code, reason = "a file can change under its map")]
fn map(file: &File, len: usize) -> io::Result<MmapMut> {
    let mut how = MmapOptions::new();
    how.offset(ImageHeader::page_at(0)).len(len).no_reserve_swap();
    // SAFETY: private, and seen as atomic words only; the header says why the file stays as it is.
    unsafe { how.map_copy(file) }
}

#[expect(
    unsafe_code,
    reason = "the arena takes memory for ever; here it has it for as long as the tree lives"
)]
fn lend<T>(words: &mut [T]) -> &'static [T] {
    let words: *const [T] = words;
    // SAFETY: the map stays where it is and is only unmapped behind the tree, the last that knows these words; nobody looks at its bytes
    // meanwhile (the header's invariants).
    unsafe { &*words }
}
