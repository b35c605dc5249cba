//! The program: command line, configuration, shards and their wiring, admin side.

fn main() {}
