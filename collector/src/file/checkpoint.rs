//! What is kept of files over a restart, in one file that is replaced as a whole.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::aftermath::{Before, Ends};
use super::identity::{self, Anchor, Fingerprint, Inode};
use super::ledger::{self, Kept, Reason};
use super::pods;
use super::totals::{Counted, Tenants};
use crate::Error;
use crate::options::Format;

/// One file generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its name on the bus.
    pub identity: String,
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// When the inode came to be, nanoseconds since the epoch.
    pub born: Option<u64>,
    /// How it begins.
    pub fingerprint: Fingerprint,
    /// How it goes on before a place to which it was read.
    #[serde(default)]
    pub anchor: Anchor,
    /// The inode is a gzip file that holds it; positions are those of what it holds.
    #[serde(default)]
    pub packed: bool,
    /// Where reading began.
    #[serde(default)]
    pub start: u64,
    /// Everything before this is durable on the bus.
    pub position: u64,
    /// Bytes before that which were left out of their records.
    #[serde(default)]
    pub left_out: u64,
    /// Bytes before that which were dropped, since their tenant was over its rate.
    #[serde(default)]
    pub over_rate: u64,
    /// Ranges behind it that are dropped too, in order. Reading again has to drop them too, so a range is kept before
    /// anything behind it is sent.
    #[serde(default)]
    pub dropped: Vec<Range<u64>>,
    /// Whose it is; empty where that was not known yet.
    #[serde(default)]
    pub tenant: String,
    /// Whether something of it was read as another's.
    #[serde(default)]
    pub is_of_several: bool,
    /// What of these numbers is in its tenant's totals; `None` where it was not counted yet.
    #[serde(default)]
    pub counted: Option<Counted>,
    /// Since when the oldest byte behind it has been seen to wait, nanoseconds since the epoch.
    #[serde(default)]
    pub waiting_since: Option<u64>,
    /// Greatest size seen.
    pub size: u64,
    /// Places at or behind `position` where a record was ended though the file alone does not say so. Reading again
    /// has to end it there too, so a break is kept before the record is sent.
    pub breaks: Vec<u64>,
    /// How its lines are written, as the configuration says.
    pub format: Format,
    /// The path that a glob matched.
    pub path: String,
    /// The same with symbolic links followed.
    pub target: String,
    /// When `target` was last known to be it, nanoseconds since the epoch: what was there later came after it.
    #[serde(default)]
    pub seen: u64,
    /// It was read to its end after it was rotated away.
    pub closed: bool,
    /// A batch failed and one behind it may be durable: readers that have passed that one would drop what is read again
    /// under this identity.
    #[serde(default)]
    pub torn: bool,
    /// How it was read: [`super::source::Group::read_as`], 0 where that is not known.
    #[serde(default)]
    pub read_as: u32,
    /// Its bytes are gone, for this reason: only what is in flight can still become durable.
    #[serde(default)]
    pub ended: Option<Reason>,
}

impl Entry {
    pub(super) fn inode(&self) -> Inode {
        (self.device, self.inode)
    }

    /// Everything before this is durable now.
    pub(super) fn reach(&mut self, position: u64) {
        self.position = position;
        self.over_rate += self
            .dropped
            .extract_if(.., |range| range.end <= position)
            .map(|range| range.end - range.start)
            .sum::<u64>();
    }

    /// From now on it is this tenant's.
    pub(super) fn belong_to(&mut self, tenant: &str) {
        self.is_of_several |= self.position > self.start && ledger::is_another(&self.tenant, tenant);
        tenant.clone_into(&mut self.tenant);
    }

    /// Whether this is the file. A device may have another number after a reboot; inode and birth tell enough then.
    pub(super) fn is_of(&self, metadata: &Metadata) -> bool {
        let born = identity::born(metadata);
        let inode = identity::inode(metadata);
        self.born == born && (self.inode() == inode || (self.inode == inode.1 && born.is_some()))
    }
}

/// What is in the file.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Content {
    version: u32,
    /// When files were looked for last, nanoseconds since the epoch.
    #[serde(default)]
    pub(super) looked: Option<u64>,
    #[serde(default)]
    at: u64,
    #[serde(default)]
    ends: Ends,
    #[serde(default)]
    clean: bool,
    #[serde(default)]
    pub(super) pods: pods::Kept,
    pub(super) files: Vec<Entry>,
    #[serde(default)]
    pub(super) tenants: Tenants,
    #[serde(flatten)]
    pub(super) ledger: Kept,
}

