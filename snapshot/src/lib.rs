//! The arena's image on disk: write, load, inspect.
