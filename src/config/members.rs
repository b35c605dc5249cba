//! The lines that list servers, and what follows from them: alone or one of an ensemble, and which one.
//!
//! Source: `QuorumPeerConfig.setupQuorumPeerConfig`, `parseDynamicConfig`, `setupMyId`, `setupPeerType`, `checkValidity`.
//! What a single line may say is `quorum::config`'s.

use std::io;
use std::path::PathBuf;

use quorum::config::{MultiAddress, Standalone};
use quorum::zab::Reconfig;
use quorum::{Member, QuorumConfig, Sid};

use super::ensemble::ListedIn;
use super::error::{At, ConfigError};
use super::parse::{Overrides, ReadFile, Reading, last_of_each, shown};
use super::properties::Entry;
use super::settings::ClientAddress;
use super::warning::Warning;

/// A line about members.
#[derive(Clone, Debug)]
pub(super) struct Line {
    at: At,
    key: String,
    value: String,
}

/// Where clients of this server connect, by its own line.
pub(super) type Listed = (At, ClientAddress, u16);

/// The file with this server's number, in the data directory.
const MYID: &str = "myid";

/// What the name of the file with the members that were proposed last has behind the configuration's.
pub(super) const NEXT: &str = ".dynamic.next";

/// Whether `key` says something about members.
pub(super) fn is_about_members(key: &str) -> bool {
    key != "server.realm" && (QuorumConfig::is_member_key(key) || key == "version")
}

impl Reading<'_> {
    pub(super) fn member(&mut self, key: &str, entry: &Entry) {
        let at = self.at(entry.line);
        self.members.push(Line { at, key: key.into(), value: entry.value.clone() });
    }

    /// Decides what the listed servers make of this one. Where its own line says that clients connect.
    pub(super) fn ensemble(
        &mut self,
        overrides: &Overrides,
        read: ReadFile<'_>,
    ) -> Result<Option<Listed>, ConfigError> {
        let last_seen = self.members_of_dynamic_file(read)?;
        let lines = core::mem::take(&mut self.members);
        let members = config_of(&lines)?;
        let observers = members.members().filter(|it| !it.is_participant()).count() as u32;
        let voters = members.members().count() as u32 - observers;
        let is_alone = self.draft.standalone_enabled && voters <= 1;
        let last = lines.last().map(|it| it.at.clone()).filter(|_| 0 < voters + observers);
        let Some(at) = last else {
            let file = self.file.into();
            return if is_alone { Ok(None) } else { Err(ConfigError::NoVoters { file }) };
        };
        if voters == 0 || (is_alone && observers != 0) {
            return Err(ConfigError::TooFewVoters { at, voters, observers });
        }
        let myid = self.myid(overrides, read)?;
        if is_alone {
            self.warnings.push(Warning::SingleServer { at: at.clone() });
            // Without `myid` the reference does not look at the line; here it is better than nothing.
            let own = members.members().next().filter(|it| match &myid {
                Ok(myid) => it.sid == *myid,
                Err(_) => self.draft.client_port.is_none(),
            });
            return Ok(own.and_then(|it| listed(at, it)));
        }
        let myid = myid.map_err(|file| ConfigError::NoMyId { file })?;
        let Some(own) = members.member(myid) else {
            return Err(ConfigError::NotAMember { at, myid });
        };
        self.remarks_on(own, (voters, members.is_hierarchical()), &at);
        let listed = listed(place_of(&lines, myid).unwrap_or(at), own);
        self.settle(myid, members, &lines)?;
        if let (Some(ensemble), Some(_)) = (&mut self.draft.config.ensemble, &last_seen) {
            ensemble.last_seen = last_seen;
        }
        if listed.is_none() && self.draft.client_port.is_none() && overrides.client_port.is_none() {
            return Err(ConfigError::NoClientPort { file: self.file.into(), myid });
        }
        Ok(listed)
    }

    /// Makes the member's settings of what values alone do not decide.
    fn settle(
        &mut self,
        myid: Sid,
        members: QuorumConfig,
        lines: &[Line],
    ) -> Result<(), ConfigError> {
        let mut ensemble = core::mem::take(&mut self.draft.ensemble);
        let limits = [("initLimit", ensemble.init_limit), ("syncLimit", ensemble.sync_limit)];
        if let Some(&(key, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return Err(ConfigError::NoLimit { file: self.file.into(), key });
        }
        let several = members.members().find(|it| 1 < it.endpoints.len());
        if let Some(member) = several.filter(|_| !ensemble.multi_address) {
            let at = place_of(lines, member.sid).unwrap_or_else(|| self.at(0));
            return Err(ConfigError::SeveralAddresses { at, sid: member.sid });
        }
        if ensemble.connect_limit == 0 {
            ensemble.connect_limit = ensemble.init_limit;
        }
        if ensemble.handshake_timeout_ms == 0 {
            let tick_ms = self.draft.config.sessions.tick_ms;
            ensemble.handshake_timeout_ms = tick_ms.saturating_mul(ensemble.sync_limit);
        }
        let least = ensemble.notification_ms_min;
        ensemble.notification_ms_max = ensemble.notification_ms_max.max(least);
        if self.draft.config.reconfig_enabled {
            ensemble.reconfig = Reconfig::Enabled;
        }
        if !self.draft.standalone_enabled {
            ensemble.rules.standalone = Standalone::Disabled;
        }
        if ensemble.multi_address {
            ensemble.rules.multi_address = MultiAddress::Enabled;
        }
        ensemble.file = self.file.into();
        if self.lines.contains_key("dynamicConfigFile") {
            ensemble.listed_in = ListedIn::DynamicFile;
        }
        (ensemble.myid, ensemble.members) = (myid, members);
        self.draft.config.ensemble = Some(ensemble);
        Ok(())
    }

    /// Says what an operator may not have meant.
    fn remarks_on(&mut self, own: &Member, (voters, has_groups): (u32, bool), at: &At) {
        let oracle =
            self.at_key("oraclePath").filter(|_| self.draft.ensemble.oracle_path.is_some());
        let is_pair = voters == 2 && !has_groups;
        if let Some(at) = oracle.clone().filter(|_| !is_pair) {
            self.warnings.push(Warning::OracleUnasked { at, voters });
        }
        let has_oracle = is_pair && oracle.is_some();
        if (voters <= 2 || voters.is_multiple_of(2)) && !has_oracle {
            self.warnings.push(Warning::Voters { at: at.clone(), voters });
        }
        let listed = own.role;
        if let Some(key) = self.draft.peer_type.filter(|&it| it != listed)
            && let Some(at) = self.at_key("peerType")
        {
            self.warnings.push(Warning::PeerType { at, key: key.word(), listed: listed.word() });
        }
    }

    /// Replaces the members by those of the dynamic file, where there is one. Those proposed last, where they were kept.
    fn members_of_dynamic_file(
        &mut self,
        read: ReadFile<'_>,
    ) -> Result<Option<QuorumConfig>, ConfigError> {
        let Some(path) = self.draft.dynamic_file.take() else { return Ok(None) };
        if let Some((key, &line)) = self.lines.iter().find(|(key, _)| is_about_members(key)) {
            let (at, key) = (self.at(line), shown(key));
            return Err(ConfigError::MemberBesideDynamicFile { at, key });
        }
        let text =
            read(&path).map_err(|source| ConfigError::Read { file: path.clone(), source })?;
        let name = path.display().to_string();
        let mut dynamic = self.member_lines(&text, &name)?;
        if let Some(line) = dynamic.iter().find(|it| it.key == "version") {
            return Err(ConfigError::VersionInside { at: line.at.clone() });
        }
        let version = name.rsplit_once('.').map(|(_, version)| version);
        if let Some(version) = version.filter(|it| quorum::config::version(it).is_some()) {
            let at = At { file: name.clone(), line: 0 };
            dynamic.push(Line { at, key: "version".into(), value: version.into() });
        }
        self.members = dynamic;
        let next = format!("{}{NEXT}", self.file);
        let Ok(text) = read(&PathBuf::from(&next)) else { return Ok(None) };
        let lines = self.member_lines(&text, &next)?;
        config_of(&lines).map(Some)
    }

    /// The lines of a file that may say nothing but who is a member.
    fn member_lines(&mut self, text: &[u8], name: &str) -> Result<Vec<Line>, ConfigError> {
        let mut reading = Reading::of(name);
        for (key, entry) in last_of_each(text, name, &mut self.warnings)? {
            if !is_about_members(&key) {
                let (at, key) = (reading.at(entry.line), shown(&key));
                return Err(ConfigError::DynamicKey { at, key });
            }
            reading.member(&key, &entry);
        }
        Ok(reading.members)
    }

    /// This server's number, or the name of the file that is missing.
    fn myid(
        &self,
        overrides: &Overrides,
        read: ReadFile<'_>,
    ) -> Result<Result<Sid, PathBuf>, ConfigError> {
        let data_dir = overrides.data_dir.as_ref().or(self.draft.data_dir.as_ref());
        let Some(file) = data_dir.map(|it| it.join(MYID)) else {
            return Err(ConfigError::DataDir { file: self.file.into() });
        };
        let content = match read(&file) {
            Ok(content) => content,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Err(file)),
            Err(source) => return Err(ConfigError::Read { file, source }),
        };
        let text = String::from_utf8_lossy(&content);
        let found = text.lines().next().unwrap_or("").trim();
        match found.parse() {
            Ok(sid) => Ok(Ok(Sid(sid))),
            Err(_) => Err(ConfigError::MyId { file, found: shown(found) }),
        }
    }
}

