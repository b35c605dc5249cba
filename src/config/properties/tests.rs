//! The rules of the file syntax, one by one, and random bytes.

use std::collections::BTreeMap;

use super::*;

fn pairs(text: impl AsRef<[u8]>) -> Vec<(String, String)> {
    parse(text.as_ref()).unwrap().into_iter().map(|it| (it.key, it.value)).collect()
}

fn one(text: impl AsRef<[u8]>) -> (String, String) {
    let mut all = pairs(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.into(), value.into())
}

#[test]
fn comments_and_blank_lines_are_no_entries() {
    assert_eq!(pairs("# a=1\n  ! b=2\n\n \t\x0c\n#c=3\\\n"), []);
    assert_eq!(pairs(""), []);
    assert_eq!(pairs("\\\n\\\n"), []);
}

#[test]
fn a_comment_is_not_continued_by_a_backslash() {
    assert_eq!(one("# comment \\\na=1"), pair("a", "1"));
}

#[test]
fn equals_colon_or_blanks_end_a_key() {
    for text in ["a=1", "a:1", "a 1", " a = 1 ", "a\t:\t1", "a\x0c1", "a   =1"] {
        assert_eq!(one(text), pair("a", "1"), "{text:?}");
    }
    assert_eq!(one("a = = 1"), pair("a", "= 1"));
    assert_eq!(one("a"), pair("a", ""));
    assert_eq!(one("a="), pair("a", ""));
    assert_eq!(one("=1"), pair("", "1"));
}

#[test]
fn an_escaped_separator_belongs_to_the_key() {
    assert_eq!(one(r"a\=b\:c\ d=1"), pair("a=b:c d", "1"));
    assert_eq!(one(r"a\\=1"), pair(r"a\", "1"));
}

#[test]
fn a_value_keeps_its_separators_and_inner_blanks() {
    assert_eq!(one("super = super:D/InIH= x"), pair("super", "super:D/InIH= x"));
}

#[test]
fn a_line_with_an_odd_number_of_backslashes_goes_on() {
    assert_eq!(one("a=1,\\\n   2,\\\r\n\t3"), pair("a", "1,2,3"));
    assert_eq!(pairs("a=1\\\\\nb=2"), [pair("a", r"1\"), pair("b", "2")]);
    assert_eq!(one("a=1\\"), pair("a", "1"));
}

#[test]
fn a_continuation_that_looks_like_a_comment_is_content() {
    assert_eq!(one("a=1\\\n#2"), pair("a", "1#2"));
}

#[test]
fn a_blank_line_ends_a_continuation() {
    assert_eq!(pairs("a=1\\\n\nb=2"), [pair("a", "1"), pair("b", "2")]);
}

#[test]
fn all_line_ends_are_known() {
    let entries = parse(b"a=1\rb=2\r\nc=3\n\nd=4").unwrap();
    let lines: Vec<_> = entries.iter().map(|it| (it.line, it.key.as_str())).collect();
    assert_eq!(lines, [(1, "a"), (2, "b"), (3, "c"), (5, "d")]);
}

#[test]
fn an_entry_has_the_line_its_key_starts_in() {
    let entries = parse(b"# one\na=1\\\n2\\\n3\nb=4").unwrap();
    assert_eq!(entries.iter().map(|it| it.line).collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn escapes_name_characters() {
    assert_eq!(one(r"a=x\ty\u0041\u00e9\q"), pair("a", "x\tyAéq"));
    assert_eq!(one(r"a=\ud83d\ude00"), pair("a", "😀"));
}

#[test]
fn a_malformed_escape_is_refused_with_its_line() {
    for text in ["\n\na=\\u12", "\n\na=\\u12g4", "\n\n\\u=1", "\n\na=\\ud83d"] {
        assert_eq!(parse(text.as_bytes()), Err(BadEscape { line: 3 }), "{text:?}");
    }
}

#[test]
fn a_line_that_is_not_utf_8_is_latin_1() {
    assert_eq!(one(b"dataDir=/tmp/gr\xfc\xdfe"), pair("dataDir", "/tmp/grüße"));
    assert_eq!(one("dataDir=/tmp/grüße"), pair("dataDir", "/tmp/grüße"));
}

#[test]
fn a_repeated_key_comes_out_each_time() {
    assert_eq!(pairs("a=1\na=2"), [pair("a", "1"), pair("a", "2")]);
}

/// `java.txt` holds what `java.util.Properties` made of random texts: the text, then keys and values, all as hexadecimal digits.
/// Keys without a name are left out.
#[test]
fn java_reads_the_same_keys_and_values() {
    let hex = |text: &str| text.bytes().map(|it| format!("{it:02x}")).collect::<Vec<_>>().concat();
    let byte =
        |digits: &[u8]| u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap();
    for line in include_str!("java.txt").lines() {
        let (text, expected) = line.split_once(':').unwrap();
        let text: Vec<u8> = text.as_bytes().chunks(2).map(byte).collect();
        let found = match parse(&text) {
            Err(BadEscape { .. }) => " refused".to_owned(),
            Ok(entries) => {
                let named = entries.iter().filter(|it| !it.key.is_empty());
                let last: BTreeMap<_, _> = named.map(|it| (&it.key, &it.value)).collect();
                let shown = last.iter().map(|(key, value)| format!(" {}={}", hex(key), hex(value)));
                shown.collect::<Vec<_>>().concat()
            }
        };
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn random_bytes_never_panic_and_never_grow() {
    let mut state = 0x5eed_u64;
    let alphabet = b"ab=:#!\\ \t\r\nu0041\xff\xc3\xa9\x00";
    for round in 0..20_000_usize {
        let text: Vec<u8> = (0..round % 97)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                alphabet[state as usize % alphabet.len()]
            })
            .collect();
        if let Ok(entries) = parse(&text) {
            let len: usize = entries.iter().map(|it| it.key.len() + it.value.len()).sum();
            // Latin-1 doubles a byte at most.
            assert!(len <= 2 * text.len());
        }
    }
}
