//! The files that hold the members, written: the dynamic file, the one with what is proposed, and the static file that names them.
//!
//! ZooKeeper: `QuorumPeerConfig.writeDynamicConfig`, `editStaticConfig`, `backupOldConfig`; the names and the text are its own. Beside
//! `zoo.cfg` there are `zoo.cfg.dynamic.<version>`, which `dynamicConfigFile` names, `zoo.cfg.dynamic.next` from a proposal to its
//! agreement, and `zoo.cfg.bak`, the file as it was while it listed servers itself.
//!
//! A file is replaced whole: another is written beside it, synced and renamed over it, and the directory is synced. So a crash leaves
//! the old one or the new one. **Differs:** comments and the order of lines stay in the static file, and `clientPortListenBacklog`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use quorum::QuorumConfig;

use super::members::{NEXT, is_about_members};
use super::properties;

/// A file about members cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembersFileError {
    /// The system refused it.
    #[error("{path}: {what}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The static file is none any more.
    #[error("{path}, line {line}: malformed escape; what names the members cannot be put in", path = .path.display())]
    Escape {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: u32,
    },
}

/// Whether the server's own line says where its clients connect, so that the static file need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPortAt {
    /// It does.
    OwnLine,
    /// The static file does.
    StaticFile,
}

/// The files beside one configuration file.
#[derive(Clone, Debug)]
pub struct MembersFiles {
    file: PathBuf,
}

