//! The preparer: a thread that keeps a spare segment ready, renames begun ones, recycles released ones, cuts the log, and watches the
//! disk's space.
//!
//! ZooKeeper: `FilePadding`, `DatadirCleanupManager`. Driver, blocking, on no shard's core. All of the log's renames and removals happen
//! here, in order, so that at any crash the segments on disk are the newest ones without a hole.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use jute::Zxid;
use tracing::{debug, info, warn};

use crate::cut;
use crate::disk;
use crate::open::Options;
use crate::purge;
use crate::replay::End;
use crate::segment::{FileName, SegmentHeader};

/// Room on the log's file system, measured once a second.
#[derive(Clone, Debug)]
pub struct DiskSpace {
    shared: Arc<Shared>,
}

impl DiskSpace {
    /// Bytes free to this process, at most a second or one segment's filling old.
    pub fn free_bytes(&self) -> u64 {
        self.shared.free_bytes.load(Ordering::Relaxed)
    }

    /// Less than [`Options::reserve_bytes`] is free, or the disk gives no room for the next segment, whatever it says of its space (a quota, a
    /// failing device): refuse what makes the state grow, let the rest go on.
    pub fn nearly_full(&self) -> bool {
        self.free_bytes() < self.shared.reserve_bytes || self.gives_no_segment()
    }

    /// The last attempt to prepare a segment failed. It is tried again every second.
    pub fn gives_no_segment(&self) -> bool {
        self.shared.starved.load(Ordering::Relaxed)
    }
}

/// Tells the log which images are kept; any thread may hold one.
#[derive(Clone, Debug)]
pub struct Releaser {
    orders: Sender<Order>,
}

impl Releaser {
    /// The oldest image that is kept holds everything up to `image_zxid`: segments that only older ones needed are recycled or removed,
    /// soon, on the preparer's thread. Without effect once the log is closed.
    pub fn release(&self, image_zxid: Zxid) {
        self.orders
            .send(Order::Release { image_zxid })
            .unwrap_or_else(|_| info!("the log is closed: nothing released"));
    }
}

/// What the log asks of the preparer.
#[derive(Debug)]
pub(crate) enum Order {
    /// A spare has its first frame: give it its name.
    Name { spare: u64, first_zxid: Zxid },
    /// No image older than this one is needed: what only those needed can go.
    Release { image_zxid: Zxid },
    /// Nothing is being written: end the log with its last transaction that is not above `to`; `last` is the last one in it, if any is.
    Truncate { to: Zxid, last: Option<Zxid>, done: SyncSender<io::Result<Truncated>> },
    /// End, once what was ordered before is done.
    Stop,
}

/// Where a log ends that was cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Truncated {
    /// In a segment, of so many bytes.
    Within(End, u64),
    /// In front of its first segment, which followed this transaction; `None` if there was no segment.
    Before(Option<Zxid>),
}

/// A spare segment: zeros, or the frames of an earlier life behind a zeroed header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spare {
    pub(crate) number: u64,
    pub(crate) len: u64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    free_bytes: AtomicU64,
    reserve_bytes: u64,
    stop: AtomicBool,
    /// `State::failed` holds something.
    starved: AtomicBool,
    state: Mutex<State>,
    /// The log, waiting for a spare.
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Spare>,
    /// Why there is none, as the system's error number.
    failed: Option<i32>,
}

