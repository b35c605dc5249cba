//! From the text of a value to what it means.
//!
//! Source: `Integer.parseInt` for the keys that `QuorumPeerConfig` parses, `Integer.getInteger` for system properties.
//! Differs: the reference falls back to the default on most malformed properties; here they are refused.

use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::draft::Bad;
use super::settings::{Cores, DigestAlgorithm, WordList};

/// Most cores that a list can name.
const CORES_MAX: u32 = 4_096;

/// A decimal number in `range`, as `Integer.parseInt` reads it.
pub(super) fn integer(value: &str, range: RangeInclusive<i64>) -> Result<i64, Bad> {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(Bad);
    }
    value.parse().ok().filter(|it| range.contains(it)).ok_or(Bad)
}

/// A number in `range`, as `Integer.decode` reads it: decimal, `0x` or `#` hexadecimal, or octal after a `0`.
pub(super) fn decoded(value: &str, range: RangeInclusive<i64>) -> Result<i64, Bad> {
    let (negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let hexadecimal = ["0x", "0X", "#"].iter().find_map(|it| digits.strip_prefix(it));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if 1 < digits.len() && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    if !digits.chars().all(|it| it.is_digit(radix)) {
        return Err(Bad);
    }
    let number = i64::from_str_radix(digits, radix).map_err(|_| Bad)?;
    let number = if negative { -number } else { number };
    if range.contains(&number) { Ok(number) } else { Err(Bad) }
}

/// `true` or `false`, in any case.
pub(super) fn switch(value: &str) -> Result<bool, Bad> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(Bad)
    }
}

/// The meaning of a value that has to be one of a few words, in exactly these spellings.
pub(super) fn choice<T: Copy>(value: &str, meanings: &[(&str, T)]) -> Result<T, Bad> {
    meanings.iter().find(|(word, _)| *word == value).map(|&(_, meaning)| meaning).ok_or(Bad)
}

/// A number from 0 to 1.
pub(super) fn share(value: &str) -> Result<f64, Bad> {
    value.parse().ok().filter(|it| (0.0..=1.0).contains(it)).ok_or(Bad)
}

/// Any text but none.
pub(super) fn text(value: &str) -> Result<String, Bad> {
    if value.is_empty() { Err(Bad) } else { Ok(value.into()) }
}

/// A path, which has no NUL.
pub(super) fn path(value: &str) -> Result<PathBuf, Bad> {
    if value.contains('\0') { Err(Bad) } else { text(value).map(PathBuf::from) }
}

/// The parts between commas, without white space and empty ones.
pub(super) fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|it| !it.is_empty()).map(Into::into).collect()
}

/// A span of time in milliseconds. A bare number counts `unit_ms`; nothing below 0 is told apart from 0.
pub(super) fn duration_ms(value: &str, unit_ms: i64) -> Result<u64, Bad> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let suffixed = units.iter().find_map(|&(unit, ms)| Some((value.strip_suffix(unit)?, ms)));
    let (number, unit_ms) = suffixed.unwrap_or((value, unit_ms));
    let number = integer(number.trim_end(), i64::from(i32::MIN)..=i64::from(i32::MAX))?;
    Ok((number * unit_ms).max(0) as u64)
}

/// A hash by one of Java's names for it.
pub(super) fn digest_algorithm(value: &str) -> Result<DigestAlgorithm, Bad> {
    match value.to_ascii_uppercase().as_str() {
        "SHA1" | "SHA-1" | "SHA" => Ok(DigestAlgorithm::Sha1),
        "SHA-256" => Ok(DigestAlgorithm::Sha256),
        "SHA-512" => Ok(DigestAlgorithm::Sha512),
        _ => Err(Bad),
    }
}

/// Words of the whitelist. The reference takes any word; one that it does not know is never asked for.
pub(super) fn words(value: &str) -> WordList {
    let words = list(value);
    if words.iter().any(|it| it == "*") {
        return WordList::All;
    }
    WordList::Named(words)
}

/// How many cores (`2`), or which (`0-3,6`; `5-5` is core 5 alone).
pub(super) fn cores(value: &str) -> Result<Cores, Bad> {
    let number = |text: &str, least: u32| {
        integer(text.trim(), i64::from(least)..=i64::from(CORES_MAX - 1)).map(|it| it as u32)
    };
    if !value.contains([',', '-']) {
        return number(value, 1).map(Cores::Count);
    }
    // A set, because ranges may overlap and a short text could otherwise list the same cores a million times.
    let mut ids = BTreeSet::new();
    for part in value.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first, 0)?, number(last, 0)?);
        if last < first {
            return Err(Bad);
        }
        ids.extend(first..=last);
    }
    Ok(Cores::Ids(ids.into_iter().collect()))
}

impl Cores {
    /// Reads the value of `--cores`.
    ///
    /// # Errors
    /// The accepted forms.
    pub fn parse(value: &str) -> Result<Self, &'static str> {
        cores(value).map_err(|Bad| "how many (2), or which (0-3,6; 5-5 is core 5 alone)")
    }
}
