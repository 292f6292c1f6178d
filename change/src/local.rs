//! The local tracker: one file per change in a directory, `CHG-1.json`, `CHG-2.json`, …
//!
//! It promises that two who open changes at once, in threads or processes, never get the same id for different deploys
//! nor two changes for the same one; that no edit is lost to another; and that a reader sees a record whole, before or
//! after an edit. It refuses to guess what a damaged record said: whatever would need it fails and names the file.
//!
//! Writers hold a lock on `.lock`; readers need none, because records are replaced by renaming. The directory is made
//! for its owner alone when the first change is opened, never by reading.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use manifest_schema::names::ChangeId;
use manifest_schema::{Document as _, DocumentError, Timestamp};
use tempfile::NamedTempFile;

use crate::record::{ApprovalCopy, ChangeRecord, ChangeRequest, EditError, Ending, Note};
use crate::tracker::{Opened, TrackerError};

const PREFIX: &str = "CHG-";
const SUFFIX: &str = ".json";
const LOCK: &str = ".lock";

/// Change records in a directory.
#[derive(Debug, Clone)]
pub struct LocalTracker {
    directory: PathBuf,
}

/// Proof that no other writer is at work here, for as long as it lives.
struct Locked(#[expect(dead_code, reason = "closing the file is what unlocks")] File);

impl LocalTracker {
    /// The tracker in `directory`, which need not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Where the records are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens a change, unless an open one asks for the same deploy: then that one is returned as it is.
    ///
    /// # Errors
    /// When the request is no sound one, a record here is damaged (it could be the one), or the directory can't be
    /// written.
    pub fn open(&self, request: ChangeRequest, by: &str, now: Timestamp) -> Result<Opened, TrackerError> {
        self.make_directory()?;
        let lock = self.lock()?;
        let numbers = self.numbers()?;
        for number in &numbers {
            let record = self.read(*number)?;
            if record.asks_for(&request) {
                return Ok(Opened { record, is_new: false });
            }
        }
        // Files that aren't ours to number (2^64 - 1) end in `create`, which refuses to replace.
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        let record = ChangeRecord::new(id_of(next), request, now, by);
        self.create(next, &record, &lock)?;
        Ok(Opened { record, is_new: true })
    }

    /// One change.
    ///
    /// # Errors
    /// When there is none (with those that there are), or its record is damaged or can't be read.
    pub fn get(&self, change: &ChangeId) -> Result<ChangeRecord, TrackerError> {
        self.read(self.number_of(change)?)
    }

    /// All changes, oldest first.
    ///
    /// # Errors
    /// When a record is damaged or can't be read.
    pub fn list(&self) -> Result<Vec<ChangeRecord>, TrackerError> {
        self.numbers()?.into_iter().map(|number| self.read(number)).collect()
    }

    /// Edits a record, alone and at once: nobody else's edit is lost, and nobody sees half of this one. An `edit` that
    /// fails leaves everything as it was.
    ///
    /// # Errors
    /// When there is no such change, `edit` refuses, what it leaves is no sound record, or the file can't be written.
    pub fn update(
        &self,
        change: &ChangeId,
        edit: impl FnOnce(&mut ChangeRecord) -> Result<(), EditError>,
    ) -> Result<ChangeRecord, TrackerError> {
        let number = self.number_of(change)?;
        let lock = self.lock()?;
        let before = self.read(number)?;
        let mut record = before.clone();
        edit(&mut record)?;
        if record != before {
            self.replace(number, &record, &lock)?;
        }
        Ok(record)
    }

    /// Adds what somebody said.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn comment(&self, change: &ChangeId, note: Note) -> Result<ChangeRecord, TrackerError> {
        self.update(change, |record| {
            record.comment(note);
            Ok(())
        })
    }

    /// Adds a copy of an approval statement, unless it is there.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn note_approval(&self, change: &ChangeId, copy: ApprovalCopy) -> Result<ChangeRecord, TrackerError> {
        self.update(change, |record| {
            record.note_approval(copy);
            Ok(())
        })
    }

    /// Ends a change; again in the same way does nothing.
    ///
    /// # Errors
    /// As [`Self::update`], and when it has ended in another way.
    pub fn close(&self, change: &ChangeId, ending: Ending, resolution: Note) -> Result<ChangeRecord, TrackerError> {
        self.update(change, |record| record.end(ending, resolution))
    }

    /// The number of a change that is there.
    fn number_of(&self, change: &ChangeId) -> Result<u64, TrackerError> {
        let numbers = self.numbers()?;
        let number = parse_id(change.as_str()).filter(|number| numbers.contains(number));
        number.ok_or_else(|| TrackerError::Unknown {
            change: change.clone(),
            known: numbers.into_iter().map(id_of).collect(),
        })
    }

    /// The numbers of all records, sorted, whatever is in them: a damaged one keeps its number.
    fn numbers(&self) -> Result<Vec<u64>, TrackerError> {
        let failed = || self.failed("list", &self.directory);
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            numbers.extend(name.to_str().and_then(|name| parse_id(name.strip_suffix(SUFFIX)?)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, number: u64) -> Result<ChangeRecord, TrackerError> {
        let path = self.path_of(number);
        let file = File::open(&path).map_err(self.failed("open", &path))?;
        // One byte more than a record may have, so that a larger file is refused and not cut.
        let mut bytes = Vec::new();
        let most = ChangeRecord::LIMIT as u64 + 1;
        file.take(most).read_to_end(&mut bytes).map_err(self.failed("read", &path))?;
        let read = ChangeRecord::from_bytes(&bytes).and_then(|record| named(record, &id_of(number)));
        read.map_err(|source| TrackerError::Damaged { path, source })
    }

    fn create(&self, number: u64, record: &ChangeRecord, lock: &Locked) -> Result<(), TrackerError> {
        let path = self.path_of(number);
        let file = self.write(number, record)?;
        // Create-only even under the lock: where locks don't work, such as on some network file systems, the second
        // opener fails instead of overwriting the first.
        file.persist_noclobber(&path).map_err(|error| self.failed("create", &path)(error.error))?;
        self.sync(lock)
    }

    fn replace(&self, number: u64, record: &ChangeRecord, lock: &Locked) -> Result<(), TrackerError> {
        let path = self.path_of(number);
        let file = self.write(number, record)?;
        file.persist(&path).map_err(|error| self.failed("replace", &path)(error.error))?;
        self.sync(lock)
    }

    /// The record's bytes, safe on disk in a file that nobody reads yet.
    fn write(&self, number: u64, record: &ChangeRecord) -> Result<NamedTempFile, TrackerError> {
        let bytes = record.to_bytes();
        // What is written must be readable: checked by reading.
        let read = ChangeRecord::from_bytes(&bytes).and_then(|record| named(record, &id_of(number)));
        read.map_err(TrackerError::Unsound)?;
        let failed = || self.failed("write to", &self.directory);
        let mut file = NamedTempFile::with_prefix_in(".new-", &self.directory).map_err(failed())?;
        file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(failed())?;
        Ok(file)
    }

    /// Makes a rename last; before that it isn't reported as done.
    fn sync(&self, _: &Locked) -> Result<(), TrackerError> {
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(self.failed("sync", &self.directory))
    }

    fn lock(&self) -> Result<Locked, TrackerError> {
        let path = self.directory.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(self.failed("open", &path))?;
        file.lock().map_err(self.failed("lock", &path))?;
        Ok(Locked(file))
    }

    fn make_directory(&self) -> Result<(), TrackerError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(self.failed("create", &self.directory))
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{PREFIX}{number}{SUFFIX}"))
    }

    /// For `map_err`: says what was tried with which path.
    fn failed(&self, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TrackerError + use<> {
        let path = path.to_owned();
        move |source| TrackerError::Io { action, path, source }
    }
}

/// The record, if it is the one that its file's name promises.
fn named(record: ChangeRecord, id: &ChangeId) -> Result<ChangeRecord, DocumentError> {
    if record.id == *id {
        return Ok(record);
    }
    let problem = format!("it is the record of {}, not of {id}", record.id);
    Err(DocumentError::Inconsistent { document: ChangeRecord::NAME, problem })
}

#[expect(clippy::expect_used, reason = "a prefix and digits make a change id")]
fn id_of(number: u64) -> ChangeId {
    ChangeId::new(format!("{PREFIX}{number}")).expect("a change id")
}

/// The number in an id of ours, in its one spelling.
fn parse_id(id: &str) -> Option<u64> {
    let number = id.strip_prefix(PREFIX)?.parse().ok()?;
    (number > 0 && id == format!("{PREFIX}{number}")).then_some(number)
}

#[cfg(test)]
mod tests;