impl MembersFiles {
    /// Those beside `file`, the configuration.
    pub fn beside(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// Keeps the static file, which lists servers, as it is now.
    ///
    /// # Errors
    /// [`MembersFileError`].
    pub fn back_up(&self) -> Result<(), MembersFileError> {
        let text = self.read()?;
        replace(&self.named(".bak"), &text)
    }

    /// Keeps a configuration that was proposed.
    ///
    /// # Errors
    /// [`MembersFileError`].
    pub fn propose(&self, config: &QuorumConfig) -> Result<(), MembersFileError> {
        replace(&self.named(NEXT), &lines(&config.to_string(), |_| true))
    }

    /// Keeps a configuration that is agreed, as the one that the next start reads; a proposal of `last_seen` or before is forgotten.
    ///
    /// # Errors
    /// [`MembersFileError`].
    pub fn activate(
        &self,
        config: &QuorumConfig,
        last_seen: i64,
        client_port: ClientPortAt,
    ) -> Result<(), MembersFileError> {
        let dynamic = self.named(&format!(".dynamic.{:x}", config.version()));
        replace(&dynamic, &lines(&config.to_string(), |it| !it.starts_with("version")))?;
        let text = self.read()?;
        let goes = |key: &str| {
            let listed = is_about_members(key) && key != "version";
            let client = matches!(key, "clientPort" | "clientPortAddress");
            listed
                || matches!(key, "dynamicConfigFile" | "peerType")
                || client && client_port == ClientPortAt::OwnLine
        };
        let kept = properties::without(&text, goes)
            .map_err(|bad| MembersFileError::Escape { path: self.file.clone(), line: bad.line })?;
        let mut text = kept;
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let absolute = std::path::absolute(&dynamic).unwrap_or(dynamic);
        text.extend_from_slice(format!("dynamicConfigFile={}\n", absolute.display()).as_bytes());
        replace(&self.file, &text)?;
        if last_seen <= config.version() {
            let next = self.named(NEXT);
            match fs::remove_file(&next) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("cannot be removed", &next)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<Vec<u8>, MembersFileError> {
        fs::read(&self.file).map_err(failed("cannot be read", &self.file))
    }

    fn named(&self, end: &str) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(end);
        name.into()
    }
}

/// The lines of a configuration that are `kept`, sorted, as the reference writes them.
fn lines(text: &str, kept: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut lines: Vec<_> = text.lines().filter(|&it| kept(it)).collect();
    lines.sort_unstable();
    lines.join("\n").into_bytes()
}

fn replace(path: &Path, text: &[u8]) -> Result<(), MembersFileError> {
    let mut unfinished = path.to_owned().into_os_string();
    unfinished.push(".tmp");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        let dir = path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(dir.unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    write().map_err(failed("cannot be written", path))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MembersFileError {
    let path = path.to_owned();
    move |source| MembersFileError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    const STATIC: &str = "# ours\ntickTime=2000\ninitLimit=10\nsyncLimit=5\nserver.1=h1:1:2\nserver.2=h2:1:2\\\n:participant\npeerType=participant\nclientPort=2181\nclientPortListenBacklog=7\n";
    const AGREED: &str = "server.1=h1:1:2:participant;0.0.0.0:2181\nserver.2=h2:1:2:participant\nserver.10=h9:1:2:observer\nversion=100000007";

    /// A folder with a configuration that lists servers, and the files beside that.
    fn beside() -> (tempfile::TempDir, PathBuf, MembersFiles) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoo.cfg");
        let text = format!("{STATIC}dataDir={}", dir.path().display());
        fs::write(&file, text).unwrap();
        fs::write(dir.path().join("myid"), "1\n").unwrap();
        let files = MembersFiles::beside(&file);
        (dir, file, files)
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_agreed_configuration_is_what_the_next_start_reads() {
        let (dir, file, files) = beside();
        files.back_up().unwrap();
        let config = QuorumConfig::parse(AGREED).unwrap();
        files.propose(&config).unwrap();
        let next = fs::read_to_string(dir.path().join("zoo.cfg.dynamic.next")).unwrap();
        assert_eq!(
            next,
            "server.10=h9:1:2:observer\nserver.1=h1:1:2:participant;0.0.0.0:2181\nserver.2=h2:1:2:participant\nversion=100000007"
        );
        files.activate(&config, config.version(), ClientPortAt::OwnLine).unwrap();
        assert_eq!(
            names(dir.path()),
            ["myid", "zoo.cfg", "zoo.cfg.bak", "zoo.cfg.dynamic.100000007"]
        );
        let path = dir.path().display();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            format!(
                "# ours\ntickTime=2000\ninitLimit=10\nsyncLimit=5\nclientPortListenBacklog=7\ndataDir={path}\ndynamicConfigFile={path}/zoo.cfg.dynamic.100000007\n"
            )
        );
        let (read, _) = Config::load(Some(&file), &Overrides::default()).unwrap();
        let ensemble = read.ensemble.unwrap();
        assert_eq!(ensemble.members.to_string(), AGREED);
        assert_eq!((ensemble.last_seen, read.network.client_port), (None, 2181));
        assert!(fs::read_to_string(dir.path().join("zoo.cfg.bak")).unwrap().starts_with(STATIC));
    }

    #[test]
    fn a_later_proposal_stays_and_so_does_a_client_port_that_no_line_has() {
        let (dir, file, files) = beside();
        let agreed = AGREED.replace(";0.0.0.0:2181", "");
        let agreed = QuorumConfig::parse(&agreed).unwrap();
        let proposed = agreed.clone().with_version(0x1_0000_0009);
        files.propose(&proposed).unwrap();
        files.activate(&agreed, proposed.version(), ClientPortAt::StaticFile).unwrap();
        let (read, _) = Config::load(Some(&file), &Overrides::default()).unwrap();
        let ensemble = read.ensemble.unwrap();
        assert_eq!(ensemble.last_seen.unwrap().version(), 0x1_0000_0009);
        assert_eq!(read.network.client_port, 2181);
        assert!(names(dir.path()).contains(&"zoo.cfg.dynamic.next".to_owned()));
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_with_the_files_name() {
        let (dir, _, files) = beside();
        let config = QuorumConfig::parse(AGREED).unwrap();
        drop(dir);
        let error = files.propose(&config).unwrap_err().to_string();
        assert!(error.contains("zoo.cfg.dynamic.next: cannot be written: "), "{error}");
        assert!(files.back_up().unwrap_err().to_string().contains("cannot be read"));
        assert!(files.activate(&config, 0, ClientPortAt::OwnLine).is_err());
    }
}
