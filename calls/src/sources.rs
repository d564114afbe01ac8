use weir_proto::v1;

/// How far the ranges of one source partition have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The offset behind the last range.
    pub end_offset: i64,
    /// Event time up to which spans of the partition are believed to be complete; never falls.
    pub watermark_unix_nano: u64,
}

/// How a range stands to what was read of its source partition before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// It begins where the last one ended, or is the first, or begins a topic that was made again.
    InOrder,
    /// It begins later: so many offsets of spans were never seen. It is to be taken.
    Gap(i64),
    /// It was read before, or overlaps with what was. It is to be dropped.
    Overlap,
}

impl Source {
    /// Whether `range` follows what is `known` of its partition.
    pub fn follows(known: Option<&Self>, range: &v1::CallDeltas) -> Follows {
        match known {
            _ if range.begins_anew => Follows::InOrder,
            Some(known) if range.first_offset < known.end_offset => Follows::Overlap,
            Some(known) if range.first_offset > known.end_offset => Follows::Gap(range.first_offset - known.end_offset),
            _ => Follows::InOrder,
        }
    }

    /// What is known once `range` is taken.
    #[must_use]
    pub fn after(known: Option<&Self>, range: &v1::CallDeltas) -> Self {
        Self {
            end_offset: range.end_offset.max(range.first_offset),
            watermark_unix_nano: range.watermark_unix_nano.max(known.map_or(0, |known| known.watermark_unix_nano)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_ranges_of_a_partition_then_gaps_are_measured_and_what_was_read_is_dropped() {
        let range = |first, end, begins_anew| v1::CallDeltas {
            first_offset: first,
            end_offset: end,
            watermark_unix_nano: end.unsigned_abs(),
            begins_anew,
            ..v1::CallDeltas::default()
        };
        let known = Source { end_offset: 10, watermark_unix_nano: 20 };
        for (first, begins_anew, want) in [
            (10, false, Follows::InOrder),
            (12, false, Follows::Gap(2)),
            (9, false, Follows::Overlap),
            (0, false, Follows::Overlap),
            (0, true, Follows::InOrder),
        ] {
            assert_eq!(Source::follows(Some(&known), &range(first, first + 5, begins_anew)), want, "{first}");
        }
        assert_eq!(Source::follows(None, &range(7, 9, false)), Follows::InOrder);
        let after = Source::after(Some(&known), &range(10, 15, false));
        assert_eq!(after, Source { end_offset: 15, watermark_unix_nano: 20 }, "the watermark never falls");
    }
}
