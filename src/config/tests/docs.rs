//! docs/operations.md shows the tables of the code; `UPDATE=1` rewrites it.

use core::fmt::Write as _;

use net::words::mntr_rows;

use super::{IDLE_KEYS, LATER_KEYS, keys as all_keys};
use crate::config::Capability;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");

/// Compares, or rewrites, what stands between the two comments that name `section`.
fn check(section: &str, expected: &str) {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the section begins");
    let (found, after) = rest.split_once(&end).expect("the section ends");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert!(found == expected, "{FILE}: {section} differs from the code; UPDATE=1 rewrites it");
    }
}

/// The names in backticks, with commas.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn operations_md_shows_the_tables_of_the_code() {
    // One test, because each section is written into the same file.
    let mut keys = String::from("| key | default | allowed | effect |\n|---|---|---|---|\n");
    for key in all_keys() {
        let (name, default, allowed, effect) = (key.name, key.default, key.allowed, key.effect);
        writeln!(keys, "| `{name}` | {default} | {allowed} | {effect} |").unwrap();
    }
    check("keys", &keys);

    let mut later = String::from("| capability | keys | until then |\n|---|---|---|\n");
    for capability in Capability::ALL {
        let of_it = LATER_KEYS.iter().filter(|it| it.capability == capability);
        let (name, absence) = (capability.name(), capability.absence());
        writeln!(later, "| {name} | {} | {absence} |", names(of_it.map(|it| it.name))).unwrap();
    }
    check("later keys", &later);

    let mut idle = String::from("| key | why there is nothing to tune |\n|---|---|\n");
    for key in IDLE_KEYS {
        writeln!(idle, "| `{}` | {} |", key.name, key.reason).unwrap();
    }
    check("idle keys", &idle);

    let mut absent: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, absence) in mntr_rows().map(net::words::MntrRow::name_and_absence) {
        let Some(reason) = absence.map(net::words::Absence::reason) else { continue };
        match absent.iter_mut().find(|it| it.0 == reason) {
            Some((_, names)) => names.push(name),
            None => absent.push((reason, vec![name])),
        }
    }
    let mut mntr = String::from("| always 0 | why |\n|---|---|\n");
    for (reason, of_it) in absent {
        writeln!(mntr, "| {} | {reason} |", names(of_it.into_iter())).unwrap();
    }
    check("figures that are always 0", &mntr);
}
