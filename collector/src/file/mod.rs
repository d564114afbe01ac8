//! The file source: follows log files and puts their lines on the bus.
//!
//! # What is promised
//! - **Identity.** A file generation has a name of its own, from when it is first seen until it is truncated, replaced
//!   or forgotten; the name is on disk before the first record that carries it is sent.
//! - **Ranges.** The batches of an identity follow each other without gap or overlap, in order, and every log record
//!   carries the offset of its line. A batch ends only where nothing is open ([`Assembler`]), so records are a function
//!   of the file alone: what is sent again after a crash are the same records with the same offsets, cut into batches
//!   elsewhere. A reader that keeps the greatest end per identity drops what lies before it.
//! - **Checkpoint.** A position is written after the bus made everything before it durable ([`Acks`]). A crash at any
//!   point reads again from there.
//! - **Bounds.** One read buffer for all files; bytes in flight and bytes waiting in batches are bounded for all files
//!   together. When the bus takes no more, reading stops.
//! - **Encoding.** Positions and offsets are those of the file's bytes, however it is encoded; lines are decoded on
//!   their way to the assembler, and one that cannot be is sent as it is. A byte order mark at the start is no text.
//! - **Format.** Where it is `auto`, each line decides for itself: a banner, or a line that a crash has damaged, says
//!   nothing of those behind it.
//! - A line without its newline waits, until its file was rotated away and stays as it is. A part of a CRI or docker
//!   line whose rest does not come for [`Settings::grace`] is ended, since what lies behind it waits too.
//!
//! - **Rotation** by rename is seen by the inode. Where a file was copied and truncated, or compressed with gzip, before
//!   all of it was read, its generation goes on in the copy (`successor`): what is remembered of it, its first bytes and
//!   those before the place that was read last, has to be there. A compressed file is no source of its own, and a copy of
//!   a file that is followed is none either. Files that
//!   came and were rotated away between two looks, or while the collector was down, are found by their names and births,
//!   and compressed ones by holding nothing that is known.
//! - **Open files** are bounded: those that stand still are closed, and opened again when the file system tells of them.
//! - **Turns.** Bytes are shared between tenants by weight (`turns`); within one, what is written now does not wait for
//!   what was left from before, and of that, what the kubelet will delete first is read first (`kubelet`).
//! - **Pods.** A file in a pod's log folder waits up to ten seconds for what the Kubernetes API says of that pod, where
//!   somebody is asked; then its records have the pod's labels and the tenant that they name.
//! - **Ledger.** Every byte that was seen is acknowledged, waiting or lost ([`Reason`]), by source and over restarts
//!   ([`Sources`]); a loss is a log record of the file's resource too, the event `weir.loss`.
//!
//! Lost is only what was deleted or truncated before it was read and lies in no copy, and what is over the limit of a
//! line, or was dropped because its tenant was over a rate and is told to drop what is: whole records, told of by a
//! record in their place, and the range is on disk before anything behind it is sent. What was never seen cannot be
//! counted. A rotated file that stands still is closed, and read on if a later look finds that it has grown. What was given
//! up since its file or folder was not there, or no glob named it, goes on where it was if the file is there again within a
//! day; then it is lost no more, though its loss was told.

mod acks;
mod aftermath;
mod assemble;
mod checkpoint;
mod content;
mod delivery;
mod discover;
mod follow;
mod gone;
mod identity;
mod kubelet;
mod ledger;
mod loss;
mod missed;
mod multiline;
mod names;
mod odd;
mod over;
mod pods;
mod recall;
mod reopen;
mod rotated;
mod source;
mod successor;
mod tail;
mod totals;
mod turns;
mod upkeep;
mod watch;

pub use acks::{Acks, Misuse, Ticket};
pub use assemble::{Assembler, Counts};
pub(crate) use discover::Globs;
pub use ledger::{Lost, Reason, Row, Sources};
pub use names::{Container, container};
pub use source::{Left, Settings, Source, Until};
pub use totals::{Tenants, Totals};

#[cfg(test)]
mod tests;
