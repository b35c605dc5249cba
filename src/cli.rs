//! The command line: what can be asked of the program, and its help.
//!
//! ZooKeeper: `zkServer.sh start-foreground`, `zkTxnLogToolkit.sh`, `zkSnapShotToolkit.sh`. Absent: doing any of it.

use core::ops::RangeInclusive;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{ClientAddress, Cores, Overrides};

/// A coordination server that speaks Apache ZooKeeper's protocols.
///
/// Without arguments it serves clients on 127.0.0.1:2181 and keeps its data in ./ringkeeper-data. A zoo.cfg written for
/// ZooKeeper works as it is.
#[derive(Debug, Parser)]
#[command(
    name = "ringkeeper",
    version,
    arg_required_else_help = false,
    args_conflicts_with_subcommands = true,
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// What to do; nothing is `server`.
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    shorthand: Shorthand,
}

const AFTER_HELP: &str = "\
Examples:
  ringkeeper                               127.0.0.1:2181, data in ./ringkeeper-data
  ringkeeper zoo.cfg                       as the file says
  ringkeeper server --client-port 0        a free port; the start line says which
  ringkeeper inspect ringkeeper-data       what is on the disk
  ringkeeper export -c zoo.cfg --to DIR    the data as ZooKeeper keeps it
  ringkeeper ensemble                      three servers on this machine, for a trial

Exit status: 0 stopped as asked, 1 unexpected error, 2 bad command line or configuration,
3 data directory unusable, 10 snapshot cannot be written.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve clients until SIGTERM or Ctrl-C
    Server(ServerArgs),
    /// Show what a data directory holds, also while a server runs on it
    Inspect(InspectArgs),
    /// Write the data of a stopped server as a ZooKeeper server keeps its own, to go back to one
    ///
    /// A ZooKeeper server 3.9 or 3.8 whose dataDir is DIR starts with everything that this one had: znodes, ACLs, quotas, sessions and
    /// their ephemerals, and the epochs and the id of a member. What is exported stays as it is.
    Export(ExportArgs),
    /// Try an ensemble: some servers on this machine, until SIGTERM or Ctrl-C
    ///
    /// Each server is a process of its own, with its zoo.cfg, its data and its log below DIR. A line says where each serves
    /// and which process it is; kill one, and the others go on. The next start finds the data of the last.
    Ensemble(EnsembleArgs),
}

/// The server's arguments where no subcommand is named.
#[derive(Debug, Args)]
struct Shorthand {
    /// Configuration file, as for `ringkeeper server --config`
    #[arg(value_name = "ZOO_CFG")]
    file: Option<PathBuf>,

    #[command(flatten)]
    overrides: OverrideArgs,
}

/// Arguments of `ringkeeper server`.
#[derive(Clone, Debug, Default, Args, PartialEq, Eq)]
pub struct ServerArgs {
    /// Configuration file, in the syntax of ZooKeeper's zoo.cfg
    ///
    /// Every key that concerns a standalone server does what it does there, and what ZooKeeper takes only as a Java
    /// system property is a key too. docs/operations.md lists them all. Without a file, defaults hold.
    #[arg(long, short, value_name = "ZOO_CFG")]
    pub config: Option<PathBuf>,

    /// Stop when the process that started this one ends
    #[arg(long, hide = true)]
    pub with_parent: bool,

    #[command(flatten)]
    overrides: OverrideArgs,
}

#[derive(Clone, Debug, Default, Args, PartialEq, Eq)]
struct OverrideArgs {
    /// Keep snapshots and log here, whatever the file says [default: ./ringkeeper-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Accept clients on this address; * is every one [default: 127.0.0.1; with a file that names a port, *]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<ClientAddress>,

    /// Accept clients on this TCP port; 0 picks a free one [default: 2181]
    #[arg(long, value_name = "PORT")]
    client_port: Option<u16>,

    /// Run on so many cores (2), or on these (0-3,6; 5-5 is core 5) [default: all]
    #[arg(long, value_name = "CORES", value_parser = Cores::parse)]
    cores: Option<Cores>,
}

impl ServerArgs {
    /// What counts more than the file.
    pub fn overrides(&self) -> Overrides {
        let OverrideArgs { data_dir, listen, client_port, cores } = self.overrides.clone();
        Overrides { data_dir, listen, client_port, cores }
    }
}

