//! Where the servers of a trial ensemble are: a folder and three ports for each, in a zoo.cfg that is written anew at each start.
//!
//! Invariant: the servers of a folder are always as many as at its first start, since what fewer of them hold need not be all.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// The servers cannot be placed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayoutError {
    /// The folder.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// What cannot be read or written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A zoo.cfg cannot name it.
    #[error("{path}: a name of UTF-8 in one line is wanted", path = .path.display())]
    Name {
        /// The folder.
        path: PathBuf,
    },
    /// The folder belongs to another ensemble.
    #[error("{path} holds an ensemble of {found} servers, not {asked}: name another directory, or start {found}", path = .path.display())]
    Count {
        /// The folder.
        path: PathBuf,
        /// How many it holds.
        found: u16,
        /// How many were asked for.
        asked: u16,
    },
    /// The last port is none.
    #[error("--client-port {client_port} leaves no room: the servers' own ports are up to {} above it", ELECTION + asked)]
    Ports {
        /// What was asked for.
        client_port: u16,
        /// Servers.
        asked: u16,
    },
    /// There are not as many.
    #[error("no free ports from {FREE_FIRST} on")]
    NoFreePort,
}

/// Every server's place.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
}

/// One server's.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// 1 and up.
    pub(super) number: u16,
    pub(super) client: SocketAddr,
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
    dir: PathBuf,
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {} at {}, all of it in {}", self.number, self.client, self.dir.display())
    }
}

/// A server's three ports: of clients, of learners, of elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports([u16; 3]);

impl Layout {
    /// Makes the folders and files of `count` servers below `dir`. Of port 0, all ports are any that are free.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub(super) fn make(dir: &Path, count: u16, client_port: u16) -> Result<Self, LayoutError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| LayoutError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let dir = fs::canonicalize(dir).map_err(at(dir))?;
        let found =
            (1..=u16::MAX).take_while(|it| dir.join(it.to_string()).exists()).count() as u16;
        if found != 0 && found != count {
            return Err(LayoutError::Count { path: dir, found, asked: count });
        }
        let ports = match client_port {
            0 => free_ports(count)?,
            _ => (0..count)
                .map(|above| ports(client_port, above))
                .collect::<Option<_>>()
                .ok_or(LayoutError::Ports { client_port, asked: count })?,
        };
        let mut places = Vec::new();
        for (number, &own) in (1..).zip(&ports) {
            let dir = dir.join(number.to_string());
            fs::create_dir_all(&dir).map_err(at(&dir))?;
            let config = dir.join("zoo.cfg");
            let text = zoo_cfg(&dir, own, &ports)?;
            fs::write(&config, text).map_err(at(&config))?;
            let myid = dir.join("myid");
            fs::write(&myid, format!("{number}\n")).map_err(at(&myid))?;
            let client = SocketAddr::from((Ipv4Addr::LOCALHOST, own.0[0]));
            let log = dir.join("server.log");
            places.push(Place { number, client, config, log, dir });
        }
        Ok(Self { places })
    }

    /// As clients take them.
    pub(super) fn client_addresses(&self) -> String {
        self.places.iter().map(|it| it.client.to_string()).collect::<Vec<_>>().join(",")
    }
}

/// What a server's file says.
fn zoo_cfg(dir: &Path, own: Ports, all: &[Ports]) -> Result<String, LayoutError> {
    let name = dir.to_str().filter(|it| !it.contains(['\n', '\r']));
    let name = name.ok_or_else(|| LayoutError::Name { path: dir.to_owned() })?;
    let mut text = format!(
        "# Written by `ringkeeper ensemble` at each start.\n\
         dataDir={}\n\
         clientPort={}\n\
         clientPortAddress={}\n\
         tickTime=2000\n\
         initLimit=10\n\
         syncLimit=5\n\
         4lw.commands.whitelist=*\n",
        name.replace('\\', "\\\\"),
        own.0[0],
        Ipv4Addr::LOCALHOST
    );
    for (number, Ports([_, quorum, election])) in (1..).zip(all) {
        text.push_str(&format!("server.{number}={}:{quorum}:{election}\n", Ipv4Addr::LOCALHOST));
    }
    Ok(text)
}

/// The ports of the server that is `above` the first, if there are such ports.
fn ports(client_port: u16, above: u16) -> Option<Ports> {
    let client = client_port.checked_add(above)?;
    Some(Ports([client, client.checked_add(QUORUM)?, client.checked_add(ELECTION)?]))
}

/// Ports that nobody listens on, below those that outgoing connections take theirs from: who dials one of these while nobody
/// listens can be connected to itself.
fn free_ports(count: u16) -> Result<Vec<Ports>, LayoutError> {
    let begin = std::process::id() % u32::from(FREE_COUNT);
    let mut held = Vec::new();
    let mut found = Vec::new();
    for step in 0..FREE_COUNT {
        let above = (begin.wrapping_mul(37) + u32::from(step)) % u32::from(FREE_COUNT);
        let port = FREE_FIRST + above as u16;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            found.push(port);
        }
        if found.len() == 3 * usize::from(count) {
            let (ports, _) = found.as_chunks();
            return Ok(ports.iter().copied().map(Ports).collect());
        }
    }
    Err(LayoutError::NoFreePort)
}

/// The port of learners is so far above that of clients: 2881 beside 2181.
const QUORUM: u16 = 700;

/// And that of elections: 3881.
const ELECTION: u16 = 1_700;

/// The first of the ports that are taken where any will do.
const FREE_FIRST: u16 = 20_000;

/// How many there are.
const FREE_COUNT: u16 = 12_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    #[test]
    fn the_first_servers_ports_are_those_of_the_readme() {
        assert_eq!(ports(2181, 0), Some(Ports([2181, 2881, 3881])));
        assert_eq!(ports(2181, 2), Some(Ports([2183, 2883, 3883])));
        assert_eq!(ports(65_000, 0), None);
    }

    #[test]
    fn every_file_is_a_member_of_one_ensemble() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::make(dir.path(), 3, 0).unwrap();
        for place in &layout.places {
            let (config, warnings) =
                Config::load(Some(&place.config), &Overrides::default()).unwrap();
            assert_eq!(warnings.len(), 0, "{warnings:?}");
            let ensemble = config.ensemble.expect("a member");
            assert_eq!(ensemble.myid.0, i64::from(place.number));
            assert_eq!(config.network.client_port, place.client.port());
        }
    }

    #[test]
    fn a_folder_keeps_its_number_of_servers() {
        let dir = tempfile::tempdir().unwrap();
        Layout::make(dir.path(), 3, 2181).unwrap();
        Layout::make(dir.path(), 3, 3181).unwrap();
        for asked in [2, 5] {
            let refused = Layout::make(dir.path(), asked, 2181).unwrap_err();
            assert!(matches!(refused, LayoutError::Count { found: 3, .. }), "{refused}");
        }
    }

    #[test]
    fn free_ports_are_all_different() {
        let mut ports: Vec<_> = free_ports(5).unwrap().into_iter().flat_map(|it| it.0).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 15);
    }
}
