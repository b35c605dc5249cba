//! Who may come in: connections per address and in all, and how fast sessions may start.
//!
//! ZooKeeper: `NIOServerCnxnFactory.AcceptThread` (`maxClientCnxns`, `maxCnxns`) and `BlueThrottle`. The kernel spreads
//! connections over the shards as it likes, and the limits are the server's, so this is the one thing that the shards
//! share under a lock: it is taken when a connection comes, shakes hands and goes, never by a request.
//!
//! Absent here: sockets, clocks, chance (a seed comes in).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the configuration says about coming in.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionSettings {
    /// Connections of one address; 0 for no limit. Source: `maxClientCnxns`.
    pub cnxns_per_address_max: u32,
    /// Connections in all; 0 for no limit. Source: `maxCnxns`.
    pub cnxns_max: u32,
    /// How fast sessions may start.
    pub throttle: ThrottleSettings,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { cnxns_per_address_max: 60, cnxns_max: 0, throttle: ThrottleSettings::default() }
    }
}

/// The connection throttle: a bucket of tokens, and a chance of refusal that grows while the bucket is empty.
///
/// Source: `BlueThrottle`, `zookeeper.connection_throttle_*`.
#[derive(Clone, Debug, PartialEq)]
pub struct ThrottleSettings {
    /// Tokens that the bucket holds; 0 switches the throttle off.
    pub tokens: u32,
    /// Milliseconds after which `fill_count` tokens are added; at least 1.
    pub fill_time_ms: u64,
    /// Tokens added.
    pub fill_count: u32,
    /// Milliseconds between two changes of the chance of refusal; `None` leaves chance out.
    pub freeze_time_ms: Option<u64>,
    /// How much the chance grows when the bucket is empty; 0 to 1.
    pub drop_increase: f64,
    /// How much it shrinks when the bucket is full enough; 0 to 1.
    pub drop_decrease: f64,
    /// What part of the bucket may be used up for the chance to shrink; 0 to 1.
    pub decrease_ratio: f64,
    /// What a session costs.
    pub weights: ThrottleWeights,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            tokens: 0,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: None,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weights: ThrottleWeights { new: 1, renewed: 1 },
        }
    }
}

/// Tokens that a handshake takes. All ones unless weights are switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleWeights {
    /// For a new session. Source: `connection_throttle_global_session_weight`, 3.
    pub new: u32,
    /// For a session that goes on. Source: `connection_throttle_renew_session_weight`, 2.
    pub renewed: u32,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The address has as many as it may have.
    #[error("{address} has {count} connections, its limit")]
    Address {
        /// Whose.
        address: IpAddr,
        /// The limit.
        count: u32,
    },
    /// The server has as many as it may have.
    #[error("the server has {count} connections, its limit")]
    Server {
        /// The limit.
        count: u32,
    },
}

/// What is counted: of the whole server, shared by its shards.
#[derive(Debug)]
pub struct Admission {
    settings: AdmissionSettings,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    by_address: BTreeMap<IpAddr, u32>,
    all: u32,
    throttle: Throttle,
}

impl Admission {
    /// Nobody is in yet. `seed` is chance, for the throttle.
    pub fn new(settings: AdmissionSettings, now_ms: u64, seed: u64) -> Self {
        let throttle = Throttle::new(&settings.throttle, now_ms, seed);
        Self {
            settings,
            counts: Mutex::new(Counts { by_address: BTreeMap::new(), all: 0, throttle }),
        }
    }

    /// The configuration.
    pub fn settings(&self) -> &AdmissionSettings {
        &self.settings
    }

