//! How much may be on its way at once, where memory is limited: so that the limit itself is rarely met.

use weir_service::config::Size;

/// What the program takes by itself: its text, its threads, and its clients of the bus.
const ITSELF: usize = 32 << 20;

/// In bytes. Each part is a share of what memory leaves, and at most what it would be without a limit. Together, with
/// the copies that the bus makes of what it is given, they come to about what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Of files, on its way to the bus.
    pub(crate) files: usize,
    /// Of files, in batches that wait for more lines.
    pub(crate) waiting: usize,
    /// Of all OTLP exports that are being taken: as sent, as unpacked, and as records.
    pub(crate) exports: usize,
    /// Of one OTLP export, as sent and as unpacked: six times as much is within `exports`, as the largest may need.
    pub(crate) export: usize,
    /// Of OTLP and samples, in the queue of the bus.
    pub(crate) queue: usize,
    /// Of samples, while the bus is away.
    pub(crate) samples: usize,
    /// Of connections, received before anybody reads it.
    pub(crate) windows: Windows,
}

/// In bytes, of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Of HTTP/1.
    pub(crate) http1: usize,
    /// Of HTTP/2, all of it.
    pub(crate) connection: u32,
    /// Of HTTP/2, one request.
    pub(crate) stream: u32,
}

impl Bounds {
    pub(crate) const UNLIMITED: Self = Self {
        files: 16 << 20,
        waiting: 8 << 20,
        exports: 192 << 20,
        // A span or log record of the greatest size, and others beside it.
        export: 32 << 20,
        queue: 32 << 20,
        samples: 8 << 20,
        windows: Windows { http1: 408 << 10, connection: 4 << 20, stream: 1 << 20 },
    };

    /// For a process of so much memory.
    pub(crate) fn of(memory: Option<Size>) -> Self {
        let all = Self::UNLIMITED;
        let Some(memory) = memory else { return all };
        let of_u32 = |most: u32, share| most.min(u32::try_from(share).unwrap_or(u32::MAX));
        let left = usize::try_from(memory.0).unwrap_or(usize::MAX).saturating_sub(ITSELF);
        Self {
            files: all.files.min(left / 16),
            waiting: all.waiting.min(left / 32),
            exports: all.exports.min(left / 4 * 3),
            export: all.export.min(left / 8),
            queue: all.queue.min(left / 8),
            samples: all.samples.min(left / 32),
            windows: Windows {
                http1: all.windows.http1.min(left / 512),
                connection: of_u32(all.windows.connection, left / 64),
                stream: of_u32(all.windows.stream, left / 256),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_export_finds_room_however_it_is_packed_and_much_memory_changes_nothing() {
        for mebibytes in [33, 48, 64, 100, 256, 1 << 20] {
            let bounds = Bounds::of(Some(Size(mebibytes << 20)));
            assert!(bounds.export * 6 <= bounds.exports, "{mebibytes}: {bounds:?}");
        }
        // The share of a connection would be four gibibytes of the last one, which is zero in 32 bits.
        for mebibytes in [544, (256 << 10) + 32] {
            assert_eq!(Bounds::of(Some(Size(mebibytes << 20))), Bounds::UNLIMITED);
        }
        assert_eq!(Bounds::of(None), Bounds::UNLIMITED);
    }
}
