//! Members change meanwhile: somebody asks the leader for it, and every server keeps what it hears, in files.
//!
//! Servers get a vote, lose it, observe, leave, return and move; those in no configuration follow without a voice. The files are
//! written at once and whole, as the program writes them: a crash comes before or behind that.

use std::sync::Arc;
use std::time::Duration;

use quorum::{QuorumConfig, Sid, Views};

use super::{Event, World};
use crate::plan::Plan;

/// The files that hold the members.
#[derive(Clone, Debug)]
pub struct MembersFiles {
    agreed: Arc<QuorumConfig>,
    /// Kept while it is newer.
    proposed: Option<Arc<QuorumConfig>>,
}

impl MembersFiles {
    /// As they are before the first start.
    pub fn new(plan: &Plan) -> Self {
        Self { agreed: Arc::clone(plan.views().committed()), proposed: None }
    }

    /// What a server finds when it starts.
    pub fn views(&self) -> Views {
        let mut views = Views::new(Arc::clone(&self.agreed));
        if let Some(proposed) = &self.proposed {
            views.propose(Arc::clone(proposed));
        }
        views
    }
}

impl World {
    /// Members are proposed at a server.
    pub(super) fn keep_proposed(&mut self, node: usize, config: Arc<QuorumConfig>) {
        self.nodes[node].members.proposed = Some(config);
    }

    /// Members are agreed at a server.
    pub(super) fn keep_agreed(&mut self, node: usize, config: Arc<QuorumConfig>) {
        self.summary.changes += 1;
        let files = &mut self.nodes[node].members;
        files.proposed.take_if(|it| it.version() <= config.version());
        files.agreed = config;
    }

    /// Somebody wants other members.
    pub(super) fn change(&mut self) {
        let Some(every) = self.plan.change_every else { return };
        if !self.is_stormy {
            return;
        }
        let mean = every.as_micros() as u64;
        let next = Duration::from_micros(self.members.within(mean / 4..mean * 2));
        self.after(next, Event::Change);
        let (mut joining, mut leaving) = (Vec::new(), Vec::new());
        for _ in 0..=self.members.index(2) {
            let sid = Plan::sid(self.members.index(self.nodes.len()));
            let port = [2888, 2888, 2888, 2889][self.members.index(4)];
            match self.members.index(8) {
                0..=2 => leaving.push(sid.to_string()),
                3 => joining.push(line(sid, port, "observer")),
                _ => joining.push(line(sid, port, "participant")),
            }
        }
        let [joining, leaving] = [joining, leaving].map(|it| it.join(","));
        self.ask_for_members(&joining, &leaving);
    }
}

fn line(sid: Sid, port: u16, role: &str) -> String {
    format!("server.{sid}=10.0.0.{sid}:{port}:3888:{role};2181")
}
