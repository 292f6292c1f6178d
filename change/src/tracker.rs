//! Where change records are kept: a closed set of trackers, all with the same few operations.

use std::path::PathBuf;

use manifest_schema::names::ChangeId;
use manifest_schema::{DocumentError, Timestamp};

use crate::local::LocalTracker;
use crate::record::{ApprovalCopy, ChangeRecord, ChangeRequest, EditError, Ending, Note};

/// A tracker.
#[derive(Debug, Clone)]
pub enum Tracker {
    /// A directory of records.
    Local(LocalTracker),
}

/// A change that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its record.
    pub record: ChangeRecord,
    /// Whether it is new; otherwise an open change asked for the same deploy already.
    pub is_new: bool,
}

/// A tracker that didn't do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// There is no such change.
    #[error("there is no change {change}; {}", known_as(.known))]
    Unknown {
        /// The change.
        change: ChangeId,
        /// The changes that there are.
        known: Vec<ChangeId>,
    },
    /// Something else is where a record should be.
    #[error("{} is damaged: restore it, or move it away", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// What should be written is no sound record.
    #[error("the change can't be recorded")]
    Unsound(#[source] DocumentError),
    /// The change is in a state that doesn't allow it.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file system failed.
    #[error("can't {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Most changes that a message names.
const SHOWN: usize = 10;

fn known_as(known: &[ChangeId]) -> String {
    let names: Vec<_> = known.iter().rev().take(SHOWN).map(ChangeId::as_str).collect();
    match known.len() {
        0 => "none was opened here yet".to_owned(),
        1..=SHOWN => format!("there are {}", names.join(", ")),
        more => format!("the last of {more} are {}", names.join(", ")),
    }
}

impl Tracker {
    /// Opens a change, unless an open one asks for the same deploy: then that one is returned as it is.
    ///
    /// # Errors
    /// When the request is no sound one, a record is damaged, or the tracker can't be written.
    pub fn open(&self, request: ChangeRequest, by: &str, now: Timestamp) -> Result<Opened, TrackerError> {
        match self {
            Self::Local(tracker) => tracker.open(request, by, now),
        }
    }

    /// One change.
    ///
    /// # Errors
    /// When there is none, its record is damaged, or the tracker can't be read.
    pub fn get(&self, change: &ChangeId) -> Result<ChangeRecord, TrackerError> {
        match self {
            Self::Local(tracker) => tracker.get(change),
        }
    }

    /// All changes, oldest first.
    ///
    /// # Errors
    /// When a record is damaged, or the tracker can't be read.
    pub fn list(&self) -> Result<Vec<ChangeRecord>, TrackerError> {
        match self {
            Self::Local(tracker) => tracker.list(),
        }
    }

    /// Adds what somebody said.
    ///
    /// # Errors
    /// When there is no such change, the text is too long, or the tracker can't be written.
    pub fn comment(&self, change: &ChangeId, note: Note) -> Result<ChangeRecord, TrackerError> {
        match self {
            Self::Local(tracker) => tracker.comment(change, note),
        }
    }

    /// Adds a copy of an approval statement, unless it is there.
    ///
    /// # Errors
    /// When there is no such change, or the tracker can't be written.
    pub fn note_approval(&self, change: &ChangeId, copy: ApprovalCopy) -> Result<ChangeRecord, TrackerError> {
        match self {
            Self::Local(tracker) => tracker.note_approval(change, copy),
        }
    }

    /// Ends a change; again in the same way does nothing.
    ///
    /// # Errors
    /// When there is no such change, it has ended in another way, or the tracker can't be written.
    pub fn close(&self, change: &ChangeId, ending: Ending, resolution: Note) -> Result<ChangeRecord, TrackerError> {
        match self {
            Self::Local(tracker) => tracker.close(change, ending, resolution),
        }
    }
}
