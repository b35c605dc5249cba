//! Paths of znodes, checked once.

use crate::Code;

/// Why a path is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing, or null.
    #[error("a path is not empty")]
    Empty,
    /// It does not start at the root.
    #[error("a path starts with a slash")]
    Relative,
    /// It ends with a slash and is not the root.
    #[error("a path does not end with a slash")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("empty component at byte {at}")]
    EmptyComponent {
        /// Where.
        at: usize,
    },
    /// A component that is `.` or `..`.
    #[error("relative component at byte {at}")]
    Dots {
        /// Where.
        at: usize,
    },
    /// A control character, a private-use one, or a special one.
    #[error("character {character:#x} at byte {at} is not allowed")]
    Character {
        /// The code point.
        character: u32,
        /// Where.
        at: usize,
    },
    /// Not UTF-8.
    #[error("no utf-8 at byte {at}")]
    Utf8 {
        /// Where.
        at: usize,
    },
}

impl From<PathError> for Code {
    fn from(_: PathError) -> Self {
        Self::BadArguments
    }
}

/// A valid absolute path.
///
/// Source: `PathUtils.validatePath`. Bytes that are not UTF-8 are refused as the reference refuses the replacement
/// character that it would read in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(&'a [u8]);

impl<'a> Path<'a> {
    /// The path in `bytes`.
    ///
    /// # Errors
    /// [`PathError`]; on the wire that is [`Code::BadArguments`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PathError> {
        match bytes {
            [] => return Err(PathError::Empty),
            [b'/'] => return Ok(Self(bytes)),
            [b'/', ..] => {}
            _ => return Err(PathError::Relative),
        }
        check_characters(bytes)?;
        if bytes.ends_with(b"/") {
            return Err(PathError::TrailingSlash);
        }
        let mut at = 1;
        for component in bytes[1..].split(|&byte| byte == b'/') {
            match component {
                b"" => return Err(PathError::EmptyComponent { at }),
                b"." | b".." => return Err(PathError::Dots { at }),
                _ => at += component.len() + 1,
            }
        }
        Ok(Self(bytes))
    }

    /// The bytes of the path.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The path of the znode above `path`: what stands before the last slash, `/` for children of the root, `None`
/// where there is no slash or `path` is the root. Does not check the path.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.len() <= 1 {
        return None;
    }
    match path.iter().rposition(|&byte| byte == b'/')? {
        0 => Some(b"/"),
        slash => Some(&path[..slash]),
    }
}

fn check_characters(bytes: &[u8]) -> Result<(), PathError> {
    if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return Ok(());
    }
    let text = match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(PathError::Utf8 { at: error.valid_up_to() }),
    };
    for (at, character) in text.char_indices() {
        let character = u32::from(character);
        // Above U+FFFF, Java sees two surrogates, which it refuses.
        if matches!(character, 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..) {
            return Err(PathError::Character { character, at });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Path, PathError, parent};

    #[test]
    fn what_java_refuses_is_refused() {
        let bad: [&[u8]; 16] = [
            b"",
            b"a",
            b"a/b",
            b"/a/",
            b"//",
            b"//a",
            b"/a//b",
            b"/.",
            b"/..",
            b"/a/./b",
            b"/a/..",
            b"/a\0",
            b"/\x1f",
            b"/\x7f",
            b"/\xff",
            "/\u{f8ff}".as_bytes(),
        ];
        for path in bad {
            assert!(Path::parse(path).is_err(), "{path:?}");
        }
        assert!(Path::parse("/\u{1f600}".as_bytes()).is_err());
        assert_eq!(Path::parse(b"/a//b"), Err(PathError::EmptyComponent { at: 3 }));
    }

    #[test]
    fn what_java_takes_is_taken() {
        for path in ["/", "/a", "/a/b", "/...", "/.a", "/a..", "/ ", "/é/漢", "/\u{ffef}"] {
            assert!(Path::parse(path.as_bytes()).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn the_parent_is_what_stands_before_the_last_slash() {
        assert_eq!(parent(b"/"), None);
        assert_eq!(parent(b""), None);
        assert_eq!(parent(b"ab"), None);
        assert_eq!(parent(b"/a"), Some(b"/".as_slice()));
        assert_eq!(parent(b"/a/b"), Some(b"/a".as_slice()));
    }
}
