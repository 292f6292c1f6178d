//! The change record: what one deploy is asked for with, and what people said about it.
//!
//! It is written for people and trusted never: approvals in it are copies, and whoever may write the record may write
//! anything into it. The gates look at signed statements only.

mod brief;

use manifest_schema::job::Action;
use manifest_schema::manifest::BuildNumber;
use manifest_schema::names::{ChangeId, EnvironmentName, ProjectName};
use manifest_schema::statement::Decision;
use manifest_schema::{Digest, Document, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use brief::{PlanInBrief, ResourceCounts};

use crate::About;

/// Longest text that a person writes into a record, in bytes.
const LONGEST_TEXT: usize = 64 << 10;
/// Longest summary, in characters: a title on one line.
const LONGEST_SUMMARY: usize = 200;

/// The record's `schema`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChangeSchema {
    /// `airlock/change/v1`.
    #[default]
    #[serde(rename = "airlock/change/v1")]
    V1,
}

/// The record that asks for one deploy to one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChangeRecord {
    /// Always `airlock/change/v1`.
    pub schema: ChangeSchema,
    /// The change.
    pub id: ChangeId,
    /// What is asked for. It doesn't change.
    pub request: ChangeRequest,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// By whom, as they called themselves.
    pub opened_by: String,
    /// Where it is.
    pub status: Status,
    /// How it came to its end; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Note>,
    /// What was said, in order.
    pub history: Vec<Note>,
    /// Copies of approval statements, in the order in which they were noted. Nothing is decided from them.
    pub approvals: Vec<ApprovalCopy>,
}

/// What a change asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChangeRequest {
    /// What would be deployed.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// What would be done: `apply`.
    pub action: Action,
    /// What the change is, on one line.
    pub summary: String,
    /// The parts of the system that it touches.
    pub components: Vec<String>,
    /// Why it is wanted.
    pub justification: String,
    /// What to do if it goes wrong.
    pub rollback_plan: String,
    /// The build, and the CI job that made it.
    pub build: BuildJob,
    /// The full ref that was built, such as `refs/heads/main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Pull requests, issues and whatever else a person should look at.
    pub links: Vec<String>,
    /// What the scans of the build said.
    pub scans: Vec<Scan>,
    /// The build's manifest.
    pub manifest: Digest,
    /// The plan statement.
    pub plan: Digest,
    /// The plan summary's bytes.
    pub plan_summary: Digest,
    /// What the plan would do, in short.
    pub plan_in_brief: PlanInBrief,
}

/// A build, and the CI job that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BuildJob {
    /// The build's number.
    pub number: BuildNumber,
    /// The CI job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Where a person can look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What one scan of the build said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Scan {
    /// The scan, as the manifest's evidence calls it.
    pub name: String,
    /// How it ended.
    pub status: ScanStatus,
    /// What it found, in a sentence.
    pub results: String,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScanStatus {
    /// It ran, and found nothing that stops a deploy.
    Passed,
    /// It ran, and found something that does, or it broke.
    Failed,
    /// There is no report.
    Missing,
}

/// Where a change is. Whether it is approved is not here: the signed statements say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not done yet.
    Open,
    /// Deployed, or otherwise dealt with.
    Resolved,
    /// Done with.
    Closed,
    /// Not wanted.
    Rejected,
}

/// How a change ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Deployed, or otherwise dealt with. It may still be closed.
    Resolved,
    /// Done with.
    Closed,
    /// Not wanted.
    Rejected,
}

impl From<Ending> for Status {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Resolved => Self::Resolved,
            Ending::Closed => Self::Closed,
            Ending::Rejected => Self::Rejected,
        }
    }
}

/// What somebody said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Who, as they called themselves.
    pub by: String,
    /// What.
    pub text: String,
}

/// A copy of an approval statement, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApprovalCopy {
    /// The statement's digest.
    pub statement: Digest,
    /// What it decides.
    pub decision: Decision,
    /// The id of the key that signed it.
    pub key: String,
    /// When.
    pub at: Timestamp,
}

