//! The syntax of a configuration file: bytes in, keys and values with their lines out.
//!
//! Source: `java.util.Properties.load`. Comments start with `#` or `!`; a line that ends in an odd number of backslashes
//! goes on in the next; `=`, `:` or white space ends a key; `\t \n \r \f \uXXXX` are escapes, a backslash before
//! anything else is dropped. LF, CR and CR LF end a line.
//! Differs: a line that is UTF-8 is read as UTF-8, since that is what editors write; any other as Latin-1, as Java does.
//! Absent: what keys mean.

/// One key with its value, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Line that the key starts in; the first is 1.
    pub(super) line: u32,
    /// The key, escapes undone, white space around it removed.
    pub(super) key: String,
    /// The value, escapes undone, white space around it removed.
    pub(super) value: String,
}

/// An escape `\u` without four hexadecimal digits that name a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadEscape {
    /// Line of the key whose line, or value, holds the escape.
    pub(super) line: u32,
}

/// Splits `text` into entries, in the file's order, repeated keys included.
///
/// # Errors
/// [`BadEscape`] at the first malformed `\u`, as Java refuses such a file.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Entry>, BadEscape> {
    let mut entries = Vec::new();
    let mut lines = Lines { rest: text, number: 0 };
    while let Some((line, logical)) = lines.next_logical() {
        let (key, value) = split(&logical);
        let unescaped = |text| unescape(text).ok_or(BadEscape { line });
        let (key, value) = (unescaped(key)?, unescaped(value)?);
        entries.push(Entry { line, key: trimmed(&key), value: trimmed(&value) });
    }
    Ok(entries)
}

/// The text without the entries whose key `goes`; everything else stays as it is written.
///
/// # Errors
/// [`BadEscape`] at the first malformed `\u` of a key.
pub(super) fn without(text: &[u8], goes: impl Fn(&str) -> bool) -> Result<Vec<u8>, BadEscape> {
    let mut lines = Lines { rest: text, number: 0 };
    let mut kept = Vec::with_capacity(text.len());
    loop {
        let before = lines.rest;
        // What is no entry, comments above one too, is not its own.
        let Some((line, logical)) = lines.next_if_logical() else {
            return Ok(kept);
        };
        let key = logical.map(|it| unescape(split(&it).0).ok_or(BadEscape { line })).transpose()?;
        let key = key.map(|it| trimmed(&it));
        let name = key.as_deref().map(|it| it.strip_prefix("zookeeper.").unwrap_or(it));
        if !name.is_some_and(&goes) {
            let len = before.len() - lines.rest.len();
            kept.extend_from_slice(before.get(..len).unwrap_or_default());
        }
    }
}

/// The natural lines that are left.
struct Lines<'a> {
    rest: &'a [u8],
    number: u32,
}

impl Lines<'_> {
    /// The next line with content, continuations joined to it, and the number of its first natural line.
    fn next_logical(&mut self) -> Option<(u32, String)> {
        loop {
            if let (line, Some(logical)) = self.next_if_logical()? {
                return Some((line, logical));
            }
        }
    }

    /// The number of the next natural line; and if it has content that, continuations joined to it.
    fn next_if_logical(&mut self) -> Option<(u32, Option<String>)> {
        let natural = self.next_natural()?;
        let line = self.number;
        if natural.is_empty() || natural.starts_with(['#', '!']) {
            return Some((line, None));
        }
        let mut logical = natural;
        while ends_in_continuation(&logical) {
            logical.pop();
            // Nothing to go on with: what follows begins anew, and may be a comment.
            if logical.is_empty() {
                break;
            }
            let Some(next) = self.next_natural() else { break };
            logical.push_str(&next);
            if next.is_empty() {
                break;
            }
        }
        Some((line, Some(logical).filter(|it| !it.is_empty())))
    }

    /// The next natural line without the white space before it.
    fn next_natural(&mut self) -> Option<String> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|it| matches!(it, b'\n' | b'\r'));
        let end = end.unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        self.number = self.number.saturating_add(1);
        let text = match core::str::from_utf8(line) {
            Ok(text) => text.to_owned(),
            Err(_) => line.iter().copied().map(char::from).collect(),
        };
        Some(text.trim_start_matches(is_blank).to_owned())
    }
}

/// Without what `String.trim` removes at both ends: blanks and control characters.
fn trimmed(text: &str) -> String {
    text.trim_matches(|it| it <= ' ').to_owned()
}

/// What separates words in a properties file. Other white space of Unicode is content.
fn is_blank(it: char) -> bool {
    matches!(it, ' ' | '\t' | '\u{c}')
}

fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|&it| it == b'\\').count() % 2 == 1
}

/// Cuts a logical line behind its key; both parts still have their escapes.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|it| {
        let ends = !escaped && (is_blank(it) || matches!(it, '=' | ':'));
        escaped = !escaped && it == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

/// Undoes escapes; `None` if one is malformed or names half of a surrogate pair only.
fn unescape(text: &str) -> Option<String> {
    // UTF-16 units, because Java's escapes name those: a pair of escapes is one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let mut pair = [0; 2];
    while let Some(it) = chars.next() {
        if it != '\\' {
            units.extend_from_slice(it.encode_utf16(&mut pair));
            continue;
        }
        match chars.next() {
            None => {}
            Some('t') => units.push(0x09),
            Some('n') => units.push(0x0a),
            Some('f') => units.push(0x0c),
            Some('r') => units.push(0x0d),
            Some('u') => {
                let mut unit = 0;
                for _ in 0..4 {
                    unit = unit << 4 | chars.next()?.to_digit(16)? as u16;
                }
                units.push(unit);
            }
            Some(other) => units.extend_from_slice(other.encode_utf16(&mut pair)),
        }
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests;
