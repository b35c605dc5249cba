//! Numbers, addresses and dates as Java prints them, where clients and monitors read them.
//!
//! Absent: whatever is printed as everybody prints it.

use core::fmt::{self, Display, Write as _};
use core::net::{IpAddr, SocketAddr};

/// Adds to `out`; a string takes all that is written to it.
pub(super) fn push(out: &mut String, args: fmt::Arguments<'_>) {
    let written = out.write_fmt(args);
    assert!(written.is_ok(), "a value that is shown failed to show itself");
}

/// A double as `Double.toString` prints it: a decimal point always, an exponent below 10^-3 and from 10^7.
pub(super) struct Double(pub(super) f64);

impl Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0.0 || (1e-3..1e7).contains(&self.0.abs()) {
            return write!(f, "{:?}", self.0);
        }
        let text = format!("{:e}", self.0);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        write!(f, "{digits}{point}E{exponent}")
    }
}

/// A remote address as `InetSocketAddress.toString` prints one that was not resolved from a name.
pub(super) struct Address(pub(super) SocketAddr);

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port();
        match self.0.ip().to_canonical() {
            IpAddr::V4(ip) => write!(f, "/{ip}:{port}"),
            IpAddr::V6(ip) => {
                let groups = ip.segments().map(|it| format!("{it:x}")).join(":");
                write!(f, "/[{groups}]:{port}")
            }
        }
    }
}

/// A moment as `Date.toString` prints it in UTC. Milliseconds since 1970.
pub(super) struct Date(pub(super) i64);

impl Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.0.div_euclid(1_000);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let weekday = DAYS.get(days.rem_euclid(7) as usize).copied().unwrap_or("");
        let month = MONTHS.get(month as usize - 1).copied().unwrap_or("");
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
    }
}

/// Year, month from 1 and day from 1 of a day, counted from 1970-01-01.
///
/// The calendar repeats every 400 years; a year that begins in March has its odd day at its end.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}
