//! What a comparison tells beyond the manifests, where stores, repositories and the gateway were at hand. Whoever
//! compares fills it in; nothing here reads anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::{DeploymentRecord, LiveBuild, StepRecord};
use crate::manifest::Commit;
use crate::names::EnvironmentName;
use crate::statement::Outcome;
use crate::time::Timestamp;

/// How the lines of a file differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LinesDiff {
    /// Whatever there is of it is text.
    Text {
        /// How many lines only the new file has.
        added: u64,
        /// How many lines only the old file has.
        removed: u64,
        /// Where they are, with the lines around them.
        hunks: Vec<Hunk>,
        /// How many further lines, context included, the hunks would have if they were not cut short.
        #[serde(default, skip_serializing_if = "is_zero")]
        omitted: u64,
    },
    /// One of the two is no text: it has a NUL, or is not UTF-8.
    Binary,
    /// One of the two is longer than is compared line by line.
    TooLarge,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Neighbouring lines that differ, with the lines around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Hunk {
    /// The number of its first line in the old file, from 1; 0 if that has none here.
    pub old_start: u64,
    /// The number of its first line in the new file, from 1; 0 if that has none here.
    pub new_start: u64,
    /// Its lines, in order.
    pub lines: Vec<Line>,
}

/// A line, without its line break. What is too long ends with `…` and says how much is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// Both files have it.
    Same(String),
    /// Only the old file has it.
    Removed(String),
    /// Only the new file has it.
    Added(String),
    /// The line before this one is its file's last and has no line break.
    NoNewline,
}

impl Hunk {
    /// How many of its lines the old file and the new file have.
    pub fn lengths(&self) -> (u64, u64) {
        self.lines.iter().fold((0, 0), |(old, new), line| match line {
            Line::Same(_) => (old + 1, new + 1),
            Line::Removed(_) => (old + 1, new),
            Line::Added(_) => (old, new + 1),
            Line::NoNewline => (old, new),
        })
    }
}

/// The commits between two builds of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CommitsDiff {
    /// What the new commit reaches and the old one doesn't.
    pub added: CommitList,
    /// What the old commit reaches and the new one doesn't: the new build is older, or history was rewritten.
    pub removed: CommitList,
    /// Whether the repository at hand is a shallow clone: there may be more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shallow: bool,
}

/// Commits, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CommitList {
    /// How many there are.
    pub count: u64,
    /// The newest of them.
    pub commits: Vec<CommitState>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CommitState {
    /// Its id.
    pub commit: Commit,
    /// The committer's date.
    pub committed_at: Timestamp,
    /// Who wrote it, as the commit itself claims.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// Whether it has more than one parent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge: bool,
}

/// Where a build was found that was named as `deployed:<environment>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Deployed {
    /// The environment.
    pub environment: EnvironmentName,
    /// The number of its newest deployment record.
    pub sequence: u64,
    /// When that deployment ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Which build is live in each step.
    pub steps: Vec<StepRecord>,
}

impl Deployed {
    /// What a record says.
    pub fn of(record: &DeploymentRecord) -> Self {
        Self {
            environment: record.environment.clone(),
            sequence: record.sequence,
            finished_at: record.finished_at,
            outcome: record.outcome,
            steps: record.steps.clone(),
        }
    }

    /// The one build that is live in every step, if there is one.
    pub fn only_live(&self) -> Option<LiveBuild> {
        let mut live = self.steps.iter().map(|step| match step.live.as_slice() {
            [one] => Some(*one),
            [] | [_, _, ..] => None,
        });
        let first = live.next()??;
        live.all(|other| other == Some(first)).then_some(first)
    }
}
