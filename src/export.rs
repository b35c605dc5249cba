//! `ringkeeper export`: the data of a stopped server as a ZooKeeper server keeps its own, so that one starts from it.
//!
//! ZooKeeper: what `FileTxnSnapLog` expects to find. The mirror of `takeover`: the newest image becomes `snapshot.<zxid>`, the log behind it `log.<zxid>`; the
//! epochs of a member go along, and `myid` where there is none. A member's transactions are exported whether they are decided or not, as the log of a
//! ZooKeeper server has them: its ensemble cuts what it must. All is written beside `version-2` and gets that name when it is durable.
//!
//! Absent: the configuration, which ZooKeeper reads as it is.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jute::Zxid;
use quorum::Epoch;
use snapshot::java::{file, log};
use wal::ReadError;

use crate::cli::ExportArgs;
use crate::config::{Config, ConfigError};
use crate::epochs::{EpochError, Epochs, Which};
use crate::exit_code::ExitCode;
use crate::start::{self, Data, DataError, Replaying};
use crate::store;

/// Nothing was exported, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum ExportError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What is to be exported.
    #[error(transparent)]
    Data(#[from] Box<DataError>),
    /// Its epochs.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// Its log.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// There is none.
    #[error("{path}: no data of this server: name its zoo.cfg by --config, or its dataDir by --data-dir", path = .path.display())]
    NoData {
        /// Where it should be.
        path: PathBuf,
    },
    /// The target is in use.
    #[error("{path}: there is data of a ZooKeeper server already; move it away, or choose another directory", path = .path.display())]
    Occupied {
        /// Which.
        path: PathBuf,
    },
    /// The image is of an epoch that was never established here.
    #[error(
        "the snapshot at {zxid} is of an epoch after the current one, {current}: start this server once more, let it follow, and stop it"
    )]
    Unestablished {
        /// The image.
        zxid: Zxid,
        /// What the file says.
        current: Epoch,
    },
    /// The system refused a file or directory.
    #[error("{path}: {what}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What was exported.
#[derive(Debug)]
struct Exported {
    snapshot: Zxid,
    last: Zxid,
    transactions: u64,
    /// Of an epoch after the current one; see [`upto`].
    left_out: u64,
}

/// Exports what `args` name. Says so on standard output; errors go to standard error.
///
/// Gives 0; 2 for a configuration that makes no sense, 3 if the data cannot be read or written.
pub fn run(args: &ExportArgs) -> ExitCode {
    match export(args) {
        Ok(Exported { snapshot, last, transactions, left_out }) => {
            let to = args.to.join(VERSION_2);
            let mut text = format!("{}: snapshot at {snapshot}", to.display());
            text.push_str(&format!(", {transactions} transactions behind it, up to {last}"));
            if 0 < left_out {
                text.push_str(&format!(
                    "; {left_out} that no quorum had acknowledged by this server are left out"
                ));
            }
            // Whoever does not listen does not want to know.
            drop(writeln!(io::stdout(), "{text}"));
            ExitCode::Finished
        }
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "this is the program's last word")]
            {
                eprintln!("ringkeeper: {error}");
            }
            match error {
                ExportError::Config(_) => ExitCode::InvalidInvocation,
                _ => ExitCode::UnableToAccessDatadir,
            }
        }
    }
}

fn export(args: &ExportArgs) -> Result<Exported, ExportError> {
    let (config, _) = Config::load(args.config.as_deref(), &args.overrides())?;
    for dir in [&config.storage.data_dir, &config.storage.data_log_dir] {
        if !dir.join(store::DIR).is_dir() {
            return Err(ExportError::NoData { path: dir.clone() });
        }
    }
    let logs = args.to_log.as_ref().unwrap_or(&args.to);
    let [to, to_log] = [Target::begin(&args.to)?, Target::begin(logs)?];
    let data = start::open(&config, Replaying::Nothing, [0, 0]).map_err(Box::new)?;
    let image = data.state.tree().zxid();
    let epochs = config.ensemble.as_ref().map(|_| Epochs::open(&data.store.images, data.last));
    let epochs = epochs.transpose()?;
    let upto = upto(&data, epochs.as_ref())?;
    let exported = write_log(&to_log, &data, upto)?;
    to.write(&file::name(image), |out| file::write(data.state.tree(), out))?;
    if let Some(epochs) = &epochs {
        for (name, which) in [("acceptedEpoch", Which::Accepted), ("currentEpoch", Which::Current)]
        {
            to.write(name, |out| write!(out, "{}", epochs.epoch(which)))?;
        }
    }
    // Of the two, the snapshots come last: until then a ZooKeeper server finds nothing, or refuses.
    if to_log.dir != to.dir {
        to_log.finish()?;
    }
    to.finish()?;
    let myid = [&config.storage.data_dir, &args.to].map(|it| it.join("myid"));
    if myid[0].exists() && !myid[1].exists() {
        fs::copy(&myid[0], &myid[1]).map_err(at("copying myid", &myid[1]))?;
    }
    Ok(exported)
}

