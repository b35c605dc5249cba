//! Bugs of sessions, watches and the tree that others had, put back in on purpose: those of ZAB are `quorum`'s.
//!
//! They exist only in a build with `--cfg planted`: without it [`has`] is `false` at compile time. A release build with that flag
//! does not compile (`quorum::zab`).

/// A bug. Beside each: where it was, as the reference's tracker numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A read is answered before the writes of its session that are in front of it. Z-2684.
    ReadBeforeWrite,
    /// A read shows what its connection's watches have not told yet. Z-1863, class.
    ReadBeforeEvent,
    /// A server that is behind what a client has seen lets it in. Z-1282, class.
    LetInTheAhead,
    /// A learner answers `sync` by itself. Z-2136, class.
    SyncAtLearner,
    /// Watches that are set again do not tell what was missed. Z-1412, 961.
    ForgetMissed,
    /// Standing watches are not set again. Z-4466, class.
    ForgetStanding,
    /// A silent session never ends. Z-3471, class.
    NeverExpire,
    /// A learner does not tell the leader of its clients' pings. Z-1669, class.
    ForgetTouches,
    /// A session whose end is on its way may still make an ephemeral. Z-1208, 2355.
    EphemeralAfterClose,
    /// The end of a session leaves one of its ephemerals. Z-919, 1496.
    ForgetOneEphemeral,
    /// The owner of a session is not looked at: a request comes in by a server that its client has left. Z-2886, 907.
    ForgetOwner,
    /// A container goes before it had a child. Z-2163, class.
    ReapUnused,
    /// A container that has a child once more goes all the same. The second look, left out.
    ReapUsed,
    /// A TTL znode goes at the first look.
    ForgetTtl,
    /// No container goes.
    NeverReap,
    /// A local session outlives the role of its server.
    KeepLocals,
    /// An ephemeral in a multi does not make a local session a global one. Z-2725.
    UpgradeWithoutMulti,
    /// A session that has become a global one ends as a local one, at its server alone. Z-3471.
    EndLocally,
    /// A global session that has ended passes for a local one of another server. The reference as it is.
    PassForLocal,
}

impl Bug {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ReadBeforeWrite,
        Self::ReadBeforeEvent,
        Self::LetInTheAhead,
        Self::SyncAtLearner,
        Self::ForgetMissed,
        Self::ForgetStanding,
        Self::NeverExpire,
        Self::ForgetTouches,
        Self::EphemeralAfterClose,
        Self::ForgetOneEphemeral,
        Self::ForgetOwner,
        Self::ReapUnused,
        Self::ReapUsed,
        Self::ForgetTtl,
        Self::NeverReap,
        Self::KeepLocals,
        Self::UpgradeWithoutMulti,
        Self::EndLocally,
        Self::PassForLocal,
    ];
}

#[cfg(planted)]
static PLANTED: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(u8::MAX);

/// Puts a bug in, or takes it out, everywhere in this process.
#[cfg(planted)]
pub fn plant(bug: Option<Bug>) {
    let number = bug.map_or(u8::MAX, |it| it as u8);
    PLANTED.store(number, core::sync::atomic::Ordering::Relaxed);
}

/// Whether the bug is put in.
#[cfg(planted)]
pub fn has(bug: Bug) -> bool {
    PLANTED.load(core::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether the bug is put in: it is not.
#[cfg(not(planted))]
pub const fn has(_: Bug) -> bool {
    false
}
