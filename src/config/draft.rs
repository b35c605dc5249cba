//! A configuration half read: what values alone do not decide yet.
//!
//! Absent: the rules that decide it, see `parse`.

use std::path::PathBuf;

use quorum::Role;

use super::ensemble::EnsembleConfig;
use super::settings::Config;

/// A value that its key cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad;

/// What the rows of the key table write to.
#[derive(Debug)]
pub(super) struct Draft {
    /// What is decided by one key alone.
    pub(super) config: Config,
    pub(super) client_address: Option<String>,
    pub(super) client_port: Option<u16>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) data_log_dir: Option<PathBuf>,
    /// Milliseconds; `None` follows the tick.
    pub(super) timeout_ms_min: Option<u32>,
    /// Milliseconds; `None` follows the tick.
    pub(super) timeout_ms_max: Option<u32>,
    /// Tokens of a local session, of which there are none yet; the least that others cost.
    pub(super) local_session_weight: u32,
    pub(super) enforce_auth: bool,
    pub(super) schemes: Vec<String>,
    pub(super) require_sasl: bool,
    pub(super) dynamic_file: Option<PathBuf>,
    /// Whether one voter alone is no ensemble.
    pub(super) standalone_enabled: bool,
    /// What the server says it is; its line counts.
    pub(super) peer_type: Option<Role>,
    /// What an ensemble's keys say, for the case that there is one. 0 is a limit that is not given.
    pub(super) ensemble: EnsembleConfig,
    /// The key just set and what counts instead of its value, which was too small.
    pub(super) raised: Option<(&'static str, u32)>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            config: Config::default(),
            client_address: None,
            client_port: None,
            data_dir: None,
            data_log_dir: None,
            timeout_ms_min: None,
            timeout_ms_max: None,
            local_session_weight: 1,
            enforce_auth: false,
            schemes: Vec::new(),
            require_sasl: false,
            dynamic_file: None,
            standalone_enabled: true,
            peer_type: None,
            ensemble: EnsembleConfig::default(),
            raised: None,
        }
    }
}

impl Draft {
    /// `value`, or `least` with a remark.
    pub(super) fn at_least(&mut self, key: &'static str, value: u32, least: u32) -> u32 {
        if value < least {
            self.raised = Some((key, least));
        }
        value.max(least)
    }
}
