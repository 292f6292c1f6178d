use manifest_schema::Digest;
use manifest_schema::names::{ChangeId, EnvironmentName, ProjectName};

/// What an approval answers: one build, one environment, one plan, one change. Gate 10 compares every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What would be deployed.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// The change that asks for it.
    pub change: ChangeId,
    /// The build's manifest.
    pub manifest: Digest,
    /// The plan statement.
    pub plan: Digest,
    /// The plan summary's bytes: what people read.
    pub summary: Digest,
}