impl Content {
    /// What the run that wrote it knew of the bus.
    pub(super) fn bus(&self) -> Before {
        Before { ends: self.ends.clone(), at: self.at, clean: self.clean, ..Before::default() }
    }
}

/// The same, borrowed.
#[derive(Debug, Serialize)]
pub(super) struct Written<'a> {
    pub(super) looked: Option<u64>,
    /// Now, nanoseconds since the epoch.
    pub(super) at: u64,
    /// Everything that is known to be durable lies before these.
    pub(super) ends: &'a Ends,
    /// Nothing was on its way.
    pub(super) clean: bool,
    pub(super) pods: &'a pods::Kept,
    pub(super) files: &'a [Entry],
    pub(super) tenants: &'a Tenants,
    #[serde(flatten)]
    pub(super) ledger: &'a Kept,
}

#[derive(Serialize)]
struct Versioned<'a> {
    version: u32,
    #[serde(flatten)]
    content: &'a Written<'a>,
}

/// The file in which entries lie.
#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join("files.json") }
    }

    /// What was written last; `None` if nothing ever was.
    pub(super) fn read(&self) -> Result<Option<Content>, Error> {
        let fail = |source: io::Error| Error::Storage { path: self.path.clone(), source };
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mut content: Content = serde_json::from_slice(&bytes).map_err(|error| {
            let then = "the file is damaged; moved away, all files are read again from their beginning";
            fail(io::Error::other(format!("{error}: {then}")))
        })?;
        if content.version != 1 {
            return Err(fail(io::Error::other(format!("version {} is not known here", content.version))));
        }
        for entry in &mut content.files {
            // Of one from before there were totals, what it has come to is history, and no increase of now.
            let all = Counted::all_of(entry);
            entry.counted.get_or_insert(all);
        }
        Ok(Some(content))
    }

    /// Durable when it returns; the old content stays if it fails. Returns its size.
    pub(super) fn write(&self, written: &Written<'_>) -> Result<usize, Error> {
        let write = || {
            let temporary = self.path.with_extension("tmp");
            let content = serde_json::to_vec(&Versioned { version: 1, content: written })?;
            let mut file = File::create(&temporary)?;
            file.write_all(&content)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
            Ok(content.len())
        };
        write().map_err(|source| Error::Storage { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use weir_service::telemetry::whole;

    use super::super::ledger::Ledger;
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(folder.path());
        assert!(checkpoint.read().unwrap().is_none());
        let entry = Entry {
            identity: "1-2-3".into(),
            device: 1,
            inode: u64::MAX,
            born: None,
            fingerprint: Fingerprint::default(),
            anchor: Anchor::default(),
            packed: false,
            start: 0,
            position: 7,
            left_out: 0,
            over_rate: 3,
            dropped: vec![8..9, 9..12],
            tenant: "acme".into(),
            is_of_several: false,
            counted: Some(Counted::default()),
            waiting_since: None,
            size: 9,
            breaks: vec![8],
            format: Format::Cri,
            path: "/a".into(),
            target: "/b".into(),
            seen: 0,
            closed: false,
            torn: false,
            read_as: 0,
            ended: None,
        };
        let mut ledger = Ledger::default();
        ledger.end(&entry, Reason::Deleted);
        let files = std::slice::from_ref(&entry);
        let ends = Ends::from([(0, 7)]);
        let written = Written {
            looked: Some(5),
            at: 6,
            ends: &ends,
            clean: true,
            pods: &pods::Kept::new(),
            files,
            tenants: ledger.tenants(),
            ledger: ledger.kept(),
        };
        checkpoint.write(&written).unwrap();
        let read = checkpoint.read().unwrap().unwrap();
        assert_eq!((&read.files, &read.ledger, read.looked), (&vec![entry.clone()], ledger.kept(), Some(5)));
        assert!(read.clean && read.ends == ends && read.at == 6);
        assert_eq!((&read.tenants, read.tenants["acme"].lost[&Reason::Deleted]), (ledger.tenants(), 2));
        let uncounted = [Entry { counted: None, ..read.files[0].clone() }];
        checkpoint.write(&Written { files: &uncounted, ..written }).unwrap();
        let read = checkpoint.read().unwrap().unwrap();
        assert_eq!(read.files[0].counted, Some(Counted::all_of(&uncounted[0])), "as before there were totals");
        fs::write(folder.path().join("files.json"), "{").unwrap();
        let error = checkpoint.read().unwrap_err();
        let error = whole(&error).to_string();
        assert!(error.contains("files.json") && error.contains("moved away"), "{error}");
    }
}
