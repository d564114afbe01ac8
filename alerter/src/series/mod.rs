//! Series in memory, and how they are read.

pub mod read;
