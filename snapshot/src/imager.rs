//! The imager: the thread that writes images while the arena changes.
//!
//! ZooKeeper: the snapshot thread of `SyncRequestProcessor`, `ZooKeeperServer.takeSnapshot`. Driver, blocking, niced, on no shard's core.
//!
//! The pipeline shard begins an image between two batches, and asks now and then whether it is done. This thread takes the pages, each as
//! it was when the image began, whatever the arena does, and writes them in chunks, those first that change most ([`crate::order`]). After each it
//! rests as long as that took, so that the log keeps at least half of the disk. Where an older image's file can be written over, only pages that
//! changed since that are written ([`crate::turns`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::arena::ImageSource;
use jute::Zxid;
use tracing::{debug, warn};

use crate::disk::{FileTarget, blocks};
use crate::format::{FileName, ImageHeader, Label, PAGE_LEN};
use crate::order::Order;
use crate::region::Shadow;
use crate::turns::{Turns, Written};
use crate::write::Writing;

/// How images are written.
#[derive(Clone, Debug)]
pub struct ImagerOptions {
    /// Where to.
    pub dir: PathBuf,
    /// How long to rest after each write, in hundredths of the time that the write took: 100 leaves the log half of the disk's time.
    pub rest_percent: u32,
    /// How many images a purge behind each of them keeps: an older one's file is written again. `None`: there is no such purge.
    pub retain: Option<usize>,
}

impl ImagerOptions {
    /// The defaults, in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), rest_percent: 100, retain: None }
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
        /// Of these, pages that were written now, bytes.
        anew: u64,
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
        let turns = Turns::begin(&options.dir, options.retain);
        let order = Order::default();
        let worker = Worker { options, shadow, order, turns, inbox, outcomes: outbox };
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
    turns: Turns,
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
            let written = self.write(&source, header, begun_at);
            self.shadow.release(0..page_count);
            let outcome = match written {
                Ok(pages) => Outcome::Written {
                    zxid,
                    len: header.file_len(),
                    anew: pages * PAGE_LEN as u64,
                    took: begun_at.elapsed(),
                },
                Err(Halt::Cancelled) => Outcome::Cancelled,
                Err(Halt::Failed(source)) => Outcome::Failed(ImageError { path, source }),
            };
            debug!(?outcome, "image");
            if self.outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    /// Gives how many pages were written.
    fn write(
        &mut self,
        source: &ImageSource,
        header: ImageHeader,
        now: Instant,
    ) -> Result<u64, Halt> {
        let mut image = Written { zxid: header.zxid, number: source.number(), whole_at: now };
        let (target, kept) = if let Some(base) = self.turns.base(source, now) {
            image.whole_at = base.written.whole_at;
            (base.target, kept(source, base.written.number, &base.checksums))
        } else {
            let all = vec![None; header.page_count as usize];
            (FileTarget::new(&self.options.dir, header.zxid), all)
        };
        let mut writing = Writing::over(target, header, &kept)?;
        let pages = writing.left();
        match self.fill(source, &kept, &mut writing) {
            Ok(()) => writing.finish()?,
            Err(halt) => {
                writing.abandon();
                return Err(halt);
            }
        }
        self.turns.written(image);
        Ok(pages)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a driver: it paces itself, on a thread of its own"
    )]
    fn fill(
        &mut self,
        source: &ImageSource,
        kept: &[Option<u32>],
        writing: &mut Writing<FileTarget>,
    ) -> Result<(), Halt> {
        let mut buffer = blocks(CHUNK_PAGES);
        let chunks: Vec<_> = kept.chunks(CHUNK_PAGES).collect();
        self.order.begin(chunks.len() as u32, |it| chunks[it as usize].contains(&None));
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
            let mut first = pages(number).start;
            for run in chunks[number as usize].chunk_by(|a, b| a.is_some() == b.is_some()) {
                let next = first + run.len() as u64;
                if run[0].is_none() {
                    writing.take(source, first..next, &mut buffer)?;
                }
                first = next;
            }
            self.shadow.release(pages(number));
            std::thread::sleep(begun_at.elapsed() * self.options.rest_percent / 100);
        }
        Ok(())
    }
}

/// What a file that holds image `number` need not be written of, with the checksums there.
fn kept(source: &ImageSource, number: u32, checksums: &[u32]) -> Vec<Option<u32>> {
    let checksums = checksums.iter().map(|it| Some(*it)).chain(std::iter::repeat(None));
    let unchanged = (0..source.page_count())
        .zip(checksums)
        .map(|(page, checksum)| checksum.filter(|_| !source.changed_since(page, number)));
    let mut kept: Vec<_> = unchanged.collect();
    for chunk in kept.chunks_mut(CHUNK_PAGES) {
        bridge(chunk);
    }
    for (page, _) in (0..).zip(&kept).filter(|it| it.1.is_some()) {
        source.forgo(page);
    }
    kept
}

/// A few pages between two that are written are written with them: one write of more is cheaper than two.
fn bridge(chunk: &mut [Option<u32>]) {
    let mut last_written = None;
    for page in 0..chunk.len() {
        if chunk[page].is_some() {
            continue;
        }
        if let Some(last) = last_written.filter(|last| page - last <= BRIDGE_PAGES) {
            chunk[last..page].fill(None);
        }
        last_written = Some(page);
    }
}

/// Pages in one write: large enough for the disk's speed, small enough that the log's write behind it does not wait long.
const CHUNK_PAGES: usize = 64;

/// So near must two pages be that what lies between is written too.
const BRIDGE_PAGES: usize = 8;

/// Of the lowest few: what clients wait for comes first.
const NICE: i32 = 10;
