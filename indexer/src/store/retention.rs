//! What is dropped: whole windows, the oldest first.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Store;
use super::seal::WINDOWS;
use crate::Error;

impl Store {
    /// Drops windows that ended and were last written more than `age` ago, and then the oldest until no more than `bytes`
    /// are left on disk; the newest always stays, and so does what has not ended. Returns how many. A search that began
    /// before still sees them. Blocks.
    pub fn retain(&self, now_ms: i64, age: Duration, bytes: u64) -> Result<usize, Error> {
        let mut sealing = self.sealing.lock();
        let mut windows = Vec::new();
        for name in sealing.windows.keys() {
            let path = self.root.join(WINDOWS).join(name);
            let written = sealing.manifest.windows.get(name).copied().unwrap_or(now_ms);
            windows.push((end_ms(name), written, name.clone(), folder_bytes(&path)?));
        }
        windows.sort();
        let mut left: u64 = windows.iter().map(|(_, _, _, bytes)| bytes).sum();
        let oldest_kept = now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        windows.pop();
        let mut dropped = 0;
        for (end, written, name, size) in windows {
            // A line from the future makes a window that is newer than today's, which must not go for it.
            if end > now_ms || (end.max(written) >= oldest_kept && left <= bytes) {
                continue;
            }
            let path = self.root.join(WINDOWS).join(&name);
            let window = sealing.windows.remove(&name);
            // The others stay as they are: a seal that failed may have left lines there that are still in the head.
            let mut state = self.state.write();
            state.views = Arc::new(state.views.iter().filter(|view| view.path() != path).cloned().collect());
            drop(state);
            drop(window);
            // Without it the folder holds no index: what a crash leaves is cleared when the store is opened.
            let meta = path.join("meta.json");
            fs::remove_file(&meta).map_err(Error::io(meta))?;
            fs::remove_dir_all(&path).map_err(Error::io(path))?;
            left -= size;
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        folder_bytes(&self.root)
    }
}

/// End of a window in milliseconds since the epoch, by its folder's name: `START-LENGTH` in seconds.
fn end_ms(name: &str) -> i64 {
    let end = || {
        let (start, length) = name.rsplit_once('-')?;
        start.parse::<i64>().ok()?.checked_add(length.parse().ok()?)?.checked_mul(1000)
    };
    end().unwrap_or(0)
}

fn folder_bytes(path: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(Error::io(path))? {
        let entry = entry.map_err(Error::io(path))?;
        // A merge may remove a file in between.
        let Ok(meta) = entry.metadata() else { continue };
        bytes += if meta.is_dir() { folder_bytes(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}
