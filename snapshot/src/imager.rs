//! The imager: the thread that writes images while the arena changes.
//!
//! ZooKeeper: the snapshot thread of `SyncRequestProcessor`, `ZooKeeperServer.takeSnapshot`. Driver, blocking, niced, on no shard's core.
//!
//! The pipeline shard begins an image between two batches, and asks now and then whether it is done. This thread takes the pages, each as
//! it was when the image began, whatever the arena does, and writes them in chunks, those first that change most ([`crate::order`]). After each it rests as long as that took, so that the log keeps
//! at least half of the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::arena::ImageSource;
use jute::Zxid;
use tracing::{debug, warn};

use crate::disk::{FileTarget, blocks};
use crate::format::{FileName, ImageHeader, Label};
use crate::order::Order;
use crate::region::Shadow;
use crate::write::Writing;

/// How images are written.
#[derive(Clone, Debug)]
pub struct ImagerOptions {
    /// Where to.
    pub dir: PathBuf,
    /// How long to rest after each write, in hundredths of the time that the write took: 100 leaves the log half of the disk's time.
    pub rest_percent: u32,
}

impl ImagerOptions {
    /// The defaults, in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), rest_percent: 100 }
    }
}

/// An image was not written. The state and the images before it are as they were.
#[derive(Debug, thiserror::Error)]
#[error("{path}: writing the image failed: {source}", path = .path.display())]
pub struct ImageError {
    /// The image.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// How an image ended. In each case tell the arena that it has.
#[derive(Debug)]
pub enum Outcome {
    /// It is durable under its name.
    Written {
        /// Its zxid.
        zxid: Zxid,
        /// Bytes of the file.
        len: u64,
        /// From begin to name.
        took: Duration,
    },
    /// It was cancelled; nothing is left of it.
    Cancelled,
    /// It failed; nothing is left of it.
    Failed(ImageError),
}

/// The pipeline shard's end. Dropping it cancels the image being written and ends the thread.
#[derive(Debug)]
pub struct Imager {
    messages: Sender<Message>,
    outcomes: Receiver<Outcome>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Message {
    Begin(ImageSource, Label),
    Cancel,
    Stop,
}

impl Imager {
    /// Starts the thread. It inherits the caller's affinity: call this from a thread that is not pinned. `shadow`: of the arena whose images it
    /// writes; its memory goes back to the system as they are written.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(options: ImagerOptions, shadow: Shadow) -> io::Result<Self> {
        let (messages, inbox) = channel();
        let (outbox, outcomes) = channel();
        let worker = Worker { options, shadow, order: Order::default(), inbox, outcomes: outbox };
        let thread =
            std::thread::Builder::new().name("snapshot".into()).spawn(move || worker.run())?;
        Ok(Self { messages, outcomes, busy: false, thread: Some(thread) })
    }

    /// Whether an image is being written.
    pub fn busy(&self) -> bool {
        self.busy
    }

    /// Begins an image; none is being written.
    pub fn begin(&mut self, source: ImageSource, label: Label) {
        assert!(!self.busy);
        self.busy = true;
        self.send(Message::Begin(source, label));
    }

    /// Gives the image up, soon: [`Self::poll`] says when.
    pub fn cancel(&self) {
        self.send(Message::Cancel);
    }

    /// Gives up the image that is being written, and waits until that is done: for the write under way at most. None: none was.
    pub fn give_up(&mut self) -> Option<Outcome> {
        if !self.busy {
            return None;
        }
        self.cancel();
        self.busy = false;
        self.outcomes.recv().ok()
    }

    /// The end of the image, once. Never waits.
    pub fn poll(&mut self) -> Option<Outcome> {
        let outcome = self.outcomes.try_recv().ok()?;
        self.busy = false;
        Some(outcome)
    }

    fn send(&self, message: Message) {
        // The thread ends before its inbox only by a panic, which ends the process.
        self.messages.send(message).unwrap_or_else(|_| warn!("the snapshot thread is gone"));
    }
}

impl Drop for Imager {
    fn drop(&mut self) {
        self.send(Message::Cancel);
        self.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_else(|_| warn!("the snapshot thread panicked"));
        }
    }
}

struct Worker {
    options: ImagerOptions,
    shadow: Shadow,
    order: Order,
    inbox: Receiver<Message>,
    outcomes: Sender<Outcome>,
}

/// Why an image is not written to its end.
enum Halt {
    Cancelled,
    Failed(io::Error),
}

impl From<io::Error> for Halt {
    fn from(err: io::Error) -> Self {
        Self::Failed(err)
    }
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "a driver: it times its own work")]
    fn run(mut self) {
        if let Err(err) = rustix::process::setpriority_process(None, NICE) {
            warn!(%err, "the snapshot thread could not be niced");
        }
        while let Ok(message) = self.inbox.recv() {
            let (source, label) = match message {
                Message::Begin(source, label) => (source, label),
                // It came behind the image's end.
                Message::Cancel => continue,
                Message::Stop => return,
            };
            let begun_at = Instant::now();
            let (zxid, page_count) = (source.zxid(), source.page_count());
            let header = ImageHeader { zxid, page_count, label };
            let path = crate::disk::path(&self.options.dir, FileName::Image(zxid));
            let written = self.write(&source, header);
            self.shadow.release(0..page_count);
            let outcome = match written {
                Ok(()) => {
                    Outcome::Written { zxid, len: header.file_len(), took: begun_at.elapsed() }
                }
                Err(Halt::Cancelled) => Outcome::Cancelled,
                Err(Halt::Failed(source)) => Outcome::Failed(ImageError { path, source }),
            };
            debug!(?outcome, "image");
            if self.outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    fn write(&mut self, source: &ImageSource, header: ImageHeader) -> Result<(), Halt> {
        let mut writing = Writing::begin(FileTarget::new(&self.options.dir, header.zxid), header)?;
        match self.fill(source, &mut writing) {
            Ok(()) => Ok(writing.finish()?),
            Err(halt) => {
                writing.abandon();
                Err(halt)
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a driver: it paces itself, on a thread of its own"
    )]
    fn fill(
        &mut self,
        source: &ImageSource,
        writing: &mut Writing<FileTarget>,
    ) -> Result<(), Halt> {
        let mut chunk = blocks(CHUNK_PAGES);
        self.order.begin(source.page_count().div_ceil(CHUNK_PAGES as u64) as u32);
        let pages = |number: u32| {
            let first = u64::from(number) * CHUNK_PAGES as u64;
            first..source.page_count().min(first + CHUNK_PAGES as u64)
        };
        let aside = |number| source.aside(pages(number));
        while let Some(number) = self.order.next(aside) {
            // Whatever comes meanwhile is the end.
            if !matches!(self.inbox.try_recv(), Err(TryRecvError::Empty)) {
                return Err(Halt::Cancelled);
            }
            let begun_at = Instant::now();
            writing.take(source, pages(number).start, &mut chunk)?;
            self.shadow.release(pages(number));
            std::thread::sleep(begun_at.elapsed() * self.options.rest_percent / 100);
        }
        Ok(())
    }
}

/// Pages in one write: large enough for the disk's speed, small enough that the log's write behind it does not wait long.
const CHUNK_PAGES: usize = 64;

/// Of the lowest few: what clients wait for comes first.
const NICE: i32 = 10;
