//! The judges of `tests/clients` against an ensemble of three: a client of a follower, while the other follower is killed and comes back.
//!
//! An ordinary run takes some of each language; `JUDGE_SERVER=ensemble` takes all of them, and nothing else. What a judge asks of its
//! server is done to the majority, so that it sees what it would see of one server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::bail;
use libtest_mimic::Trial;

use crate::ensemble::{Ensemble, trial};
use crate::judge;
use crate::server::{Kind, judges_ensembles};

/// What an ordinary run takes, where a language has it.
const SOME: [&str; 4] =
    ["every_op", "kill_in_mid_session", "session_over_a_kill", "watches_one_shot"];

/// What expects to hear that its server stands alone.
const OF_ONE_SERVER: [&str; 2] = ["configuration_of_one_server", "four_letter_words"];

/// Between two kills of the other follower.
const PAUSE: Duration = Duration::from_millis(700);

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (language, names) in judge::lists() {
        let of_one = ["examples", "mixed"].contains(&language.as_str());
        let wanted = |name: &str| judges_ensembles() || SOME.contains(&name);
        for name in names.into_iter().filter(|it| !of_one && wanted(it)) {
            if !OF_ONE_SERVER.contains(&name.as_str()) {
                let language = language.clone();
                let title = format!("ensemble_judged_by_{language}_{name}");
                trials.push(trial(&title, move || judged(&language, &name)));
            }
        }
    }
    trials
}

/// The servers, and which of them plays what.
struct Scene {
    ensemble: Ensemble,
    leader: usize,
    /// Whose client the judge is.
    follower: usize,
    /// Set while the judge has stopped its server.
    stopped: bool,
}

impl Scene {
    fn obey(&mut self, line: &str) -> anyhow::Result<()> {
        match line {
            "@restart" => {
                self.stop(Signal::Term)?;
                self.start()
            }
            "@stop" => self.stop(Signal::Term),
            "@kill" => self.stop(Signal::Kill),
            "@start" => self.start(),
            _ => bail!("the judge asks for `{line}`, which the harness does not know"),
        }
    }

    /// The judge's server, and the leader or, if that is the same, the one behind it.
    fn majority(&self) -> [usize; 2] {
        let next = (self.follower + 1) % self.ensemble.servers.len();
        [self.follower, if self.leader == self.follower { next } else { self.leader }]
    }

    fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.stopped = true;
        for number in self.majority() {
            let server = &mut self.ensemble.servers[number];
            match signal {
                Signal::Term => drop(server.stop()?),
                Signal::Kill => server.kill()?,
            }
        }
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        for number in self.majority() {
            self.ensemble.servers[number].launch()?;
        }
        self.ensemble.await_service(self.follower)?;
        self.leader = self.ensemble.leader()?;
        self.stopped = false;
        Ok(())
    }

    /// Kills who is neither the judge's nor the leader, and starts it again; if there is one, since the roles change.
    fn kill_another(&mut self) -> anyhow::Result<()> {
        let others = 0..self.ensemble.servers.len();
        let mut others = others.filter(|it| *it != self.leader && *it != self.follower);
        if let (Some(other), false) = (others.next(), self.stopped || self.leader == self.follower)
        {
            self.ensemble.servers[other].kill()?;
            thread::sleep(PAUSE / 4);
            self.ensemble.servers[other].launch()?;
            self.ensemble.await_service(other)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Term,
    Kill,
}

fn judged(language: &str, name: &str) -> anyhow::Result<()> {
    // What tests/README.md promises.
    let lines = "maxSessionTimeout=40000\n";
    let ensemble = Ensemble::start_with(&[Kind::Ringkeeper; 3], 0, lines)?;
    let leader = ensemble.leader()?;
    let follower = (leader + 1) % ensemble.servers.len();
    let address = ensemble.address(follower);
    let scene = Mutex::new(Scene { ensemble, leader, follower, stopped: false });
    let lock = || scene.lock().unwrap_or_else(PoisonError::into_inner);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let killing = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                lock().kill_another()?;
                thread::sleep(PAUSE);
            }
            anyhow::Ok(())
        });
        let done = judge::of_members(language, name, &[address], &mut |line| lock().obey(line));
        over.store(true, Ordering::Relaxed);
        killing.join().expect("it does not panic")?;
        done.map_err(|error| error.context(lock().ensemble.logs()))
    })
}
