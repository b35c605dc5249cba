//! How the process ends.
//!
//! Source: `org.apache.zookeeper.server.ExitCode`; supervisors and scripts know these numbers.

/// Exit status of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It was asked to stop and did.
    Finished = 0,
    /// Something that should not happen did.
    UnexpectedError = 1,
    /// The command line or the configuration makes no sense.
    InvalidInvocation = 2,
    /// A data directory cannot be read, written or created, or another server has it.
    UnableToAccessDatadir = 3,
    /// The admin port cannot be opened.
    ErrorStartingAdminServer = 4,
    /// A snapshot cannot be written.
    ErrorTakingSnapshot = 10,
    /// A commit arrived that is not the next one.
    UnmatchedTxnCommit = 12,
    /// A peer sent what it must not.
    UnexpectedPacket = 13,
    /// The election port cannot be opened.
    UnableToBindQuorumPort = 14,
}

impl ExitCode {
    /// The number that the operating system is given.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn the_numbers_are_zookeepers() {
        let all = [
            ExitCode::Finished,
            ExitCode::UnexpectedError,
            ExitCode::InvalidInvocation,
            ExitCode::UnableToAccessDatadir,
            ExitCode::ErrorStartingAdminServer,
            ExitCode::ErrorTakingSnapshot,
            ExitCode::UnmatchedTxnCommit,
            ExitCode::UnexpectedPacket,
            ExitCode::UnableToBindQuorumPort,
        ];
        assert_eq!(all.map(ExitCode::number), [0, 1, 2, 3, 4, 10, 12, 13, 14]);
    }
}
