//! Four-letter words: which is asked, whether it may be, and what is answered.
//!
//! ZooKeeper: `FourLetterCommands`, `NIOServerCnxn.checkFourLetterWord` and the classes in `server/command`. Answers have the
//! reference's shapes, because clients and monitors parse them. Pure: facts in, text out.
//! Absent: gathering the facts from the shards; `conf`, which the program renders from its settings.

mod java;
mod lists;
mod mntr;
mod mntr_rows;

pub use lists::{
    CnxnRow, CnxnSession, Dump, DumpSessions, Environment, ServerRow, cons, dirs, dump, envi, hash,
    srvr, stat, wchc, wchp, wchs,
};
pub use mntr::{
    Absence, Gauges, LeaderGauges, MemberGauges, MntrFigures, MntrRow, QuotaRow, mntr, mntr_rows,
};

/// Answer to every word but `ruok`, `envi`, `gtmk`, `stmk`, `isro` and `hash` while the server does not serve.
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// Answer to `hash` while the server does not serve: without an end of line.
pub const HASH_NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// Answer to `ruok`, whether the server serves or not.
pub const RUOK: &str = "imok";

/// Answer to `srst`.
pub const SRST: &str = "Server stats reset.\n";

/// Answer to `crst`.
pub const CRST: &str = "Connection stats reset.\n";

/// What `gtmk` says until `stmk` sets another mask. Source: `ZooTrace`.
pub const TRACE_MASK: i64 = 306;

/// Bytes that follow `stmk`: the mask, big-endian.
pub const TRACE_MASK_LEN: usize = 8;

/// A four-letter word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the variants are the words; docs/operations.md says what each shows"
)]
pub enum Word {
    Conf,
    Cons,
    Crst,
    Dirs,
    Dump,
    Envi,
    Gtmk,
    Hash,
    Isro,
    Mntr,
    Ruok,
    Srst,
    Srvr,
    Stat,
    Stmk,
    Wchc,
    Wchp,
    Wchs,
}

impl Word {
    /// Every word, by alphabet.
    pub const ALL: [Self; 18] = [
        Self::Conf,
        Self::Cons,
        Self::Crst,
        Self::Dirs,
        Self::Dump,
        Self::Envi,
        Self::Gtmk,
        Self::Hash,
        Self::Isro,
        Self::Mntr,
        Self::Ruok,
        Self::Srst,
        Self::Srvr,
        Self::Stat,
        Self::Stmk,
        Self::Wchc,
        Self::Wchp,
        Self::Wchs,
    ];

    /// The word itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conf => "conf",
            Self::Cons => "cons",
            Self::Crst => "crst",
            Self::Dirs => "dirs",
            Self::Dump => "dump",
            Self::Envi => "envi",
            Self::Gtmk => "gtmk",
            Self::Hash => "hash",
            Self::Isro => "isro",
            Self::Mntr => "mntr",
            Self::Ruok => "ruok",
            Self::Srst => "srst",
            Self::Srvr => "srvr",
            Self::Stat => "stat",
            Self::Stmk => "stmk",
            Self::Wchc => "wchc",
            Self::Wchp => "wchp",
            Self::Wchs => "wchs",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// The words that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whitelist(u32);

impl Whitelist {
    /// Every word.
    pub fn all() -> Self {
        Self(Word::ALL.iter().fold(0, |bits, word| bits | word.bit()))
    }

    /// These words, and `srvr`, which the reference's own scripts need. Names of no word are passed over, as there.
    ///
    /// The caller adds `isro` in read-only mode.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut bits = Word::Srvr.bit();
        for name in names {
            let word = Word::ALL.iter().find(|it| it.name() == name);
            bits |= word.map_or(0, |it| it.bit());
        }
        Self(bits)
    }

    /// Whether `word` is answered.
    pub fn contains(self, word: Word) -> bool {
        self.0 & word.bit() != 0
    }
}

/// What the first four bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// No word: the length of a frame.
    Frame,
    /// A word to answer. Eight more bytes belong to `stmk`, see [`trace_mask`].
    Word(Word),
    /// A word that is not in the whitelist: send [`refusal`], then close.
    Refused(Word),
    /// What telnet sends when it is interrupted: close.
    Telnet,
}

/// Reads the first four bytes of a connection. Words are looked for here only, never later.
pub fn opening(bytes: [u8; 4], whitelist: Whitelist) -> Opening {
    const TELNET: [u8; 4] = [0xff, 0xf4, 0xff, 0xfd];
    if bytes == TELNET {
        return Opening::Telnet;
    }
    match Word::ALL.into_iter().find(|it| it.name().as_bytes() == bytes) {
        None => Opening::Frame,
        Some(word) if whitelist.contains(word) => Opening::Word(word),
        Some(word) => Opening::Refused(word),
    }
}

/// What a word outside the whitelist is answered. Clients' tests wait for this line even from `ruok`.
pub fn refusal(word: Word) -> String {
    format!("{} is not executed because it is not in the whitelist.\n", word.name())
}

/// The mask that follows `stmk`.
pub fn trace_mask(bytes: [u8; TRACE_MASK_LEN]) -> i64 {
    i64::from_be_bytes(bytes)
}

/// Answer to `gtmk`, and to `stmk` with the mask just set.
pub fn gtmk(mask: i64) -> String {
    mask.to_string()
}

/// Whether only a server that serves answers the word.
pub const fn needs_serving(word: Word) -> bool {
    !matches!(word, Word::Ruok | Word::Isro | Word::Gtmk | Word::Stmk | Word::Envi)
}

/// What `isro` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// The server serves reads and writes.
    ReadWrite,
    /// It is cut off from its ensemble and serves reads.
    ReadOnly,
    /// It does not serve.
    Not,
}

/// Answer to `isro`, without an end of line.
pub const fn isro(serving: Serving) -> &'static str {
    match serving {
        Serving::ReadWrite => "rw",
        Serving::ReadOnly => "ro",
        Serving::Not => "null",
    }
}

#[cfg(test)]
mod tests;
