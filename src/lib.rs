//! The program: command line, configuration, shards and their wiring, admin side.

pub mod cli;
pub mod config;
pub mod exit_code;
pub mod surroundings;
