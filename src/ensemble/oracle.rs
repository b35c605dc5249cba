//! The file in which an operator says whether one of two voters may go on alone.
//!
//! ZooKeeper: `QuorumOracleMaj.askOracle`. **Differs:** a thread of its own reads, so that a file system that hangs holds up nothing; what it does not
//! answer is not allowed. What a word means is the machine's.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::task::Waker;

use net::learners::LearnerPort;
use quorum::oracle::Word;
use quorum::server;

use super::Core;
use crate::clock;
use crate::threads::Unpinned;

/// Asks, and waits for answers.
#[derive(Debug)]
pub(crate) struct Oracle {
    /// One question at a time, with whom to wake.
    questions: SyncSender<Waker>,
    answers: Receiver<Word>,
    is_asked: bool,
    /// When to ask next, monotonic milliseconds.
    next_at: u64,
    period_ms: u64,
    /// The last word, while it is asked.
    word: Option<Word>,
}

impl Oracle {
    /// Begins to be ready; nothing is read before the first question.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn new(path: PathBuf, tick_ms: u32, helpers: &Unpinned) -> io::Result<Self> {
        let (questions, asked) = sync_channel::<Waker>(1);
        let (answer, answers) = channel();
        helpers.start("oracle", move || {
            let mut fails = false;
            for waker in asked {
                let word = read(&path);
                if let Err(error) = &word
                    && !fails
                {
                    let path = path.display();
                    tracing::warn!("oraclePath {path}: {error}; that is no leave to go on alone");
                }
                fails = word.is_err();
                // Nobody waits where the shard has ended.
                let _gone: Result<_, _> = answer.send(word.unwrap_or(Word::Wait));
                waker.wake();
            }
        })?;
        // A word counts for a tick.
        let period_ms = u64::from(tick_ms / 4).max(1);
        Ok(Self { questions, answers, is_asked: false, next_at: 0, period_ms, word: None })
    }

    /// Nobody needs it now.
    pub(super) fn rest(&mut self) {
        self.is_asked &= self.answers.try_recv().is_err();
        self.word = None;
    }

    /// What it has answered, if it has; asks if it is time. What was asked a tick ago or more is answered by nothing: this process may have been stopped meanwhile.
    pub(super) fn turn(&mut self, now_ms: u64, waker: &Waker) -> Option<Word> {
        let word = self.answers.try_recv().ok();
        self.is_asked &= word.is_none();
        let is_late = self.next_at + 3 * self.period_ms <= now_ms;
        let word = word.filter(|_| !is_late);
        if !self.is_asked && self.next_at <= now_ms {
            self.is_asked = self.questions.try_send(waker.clone()).is_ok();
            self.next_at = now_ms + self.period_ms;
        }
        let word = word?;
        if self.word.replace(word) != Some(word) {
            match word {
                Word::GoOn => tracing::info!("the oracle says 1: alone, this server may go on"),
                Word::Wait => tracing::info!("the oracle lets nobody go on alone"),
            }
        }
        Some(word)
    }

    /// When to ask again if nothing else happens; monotonic milliseconds.
    pub(super) fn next_deadline(&self) -> u64 {
        if self.is_asked { u64::MAX } else { self.next_at }
    }
}

impl Core {
    /// Hears what the oracle says, before anybody looks at the clock.
    pub(super) fn ask_oracle(&mut self, port: &mut LearnerPort) -> bool {
        let Some(oracle) = &mut self.oracle else { return false };
        if !self.server.asks_oracle() {
            oracle.rest();
            return false;
        }
        let Some(word) = oracle.turn(clock::now_ms(), &self.waker) else { return false };
        self.step_server(port, server::Input::Oracle { word });
        true
    }
}

/// The file's first byte: `1` is leave.
fn read(path: &Path) -> io::Result<Word> {
    let mut first = [0];
    let len = File::open(path)?.read(&mut first)?;
    Ok(if len == 1 && first == *b"1" { Word::GoOn } else { Word::Wait })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it answers, asked at this moment.
    fn asked(oracle: &mut Oracle, now_ms: u64) -> Word {
        loop {
            if let Some(word) = oracle.turn(now_ms, Waker::noop()) {
                return word;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn only_a_file_that_begins_with_1_is_leave() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("oracle");
        let helpers = Unpinned::here().unwrap();
        let mut oracle = Oracle::new(path.clone(), 400, &helpers).unwrap();
        let mut now_ms = 0;
        let mut word = |oracle: &mut Oracle| {
            now_ms += 100;
            asked(oracle, now_ms)
        };
        assert_eq!(word(&mut oracle), Word::Wait, "there is none");
        for (text, meant) in [
            ("1", Word::GoOn),
            ("0", Word::Wait),
            ("1\n", Word::GoOn),
            ("", Word::Wait),
            (" 1", Word::Wait),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(word(&mut oracle), meant, "{text:?}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(word(&mut oracle), Word::Wait, "a directory");
    }

    #[test]
    fn it_is_asked_four_times_a_tick() {
        let dir = tempfile::tempdir().unwrap();
        let helpers = Unpinned::here().unwrap();
        let mut oracle = Oracle::new(dir.path().join("oracle"), 400, &helpers).unwrap();
        oracle.rest();
        assert!(!oracle.is_asked);
        asked(&mut oracle, 1_000);
        assert_eq!(oracle.next_deadline(), 1_100);
        assert_eq!(oracle.turn(1_099, Waker::noop()), None);
        assert!(!oracle.is_asked);
        asked(&mut oracle, 1_100);
        assert_eq!(oracle.next_deadline(), 1_200);
    }

    #[test]
    fn an_answer_that_comes_a_tick_late_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let helpers = Unpinned::here().unwrap();
        for (heard_ms, counts) in [(1_399, true), (1_400, false)] {
            let mut oracle = Oracle::new(dir.path().join("oracle"), 400, &helpers).unwrap();
            assert_eq!(oracle.turn(1_000, Waker::noop()), None);
            assert!(oracle.is_asked);
            let heard = loop {
                let heard = oracle.turn(heard_ms, Waker::noop());
                // It was answered, and is asked again.
                if oracle.next_at != 1_100 {
                    break heard;
                }
            };
            assert_eq!(heard.is_some(), counts, "at {heard_ms}");
        }
    }
}
