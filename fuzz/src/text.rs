//! What people write: configuration files and four-letter words.

use std::io;
use std::path::Path;

use net::words::{Opening, TRACE_MASK_LEN, Whitelist, Word, opening, refusal, trace_mask};
use ringkeeper::config::{Config, Overrides};

/// A configuration file. The two files that it may refer to hold the same bytes.
pub fn zoo_cfg(bytes: &[u8]) {
    let read = |file: &Path| {
        if file.as_os_str().len().is_multiple_of(2) {
            Ok(bytes.to_vec())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    };
    match Config::parse(bytes, "zoo.cfg", &Overrides::default(), &read) {
        Ok((_, warnings)) => warnings.iter().for_each(|warning| drop(warning.to_string())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The first bytes of a connection.
pub fn word(bytes: &[u8]) {
    let Some((&head, rest)) = bytes.split_first_chunk() else { return };
    let names =
        Word::ALL.iter().enumerate().filter(|(idx, _)| head[3] as usize & (1 << (idx % 8)) != 0);
    let whitelist = Whitelist::named(names.map(|(_, word)| word.name()));
    match opening(head, whitelist) {
        Opening::Word(word) => assert!(whitelist.contains(word) && word.name().as_bytes() == head),
        Opening::Refused(word) => assert!(refusal(word).starts_with(word.name())),
        Opening::Frame | Opening::Telnet => {}
    }
    if let Some(mask) = rest.first_chunk::<TRACE_MASK_LEN>() {
        trace_mask(*mask);
    }
}
