//! Rules of the command line.

use clap::CommandFactory as _;

use super::*;

fn command(args: &[&str]) -> Command {
    read(args).unwrap().into_command()
}

fn read(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::read(core::iter::once("ringkeeper").chain(args.iter().copied()).map(OsString::from))
}

fn server(args: &[&str]) -> ServerArgs {
    match command(args) {
        Command::Server(args) => args,
        other => panic!("{other:?}"),
    }
}

fn inspect(args: &[&str]) -> InspectArgs {
    match command(args) {
        Command::Inspect(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn no_argument_is_a_server_without_a_file() {
    assert_eq!(server(&[]), ServerArgs::default());
    assert_eq!(server(&["server"]), ServerArgs::default());
    assert_eq!(server(&[]).overrides(), Overrides::default());
}

#[test]
fn a_file_alone_is_the_servers_configuration() {
    let spelled_out = server(&["server", "--config", "zoo.cfg"]);
    assert_eq!(spelled_out.config, Some(PathBuf::from("zoo.cfg")));
    assert_eq!(server(&["zoo.cfg"]), spelled_out);
    assert_eq!(server(&["server", "-c", "zoo.cfg"]), spelled_out);
}

#[test]
fn overrides_work_with_and_without_the_subcommand() {
    let flags = ["--data-dir", "/d", "--listen", "::", "--client-port", "0", "--cores", "0-1,3"];
    let expected = Overrides {
        data_dir: Some("/d".into()),
        listen: Some("::".parse().unwrap()),
        client_port: Some(0),
        cores: Some(Cores::Ids(vec![0, 1, 3])),
    };
    assert_eq!(server(&flags).overrides(), expected);
    assert_eq!(server(&[&["server"], &flags[..]].concat()).overrides(), expected);
    let with_file = server(&[&["zoo.cfg"], &flags[..]].concat());
    assert_eq!((with_file.overrides(), with_file.config), (expected, Some("zoo.cfg".into())));
}

#[test]
fn a_bad_override_is_refused() {
    for args in [
        ["--client-port", "65536"],
        ["--client-port", "x"],
        ["--cores", "0"],
        ["--cores", "2-1"],
        ["--cores", "a"],
        ["--listen", ""],
        ["--bogus", "1"],
    ] {
        let err = read(&args).unwrap_err();
        assert_eq!(err.exit_code(), 2, "{args:?}: {err}");
    }
}

#[test]
fn inspect_lists_unless_told_otherwise() {
    let args = inspect(&["inspect", "/d"]);
    assert_eq!((args.view, args.json, args.zxids, args.path), (View::List, false, None, None));
    assert!(read(&["inspect"]).is_err());
}

#[test]
fn inspect_takes_a_view_a_range_and_a_path() {
    let line = "inspect /d transactions --json --zxids 0x10-20 --path /a --data-log-dir /l";
    let args = inspect(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(args.view, View::Transactions);
    assert!(args.json);
    assert_eq!(args.zxids, Some(16..=20));
    assert_eq!(args.path.as_deref(), Some("/a"));
    assert_eq!(args.data_log_dir, Some("/l".into()));
}

#[test]
fn an_ensemble_has_three_servers_unless_told_otherwise() {
    let ensemble = |line: &[&str]| match command(line) {
        Command::Ensemble(args) => args,
        other => panic!("{other:?}"),
    };
    let args = ensemble(&["ensemble"]);
    assert_eq!((args.servers, args.client_port), (3, 2181));
    let args = ensemble(&["ensemble", "--servers", "5", "--data-dir", "/d", "--client-port", "0"]);
    assert_eq!((args.servers, args.data_dir, args.client_port), (5, "/d".into(), 0));
    for bad in ["1", "10", "x"] {
        assert!(read(&["ensemble", "--servers", bad]).is_err(), "{bad}");
    }
}

#[test]
fn a_range_of_zxids_may_be_open_or_one_number() {
    assert_eq!(zxids("5"), Ok(5..=5));
    assert_eq!(zxids("0x5-"), Ok(5..=u64::MAX));
    for bad in ["", "-", "5-4", "x", "0x", "1-2-3", "0xg"] {
        assert!(zxids(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_help_explains_every_argument() {
    let mut root = Cli::command();
    root.build();
    let mut commands = vec![&root];
    commands.extend(root.get_subcommands().filter(|it| it.get_name() != "help"));
    assert_eq!(commands.len(), 5);
    for command in commands {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{} of {}", arg.get_id(), command.get_name());
        }
    }
}

#[test]
fn an_export_needs_a_place_to_go_to() {
    let Command::Export(args) = command(&["export", "-c", "zoo.cfg", "--to", "/d"]) else {
        panic!("no export")
    };
    assert_eq!((args.config, args.to, args.to_log), (Some("zoo.cfg".into()), "/d".into(), None));
    assert!(read(&["export", "-c", "zoo.cfg"]).is_err());
}
