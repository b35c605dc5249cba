//! The program: command line, configuration, shards and their wiring, admin side.

pub mod cli;
mod clock;
pub mod config;
mod control;
pub mod ensemble;
pub mod epochs;
pub mod exit_code;
pub mod export;
mod images;
pub mod inspect;
mod lanes;
pub mod pipeline;
mod pipeline_shard;
pub mod reader;
mod report;
pub mod server;
mod settings;
pub mod start;
pub mod store;
pub mod surroundings;
pub mod takeover;
pub mod threads;
pub mod trial;
mod upkeep;
mod words;
