//! The imager: the thread that writes images while the arena changes.
//!
//! ZooKeeper: the snapshot thread of `SyncRequestProcessor`, `ZooKeeperServer.takeSnapshot`. Driver, blocking, niced, on no shard's core.
//!
//! The pipeline shard begins an image between two batches, hands over the pages that it copies aside, after each batch, and asks now and then
//! whether it is done. This thread walks the pages in order and writes them in chunks; a page that the writer has copied aside is put in when it
//! comes. After each write it rests as long as the write took, so that the log keeps at least half of the disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::arena::{Aside, ImageSource, Page, PageState};
use jute::Zxid;
use tracing::{debug, warn};

use crate::disk::{Block, FileTarget, blocks};
use crate::format::{FileName, ImageHeader, Label, PAGE_LEN};
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
    pages: Receiver<Box<Page>>,
    pages_left: Arc<AtomicU64>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Message {
    Begin(ImageSource, Label),
    Aside(Aside),
    Cancel,
    Stop,
}

impl Imager {
    /// Starts the thread. It inherits the caller's affinity: call this from a thread that is not pinned.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(options: ImagerOptions) -> io::Result<Self> {
        let (messages, inbox) = channel();
        let (outbox, outcomes) = channel();
        let (page_outbox, pages) = channel();
        let pages_left = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            options,
            inbox,
            outcomes: outbox,
            pages: page_outbox,
            pages_left: Arc::clone(&pages_left),
        };
        let thread =
            std::thread::Builder::new().name("snapshot".into()).spawn(move || worker.run())?;
        Ok(Self { messages, outcomes, pages, pages_left, busy: false, thread: Some(thread) })
    }

    /// Whether an image is being written.
    pub fn busy(&self) -> bool {
        self.busy
    }

    /// Begins an image; none is being written.
    pub fn begin(&mut self, source: ImageSource, label: Label) {
        assert!(!self.busy);
        self.busy = true;
        self.pages_left.store(source.page_count(), Ordering::Relaxed);
        self.send(Message::Begin(source, label));
    }

    /// Hands over a page that the writer copied aside.
    pub fn aside(&self, aside: Aside) {
        self.send(Message::Aside(aside));
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

    /// A page that [`Self::aside`] took and that is written: the arena may use it again. Never waits.
    pub fn spare_page(&self) -> Option<Box<Page>> {
        self.pages.try_recv().ok()
    }

    /// Pages still to be written.
    pub fn pages_left(&self) -> u64 {
        self.pages_left.load(Ordering::Relaxed)
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
    inbox: Receiver<Message>,
    outcomes: Sender<Outcome>,
    pages: Sender<Box<Page>>,
    pages_left: Arc<AtomicU64>,
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

/// An image in the making.
struct Job {
    source: ImageSource,
    writing: Writing<FileTarget>,
    /// Pages below this were asked for.
    next: u64,
    /// Copied aside before the walk came to them.
    early: BTreeMap<u64, Box<Page>>,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "a driver: it times its own work")]
    fn run(self) {
        if let Err(err) = rustix::process::setpriority_process(None, NICE) {
            warn!(%err, "the snapshot thread could not be niced");
        }
        while let Ok(message) = self.inbox.recv() {
            let (source, label) = match message {
                Message::Begin(source, label) => (source, label),
                // What comes after an image has failed is of no use any more.
                Message::Aside(_) | Message::Cancel => continue,
                Message::Stop => return,
            };
            let begun_at = Instant::now();
            let (zxid, page_count) = (source.zxid(), source.page_count());
            let header = ImageHeader { zxid, page_count, label };
            let path = crate::disk::path(&self.options.dir, FileName::Image(zxid));
            let outcome = match self.write(source, header) {
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

    fn write(&self, source: ImageSource, header: ImageHeader) -> Result<(), Halt> {
        let writing = Writing::begin(FileTarget::new(&self.options.dir, header.zxid), header)?;
        let mut job = Job { source, writing, next: 0, early: BTreeMap::new() };
        match self.fill(&mut job) {
            Ok(()) => Ok(job.writing.finish()?),
            Err(halt) => {
                job.writing.abandon();
                Err(halt)
            }
        }
    }

    fn fill(&self, job: &mut Job) -> Result<(), Halt> {
        let mut chunk = blocks(CHUNK_PAGES);
        while 0 < job.writing.left() {
            if job.next < job.source.page_count() {
                self.take_messages(job, self.inbox.try_recv())?;
                self.walk(job, &mut chunk)?;
            } else {
                // Every page was asked for: what is missing can only come from the writer.
                self.take_messages(job, self.inbox.recv().map_err(TryRecvError::from))?;
            }
            self.pages_left.store(job.writing.left(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes `message` and all that the pipeline shard has sent behind it.
    fn take_messages(
        &self,
        job: &mut Job,
        mut message: Result<Message, TryRecvError>,
    ) -> Result<(), Halt> {
        loop {
            match message {
                Ok(Message::Aside(aside)) => self.put_aside(job, aside)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Ok(Message::Cancel | Message::Stop | Message::Begin(..))
                | Err(TryRecvError::Disconnected) => {
                    return Err(Halt::Cancelled);
                }
            }
            message = self.inbox.try_recv();
        }
    }

    fn put_aside(&self, job: &mut Job, Aside { number, words }: Aside) -> Result<(), Halt> {
        if job.next <= number && job.early.len() < EARLY_MAX {
            job.early.insert(number, words);
            return Ok(());
        }
        let mut block = blocks(1);
        block[0].0 = *words;
        job.writing.put(number, &block)?;
        self.give_back(words);
        Ok(())
    }

    /// The next chunk of pages: copied, or put in from what came early, and written in as few writes as the holes allow.
    #[expect(
        clippy::disallowed_methods,
        reason = "a driver: it paces itself, on a thread of its own"
    )]
    fn walk(&self, job: &mut Job, chunk: &mut [Block]) -> Result<(), Halt> {
        let begun_at = Instant::now();
        let first = job.next;
        job.next = job.source.page_count().min(first + chunk.len() as u64);
        // The pages from `run` up to the one looked at are there and not written.
        let mut run = 0;
        for (idx, number) in (first..job.next).enumerate() {
            if self.take_page(job, number, &mut chunk[idx]) {
                continue;
            }
            job.writing.put(first + run as u64, &chunk[run..idx])?;
            run = idx + 1;
        }
        let end = (job.next - first) as usize;
        job.writing.put(first + run as u64, &chunk[run..end])?;
        std::thread::sleep(begun_at.elapsed() * self.options.rest_percent / 100);
        Ok(())
    }

    /// Whether page `number` is to be written now, and is in `block`.
    fn take_page(&self, job: &mut Job, number: u64, block: &mut Block) -> bool {
        if job.writing.has(number) {
            return false;
        }
        let Some(words) = job.early.remove(&number) else {
            return job.source.page(number, &mut block.0) == PageState::Copied;
        };
        block.0 = *words;
        self.give_back(words);
        true
    }

    fn give_back(&self, words: Box<Page>) {
        // Nobody left to take it: it is freed.
        drop(self.pages.send(words));
    }
}

/// Pages in one write: large enough for the disk's speed, small enough that the log's write behind it does not wait long.
const CHUNK_PAGES: usize = 64;

/// Pages kept in memory until the walk comes to them, at most: 64 MiB. Those above are written at once, one by one.
const EARLY_MAX: usize = (64 << 20) / PAGE_LEN;

/// Of the lowest few: what clients wait for comes first.
const NICE: i32 = 10;