/// The last transaction that goes along. A ZooKeeper server does not start from one of an epoch after its current one. Here such ones may be logged:
/// what a leader sent before its epoch became the current one, and that was not acknowledged until it had (docs/zab.md).
fn upto(data: &Data, epochs: Option<&Epochs>) -> Result<Zxid, ExportError> {
    let Some(epochs) = epochs else { return Ok(data.last) };
    let (current, zxid) = (epochs.epoch(Which::Current), data.state.tree().zxid());
    if current < Epoch::of(zxid) {
        return Err(ExportError::Unestablished { zxid, current });
    }
    Ok(data.last.min(Zxid(current.0 << 32 | i64::from(u32::MAX))))
}

/// Writes the log behind the image, up to and including `upto`.
fn write_log(to: &Target, data: &Data, upto: Zxid) -> Result<Exported, ExportError> {
    let snapshot = data.state.tree().zxid();
    let mut exported = Exported { snapshot, last: snapshot, transactions: 0, left_out: 0 };
    let mut cursor = data.tail.reader().range(snapshot, data.last)?;
    if cursor.is_done() {
        return Ok(exported);
    }
    let name = log::name(snapshot.next());
    let path = to.path(&name);
    let mut read = Ok(());
    to.write(&name, |out| {
        log::begin(out)?;
        while read.is_ok() && !cursor.is_done() {
            let mut written = Ok(());
            read = cursor.read(BATCH_BYTES, |zxid, txn| {
                if upto < zxid {
                    exported.left_out += 1;
                } else if written.is_ok() {
                    exported.last = zxid;
                    exported.transactions += 1;
                    written = log::append(out, txn);
                }
            });
            written?;
        }
        Ok(())
    })?;
    read?;
    if exported.transactions == 0 {
        fs::remove_file(&path).map_err(at("removing an empty log", &path))?;
    }
    Ok(exported)
}

/// A directory `version-2` that is being made.
struct Target {
    dir: PathBuf,
}

impl Target {
    /// Makes the directory under another name, unless there is one with data.
    fn begin(dir: &Path) -> Result<Self, ExportError> {
        let (done, unfinished) = (dir.join(VERSION_2), dir.join(UNFINISHED));
        let what = "listing the directory";
        match fs::read_dir(&done) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(ExportError::Occupied { path: done });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(what, &done)(error)),
        }
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("removing what was begun", &unfinished)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&unfinished).map_err(at("making the directory", &unfinished))?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(UNFINISHED).join(name)
    }

    /// Writes a file, durably.
    fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), ExportError> {
        let path = self.path(name);
        let written = File::create(&path).and_then(|file| {
            let mut out = BufWriter::with_capacity(BATCH_BYTES, file);
            fill(&mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        });
        written.map_err(at("writing the file", &path))
    }

    /// Gives it its name.
    fn finish(&self) -> Result<(), ExportError> {
        let (done, unfinished) = (self.dir.join(VERSION_2), self.dir.join(UNFINISHED));
        let finished = File::open(&unfinished).and_then(|it| it.sync_all());
        let finished = finished.and_then(|()| fs::rename(&unfinished, &done));
        finished
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(at("naming the directory", &done))
    }
}

fn at<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ExportError + 'a {
    move |source| ExportError::Io { what, path: path.to_owned(), source }
}

/// Where a ZooKeeper server looks, below the directory that it is given. Source: `FileTxnSnapLog`.
const VERSION_2: &str = "version-2";
const UNFINISHED: &str = "version-2.unfinished";

/// Bytes of transactions read, and of files written, at once.
const BATCH_BYTES: usize = 1 << 20;
