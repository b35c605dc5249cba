//! From a file's bytes to a configuration.
//!
//! Source: `QuorumPeerConfig.parseProperties` and `setupQuorumPeerConfig`. Pure but for `read`, through which it asks for
//! the two files that a configuration can refer to: the dynamic file and `myid`.
//! Absent: what single keys mean, see `keys`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::default::{CLIENT_PORT, TICKS_MAX, TICKS_MIN};
use super::draft::{Bad, Draft};
use super::error::{At, ConfigError};
use super::keys::{Capability, Key, keys, stands_for};
use super::keys_other::{IDLE_KEYS, LATER_KEYS};
use super::members::{Line, Listed, is_about_members};
use super::properties::{self, Entry};
use super::settings::{ClientAddress, Config, Cores, Purge};
use super::warning::{Place, Warning};

/// What the command line says, which counts more than the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Instead of both `dataDir` and `dataLogDir`.
    pub data_dir: Option<PathBuf>,
    /// Instead of `clientPortAddress`.
    pub listen: Option<ClientAddress>,
    /// Instead of `clientPort`.
    pub client_port: Option<u16>,
    /// Instead of `ringkeeper.cores`.
    pub cores: Option<Cores>,
}

/// Answers with the content of a file that the configuration refers to.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl Config {
    /// Reads the configuration `text` of `file`, a name for messages.
    ///
    /// # Errors
    /// [`ConfigError`], which says where and what would be accepted.
    pub fn parse(
        text: &[u8],
        file: &str,
        overrides: &Overrides,
        read: ReadFile<'_>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut reading = Reading::of(file);
        reading.entries = last_of_each(text, file, &mut reading.warnings)?;
        for (key, entry) in core::mem::take(&mut reading.entries) {
            reading.entry(&key, &entry)?;
            reading.lines.insert(key, entry.line);
        }
        let listed = reading.ensemble(overrides, read)?;
        reading.addresses(listed, overrides)?;
        reading.directories(overrides)?;
        reading.timeouts()?;
        reading.authentication()?;
        reading.weights();
        if let Some(cores) = &overrides.cores {
            reading.draft.config.own.cores = cores.clone();
        }
        reading.remarks();
        Ok((reading.draft.config, reading.warnings))
    }

    /// The configuration of a server without a file.
    pub fn without_file(overrides: &Overrides) -> Self {
        let mut config = Self::default();
        if let Some(data_dir) = &overrides.data_dir {
            config.storage.data_dir.clone_from(data_dir);
            config.storage.data_log_dir.clone_from(data_dir);
        }
        if let Some(address) = &overrides.listen {
            config.network.client_address.clone_from(address);
        }
        config.network.client_port = overrides.client_port.unwrap_or(CLIENT_PORT);
        if let Some(cores) = &overrides.cores {
            config.own.cores.clone_from(cores);
        }
        config
    }

    /// Reads the configuration file at `path`, or makes do without one.
    ///
    /// # Errors
    /// [`ConfigError`]; [`ConfigError::Read`] if a file cannot be read.
    pub fn load(
        path: Option<&Path>,
        overrides: &Overrides,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let Some(path) = path else { return Ok((Self::without_file(overrides), Vec::new())) };
        let read = |file: &Path| std::fs::read(file);
        let text = read(path).map_err(|source| ConfigError::Read { file: path.into(), source })?;
        Self::parse(&text, &path.display().to_string(), overrides, &read)
    }
}

/// A file being read.
#[derive(Default)]
pub(super) struct Reading<'a> {
    pub(super) file: &'a str,
    pub(super) draft: Draft,
    entries: Vec<(String, Entry)>,
    /// Keys without prefix that were read, with their lines.
    pub(super) lines: BTreeMap<String, u32>,
    /// Lines about members, in the file's order.
    pub(super) members: Vec<Line>,
    later: BTreeMap<Capability, Vec<Place>>,
    idle: Vec<Place>,
    pub(super) warnings: Vec<Warning>,
}

