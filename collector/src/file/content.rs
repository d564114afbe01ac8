//! What a generation is read from: its file, or a compressed copy of it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use rustix::fs::OFlags;

/// Where the bytes of a generation come from.
pub(super) enum Content {
    /// The file itself, or a copy of it.
    Plain(File),
    /// A gzip file that holds it.
    Packed(Box<Packed>),
    /// Not open at the moment.
    Shut,
}

/// A gzip file, read forwards; its offsets are those of what it holds.
pub(super) struct Packed {
    stream: MultiGzDecoder<BufReader<File>>,
    /// What the stream gives next.
    at: u64,
    /// The bytes before `at` that are still wanted.
    kept: Vec<u8>,
    ended: bool,
}

/// Opens a regular file. Nothing else is opened: a FIFO would be waited for, and a device may do something.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let regular = |metadata: Metadata| {
        if metadata.is_file() { Ok(metadata) } else { Err(io::Error::other("not a regular file")) }
    };
    regular(fs::metadata(path)?)?;
    // What lies at the path may be another now.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = regular(file.metadata()?)?;
    Ok((file, metadata))
}

/// Compressed files are no sources of their own: what they hold was written to a log file first.
pub(super) fn is_packed(name: &str) -> bool {
    [".gz", ".zst", ".bz2", ".xz", ".zip"].iter().any(|end| name.ends_with(end))
}

impl Content {
    /// What an open file holds, or what is packed in it.
    pub(super) fn of(file: File, packed: bool) -> Self {
        if packed { Self::Packed(Box::new(Packed::new(file))) } else { Self::Plain(file) }
    }

    /// Reads until the buffer is full or the content ends. Also tells whether it has ended, which only a compressed
    /// file knows of itself.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<(usize, bool)> {
        match self {
            Self::Plain(file) => Ok((read_at(file, buffer, offset)?, false)),
            Self::Packed(packed) => packed.read_at(buffer, offset),
            Self::Shut => Err(io::Error::other("the file is not open")),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Shut)
    }

    /// The first bytes, until the buffer is full.
    pub(super) fn start(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_at(buffer, 0)?.0)
    }
}

impl Packed {
    fn new(file: File) -> Self {
        Self { stream: MultiGzDecoder::new(BufReader::new(file)), at: 0, kept: Vec::new(), ended: false }
    }

    /// What was read behind the last used byte is read again by the next call.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.kept.clear();
        self.kept.extend_from_slice(rest);
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<(usize, bool)> {
        let from = self.at - self.kept.len() as u64;
        let mut length = 0;
        if offset < from {
            let mut file = self.stream.get_ref().get_ref().try_clone()?;
            file.rewind()?;
            *self = Self::new(file);
        } else if offset < self.at {
            let kept = &self.kept[(offset - from) as usize..];
            length = kept.len().min(buffer.len());
            buffer[..length].copy_from_slice(&kept[..length]);
        }
        if length < buffer.len() {
            self.kept.clear();
        } else {
            // The rest of what is kept is for the next call.
            return Ok((length, false));
        }
        while self.at < offset {
            let most = buffer.len().min(usize::try_from(offset - self.at).unwrap_or(usize::MAX));
            if self.more(&mut buffer[..most])? == 0 {
                return Ok((0, true));
            }
        }
        let again = length;
        while length < buffer.len() {
            match self.more(&mut buffer[length..]) {
                Ok(0) => return Ok((length, true)),
                Ok(more) => length += more,
                // What is new is used first; the next call meets the error again.
                Err(_) if length > again => break,
                Err(error) => return Err(error),
            }
        }
        Ok((length, false))
    }

    fn more(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.stream.read(buffer) {
                Ok(length) => {
                    self.ended = length == 0;
                    self.at += length as u64;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Packed(_) => "Packed",
            Self::Shut => "Shut",
        })
    }
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Where text begins at or behind `from`, a place in a run of NULs: a writer that does not append goes on far behind a
/// truncation, and the file has a hole before that. `from` where there is no hole, or nothing behind it.
pub(super) fn behind_hole(file: &File, from: u64, size: u64) -> u64 {
    let Ok(data) = rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) else { return from };
    if data <= from || data >= size {
        return from;
    }
    // Text begins within a block.
    let mut block = vec![0; (64 << 10).min((size - data) as usize)];
    let length = read_at(file, &mut block, data).unwrap_or(0);
    let zeros = block[..length].iter().take_while(|&&byte| byte == 0).count() as u64;
    (data + zeros).min(size - 1)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_compressed_file_is_read_at_any_offset() {
        let mut text = Vec::new();
        for number in 0..50_000 {
            writeln!(text, "line {number}").unwrap();
        }
        let mut packed = tempfile::tempfile().unwrap();
        // Two members, as a program that appends to a compressed file writes them.
        for half in text.chunks(text.len() / 2 + 1) {
            let mut member = flate2::write::GzEncoder::new(&packed, flate2::Compression::fast());
            member.write_all(half).unwrap();
            member.finish().unwrap();
        }
        packed.rewind().unwrap();
        let mut content = Content::Packed(Box::new(Packed::new(packed)));
        let mut buffer = vec![0; 10_000];
        for offset in [0, 5_000, 4_000, 300_000, 0, text.len() as u64 - 9, text.len() as u64] {
            let (length, ended) = content.read_at(&mut buffer, offset).unwrap();
            let expected = &text[offset as usize..(offset as usize + buffer.len()).min(text.len())];
            assert_eq!(&buffer[..length], expected, "at {offset}");
            assert_eq!(ended, length < buffer.len());
            if let Content::Packed(packed) = &mut content {
                packed.keep(&buffer[length / 2..length]);
            }
        }
    }

    #[test]
    fn what_is_no_gzip_or_is_cut_is_an_error_behind_what_can_be_had() {
        let mut whole = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        whole.write_all(&vec![b'x'; 30_000]).unwrap();
        let whole = whole.finish().unwrap();
        for (bytes, had) in [(&b"plain text"[..], false), (&whole[..20_000], true)] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            let mut packed = Packed::new(file);
            let (mut at, mut buffer) = (0, [0; 4096]);
            let error = loop {
                match packed.read_at(&mut buffer, at) {
                    Ok((length, ended)) => {
                        assert!(!ended);
                        at += length as u64;
                    }
                    Err(error) => break error,
                }
            };
            assert_eq!(at > 10_000, had, "{error}");
        }
    }

    #[test]
    fn text_behind_a_hole_is_found() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"text\n", 10_000_001).unwrap();
        let size = file.metadata().unwrap().len();
        // Where the file system knows no holes there is none to be passed over.
        assert!([0, 10_000_001].contains(&behind_hole(&file, 0, size)));
        assert_eq!(behind_hole(&file, 10_000_001, size), 10_000_001);
        assert_eq!(behind_hole(&file, size, size), size);
    }
}