/// Something that can't be done to a change in its state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It has ended in another way.
    #[error("{change} is {status} already: open a new change")]
    Ended {
        /// The change.
        change: ChangeId,
        /// What it is.
        status: Status,
    },
}

impl ChangeRecord {
    /// A new, open record.
    pub fn new(id: ChangeId, request: ChangeRequest, opened_at: Timestamp, opened_by: &str) -> Self {
        Self {
            schema: ChangeSchema::V1,
            id,
            request,
            opened_at,
            opened_by: opened_by.to_owned(),
            status: Status::Open,
            resolution: None,
            history: Vec::new(),
            approvals: Vec::new(),
        }
    }

    /// What approvals of this change answer.
    pub fn about(&self) -> About {
        let ChangeRequest { project, environment, manifest, plan, plan_summary, .. } = &self.request;
        About {
            project: project.clone(),
            environment: environment.clone(),
            change: self.id.clone(),
            manifest: *manifest,
            plan: *plan,
            summary: *plan_summary,
        }
    }

    /// Whether it is open and asks for the same deploy as `request`, however that is described.
    pub fn asks_for(&self, request: &ChangeRequest) -> bool {
        let same = |a: &ChangeRequest, b: &ChangeRequest| {
            a.project == b.project && a.environment == b.environment && a.manifest == b.manifest && a.plan == b.plan
        };
        self.status == Status::Open && same(&self.request, request)
    }

    /// Adds what somebody said; ended changes can still be spoken about.
    pub fn comment(&mut self, note: Note) {
        self.history.push(note);
    }

    /// Adds a copy of an approval statement. One that is there already is not added again.
    pub fn note_approval(&mut self, copy: ApprovalCopy) {
        let same = |noted: &ApprovalCopy| (noted.statement, &noted.key) == (copy.statement, &copy.key);
        if !self.approvals.iter().any(same) {
            self.approvals.push(copy);
        }
    }

    /// Ends it. What has ended in the same way stays as it is, with its first resolution, so a re-run changes nothing.
    ///
    /// # Errors
    /// When it has ended in another way. Only what is resolved may still be closed.
    pub fn end(&mut self, ending: Ending, resolution: Note) -> Result<(), EditError> {
        match (self.status, Status::from(ending)) {
            (then, now) if then == now => Ok(()),
            (Status::Open, status) | (Status::Resolved, status @ Status::Closed) => {
                self.status = status;
                self.resolution = Some(resolution);
                Ok(())
            }
            (status, _) => Err(EditError::Ended { change: self.id.clone(), status }),
        }
    }
}

impl Document for ChangeRecord {
    const SCHEMA: &'static str = "airlock/change/v1";
    const NAME: &'static str = "change record";
    /// Findings are copied from a plan summary of at most 3 MiB.
    const LIMIT: usize = 8 << 20;

    fn check(&self) -> Result<(), String> {
        if (self.status == Status::Open) != self.resolution.is_none() {
            return Err("a change has a resolution if, and only if, it is not open".to_owned());
        }
        let notes = self.history.iter().chain(&self.resolution);
        if notes.map(|note| note.text.len()).any(|length| length > LONGEST_TEXT) {
            return Err(format!("a comment may have {LONGEST_TEXT} bytes"));
        }
        self.request.check()
    }
}

impl ChangeRequest {
    fn check(&self) -> Result<(), String> {
        match self.action {
            Action::Apply => {}
            Action::Plan | Action::Drift => return Err(format!("{} needs no change; only apply does", self.action)),
        }
        let title = self.summary.trim();
        if title.is_empty() || title.chars().count() > LONGEST_SUMMARY || title.chars().any(char::is_control) {
            return Err(format!("the summary must be one line of 1 to {LONGEST_SUMMARY} characters"));
        }
        let texts = [("justification", &self.justification), ("rollback plan", &self.rollback_plan)];
        match texts.into_iter().find(|(_, text)| text.len() > LONGEST_TEXT) {
            Some((name, _)) => Err(format!("the {name} may have {LONGEST_TEXT} bytes")),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Rejected => "rejected",
        })
    }
}

#[cfg(test)]
mod tests;
