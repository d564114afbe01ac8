//! Running totals that outlive the history: what a start reads again of the bus is shorter than a counter's life.
//!
//! The feed writes the total of each counter with the positions up to which the bus was read. A start takes the totals
//! over, and reads the history: what lies before the positions is in the totals already, and only moves from what came
//! before the history into it; what lies behind them is added. So a total goes on, exactly, however old the file is.

use std::io;
use std::path::{Path, PathBuf};

use ahash::AHashMap;
use prost::Message as _;
use weir_bus::{Partition, Position};
use weir_proto::v1;
use weir_service::file::write_whole;

use crate::room::set_aside;

/// Totals by the hash of the counter's labels.
pub(super) type ByKey = AHashMap<u64, f64>;

/// The file.
#[derive(Debug, Clone)]
pub(super) struct File(PathBuf);

impl File {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What was written last; nothing where there is no file, or a damaged one, which is moved aside.
    pub(super) fn read(&self) -> io::Result<(Vec<Position>, ByKey)> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(error),
        };
        let totals = match v1::SeriesTotals::decode(&bytes[..]) {
            Ok(totals) => totals,
            Err(error) => {
                set_aside(&self.0, &error)?;
                return Ok(Default::default());
            }
        };
        let position = |read: v1::series_totals::Read| Position {
            partition: Partition::new(read.topic.as_str(), read.partition),
            offset: read.offset,
        };
        let by_key = totals.keys.into_iter().zip(totals.totals).filter(|(_, total)| total.is_finite()).collect();
        Ok((totals.read.into_iter().map(position).collect(), by_key))
    }

    pub(super) fn write(&self, positions: &[Position], totals: Vec<(u64, f64)>) -> io::Result<()> {
        let read = |position: &Position| v1::series_totals::Read {
            topic: position.partition.topic.to_string(),
            partition: position.partition.partition,
            offset: position.offset,
        };
        let (keys, totals) = totals.into_iter().unzip();
        let message = v1::SeriesTotals { read: positions.iter().map(read).collect(), keys, totals };
        write_whole(&self.0, &message.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_file_then_it_reads_back_and_a_damaged_one_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::new(folder.path().join("totals"));
        assert!(file.read().unwrap().1.is_empty());
        let positions = [Position { partition: Partition::new("weir_calls", 3), offset: 7 }];
        file.write(&positions, vec![(1, 2.5), (2, f64::NAN)]).unwrap();
        let (read, totals) = file.read().unwrap();
        assert_eq!((&read[..], totals), (&positions[..], [(1, 2.5)].into_iter().collect()));
        std::fs::write(file.path(), [0xff; 9]).unwrap();
        assert!(file.read().unwrap().0.is_empty());
        assert!(!file.path().exists());
    }
}
