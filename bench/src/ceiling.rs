//! Servers that keep nothing: what this machine allows to anybody.
//!
//! Every request of a client is answered with a constant, by the same rules for all three: the `constant` one stands on this
//! project's session shard and its driver, the `epoll` one on bare epoll, and the `forced` one is that, but answers a request only
//! when it is on the disk, by group commit. Handshakes, pings and closing work, so that any client can connect.
//!
//! The only part of the bench that names `net` and `wal`. Absent here: a tree, watches, sessions that expire.

mod answer;
mod bare;
mod client;
mod constant;
mod force;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Result, ensure};

use self::bare::Bare;
use self::force::Force;
use crate::process;
use crate::server::Kind;

/// How to start one.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Ceiling {
    /// Which: constant, epoll or forced.
    #[arg(value_enum)]
    kind: Kind,
    /// Where on this machine it listens; 0 for any port, which it prints.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The core that it runs on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Where the forced one has its file.
    #[arg(long, default_value = ".")]
    data: PathBuf,
}

impl Ceiling {
    /// Serves until the process is killed.
    ///
    /// # Errors
    /// The port is taken, there is no such core, or the disk fails.
    pub(crate) fn run(self) -> Result<()> {
        let of_ours = matches!(self.kind, Kind::Constant | Kind::Epoll | Kind::Forced);
        ensure!(of_ours, "`{}` is no ceiling: constant, epoll or forced", self.kind.word());
        process::pin(self.core)?;
        process::raise_file_limit();
        let listener = net::driver::listen(
            SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            net::driver::ListenSettings {
                backlog: 4_096,
                keep_alive: net::driver::KeepAlive::Off,
                sharing: net::driver::Sharing::Alone,
            },
        )?;
        say(listener.local_addr()?);
        match self.kind {
            Kind::Forced => Bare::new(listener, Some(Force::open(&self.data)?))?.run(),
            Kind::Epoll => Bare::new(listener, None)?.run(),
            Kind::Constant | Kind::Ringkeeper | Kind::Reference => constant::run(listener),
        }
    }
}

#[expect(clippy::print_stdout, reason = "results are the program's output")]
fn say(address: SocketAddr) {
    println!("listening on {address}");
}
