//! From the data directories to a tree: lock, load the newest image, replay the log behind it.
//!
//! ZooKeeper: `ZooKeeperServer.loadData`, `ZKDatabase.loadDataBase`.

use engine::ahead::Entries;
use engine::apply::{ApplyError, Replay};
use engine::arena::OpenError;
use engine::state::{Fuzzy, State};
use engine::tree::Tree;
use jute::Zxid;
use snapshot::{LoadError, Region, Shadow};
use wal::{Base, LogTail};

use crate::clock;
use crate::config::Config;
use crate::ensemble::Backlog;
use crate::settings;
use crate::store::{Missing, Store, StoreError};
use crate::takeover::{self, Making, TakeoverError};

/// The data cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The directories.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a ZooKeeper server has left.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// The images.
    #[error(transparent)]
    Image(#[from] LoadError),
    /// What an image holds.
    #[error("the image at zxid {zxid} cannot be used: {source}")]
    Open {
        /// Which image.
        zxid: Zxid,
        /// Why.
        source: OpenError,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] wal::OpenError<ApplyError>),
    /// Nothing is there, and nothing is to be made.
    #[error(
        "{path}: no data here, and zookeeper.db.autocreate is false; restore a copy, or, if nothing is meant to be here, make a file named \
         initialize in it", path = .path.display()
    )]
    Empty {
        /// Where.
        path: std::path::PathBuf,
    },
}

/// What a server starts from.
#[derive(Debug)]
pub(crate) struct Data {
    /// The directories, locked.
    pub(crate) store: Store,
    /// The tree after the last transaction of the log, or with [`Replaying::Nothing`] as the image has it.
    pub(crate) state: State,
    /// What the tree lends to whoever takes images of it.
    pub(crate) shadow: Shadow,
    /// What of a member's log is not applied: the ensemble says how much of it is decided.
    pub(crate) backlog: Backlog,
    /// The last transaction of the log, or of the image if that is newer.
    pub(crate) last: Zxid,
    /// Whether what should be here is missing: this member neither votes nor leads before the ensemble has given it an image.
    pub(crate) blank: Blank,
    /// Where the log goes on.
    pub(crate) tail: LogTail,
    /// The image that was loaded.
    pub(crate) image: Option<Zxid>,
    /// What it says of the log: see [`Label::void_sequence`](snapshot::Label::void_sequence). The next images carry it on.
    pub(crate) void_sequence: u64,
    /// Transactions that were replayed.
    pub(crate) replayed: u64,
    /// How long loading the image took, and replaying the log behind it. Milliseconds.
    pub(crate) took_ms: [u64; 2],
}

/// Whether a data directory has lost what was in it, as far as `db.autocreate` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blank {
    /// It has data, or is meant to be empty.
    No,
    /// It is empty, and is not meant to be.
    Yes,
}

/// How much of the log is applied at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaying {
    /// All: what is logged is decided, as it is where the server is alone.
    All,
    /// Nothing: it is read through, and its last transaction known. What of it is decided, the ensemble says; it is applied then,
    /// by way of [`wal::LogReader`].
    Nothing,
}

/// Opens the data directories that `config` names. `seed` is chance, for the hash of a new tree.
///
/// # Errors
/// [`DataError`]; nothing was changed then but what is missing made.
pub(crate) fn open(
    config: &Config,
    replaying: Replaying,
    seed: [u64; 2],
) -> Result<Data, DataError> {
    let storage = &config.storage;
    let missing = if storage.autocreate_dirs { Missing::Create } else { Missing::Refuse };
    let store = Store::open(&storage.data_dir, &storage.data_log_dir, missing)?;
    let region_len = settings::region_len(config);
    let types = settings::java_types(config);
    let making = Making { region_len, seed, types, log: settings::log(config) };
    if let Some(zxid) = takeover::take_over(&store, &making)? {
        tracing::info!(%zxid, "the data of a ZooKeeper server is taken over; its files stay as they were");
    }
    let begun_ms = clock::now_ms();
    let start = snapshot::load(&store.images, region_len)?;
    let image = start.loaded.as_ref().map(|it| it.zxid);
    let void_sequence = start.loaded.as_ref().map_or(0, |it| it.label.void_sequence);
    let newest = start.newest_zxid;
    let fuzzy = start.loaded.as_ref().map_or(Fuzzy::No, |it| it.label.fuzzy);
    let (mut state, shadow) = tree(start.region, image, seed)?;
    state.set_fuzzy(fuzzy);
    let from = state.tree().zxid();
    let loaded_ms = clock::now_ms();
    state.begin();
    let mut applied = from;
    let mut backlog = Backlog::default();
    let base = Base { zxid: from, void_sequence };
    let opened = wal::open(&store.log, &settings::log(config), base, |records| match replaying {
        Replaying::Nothing => {
            records.for_each(|(zxid, entry)| backlog.push_record(zxid, entry));
            Ok(())
        }
        Replaying::All => {
            let mut entries = Entries::new(records);
            while let Some((zxid, entry)) = entries.next(&state) {
                applied = zxid;
                state.apply(entry, &mut Replay).map_err(|err| (zxid, err))?;
            }
            Ok(())
        }
    });
    let (tail, report) = opened?;
    state.commit(applied);
    if replaying == Replaying::All {
        state.set_fuzzy(Fuzzy::No);
    }
    let last = tail.last_zxid();
    let took_ms = [loaded_ms - begun_ms, clock::now_ms() - loaded_ms];
    if last < newest {
        return Err(LoadError::LogTooShort { newest_zxid: newest, last_zxid: last }.into());
    }
    let blank = blank(config, &store, image.unwrap_or(last).max(last))?;
    if let Some((file, offset)) = &report.cut {
        tracing::info!(%file, offset, "the last write was torn and is cut; it was not acknowledged");
    }
    let replayed = report.records;
    Ok(Data {
        store,
        state,
        shadow,
        backlog,
        last,
        blank,
        tail,
        image,
        void_sequence,
        replayed,
        took_ms,
    })
}

/// Whether what should be in a directory whose last transaction is `last` is missing.
fn blank(config: &Config, store: &Store, last: Zxid) -> Result<Blank, DataError> {
    let storage = &config.storage;
    let is_meant = store.is_initialized(&storage.data_dir)? || storage.autocreate_db;
    match &config.ensemble {
        _ if is_meant || last != Zxid::ZERO => Ok(Blank::No),
        Some(_) => Ok(Blank::Yes),
        None => Err(DataError::Empty { path: storage.data_dir.clone() }),
    }
}

fn tree(region: Region, image: Option<Zxid>, seed: [u64; 2]) -> Result<(State, Shadow), DataError> {
    let open = |source| DataError::Open { zxid: image.unwrap_or_default(), source };
    let (memory, shadow) = region.share().map_err(|source| StoreError::Io {
        what: "reserving memory for images",
        path: std::path::PathBuf::new(),
        source,
    })?;
    let tree = match image {
        Some(_) => Tree::open(memory),
        None => Tree::format(memory, seed),
    };
    Ok((State::new(tree.map_err(open)?), shadow))
}