impl Cli {
    /// What to do, with every shorthand spelled out.
    pub fn into_command(self) -> Command {
        let Shorthand { file, overrides } = self.shorthand;
        self.command.unwrap_or(Command::Server(ServerArgs {
            config: file,
            with_parent: false,
            overrides,
        }))
    }

    /// Reads the arguments of a process, the program's name first.
    ///
    /// # Errors
    /// What is wrong with them, or the help or version text that they ask for; `exit` prints either and ends the process
    /// with 2 or 0.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args)
    }
}

/// Arguments of `ringkeeper inspect`.
#[derive(Clone, Debug, Args, PartialEq, Eq)]
pub struct InspectArgs {
    /// Directory that the server keeps its data in
    #[arg(value_name = "DATA_DIR")]
    pub data_dir: PathBuf,

    /// What to show
    #[arg(value_enum, default_value_t = View::List)]
    pub view: View,

    /// Directory of the log, where it is not DATA_DIR
    #[arg(long, value_name = "DIR")]
    pub data_log_dir: Option<PathBuf>,

    /// Print one JSON object a line instead of text
    #[arg(long)]
    pub json: bool,

    /// Only transactions of these zxids: FIRST-LAST, FIRST- or one; decimal, or hexadecimal after 0x
    #[arg(long, value_name = "RANGE", value_parser = zxids)]
    pub zxids: Option<RangeInclusive<u64>>,

    /// Only znodes, and transactions on znodes, at this path or below it
    #[arg(long, value_name = "PATH", value_parser = znode_path)]
    pub path: Option<String>,
}

/// Arguments of `ringkeeper export`.
#[derive(Clone, Debug, Args, PartialEq, Eq)]
pub struct ExportArgs {
    /// The server's configuration file, which names its directories
    #[arg(long, short, value_name = "ZOO_CFG")]
    pub config: Option<PathBuf>,

    /// Read the data here, whatever the file says [default: ./ringkeeper-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Write DIR/version-2, which must be empty or absent, and DIR/myid
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,

    /// Write the log to DIR/version-2 here, for a ZooKeeper server with a dataLogDir
    #[arg(long, value_name = "DIR")]
    pub to_log: Option<PathBuf>,
}

impl ExportArgs {
    /// What counts more than the file.
    pub fn overrides(&self) -> Overrides {
        Overrides { data_dir: self.data_dir.clone(), ..Overrides::default() }
    }
}

/// Arguments of `ringkeeper ensemble`.
#[derive(Clone, Debug, Args, PartialEq, Eq)]
pub struct EnsembleArgs {
    /// How many servers, 2 to 9
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=9))]
    pub servers: u16,

    /// Keep the servers' folders here
    #[arg(long, value_name = "DIR", default_value = "ringkeeper-ensemble")]
    pub data_dir: PathBuf,

    /// Accept clients of the first server on this TCP port of 127.0.0.1, of the second on the next, and so on; 0 picks free ones
    ///
    /// The ports that the servers use among themselves are 700 and 1700 above it.
    #[arg(long, value_name = "PORT", default_value_t = 2181)]
    pub client_port: u16,
}

/// What `ringkeeper inspect` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// Segments and snapshots: names, zxids, sizes
    List,
    /// The same after checking every checksum; exit status 3 if one is wrong
    Verify,
    /// Every transaction in the log
    Transactions,
    /// Every znode in the newest snapshot
    Znodes,
}

fn address(text: &str) -> Result<ClientAddress, &'static str> {
    if text.is_empty() {
        return Err("an IP address, a host name or *");
    }
    let Ok(address) = text.parse();
    Ok(address)
}

fn znode_path(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') { Ok(text.into()) } else { Err("a path starts with /") }
}

fn zxids(text: &str) -> Result<RangeInclusive<u64>, &'static str> {
    const FORM: &str = "FIRST-LAST, FIRST- or one zxid; decimal, or hexadecimal after 0x";
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).map_err(|_| FORM),
        None => text.parse().map_err(|_| FORM),
    };
    let range = match text.split_once('-') {
        Some((first, "")) => number(first)?..=u64::MAX,
        Some((first, last)) => number(first)?..=number(last)?,
        None => number(text)?..=number(text)?,
    };
    if range.is_empty() { Err("the first zxid is after the last") } else { Ok(range) }
}

#[cfg(test)]
mod tests;
