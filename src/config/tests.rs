//! Rules of the configuration.
