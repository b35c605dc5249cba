//! What a leader's pipeline knows of the ensemble: enough to say what a reconfiguration would make of it.
//!
//! ZooKeeper: the case `reconfig` of `PrepRequestProcessor`. Absent here: who may ask, which is prep's.

use jute::{Code, ReconfigRequest, Record as _, Zxid};
use quorum::config::{ReconfigError, ReconfigRules};
use quorum::{Sid, Views};

/// The members, and who follows.
#[derive(Debug)]
pub struct Membership {
    rules: ReconfigRules,
    views: Views,
    synced: Vec<Sid>,
    refusal: Option<ReconfigError>,
}

impl Membership {
    /// An ensemble in which nothing was ordered.
    pub fn new(rules: ReconfigRules, views: Views) -> Self {
        Self { rules, views, synced: Vec::new(), refusal: None }
    }

    /// The configurations as they are now, and who follows and is in step.
    pub fn set(&mut self, views: &Views, synced: impl Iterator<Item = Sid>) {
        self.views.clone_from(views);
        self.synced.clear();
        self.synced.extend(synced);
    }

    /// Why the last reconfiguration was refused, for the operator.
    pub fn take_refusal(&mut self) -> Option<ReconfigError> {
        self.refusal.take()
    }

    /// The text of the configuration that `request` makes at `zxid`, or the code that it is refused with. The one that was
    /// ordered `before` may not be proposed yet.
    pub(super) fn decide(
        &mut self,
        request: &[u8],
        zxid: Zxid,
        before: Zxid,
    ) -> Result<Vec<u8>, Code> {
        let request = ReconfigRequest::decode(request).map_err(|_| Code::MarshallingError)?;
        let made = if self.views.committed().version() < before.0 {
            Err(ReconfigError::InProgress { version: before.0 })
        } else {
            self.views.reconfigured(&request, self.rules, &self.synced)
        };
        match made {
            Ok(config) => Ok(config.with_version(zxid.0).to_string().into_bytes()),
            Err(error) => {
                let code = error.code();
                self.refusal = Some(error);
                Err(code)
            }
        }
    }
}
