//! Logs and spans off the bus into tantivy, and the search API. Here so far: the query grammar and the words of a text;
//! nothing is read, kept or served yet.

pub mod query;
pub mod words;
