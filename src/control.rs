//! The control thread: signals, purge, and the end. It may block.
//!
//! ZooKeeper: `DatadirCleanupManager`, the shutdown handler of `ZooKeeperServerMain`.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use jute::Zxid;
use net::driver::{Order as ShardOrder, WordAsked};
use net::ring::Letters;
use quorum::Address;
use snapshot::Purger;
use wal::Releaser;

use crate::clock;
use crate::config::Purge;
use crate::ensemble::with_clients_at;
use crate::pipeline_shard::Order;
use crate::server;
use crate::threads::ShardError;
use crate::words::Words;

/// What the control thread hears of.
#[derive(Debug)]
pub(crate) enum Event {
    /// SIGTERM or SIGINT.
    Signal,
    /// An image is on the disk.
    ImageWritten(Zxid),
    /// A four-letter word has come in.
    Word(WordAsked),
    /// A reconfiguration says where clients connect; `None`: nowhere.
    ClientPort(Option<Address>),
    /// The pipeline shard has ended, as told or because the log failed.
    Ended(Result<(), ShardError>),
}

/// The control thread's belongings.
pub(crate) struct Control {
    pub(crate) events: Receiver<Event>,
    pub(crate) pipeline: Letters<Order>,
    pub(crate) words: Words,
    pub(crate) purger: Purger,
    pub(crate) releaser: Releaser,
    pub(crate) purge: Purge,
    pub(crate) retain: u32,
    /// When to purge next if that goes by the clock, monotonic milliseconds. 0: at once.
    pub(crate) purge_at_ms: u64,
}

impl Control {
    /// Runs until the server has ended.
    ///
    /// # Errors
    /// The log failed.
    pub(crate) fn run(mut self) -> Result<(), ShardError> {
        loop {
            match self.next() {
                None => self.purge(),
                Some(Event::Signal) => {
                    tracing::info!("stopping");
                    // It may have ended already, and says so next.
                    drop(self.pipeline.send(Order::Stop));
                }
                Some(Event::ImageWritten(zxid)) => {
                    self.purger.seen_whole(zxid);
                    if self.purge == Purge::AfterSnapshot {
                        self.purge();
                    }
                }
                Some(Event::Word(asked)) => self.words.answer(asked),
                Some(Event::ClientPort(clients)) => self.move_client_port(clients.as_ref()),
                Some(Event::Ended(done)) => return done,
            }
        }
    }

    /// The next event; none if it is time to purge.
    fn next(&mut self) -> Option<Event> {
        let event = match self.purge {
            Purge::Every { interval_ms } => {
                let now_ms = clock::now_ms();
                if self.purge_at_ms <= now_ms {
                    self.purge_at_ms = now_ms + interval_ms;
                    return None;
                }
                self.events.recv_timeout(Duration::from_millis(self.purge_at_ms - now_ms))
            }
            Purge::Off | Purge::AfterSnapshot => {
                self.events.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
        };
        match event {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => {
                self.purge_at_ms = 0;
                self.next()
            }
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("this thread holds a sender's twin")
            }
        }
    }

    /// Clients connect elsewhere from now on; connections stay. Source: `NIOServerCnxnFactory.reconfigure`.
    fn move_client_port(&mut self, clients: Option<&Address>) {
        let shards = &self.words.shards;
        let tell = |listeners: &mut dyn Iterator<Item = TcpListener>| {
            for shard in shards {
                let listeners = listeners.next().into_iter().collect();
                // The shard ends with the process.
                drop(shard.send(ShardOrder::Listen { listeners }));
            }
        };
        // The old ones first: one of them may be among the new.
        tell(&mut std::iter::empty());
        let Some(clients) = clients else {
            return tracing::warn!("the new configuration gives clients no port here");
        };
        let config = with_clients_at(&self.words.config, clients);
        match server::listen(&config, shards.len()) {
            Ok(listeners) => {
                tell(&mut listeners.into_iter());
                tracing::info!("listening on {clients}");
                self.words.client_port = clients.port;
                self.words.config = config;
            }
            Err(error) => {
                tracing::error!("the client port stays where it was: {error}");
                match server::listen(&self.words.config, shards.len()) {
                    Ok(listeners) => tell(&mut listeners.into_iter()),
                    Err(error) => tracing::error!("nor can that be had again: {error}"),
                }
            }
        }
    }

    fn purge(&mut self) {
        match self.purger.purge(self.retain as usize) {
            Ok(Some(oldest)) => self.releaser.release(oldest),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "old snapshots could not be removed"),
        }
    }
}

/// Tells `events` of SIGTERM and SIGINT, from a thread of its own.
///
/// # Errors
/// The system takes no handler.
pub(crate) fn watch_signals(events: Sender<Event>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if events.send(Event::Signal).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
