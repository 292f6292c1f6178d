//! What AWS is called for.

use aws::Tag;
use manifest_schema::manifest::BuildNumber;
use manifest_schema::names::{ChangeId, ProjectName};

/// What a session of a role is for, as far as it is known: IAM policies can ask for it, and CloudTrail shows it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Purpose {
    /// Which build.
    pub(crate) build: Option<BuildNumber>,
    /// Which change.
    pub(crate) change: Option<ChangeId>,
}

impl Purpose {
    /// Something about one build.
    pub(crate) fn of_build(build: BuildNumber) -> Self {
        Self { build: Some(build), change: None }
    }

    /// Something about one change, whose build isn't known yet.
    pub(crate) fn of_change(change: &ChangeId) -> Self {
        Self { build: None, change: Some(change.clone()) }
    }

    /// As tags of the session.
    pub(crate) fn tags(&self, project: Option<&ProjectName>) -> Vec<Tag> {
        let Self { build, change } = self;
        let tags = [
            project.map(|project| Tag::new("airlock-project", project.as_str())),
            build.map(|build| Tag::new("airlock-build", &build.to_string())),
            change.as_ref().map(|change| Tag::new("airlock-change", change.as_str())),
        ];
        tags.into_iter().flatten().collect()
    }
}