/// The log's end of the preparer. Dropping it stops the thread.
#[derive(Debug)]
pub(crate) struct Preparer {
    orders: Sender<Order>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    /// Starts the thread. `segments` are the named ones on disk, ascending; `spares` those ready to use.
    pub(crate) fn start(
        dir: &Path,
        options: &Options,
        segments: Vec<Zxid>,
        spares: Vec<Spare>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            free_bytes: AtomicU64::new(free_bytes(dir)?),
            reserve_bytes: options.reserve_bytes,
            stop: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            state: Mutex::default(),
            waker: AtomicWaker::new(),
        });
        let (orders, receiver) = channel();
        let next_number = spares.iter().map(|it| it.number + 1).max().unwrap_or(0);
        shared.lock().ready.extend(spares);
        let worker = Worker {
            dir: dir.to_path_buf(),
            segment_bytes: options.segment_bytes,
            segments,
            next_number,
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("wal-preparer".into())
            .spawn(move || worker.run(&receiver))?;
        Ok(Self { orders, shared, thread: Some(thread) })
    }

    pub(crate) fn space(&self) -> DiskSpace {
        DiskSpace { shared: Arc::clone(&self.shared) }
    }

    pub(crate) fn releaser(&self) -> Releaser {
        Releaser { orders: self.orders.clone() }
    }

    pub(crate) fn order(&self, order: Order) {
        // The thread ends before its receiver only by a panic, which ends the process.
        self.orders.send(order).unwrap_or_else(|_| warn!("the log's preparer is gone"));
    }

    /// Cuts the log, whose last transaction is `last`, and waits until that is durable. Nothing is being written, and no segment's file
    /// is open for it.
    ///
    /// # Errors
    /// The system's; where the log ends then is not known. `InvalidData`: it is damaged where it is to be cut.
    pub(crate) fn truncate(&self, to: Zxid, last: Option<Zxid>) -> io::Result<Truncated> {
        let (done, answer) = sync_channel(1);
        self.order(Order::Truncate { to, last, done });
        answer.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }

    /// The next spare: at once where one is ready, which it is unless the disk is slower than the log.
    ///
    /// # Errors
    /// Why no spare can be made.
    pub(crate) fn poll_spare(&self, cx: &Context<'_>) -> Poll<io::Result<Spare>> {
        self.shared.waker.register(cx.waker());
        let mut state = self.shared.lock();
        if let Some(spare) = state.ready.pop_front() {
            return Poll::Ready(Ok(spare));
        }
        match state.failed {
            Some(errno) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // At most the filling of one chunk; orders already given are carried out.
            thread.join().unwrap_or_else(|_| warn!("the log's preparer panicked"));
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    dir: PathBuf,
    segment_bytes: u64,
    /// First zxids of the named segments, ascending.
    segments: Vec<Zxid>,
    next_number: u64,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            if self.shared.lock().ready.len() < SPARES && !self.shared.stop.load(Ordering::Relaxed)
            {
                self.prepare();
            }
            match orders.recv_timeout(WATCH_INTERVAL) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Order::Name { spare, first_zxid }) => {
                    report("naming", self.name(spare, first_zxid));
                }
                Ok(Order::Release { image_zxid }) => report("releasing", self.release(image_zxid)),
                Ok(Order::Truncate { to, last, done }) => {
                    // Who asked waits for nothing else.
                    drop(done.send(self.truncate(to, last)));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            match free_bytes(&self.dir) {
                Ok(free) => self.shared.free_bytes.store(free, Ordering::Relaxed),
                Err(err) => {
                    warn!(dir = %self.dir.display(), %err, "the room on the log's disk is not known");
                }
            }
        }
    }

    fn path(&self, name: FileName) -> PathBuf {
        self.dir.join(name.to_string())
    }

    fn name(&mut self, spare: u64, first_zxid: Zxid) -> io::Result<()> {
        std::fs::rename(self.path(FileName::Spare(spare)), self.path(FileName::Log(first_zxid)))?;
        self.segments.push(first_zxid);
        disk::sync_dir(&self.dir)
    }

    fn release(&mut self, image_zxid: Zxid) -> io::Result<()> {
        for _ in 0..purge::unneeded(&self.segments, image_zxid) {
            let path = self.path(FileName::Log(self.segments[0]));
            let done = self.let_go(self.segments[0]);
            // What has lost its name is released, whatever failed then; what has not is tried again with the next image.
            if done.is_err() && path.try_exists()? {
                return done;
            }
            self.segments.remove(0);
            done?;
        }
        Ok(())
    }

    /// From the newest segment on, so that the log is whole at any crash.
    fn truncate(&mut self, to: Zxid, mut last: Option<Zxid>) -> io::Result<Truncated> {
        let mut before = None;
        while let Some(&first_zxid) = self.segments.last() {
            let path = self.path(FileName::Log(first_zxid));
            let whole = disk::read_all(&path)?;
            let cut = cut::choose(whole.bytes(), to, last);
            if let Some(cut) = cut.map_err(|it| io::Error::new(io::ErrorKind::InvalidData, it))? {
                disk::patch(&path, &cut.patches)?;
                return Ok(Truncated::Within(cut.end, whole.bytes().len() as u64));
            }
            let Ok((header, _)) = SegmentHeader::decode(whole.bytes()) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            before = Some(header.prev_zxid);
            last = last.and(before);
            self.let_go(first_zxid)?;
            self.segments.pop();
        }
        Ok(Truncated::Before(before))
    }

    /// The segment is one no more, durably; it becomes a spare where one is wanted.
    fn let_go(&mut self, first_zxid: Zxid) -> io::Result<()> {
        let path = self.path(FileName::Log(first_zxid));
        let has_room = self.shared.lock().ready.len() < SPARES_MAX;
        if has_room && std::fs::metadata(&path)?.len() == self.segment_bytes {
            self.recycle(&path)?;
        } else {
            std::fs::remove_file(&path)?;
            disk::sync_dir(&self.dir)?;
        }
        debug!(segment = %path.display(), "released a log segment");
        Ok(())
    }

    /// Under a name that means nothing until its header is gone: a crash in between costs a spare, no more.
    fn recycle(&mut self, path: &Path) -> io::Result<()> {
        let number = self.next_number;
        self.next_number += 1;
        let unfinished = self.path(FileName::Unfinished(number));
        std::fs::rename(path, &unfinished)?;
        let done = disk::sync_dir(&self.dir)
            .and_then(|()| disk::erase_header(&unfinished))
            .and_then(|()| self.offer(number));
        if done.is_err() {
            self.give_up(number);
        }
        done
    }

    fn prepare(&mut self) {
        let number = self.next_number;
        self.next_number += 1;
        let unfinished = self.path(FileName::Unfinished(number));
        let shared = Arc::clone(&self.shared);
        let made = disk::zero_fill(&unfinished, self.segment_bytes, &|| {
            !shared.stop.load(Ordering::Relaxed)
        })
        .and_then(|()| self.offer(number));
        let Err(err) = made else { return };
        self.give_up(number);
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let errno = err.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error());
        // Tried again every second, said once.
        let before = shared.lock().failed.replace(errno);
        shared.starved.store(true, Ordering::Relaxed);
        if before != Some(errno) {
            warn!(file = %unfinished.display(), %err, "preparing a log segment failed");
        }
        shared.waker.wake();
    }

    /// Removes what may be left of a spare that was not offered, under either name, so that attempts do not fill the disk.
    fn give_up(&self, number: u64) {
        for name in [FileName::Unfinished(number), FileName::Spare(number)] {
            let path = self.path(name);
            match std::fs::remove_file(&path) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => {
                    warn!(file = %path.display(), %err, "removing an unfinished segment failed");
                }
                _ => {}
            }
        }
    }

    fn offer(&self, number: u64) -> io::Result<()> {
        std::fs::rename(
            self.path(FileName::Unfinished(number)),
            self.path(FileName::Spare(number)),
        )?;
        disk::sync_dir(&self.dir)?;
        let mut state = self.shared.lock();
        state.ready.push_back(Spare { number, len: self.segment_bytes });
        state.failed = None;
        drop(state);
        self.shared.starved.store(false, Ordering::Relaxed);
        self.shared.waker.wake();
        Ok(())
    }
}

/// Nothing is lost: replay finds begun spares, and what is not released is only kept longer.
fn report(what: &str, done: io::Result<()>) {
    if let Err(err) = done {
        warn!(%err, "{what} a log segment failed");
    }
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Spares kept ready. One is enough: it is replaced while the one taken fills.
const SPARES: usize = 1;

/// Spares kept at most when segments are recycled.
const SPARES_MAX: usize = 2;

/// How often the disk's space is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