    /// Connections there are.
    pub fn len(&self) -> u32 {
        self.lock().all
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts a connection from `address` in.
    ///
    /// # Errors
    /// [`Refusal`]; then it is not counted.
    pub fn enter(&self, address: IpAddr) -> Result<(), Refusal> {
        let mut counts = self.lock();
        let (per_address, all) = (self.settings.cnxns_per_address_max, self.settings.cnxns_max);
        if 0 < all && all <= counts.all {
            return Err(Refusal::Server { count: all });
        }
        let count = counts.by_address.entry(address).or_insert(0);
        if 0 < per_address && per_address <= *count {
            return Err(Refusal::Address { address, count: per_address });
        }
        *count += 1;
        counts.all += 1;
        Ok(())
    }

    /// Counts a connection from `address` out.
    pub fn leave(&self, address: IpAddr) {
        let mut counts = self.lock();
        let count = counts.by_address.get_mut(&address);
        assert!(count.as_ref().is_some_and(|count| 0 < **count), "more left than came");
        if let Some(count) = count {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
        counts.all -= 1;
    }

    /// Whether a session may start or go on now; takes the tokens if so.
    pub fn lets_in(&self, now_ms: u64, kind: Handshake) -> bool {
        let weights = self.settings.throttle.weights;
        let tokens = match kind {
            Handshake::New => weights.new,
            Handshake::Renewed => weights.renewed,
        };
        if self.settings.throttle.tokens == 0 {
            return true;
        }
        self.lock().throttle.take(&self.settings.throttle, now_ms, tokens)
    }

    /// Tokens that the throttle's bucket lacks; 0 if it is off. Source: `connection_token_deficit`.
    pub fn deficit(&self) -> u64 {
        let tokens = self.settings.throttle.tokens;
        if tokens == 0 { 0 } else { u64::from(tokens - self.lock().throttle.tokens) }
    }

    /// The chance, 0 to 1, that the throttle refuses a session. Source: `connection_drop_probability`.
    pub fn drop_chance(&self) -> f64 {
        self.lock().throttle.drop
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // A panic ends the process; there is no poison to look at.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a handshake asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A new session.
    New,
    /// A session that goes on.
    Renewed,
}

/// The bucket. Invariant: `tokens` is at most the configured maximum, however long nobody came.
#[derive(Debug)]
struct Throttle {
    tokens: u32,
    filled_ms: u64,
    /// Chance of refusal, 0 to 1.
    drop: f64,
    frozen_ms: u64,
    random: u64,
}

impl Throttle {
    fn new(settings: &ThrottleSettings, now_ms: u64, seed: u64) -> Self {
        Self {
            tokens: settings.tokens,
            filled_ms: now_ms,
            drop: 0.0,
            frozen_ms: now_ms,
            random: seed | 1,
        }
    }

    fn take(&mut self, settings: &ThrottleSettings, now_ms: u64, need: u32) -> bool {
        let idle_ms = now_ms.saturating_sub(self.filled_ms);
        if settings.fill_time_ms < idle_ms {
            let refill = idle_ms.saturating_mul(u64::from(settings.fill_count))
                / settings.fill_time_ms.max(1);
            let tokens = refill.saturating_add(u64::from(self.tokens));
            self.tokens = tokens.min(u64::from(settings.tokens)) as u32;
            self.filled_ms = now_ms;
        }
        if settings.freeze_time_ms.is_some_and(|freeze_ms| self.drops(settings, now_ms, freeze_ms))
        {
            return false;
        }
        if self.tokens < need {
            return false;
        }
        self.tokens -= need;
        true
    }

    fn drops(&mut self, settings: &ThrottleSettings, now_ms: u64, freeze_ms: u64) -> bool {
        if freeze_ms < now_ms.saturating_sub(self.frozen_ms) {
            let used = f64::from(settings.tokens - self.tokens);
            if self.tokens == 0 {
                self.drop = (self.drop + settings.drop_increase).min(1.0);
            } else if used <= (f64::from(settings.tokens) * settings.decrease_ratio).round() {
                self.drop = (self.drop - settings.drop_decrease).max(0.0);
            }
            self.frozen_ms = now_ms;
        }
        // xorshift64*: chance here only spreads refusals.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let dice = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        (dice as f64) / f64::from(u32::MAX) < self.drop
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{
        Admission, AdmissionSettings, Handshake, Refusal, ThrottleSettings, ThrottleWeights,
    };

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn an_address_at_its_limit_is_refused_and_another_is_not() {
        let settings = AdmissionSettings { cnxns_per_address_max: 2, ..Default::default() };
        let admission = Admission::new(settings, 0, 1);
        assert_eq!([admission.enter(HOME), admission.enter(HOME)], [Ok(()), Ok(())]);
        assert_eq!(admission.enter(HOME), Err(Refusal::Address { address: HOME, count: 2 }));
        assert_eq!(admission.enter(AWAY), Ok(()));
        admission.leave(HOME);
        assert_eq!(admission.enter(HOME), Ok(()));
        assert_eq!(admission.len(), 3);
    }

    #[test]
    fn a_full_server_refuses_everybody() {
        let settings = AdmissionSettings { cnxns_max: 1, ..Default::default() };
        let admission = Admission::new(settings, 0, 1);
        assert_eq!(admission.enter(HOME), Ok(()));
        assert_eq!(admission.enter(AWAY), Err(Refusal::Server { count: 1 }));
    }

    #[test]
    fn a_refused_connection_is_not_counted() {
        let settings = AdmissionSettings { cnxns_per_address_max: 1, ..Default::default() };
        let admission = Admission::new(settings, 0, 1);
        assert_eq!(admission.enter(HOME), Ok(()));
        assert!(admission.enter(HOME).is_err());
        admission.leave(HOME);
        assert!(admission.is_empty());
    }

    fn throttled(throttle: ThrottleSettings) -> Admission {
        Admission::new(AdmissionSettings { throttle, ..Default::default() }, 0, 1)
    }

    #[test]
    fn the_throttle_lets_in_as_many_as_it_has_tokens() {
        let admission =
            throttled(ThrottleSettings { tokens: 3, fill_time_ms: 10, ..Default::default() });
        let let_in = || (0..9).filter(|_| admission.lets_in(5, Handshake::New)).count();
        assert_eq!(let_in(), 3);
        let later = || (0..9).filter(|_| admission.lets_in(25, Handshake::New)).count();
        assert_eq!(later(), 2);
    }

    #[test]
    fn ten_idle_years_fill_the_bucket_and_no_more() {
        let admission = throttled(ThrottleSettings { tokens: 3, ..Default::default() });
        let ten_years = 10 * 365 * 24 * 3_600_000;
        let let_in = (0..9).filter(|_| admission.lets_in(ten_years, Handshake::New)).count();
        assert_eq!(let_in, 3);
        let end = (0..9).filter(|_| admission.lets_in(u64::MAX, Handshake::New)).count();
        assert_eq!(end, 3);
    }

    #[test]
    fn a_renewed_session_costs_its_own_weight() {
        let weights = ThrottleWeights { new: 3, renewed: 2 };
        let admission = throttled(ThrottleSettings { tokens: 5, weights, ..Default::default() });
        assert!(admission.lets_in(0, Handshake::New));
        assert!(!admission.lets_in(0, Handshake::New));
        assert!(admission.lets_in(0, Handshake::Renewed));
    }

    #[test]
    fn refusals_by_chance_grow_while_the_bucket_is_empty() {
        let admission = throttled(ThrottleSettings {
            tokens: 1,
            fill_count: 0,
            freeze_time_ms: Some(0),
            drop_increase: 0.5,
            ..Default::default()
        });
        assert!(admission.lets_in(0, Handshake::New));
        for now_ms in 1..4 {
            assert!(!admission.lets_in(now_ms, Handshake::New));
        }
        assert!((admission.drop_chance() - 1.0).abs() < f64::EPSILON);
    }
}