/// The entries that count, by name without prefix, in the file's order.
pub(super) fn last_of_each(
    text: &[u8],
    file: &str,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<(String, Entry)>, ConfigError> {
    let at = |line| At { file: file.into(), line };
    let entries =
        properties::parse(text).map_err(|bad| ConfigError::Escape { at: at(bad.line) })?;
    let mut last: BTreeMap<String, Entry> = BTreeMap::new();
    for entry in entries {
        let key = entry.key.strip_prefix("zookeeper.").unwrap_or(&entry.key).to_owned();
        let line = entry.line;
        if let Some(earlier) = last.insert(key.clone(), entry) {
            let key = shown(&key);
            warnings.push(Warning::RepeatedKey { at: at(line), key, earlier: earlier.line });
        }
    }
    let mut entries: Vec<_> = last.into_iter().collect();
    entries.sort_by_key(|(_, entry)| entry.line);
    Ok(entries)
}

impl<'a> Reading<'a> {
    /// Nothing read yet.
    pub(super) fn of(file: &'a str) -> Self {
        Self { file, ..Self::default() }
    }

    pub(super) fn at(&self, line: u32) -> At {
        At { file: self.file.into(), line }
    }

    /// Where `key` stands, if it does.
    pub(super) fn at_key(&self, key: &str) -> Option<At> {
        self.lines.get(key).map(|&line| self.at(line))
    }

    fn entry(&mut self, key: &str, entry: &Entry) -> Result<(), ConfigError> {
        let place = || Place { key: shown(&entry.key), line: entry.line };
        if let Some(known) = keys().find(|it| it.name == key) {
            return self.known(known, entry);
        }
        if is_about_members(key) {
            self.member(key, entry);
            return Ok(());
        }
        if let Some(later) = LATER_KEYS.iter().find(|it| stands_for(it.name, key)) {
            self.later.entry(later.capability).or_default().push(place());
        } else if IDLE_KEYS.iter().any(|it| stands_for(it.name, key)) {
            self.idle.push(place());
        } else {
            let meant = keys().map(|it| it.name).find(|it| is_nearly(it, key));
            let at = self.at(entry.line);
            self.warnings.push(Warning::UnknownKey { at, key: shown(&entry.key), meant });
        }
        Ok(())
    }

    fn known(&mut self, key: &Key, entry: &Entry) -> Result<(), ConfigError> {
        if let Err(Bad) = (key.set)(&mut self.draft, &entry.value) {
            return Err(ConfigError::Value {
                at: self.at(entry.line),
                key: shown(&entry.key),
                value: if key.is_secret() { "(hidden)".into() } else { shown(&entry.value) },
                allowed: key.allowed,
            });
        }
        if let Some((key, used)) = self.draft.raised.take() {
            let at = self.at(entry.line);
            self.warnings.push(Warning::Raised { at, key, used });
        }
        Ok(())
    }

    /// Where clients connect.
    fn addresses(
        &mut self,
        listed: Option<Listed>,
        overrides: &Overrides,
    ) -> Result<(), ConfigError> {
        let fixed_port = overrides.client_port.or(self.draft.client_port);
        let fixed_address = match (overrides.listen.clone(), self.draft.client_address.take()) {
            (Some(address), _) => Some(address),
            (None, Some(address)) if fixed_port.is_some() => {
                let Ok(address) = address.parse();
                Some(address)
            }
            (None, Some(address)) => {
                let at = self.at_key("clientPortAddress").unwrap_or_else(|| self.at(0));
                return Err(ConfigError::AddressWithoutPort { at, address: shown(&address) });
            }
            (None, None) => None,
        };
        let (address, port) = match (listed, fixed_port) {
            (Some((_, address, port)), None) => (fixed_address.unwrap_or(address), port),
            (None, Some(port)) => (fixed_address.unwrap_or(ClientAddress::Any), port),
            (Some((at, address, port)), Some(fixed_port)) => {
                // The command line is not compared: it is there to differ.
                if overrides.listen.is_none() && overrides.client_port.is_none() {
                    check_same(&at, (&address, port), (fixed_address, fixed_port))?;
                }
                (overrides.listen.clone().unwrap_or(address), fixed_port)
            }
            (None, None) => {
                if let Some(at) = self.at_key("secureClientPort") {
                    return Err(ConfigError::OnlySecurePort { at });
                }
                let own = self.draft.config.network.client_address.clone();
                (fixed_address.unwrap_or(own), CLIENT_PORT)
            }
        };
        self.draft.config.network.client_address = address;
        self.draft.config.network.client_port = port;
        Ok(())
    }

    fn directories(&mut self, overrides: &Overrides) -> Result<(), ConfigError> {
        let data_dir = overrides.data_dir.clone().or_else(|| self.draft.data_dir.take());
        let Some(data_dir) = data_dir else {
            return Err(ConfigError::DataDir { file: self.file.into() });
        };
        let log_dir = self.draft.data_log_dir.take();
        let log_dir = log_dir.filter(|_| overrides.data_dir.is_none());
        self.draft.config.storage.data_log_dir = log_dir.unwrap_or_else(|| data_dir.clone());
        self.draft.config.storage.data_dir = data_dir;
        Ok(())
    }

    fn timeouts(&mut self) -> Result<(), ConfigError> {
        let sessions = &mut self.draft.config.sessions;
        let tick = sessions.tick_ms;
        let min = self.draft.timeout_ms_min.unwrap_or(TICKS_MIN * tick);
        let max = self.draft.timeout_ms_max.unwrap_or(TICKS_MAX * tick);
        if max < min {
            return Err(ConfigError::TimeoutsCrossed { file: self.file.into(), min, max, tick });
        }
        (sessions.timeout_ms_min, sessions.timeout_ms_max) = (min, max);
        Ok(())
    }

    fn authentication(&mut self) -> Result<(), ConfigError> {
        let schemes = if self.draft.require_sasl {
            vec!["sasl".to_owned()]
        } else if self.draft.enforce_auth {
            core::mem::take(&mut self.draft.schemes)
        } else {
            return Ok(());
        };
        if schemes.is_empty() {
            return Err(ConfigError::NoEnforcedScheme { file: self.file.into() });
        }
        if schemes.iter().all(|it| it == "sasl" || it == "x509") {
            self.warnings.push(Warning::SchemeOutOfReach { schemes: schemes.join(", ") });
        }
        self.draft.config.access.enforced_schemes = schemes;
        Ok(())
    }

    /// Settles what the kinds of session cost, as `BlueThrottle` does.
    fn weights(&mut self) {
        let local = self.draft.local_session_weight;
        let throttle = &mut self.draft.config.connection_throttle;
        throttle.global_session_weight = throttle.global_session_weight.max(local);
        throttle.renew_session_weight = throttle.renew_session_weight.max(local);
        if throttle.weight_enabled {
            let weight = throttle.global_session_weight;
            throttle.tokens = throttle.tokens.saturating_mul(weight);
            throttle.fill_count = throttle.fill_count.saturating_mul(weight);
        }
    }

    /// What an operator should know about the result.
    fn remarks(&mut self) {
        let config = &self.draft.config;
        let risks = [
            (
                !config.storage.force_sync,
                "forceSync",
                (|at| Warning::ForceSyncOff { at }) as fn(At) -> _,
            ),
            (config.storage.purge == Purge::Off, "autopurge.purgeInterval", |at| {
                Warning::PurgeOff { at }
            }),
            (config.access.skip_acl, "skipACL", |at| Warning::SkipAcl { at }),
        ];
        for (is_taken, key, warning) in risks {
            if let Some(at) = self.at_key(key).filter(|_| is_taken) {
                self.warnings.push(warning(at));
            }
        }
        if !self.later.is_empty() {
            let found = core::mem::take(&mut self.later).into_iter().collect();
            self.warnings.push(Warning::Later { found });
        }
        if !self.idle.is_empty() {
            self.warnings.push(Warning::NoEffect { found: core::mem::take(&mut self.idle) });
        }
    }
}

/// Refuses a port or address of the file that is not the one of the server line.
fn check_same(
    at: &At,
    listed: (&ClientAddress, u16),
    fixed: (Option<ClientAddress>, u16),
) -> Result<(), ConfigError> {
    let address = fixed.0.unwrap_or(ClientAddress::Any);
    if (address.is_any() || address == *listed.0) && fixed.1 == listed.1 {
        return Ok(());
    }
    Err(ConfigError::ClientAddressDiffers {
        at: at.clone(),
        listed: format!("{}:{}", listed.0, listed.1),
        fixed: format!("{address}:{}", fixed.1),
    })
}

/// `text` without control characters, cut to what a log line can bear.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    let mut shown: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if CHARS_MAX < text.chars().count() {
        shown.push('…');
    }
    shown
}

/// Whether two names differ in case or in at most two letters only.
fn is_nearly(known: &str, written: &str) -> bool {
    const LEN_MAX: usize = 64;
    if LEN_MAX < written.len() || 2 < known.len().abs_diff(written.len()) {
        return false;
    }
    let (known, written) = (known.to_ascii_lowercase(), written.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=written.len()).collect();
    for (idx, left) in known.bytes().enumerate() {
        let mut corner = idx;
        let mut before = idx + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(written.bytes()) {
            let swap = corner + usize::from(left != right);
            corner = *cell;
            before = swap.min(corner + 1).min(before + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = idx + 1;
        }
    }
    row.last().is_some_and(|&distance| distance <= 2)
}
