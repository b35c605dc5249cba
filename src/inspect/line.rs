//! One line of output: a kind and its fields, as text or as a JSON object.

use core::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use crate::cli::InspectArgs;

/// Fields in the order they were added.
#[derive(Clone, Debug)]
pub(super) struct Line {
    kind: &'static str,
    fields: Vec<(&'static str, Field)>,
}

#[derive(Clone, Debug)]
enum Field {
    /// Printed as it is.
    Number(String),
    /// Quoted in JSON, and in text if it has spaces.
    Text(String),
}

impl Line {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, fields: Vec::new() }
    }

    pub(super) fn number(&mut self, name: &'static str, value: impl Display + Copy) {
        self.fields.push((name, Field::Number(value.to_string())));
    }

    /// A zxid or session id. Text in JSON too: its numbers end at 2^53.
    pub(super) fn hex(&mut self, name: &'static str, value: i64) {
        self.text(name, &format!("{value:#x}"));
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.fields.push((name, Field::Text(value.to_owned())));
    }

    pub(super) fn path(&mut self, name: &'static str, path: &Path) {
        self.text(name, &path.display().to_string());
    }

    /// Bytes that are text if they are UTF-8; others have each such byte replaced.
    pub(super) fn bytes(&mut self, name: &'static str, bytes: &[u8]) {
        self.text(name, &String::from_utf8_lossy(bytes));
    }

    pub(super) fn print(&self, args: &InspectArgs, out: &mut dyn Write) -> io::Result<()> {
        if args.json {
            write!(out, "{{\"kind\":{}", quoted(self.kind))?;
            for (name, field) in &self.fields {
                match field {
                    Field::Number(value) => write!(out, ",{}:{value}", quoted(name))?,
                    Field::Text(value) => write!(out, ",{}:{}", quoted(name), quoted(value))?,
                }
            }
            return writeln!(out, "}}");
        }
        write!(out, "{}", self.kind)?;
        for (name, field) in &self.fields {
            match field {
                Field::Text(value) if !is_plain(value) => write!(out, " {name}={}", quoted(value))?,
                Field::Number(value) | Field::Text(value) => write!(out, " {name}={value}")?,
            }
        }
        writeln!(out)
    }
}

fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|it| !it.is_whitespace() && !it.is_control() && it != '"')
}

/// As a JSON string.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            it if it.is_control() => text.extend(["\\u", &format!("{:04x}", u32::from(it))]),
            it => text.push(it),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_string_is_quoted_as_json_has_it() {
        assert_eq!(quoted("a\"b\\c\n\u{1}é"), "\"a\\\"b\\\\c\\n\\u0001é\"");
    }
}
