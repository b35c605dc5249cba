//! `ringkeeper inspect`: what a data directory holds, as text or JSON, one thing a line. Reads only, through memory maps, also while a server runs.
//!
//! ZooKeeper: `TxnLogToolkit`, `SnapshotFormatter`. Absent: repairing anything.

mod line;
mod mapped;
mod txn;
mod znode;

use core::convert::Infallible;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use wal::FileMap;
use wal::inspect::SegmentReport;
use wal::replay::Verdict;
use wal::scan::Stop;

use self::line::Line;
use self::mapped::Mapped;
use crate::cli::{InspectArgs, View};
use crate::exit_code::ExitCode;
use crate::store;

/// The directory cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum InspectError {
    /// The output, or a directory.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The directory is none of ours.
    #[error("{path}: no data of this server: name the directory that dataDir names", path = .path.display())]
    NoData {
        /// Which.
        path: PathBuf,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] wal::inspect::InspectError<io::Error>),
    /// There is no image with znodes in it.
    #[error("{path}: no snapshot yet: `transactions` shows what the log holds", path = .path.display())]
    NoImage {
        /// Where.
        path: PathBuf,
    },
    /// The newest image is not whole.
    #[error(transparent)]
    Image(#[from] snapshot::inspect::InspectError),
    /// Its checksums are right, and still it is no tree.
    #[error("{path}: {source}", path = .path.display())]
    Tree {
        /// The image.
        path: PathBuf,
        /// Why not.
        source: engine::arena::OpenError,
    },
}

/// Whether everything that was read is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Whole,
    Damaged,
}

/// Prints what `args` ask for to standard output; errors to standard error.
///
/// Gives 0; 3 if something is damaged or cannot be read.
pub fn run(args: &InspectArgs) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let shown = show(args, &mut out).and_then(|health| {
        out.flush()?;
        Ok(health)
    });
    match shown {
        Ok(Health::Whole) => ExitCode::Finished,
        Ok(Health::Damaged) => ExitCode::UnableToAccessDatadir,
        // Whoever reads has seen enough, as `head` does.
        Err(InspectError::Io(err)) if err.kind() == io::ErrorKind::BrokenPipe => ExitCode::Finished,
        Err(err) => {
            #[expect(clippy::print_stderr, reason = "this is the program's last word")]
            {
                eprintln!("ringkeeper: {err}");
            }
            ExitCode::UnableToAccessDatadir
        }
    }
}

fn show(args: &InspectArgs, out: &mut dyn Write) -> Result<Health, InspectError> {
    let images = ours(&args.data_dir)?;
    let log = args.data_log_dir.as_ref().map_or_else(|| Ok(images.clone()), |it| ours(it))?;
    match args.view {
        View::List | View::Verify => {
            let whole = show_images(args, &images, out)?;
            let rest = show_segments(args, &log, out)?;
            Ok(if whole == Health::Whole { rest } else { whole })
        }
        View::Transactions => {
            wal::inspect::inspect(&log, |_, entry| txn::show(args, entry, out))?;
            Ok(Health::Whole)
        }
        View::Znodes => {
            let (path, map) = newest(&images)?;
            znode::show(args, &path, &map, out)
        }
    }
}

/// The newest image. One that has gone after it was listed has a newer one beside it by then.
fn newest(images: &Path) -> Result<(PathBuf, FileMap), InspectError> {
    while let Some(path) = snapshot::inspect::images(images)?.pop() {
        if let Some(map) = opened(&path)? {
            return Ok((path, map));
        }
    }
    Err(InspectError::NoImage { path: images.to_owned() })
}

/// An image, which stays as it is while it is looked at; `None`: it has been purged, or another one is written over it.
fn opened(path: &Path) -> io::Result<Option<FileMap>> {
    let held = FileMap::open(path).and_then(|map| {
        snapshot::inspect::hold(map.file())?;
        Ok(map)
    });
    match held {
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {
            Ok(None)
        }
        map => map.map(Some),
    }
}

/// Our directory in a configured one, or that itself.
fn ours(dir: &Path) -> Result<PathBuf, InspectError> {
    let inner = dir.join(store::DIR);
    if inner.is_dir() {
        return Ok(inner);
    }
    if dir.is_dir() && dir.file_name().is_some_and(|it| it == store::DIR) {
        return Ok(dir.to_owned());
    }
    Err(InspectError::NoData { path: dir.to_owned() })
}

fn show_images(
    args: &InspectArgs,
    dir: &Path,
    out: &mut dyn Write,
) -> Result<Health, InspectError> {
    let mut health = Health::Whole;
    for path in snapshot::inspect::images(dir)? {
        // From here on it stays, if it must without its name.
        let Some(map) = opened(&path)? else { continue };
        let mut line = Line::new("snapshot");
        line.path("file", &path);
        line.number("bytes", map.len());
        if args.view == View::Verify {
            match snapshot::inspect::verify_from(&path, &Mapped(&map)) {
                Ok(header) => {
                    line.hex("zxid", header.zxid.0);
                    line.number("pages", header.page_count);
                    line.hex("digest", header.label.tree_digest as i64);
                    line.number("begun_at_ms", header.label.begun_at_ms);
                    line.text("state", "whole");
                }
                Err(err) => {
                    line.text("state", "damaged");
                    line.text("error", &err.to_string());
                    health = Health::Damaged;
                }
            }
        }
        line.print(args, out)?;
    }
    Ok(health)
}

fn show_segments(
    args: &InspectArgs,
    dir: &Path,
    out: &mut dyn Write,
) -> Result<Health, InspectError> {
    let seen = |_, _: &[u8]| Ok::<_, Infallible>(());
    let reports = wal::inspect::inspect(dir, seen).map_err(|err| match err {
        wal::inspect::InspectError::Each { source, .. } => match source {},
        other => InspectError::Io(io::Error::other(other)),
    })?;
    let mut health = Health::Whole;
    for report in reports {
        show_segment(args, &report).print(args, out)?;
        if matches!(report.verdict, Verdict::Refuse(_)) {
            health = Health::Damaged;
        }
    }
    Ok(health)
}

fn show_segment(args: &InspectArgs, report: &SegmentReport) -> Line {
    let mut line = Line::new("segment");
    line.path("file", &report.path);
    line.number("bytes", report.len);
    line.number("used", report.used);
    if let Ok(header) = &report.header {
        line.hex("first_zxid", header.first_zxid.0);
        line.number("begun_at_ms", header.begun_at_ms);
    }
    line.hex("last_zxid", report.last_zxid.0);
    line.number("frames", report.frames);
    line.number("transactions", report.records);
    if args.view == View::Verify {
        let state = match report.verdict {
            Verdict::Next => "whole",
            Verdict::Tail if report.stop == Some(Stop::Bad) => "whole, the last write is torn",
            Verdict::Tail => "whole, the newest",
            Verdict::Discard => "nothing acknowledged in it",
            Verdict::Refuse(_) => "damaged",
        };
        line.text("state", state);
        if let Verdict::Refuse(damage) = report.verdict {
            line.text("error", &damage.to_string());
        }
    }
    line
}

#[cfg(test)]
mod tests;
