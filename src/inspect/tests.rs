//! Rules of `inspect` that need no server; with one, see `tests/e2e/program.rs`.

use std::fs;

use crate::cli::{Cli, Command, InspectArgs};
use crate::exit_code::ExitCode;

fn args(dir: &std::path::Path) -> InspectArgs {
    let words = ["ringkeeper".into(), "inspect".into(), dir.as_os_str().to_owned()];
    match Cli::read(words).unwrap().into_command() {
        Command::Inspect(args) => args,
        other => panic!("{other:?}"),
    }
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_directory_that_is_none_of_ours_is_refused() {
    let dir = dir();
    assert_eq!(super::run(&args(dir.path())), ExitCode::UnableToAccessDatadir);
}

#[test]
fn an_empty_data_directory_is_whole() {
    let dir = dir();
    fs::create_dir(dir.path().join(crate::store::DIR)).unwrap();
    assert_eq!(super::run(&args(dir.path())), ExitCode::Finished);
}

#[test]
fn a_path_is_wanted_with_all_below_it_and_nothing_beside_it() {
    let dir = dir();
    let wanted = |top: &str, path: &[u8]| {
        let args = InspectArgs { path: Some(top.into()), ..args(dir.path()) };
        super::txn::is_wanted(&args, Some(path))
    };
    assert!(wanted("/a", b"/a"));
    assert!(wanted("/a", b"/a/b"));
    assert!(wanted("/a/", b"/a/b"));
    assert!(!wanted("/a", b"/ab"));
    assert!(!wanted("/a", b"/"));
    assert!(wanted("/", b"/"));
    assert!(wanted("/", b"/a"));
}

#[test]
fn an_image_is_held_while_it_is_looked_at_and_one_that_is_written_over_has_gone() {
    use rustix::fs::{FlockOperation, flock};

    let dir = dir();
    let path = dir.path().join("image.0000000000000001");
    fs::write(&path, [0; 8192]).unwrap();
    let imager = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let take = || flock(&imager, FlockOperation::NonBlockingLockExclusive);
    let looked_at = super::opened(&path).unwrap().unwrap();
    assert!(take().is_err(), "it is written over while it is looked at");
    drop(looked_at);
    take().unwrap();
    assert!(super::opened(&path).unwrap().is_none());
    fs::remove_file(&path).unwrap();
    assert!(super::opened(&path).unwrap().is_none());
}
