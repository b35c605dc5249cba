//! The constant servers answer the load generator without an error.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn every_ceiling_answers_reads_writes_and_the_ends_of_sessions() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["constant", "epoll", "forced"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringkeeper-bench"));
        command.args(["ceiling", kind, "--data"]).arg(dir.path()).stdout(Stdio::piped());
        let mut server = Server(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        for load in ["get", "set", "create", "exists", "ls", "sync", "sessions"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringkeeper-bench"));
            command.args(["load", address, "--load", load, "--znodes", "100"]);
            let output = command.args(["--seconds", "0.2", "--warmup", "0"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{kind} {load}: {output:?}");
            assert!(said.contains("errors: 0 "), "{kind} {load}: {said}");
        }
    }
}
