//! The rules of [`Lookout`].

use super::*;

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// A thread, its core and its clock. Between waits no time passes.
struct Thread {
    lookout: Lookout,
    now: Duration,
}

impl Thread {
    fn new() -> Self {
        Self { lookout: Lookout::new(), now: Duration::from_secs(1_000) }
    }

    /// Waits until an event comes in `after`, on a core that nobody else wants; whether it looked.
    fn wait(&mut self, after: Duration) -> Option<Found> {
        self.wait_beside(after, Duration::ZERO)
    }

    /// The same, where others run for `others` as soon as it looks.
    fn wait_beside(&mut self, after: Duration, others: Duration) -> Option<Found> {
        let span = self.lookout.span(self.now);
        let found = span.map(|span| {
            let found = if after <= span { Found::Something } else { Found::Nothing };
            let ran = after.min(span);
            let looked = Looked { found, lasted: ran + others, ran };
            self.lookout.looked(self.now + looked.lasted, looked);
            found
        });
        let after = if found.is_some() { after + others } else { after };
        self.now += after;
        self.lookout.woke(after);
        found
    }

    fn waits(&mut self, count: usize, after: Duration) -> usize {
        (0..count).filter(|_| self.wait(after).is_some()).count()
    }

    /// Waits of `after` until a look, which is not made yet; the time until then.
    fn until_it_may_look(&mut self, after: Duration) -> Duration {
        let began = self.now;
        while self.lookout.span(self.now).is_none() {
            self.wait(after);
        }
        self.now.saturating_sub(began)
    }

    /// Looks, while others want the core, until it stops; how long it does not look from then on.
    fn shuns(&mut self, others: Duration) -> Duration {
        while self.lookout.shun.until <= self.now {
            self.until_it_may_look(us(20));
            self.wait_beside(us(20), others);
        }
        self.until_it_may_look(us(20))
    }
}

/// `time` is `whole`, or a wait or so more.
#[track_caller]
fn about(time: Duration, whole: Duration) {
    assert!(whole <= time + us(1_000), "{time:?}");
    assert!(time <= whole + us(1_000), "{time:?}");
}

#[test]
fn events_that_keep_coming_soon_are_looked_out_for() {
    let mut thread = Thread::new();
    assert_eq!(thread.waits(4, us(150)), 0);
    assert_eq!(thread.lookout.span(thread.now), Some(LOOK));
    assert_eq!(thread.waits(100_000, us(20)), 100_000);
}

#[test]
fn one_event_that_comes_late_ends_the_looks_until_some_come_soon() {
    let mut thread = Thread::new();
    thread.waits(1_000, us(20));
    assert_eq!(thread.wait(us(10_000)), Some(Found::Nothing));
    assert_eq!(thread.waits(4, us(20)), 0);
    assert_eq!(thread.wait(us(20)), Some(Found::Something));
}

#[test]
fn an_idle_server_and_one_asked_a_hundred_times_a_second_never_look() {
    let mut thread = Thread::new();
    assert_eq!(thread.waits(10_000, us(10_000)), 0);
    assert_eq!(thread.waits(10_000, us(201)), 0);
}

#[test]
fn looks_that_find_nothing_stop_for_a_time_that_doubles_to_a_second() {
    let mut thread = Thread::new();
    let soon_but_not_in_a_look = us(100);
    let mut rests = Vec::new();
    for _ in 0..13 {
        thread.until_it_may_look(soon_but_not_in_a_look);
        let mut looks = 0;
        while thread.wait(soon_but_not_in_a_look).is_some() {
            looks += 1;
        }
        assert_eq!(looks, 3);
        rests.push(thread.until_it_may_look(soon_but_not_in_a_look));
    }
    for (&rest, doublings) in rests.iter().zip(0_u32..) {
        about(rest, Duration::from_millis(1 << doublings.min(10)));
    }
}

#[test]
fn of_events_of_which_half_are_found_none_is_looked_out_for_in_the_end() {
    let mut thread = Thread::new();
    let found = |thread: &mut Thread| thread.waits(20_000, us(100)) + thread.waits(20_000, us(100));
    found(&mut thread);
    let mut looks = 0;
    for _ in 0..10_000 {
        looks += usize::from(thread.wait(us(20)).is_some());
        looks += usize::from(thread.wait(us(100)).is_some());
    }
    assert!(looks < 50, "{looks}");
}

#[test]
fn looks_that_pay_rest_a_millisecond_only_when_they_cease_to() {
    let mut thread = Thread::new();
    thread.waits(100_000, us(100));
    thread.until_it_may_look(us(20));
    thread.waits(1_000, us(20));
    let mut looks = 0;
    while thread.wait(us(100)).is_some() {
        looks += 1;
    }
    assert_eq!(looks, CREDIT_MAX / MISS, "what was found long ago does not count for ever");
    about(thread.until_it_may_look(us(20)), us(1_000));
}

#[test]
fn a_thread_that_was_made_to_wait_for_long_keeps_from_looking_for_a_second() {
    let mut thread = Thread::new();
    thread.until_it_may_look(us(20));
    assert_eq!(thread.wait_beside(us(20), us(6_000)), Some(Found::Something));
    assert_eq!(thread.lookout.span(thread.now), None);
    about(thread.until_it_may_look(us(20)), Duration::from_secs(1));
}

#[test]
fn a_thread_that_waits_a_little_each_time_keeps_from_looking_too() {
    let mut thread = Thread::new();
    about(thread.shuns(us(10)), Duration::from_secs(1));
}

#[test]
fn what_every_system_does_now_and_then_is_not_minded() {
    let mut thread = Thread::new();
    for _ in 0..100 {
        assert!(thread.waits(5_000, us(20)) >= 4_996);
        thread.wait_beside(us(20), us(3_000));
    }
    assert_eq!(thread.lookout.shun.until, Duration::ZERO);
}

#[test]
fn a_core_that_stays_wanted_is_looked_on_once_in_64_seconds_in_the_end() {
    let mut thread = Thread::new();
    for seconds in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
        about(thread.shuns(us(3_000)), Duration::from_secs(seconds));
    }
}

#[test]
fn a_core_that_was_its_own_for_long_is_shunned_for_less() {
    let mut thread = Thread::new();
    for _ in 0..3 {
        thread.shuns(us(3_000));
    }
    // The next would be 8 s; after as long without anybody, 4.
    let waits = Duration::from_secs(9).as_micros() / 20;
    thread.waits(waits as usize, us(20));
    about(thread.shuns(us(3_000)), Duration::from_secs(4));
}

#[test]
fn sleep_is_no_proof_that_nobody_wants_the_core() {
    let mut thread = Thread::new();
    for _ in 0..3 {
        thread.shuns(us(3_000));
    }
    thread.waits(10_000, us(100_000));
    about(thread.shuns(us(3_000)), Duration::from_secs(8));
}
