//! The tree as a whole, on its way to learners and from a leader.
//!
//! ZooKeeper: `LearnerHandler.run`, where `needSnap`, and `Learner.syncWithLeader`, where SNAP has come. A leader sends its newest image, and has one
//! made if that lacks what the learner has. A server whose tree is not the ensemble's fences itself until it has an image.
//!
//! Absent: how an image becomes bytes, and bytes an image ([`super::aside`], [`super::incoming`]).

use std::error::Error;

use jute::Zxid;
use net::learners::{LearnerPort, QUEUED_MARK};
use quorum::zab::{Input, Link};
use snapshot::Beside;

use super::aside::{Aside, Next, Wanted};
use super::incoming::{Incoming, Took};
use super::outputs::Deferred;
use super::{Backlog, Core, Role};
use crate::clock;

impl Core {
    /// The machine wants an image for a learner.
    pub(super) fn choose_image(&mut self, wanted: Wanted) {
        match Aside::begin(self.disk.place(), wanted, self.waker.clone()) {
            Ok(aside) => self.asides.push(aside),
            // The learner waits until initLimit is over: closed at once, it were back at once.
            Err(error) => tracing::error!(link = ?wanted.link, "no image can be sent: {error}"),
        }
    }

    /// Gives learners more of their images, as fast as they take it. Whether the machine had something to say to it.
    pub(super) fn stream_images(&mut self, port: &mut LearnerPort) -> bool {
        for mut aside in std::mem::take(&mut self.asides) {
            if self.send_image(port, &mut aside) {
                self.asides.push(aside);
            }
        }
        self.see_to_wanted();
        let any = !self.deferred.is_empty();
        self.step_deferred(port);
        any
    }

    /// Gives a learner more of its image. Whether there is more to come.
    fn send_image(&mut self, port: &mut LearnerPort, aside: &mut Aside) -> bool {
        let link = aside.wanted.link;
        while port.queued(link) < QUEUED_MARK {
            match aside.next() {
                Next::Bytes(bytes) => port.send_raw(link, &bytes),
                Next::Chosen(zxid) => {
                    tracing::info!(?link, %zxid, "a learner is sent an image");
                    self.deferred.push_back(Deferred::SnapshotChosen { link, zxid });
                }
                Next::Sent => {
                    self.deferred.push_back(Deferred::SnapshotSent { link });
                    return false;
                }
                Next::TooOld => {
                    self.wanted.push(aside.wanted);
                    return false;
                }
                Next::Nothing => return true,
                Next::Failed => return false,
            }
        }
        true
    }

    /// Has an image made for those that need a newer one, and looks again when there is one.
    fn see_to_wanted(&mut self) {
        let Some(at_least) = self.wanted.iter().map(|it| it.at_least).max() else { return };
        let Role::Leading(pipeline) = &mut self.role else { return };
        let images = self.upkeep.images_mut();
        let newest = images.newest();
        if newest != Zxid::ZERO && at_least <= newest {
            for wanted in std::mem::take(&mut self.wanted) {
                self.choose_image(wanted);
            }
        } else if at_least <= pipeline.applier().state().tree().zxid() {
            images.begin(pipeline.applier_mut().state_mut(), clock::now());
        }
    }

    /// What follows on the link is an image.
    pub(super) fn expect_image(&mut self, port: &mut LearnerPort, link: Link, zxid: Zxid) {
        tracing::info!(?link, %zxid, "the leader sends an image");
        port.take_raw(link);
        match Incoming::begin(self.disk.place(), link, zxid) {
            Ok(incoming) => self.incoming = Some(incoming),
            Err(error) => self.refuse_image(port, link, &error),
        }
    }

    /// Takes a piece of the leader's image.
    pub(super) fn take_image(&mut self, port: &mut LearnerPort, link: Link, bytes: &[u8]) {
        let Some(incoming) = self.incoming.as_mut().filter(|it| it.link == link) else { return };
        match incoming.take(bytes) {
            Ok(Took::Part) => self.step(port, Input::SnapshotPart { link }),
            Ok(Took::Whole(len)) => {
                port.end_raw(link, &bytes[len..]);
                self.received = self.incoming.take().map(Incoming::whole);
                self.step(port, Input::SnapshotReceived { link });
                assert!(self.received.is_none(), "who asked for an image installs it");
            }
            Err(error) => self.refuse_image(port, link, &error),
        }
    }

    /// The image is of no use: what is here stays, and this server looks for a leader again.
    fn refuse_image(&mut self, port: &mut LearnerPort, link: Link, error: &dyn Error) {
        tracing::error!(?link, "the leader's image cannot be taken: {error}");
        self.incoming = None;
        port.close(link);
        self.deferred.push_back(Deferred::Closed { link });
    }

    /// The leader's image is on the disk, and takes the place of the tree too.
    pub(super) fn installed(&mut self, image: &Beside, void_sequence: u64) {
        let zxid = image.zxid();
        self.backlog = Backlog::default();
        self.role.applier().replace(clock::now_ms(), image);
        self.committed = self.committed.max(zxid);
        self.upkeep.images_mut().installed(zxid, void_sequence);
        self.is_fenced = false;
        tracing::info!(%zxid, "the leader's image is installed");
    }

    /// A tree that is not the ensemble's serves nobody any more, and decides nothing. Whether it was found just now.
    pub(super) fn fence(&mut self, port: &mut LearnerPort) -> bool {
        let Some(error) = self.role.applier().diverged().filter(|_| !self.is_fenced) else {
            return false;
        };
        tracing::error!(
            "this server is fenced until it has an image of the ensemble's tree: {error}"
        );
        self.is_fenced = true;
        self.upkeep.images_mut().give_up(self.role.applier().state_mut());
        self.step(port, Input::Diverged);
        true
    }

    /// A connection has ended.
    pub(super) fn forget_transfers(&mut self, link: Link) {
        self.askings.retain(|it| it.link != link);
        self.streams.retain(|it| it.link != link);
        self.asides.retain(|it| it.wanted.link != link);
        self.wanted.retain(|it| it.link != link);
        self.incoming = self.incoming.take().filter(|it| it.link != link);
    }
}
