//! What follows when members are proposed or agreed: files, addresses of our own, and who is named as leader.
//!
//! ZooKeeper: `QuorumPeer.setLastSeenQuorumVerifier`, `setQuorumVerifier`, `processReconfig`. The files are written before the step's
//! next output, so before anything is acked that rests on them. **Differs:** a file that cannot be written is an error in the log, as
//! there, and is written with the next change.

use std::sync::mpsc::Sender;

use net::learners::LearnerPort;
use quorum::config::ReconfigRules;
use quorum::zab::Reconfig;
use quorum::{Address, QuorumConfig, Sid};

use super::{Core, Role};
use crate::config::{
    ClientPortAt, Config, EnsembleConfig, ListedIn, MembersFileError, MembersFiles,
};
use crate::control::Event;
use crate::pipeline::Membership;

/// What a member whose ensemble can change keeps of that.
#[derive(Debug)]
pub(crate) struct Members {
    files: MembersFiles,
    rules: ReconfigRules,
    /// Where the client port was given at the start.
    client_port_at: ClientPortAt,
    /// Where the own line says that clients connect.
    clients: Option<Address>,
    events: Sender<Event>,
}

impl Members {
    /// Of an ensemble whose members may change. A configuration that lists servers itself is kept as it is now.
    ///
    /// # Errors
    /// [`MembersFileError`]: no file can be written where the configuration is.
    pub(crate) fn new(
        config: &EnsembleConfig,
        events: Sender<Event>,
    ) -> Result<Option<Self>, MembersFileError> {
        if config.reconfig == Reconfig::Disabled {
            return Ok(None);
        }
        let files = MembersFiles::beside(&config.file);
        if config.listed_in == ListedIn::StaticFile {
            files.back_up()?;
        }
        let clients = config.own().client.plain.clone();
        let client_port_at = client_port_at(clients.as_ref());
        Ok(Some(Self { files, rules: config.rules, client_port_at, clients, events }))
    }

    fn activate(&mut self, config: &QuorumConfig, myid: Sid, last_seen: i64) {
        let clients = config.member(myid).and_then(|it| it.client.plain.clone());
        if let Err(error) = self.files.activate(config, last_seen, client_port_at(clients.as_ref()))
        {
            tracing::error!("the new members are not kept, and not known after a restart: {error}");
        }
        let listed = config.member(myid).is_some();
        let closes = clients.is_none() && self.client_port_at == ClientPortAt::OwnLine;
        if listed && clients != self.clients && (clients.is_some() || closes) {
            self.clients.clone_from(&clients);
            // The control thread ends last.
            drop(self.events.send(Event::ClientPort(clients)));
        }
    }
}

fn client_port_at(clients: Option<&Address>) -> ClientPortAt {
    if clients.is_some() { ClientPortAt::OwnLine } else { ClientPortAt::StaticFile }
}

impl Core {
    /// Members are proposed.
    pub(super) fn members_proposed(&mut self, config: &QuorumConfig) {
        tracing::info!(version = format_args!("{:x}", config.version()), "members are proposed");
        if let Some(members) = &self.members
            && let Err(error) = members.files.propose(config)
        {
            tracing::error!("the proposed members are not kept: {error}");
        }
    }

    /// Members are agreed.
    pub(super) fn members_agreed(&mut self, port: &mut LearnerPort, config: &QuorumConfig) {
        tracing::info!(
            version = format_args!("{:x}", config.version()),
            "members are agreed:\n{config}"
        );
        let myid = self.server.peer().sid();
        let last_seen = self.server.peer().views().last_seen().version();
        if let Some(members) = &mut self.members {
            members.activate(config, myid, last_seen);
        }
        let Some(own) = config.member(myid) else { return };
        self.elects_at = Some(own.election_addresses().collect());
        if let Err(error) = port.set_own_addresses(own.quorum_addresses().collect()) {
            tracing::error!("our new quorum address is of no use: {error}");
        }
        if let Some(observers) = self.manners.observer_master_port
            && let Err(error) = port.set_observer_addresses(own.quorum_addresses_at(observers))
        {
            tracing::error!("our new address for observers is of no use: {error}");
        }
    }

    /// Tells the pipeline of a leader how the ensemble is, before it takes a request.
    pub(super) fn tell_pipeline_of_members(&mut self) {
        if let (Role::Leading(pipeline), Some(_)) = (&mut self.role, &self.members)
            && let Some(membership) = pipeline.membership_mut()
        {
            membership.set(self.server.peer().views(), self.server.peer().synced());
        }
    }

    /// Says why a reconfiguration was refused.
    pub(super) fn say_refusal(&mut self) {
        if let Role::Leading(pipeline) = &mut self.role
            && let Some(refusal) = pipeline.membership_mut().and_then(Membership::take_refusal)
        {
            tracing::warn!(code = ?refusal.code(), "a reconfiguration is refused: {refusal}");
        }
    }

    /// What the pipeline of a new leader knows of the ensemble.
    pub(super) fn membership(&self) -> Option<Membership> {
        let members = self.members.as_ref()?;
        Some(Membership::new(members.rules, self.server.peer().views().clone()))
    }
}

/// A configuration in which clients connect elsewhere.
pub(crate) fn with_clients_at(config: &Config, clients: &Address) -> Config {
    let mut config = config.clone();
    config.network.client_port = clients.port;
    config.network.client_address = if clients.is_wildcard() {
        crate::config::ClientAddress::Any
    } else {
        let Ok(address) = clients.host.parse();
        address
    };
    config
}