/// The configuration that lines make; an error names the line.
fn config_of(lines: &[Line]) -> Result<QuorumConfig, ConfigError> {
    let entries = lines.iter().map(|it| (it.key.as_str(), it.value.as_str()));
    QuorumConfig::from_entries(entries).map_err(|source| {
        // What is wrong with one line alone is its fault; what is not lies between lines, and the last one is named.
        let is_bad = |it: &&Line| {
            it.key.starts_with("server.")
                && QuorumConfig::from_entries([(it.key.as_str(), it.value.as_str())]).is_err()
        };
        let Some(line) = lines.iter().find(is_bad).or_else(|| lines.last()) else {
            unreachable!("no line is no error")
        };
        let (key, value) = (shown(&line.key), shown(&line.value));
        ConfigError::Members { at: line.at.clone(), key, value, source }
    })
}

/// Where the line of a server stands.
fn place_of(lines: &[Line], sid: Sid) -> Option<At> {
    let number = |key: &str| key.strip_prefix("server.")?.parse().ok();
    lines.iter().find(|it| number(&it.key) == Some(sid.0)).map(|it| it.at.clone())
}

/// Where the line of a server says that its clients connect.
fn listed(at: At, member: &Member) -> Option<Listed> {
    let plain = member.client.plain.as_ref()?;
    let address = if plain.is_wildcard() {
        ClientAddress::Any
    } else {
        let Ok(address) = plain.host.parse();
        address
    };
    Some((at, address, plain.port))
}
