//! Bounded rings between two shards: one producer, one consumer, each perhaps on a thread of its own, or both tasks of
//! one executor.
//!
//! What was consumed goes back the other way ([`Receiver::give_back`], [`Sender::spare`]), so that a message's buffers
//! live as long as the lane and a turn allocates nothing. A full ring is told to the producer at once; it waits with
//! [`Sender::poll_room`], and nothing is ever dropped.
//!
//! Invariant: whoever changes a ring wakes the other end after the change, and whoever finds nothing to do looks once
//! more after it left its waker. Absent here: what the messages mean, several producers.

use std::sync::Arc;
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;

/// A lane that holds at most `len` messages on their way.
///
/// When it is full, [`Sender::push`] gives the message back.
pub fn lane<T>(len: usize) -> (Sender<T>, Receiver<T>) {
    let (items_in, items_out) = rtrb::RingBuffer::new(len);
    // One more for the message that the consumer holds, and one for the producer's.
    let (spares_in, spares_out) = rtrb::RingBuffer::new(len + 2);
    let wakers = Arc::new(Wakers::default());
    let sender = Sender { items: items_in, spares: spares_out, wakers: Arc::clone(&wakers) };
    (sender, Receiver { items: items_out, spares: spares_in, wakers })
}

#[derive(Debug, Default)]
struct Wakers {
    /// The consumer's, while the ring is empty.
    items: AtomicWaker,
    /// The producer's, while the ring is full.
    room: AtomicWaker,
}

/// The producing end.
#[derive(Debug)]
pub struct Sender<T> {
    items: rtrb::Producer<T>,
    spares: rtrb::Consumer<T>,
    wakers: Arc<Wakers>,
}

impl<T> Sender<T> {
    /// Hands `message` over and wakes the consumer.
    ///
    /// # Errors
    /// The message, if the ring is full.
    pub fn push(&mut self, message: T) -> Result<(), T> {
        match self.items.push(message) {
            Ok(()) => {
                self.wakers.items.wake();
                Ok(())
            }
            Err(rtrb::PushError::Full(message)) => Err(message),
        }
    }

    /// How many messages the ring takes before it is full.
    pub fn room(&self) -> usize {
        self.items.slots()
    }

    /// Ready when the ring takes a message, or when the consumer has gone.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if 0 < self.items.slots() || self.is_closed() {
            return Poll::Ready(());
        }
        self.wakers.room.register(cx.waker());
        if 0 < self.items.slots() || self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Comes back when the ring takes a message, or when the consumer has gone.
    pub async fn ready(&self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }

    /// Whether the consumer has gone: what is pushed now is never read.
    pub fn is_closed(&self) -> bool {
        self.items.is_abandoned()
    }

    /// A message that was consumed, to be filled again.
    pub fn spare(&mut self) -> Option<T> {
        self.spares.pop().ok()
    }
}

/// The consuming end.
#[derive(Debug)]
pub struct Receiver<T> {
    items: rtrb::Consumer<T>,
    spares: rtrb::Producer<T>,
    wakers: Arc<Wakers>,
}

impl<T> Receiver<T> {
    /// The oldest message, if there is one.
    pub fn pop(&mut self) -> Option<T> {
        let message = self.items.pop().ok()?;
        self.wakers.room.wake();
        Some(message)
    }

    /// Ready when there is a message.
    pub fn poll_item(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.items.is_empty() {
            return Poll::Ready(());
        }
        self.wakers.items.register(cx.waker());
        if self.items.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits for the oldest message.
    pub async fn next(&mut self) -> T {
        loop {
            std::future::poll_fn(|cx| self.poll_item(cx)).await;
            if let Some(message) = self.pop() {
                return message;
            }
        }
    }

    /// Gives a consumed message's buffers back to the producer; beyond the lane's length they are dropped.
    pub fn give_back(&mut self, message: T) {
        drop(self.spares.push(message));
    }
}

/// Messages from many threads to one task, without a bound: for the few words of the control thread.
///
/// Bounded by who sends: the control thread has one question under way per shard.
pub fn mailbox<T>() -> (Letters<T>, Mailbox<T>) {
    let (letters, inside) = std::sync::mpsc::channel();
    let waker = Arc::new(AtomicWaker::new());
    (Letters { letters, waker: Arc::clone(&waker) }, Mailbox { inside, waker })
}

/// The sending end of a mailbox.
#[derive(Debug)]
pub struct Letters<T> {
    letters: std::sync::mpsc::Sender<T>,
    waker: Arc<AtomicWaker>,
}

impl<T> Clone for Letters<T> {
    fn clone(&self) -> Self {
        Self { letters: self.letters.clone(), waker: Arc::clone(&self.waker) }
    }
}

impl<T> Letters<T> {
    /// Sends `message`.
    ///
    /// # Errors
    /// The message, if the other end has gone.
    pub fn send(&self, message: T) -> Result<(), T> {
        self.letters.send(message).map_err(|error| error.0)?;
        self.waker.wake();
        Ok(())
    }
}

/// The receiving end of a mailbox.
#[derive(Debug)]
pub struct Mailbox<T> {
    inside: std::sync::mpsc::Receiver<T>,
    waker: Arc<AtomicWaker>,
}

impl<T> Mailbox<T> {
    /// The oldest message, if there is one; else the task of `cx` is woken when one comes.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<T> {
        if let Ok(message) = self.inside.try_recv() {
            return Poll::Ready(message);
        }
        self.waker.register(cx.waker());
        self.inside.try_recv().map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for the oldest message.
    pub async fn next(&mut self) -> T {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::{lane, mailbox};
    use futures_lite::future::block_on;

    #[test]
    fn messages_arrive_in_order_across_threads() {
        let (mut sender, mut receiver) = lane::<u32>(4);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                block_on(async {
                    for number in 0..20_000 {
                        sender.ready().await;
                        assert_eq!(sender.push(number), Ok(()));
                    }
                });
            });
            for number in 0..20_000 {
                assert_eq!(block_on(receiver.next()), number);
            }
        });
    }

    #[test]
    fn a_full_lane_gives_the_message_back() {
        let (mut sender, mut receiver) = lane(2);
        assert_eq!(sender.push(1), Ok(()));
        assert_eq!(sender.push(2), Ok(()));
        assert_eq!(sender.room(), 0);
        assert_eq!(sender.push(3), Err(3));
        assert_eq!(receiver.pop(), Some(1));
        assert_eq!(sender.push(3), Ok(()));
    }

    #[test]
    fn buffers_come_back_to_the_producer() {
        let (mut sender, mut receiver) = lane(1);
        assert_eq!(sender.push(vec![1]), Ok(()));
        let message = receiver.pop().unwrap();
        receiver.give_back(message);
        assert_eq!(sender.spare(), Some(vec![1]));
        assert_eq!(sender.spare(), None);
    }

    #[test]
    fn a_letter_wakes_the_mailbox() {
        let (letters, mut mailbox) = mailbox();
        std::thread::scope(|scope| {
            scope.spawn(move || letters.send(7));
            assert_eq!(block_on(mailbox.next()), 7);
        });
    }
}
