//! One server, or the servers of one ensemble, as a load sees them: what they use is summed.

use anyhow::{Context, Result};

use crate::run::Target;
use crate::server::{Kind, Programs, Server};

/// Servers of one kind that keep the same tree.
#[derive(Debug)]
pub(crate) struct Party {
    /// At least one.
    pub(crate) members: Vec<Server>,
}

impl Party {
    /// Starts `count` servers: an ensemble, or one that stands alone.
    ///
    /// # Errors
    /// One does not start, or they do not serve within two minutes.
    pub(crate) fn start(kind: Kind, programs: &Programs, count: usize) -> Result<Self> {
        let members = match count {
            1 => vec![Server::start(kind, programs)?],
            _ => Server::ensemble(kind, programs, count)?,
        };
        Ok(Self { members })
    }

    /// What they are.
    pub(crate) fn kind(&self) -> Kind {
        self.members[0].kind
    }

    /// What they say of their release.
    pub(crate) fn version(&self) -> String {
        self.members[0].version()
    }

    /// How the first of them was started.
    pub(crate) fn command_line(&self) -> String {
        self.members[0].command_line()
    }

    /// Where connections go, all members in turn, and whose time, memory and disk is counted.
    pub(crate) fn target(&self) -> Target {
        let servers = self.members.iter().map(|it| it.address).collect();
        let pids = self.members.iter().map(Server::pid).collect();
        Target { servers, pids, data: Some(self.members[0].data()) }
    }

    /// As [`Server::purge`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn purge(&self) -> Result<()> {
        self.members.iter().try_for_each(Server::purge)
    }

    /// The end of what they have printed.
    pub(crate) fn last_words(&self) -> String {
        self.members.iter().map(Server::last_words).collect::<Vec<_>>().join("\n")
    }

    /// Which of them leads.
    ///
    /// # Errors
    /// None says that it does.
    pub(crate) fn leader(&self) -> Result<usize> {
        let leads = |it: &Server| it.mode() == "leader";
        self.members.iter().position(leads).context("nobody says that it leads")
    }
}
