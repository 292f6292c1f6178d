//! What of a manifest's steps and providers the types alone don't state.

use std::collections::BTreeSet;

use super::{Artifact, ArtifactKind, BuildManifest, FunctionCode, MOST_STEPS, Step, Trigger};
use crate::names::{ArtifactName, GroupName};

impl BuildManifest {
    /// Two archives of one provider would be two truths.
    pub(super) fn check_providers(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        match self.providers().find(|(provider, _)| !seen.insert(*provider)) {
            Some((provider, artifact)) => Err(format!("artifact {}: {provider} is there twice", artifact.name)),
            None => Ok(()),
        }
    }

    pub(super) fn check_steps(&self) -> Result<(), String> {
        if self.deploy.len() > MOST_STEPS {
            return Err(format!("{} deploy steps; at most {MOST_STEPS} are read", self.deploy.len()));
        }
        let terraform = self.deploy.iter().filter(|step| matches!(step, Step::Terraform { .. })).count();
        if terraform > 1 {
            return Err(format!("{terraform} terraform steps; at most one is allowed"));
        }
        let mut names = BTreeSet::new();
        for step in &self.deploy {
            // A deployment record knows steps by their names: a service's doesn't say in which cluster.
            if !names.insert(step.to_string()) {
                return Err(format!("{step}: there is another of this name"));
            }
            self.check_step(step).map_err(|problem| format!("{step}: {problem}"))?;
        }
        self.expect_apart()
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        for image in step.images() {
            self.expect_kind(image, ArtifactKind::Image)?;
        }
        match step {
            Step::Terraform { artifact, variables } => {
                self.expect_kind(artifact, ArtifactKind::Terraform)?;
                let unknown = variables
                    .iter()
                    .find(|(_, variable)| !variable.is_reference() && self.public_text(variable).is_none());
                match unknown {
                    Some((name, _)) => Err(format!("variable {name} names an artifact that the build has not")),
                    None => Ok(()),
                }
            }
            Step::Service(service) => service.check(),
            Step::Task(task) => task.check(),
            Step::Files(files) => files.check(self.expect_kind(&files.artifact, ArtifactKind::Directory)?),
            Step::Schedule(schedule) => schedule.revision().check(),
            Step::Function(function) => {
                function.check()?;
                let kind = match &function.code {
                    FunctionCode::Zip(_) => ArtifactKind::File,
                    FunctionCode::Image(_) => ArtifactKind::Image,
                };
                function.code.check(self.expect_kind(function.code.artifact(), kind)?)
            }
        }
    }

    fn expect_kind(&self, name: &ArtifactName, kind: ArtifactKind) -> Result<&Artifact, String> {
        match self.artifact(name) {
            Some(artifact) if artifact.kind() == kind => Ok(artifact),
            Some(artifact) => Err(format!("artifact {name} is of kind {}, not {kind}", artifact.kind())),
            None => Err(format!("there is no artifact {name}")),
        }
    }

    /// No two steps have a say about one thing, and groups are whole.
    fn expect_apart(&self) -> Result<(), String> {
        let places: Vec<_> = self.files().map(|(step, _)| step).collect();
        for (number, one) in places.iter().enumerate() {
            if let Some(other) = places[..number].iter().find(|other| one.meets(other)) {
                return Err(format!("{one}: {other} would put files there, too"));
            }
        }
        Trigger::expect_different(self.schedules().map(|step| &step.trigger))?;
        match self.split_group() {
            Some(split) => Err(format!("the steps of group {split} don't follow one another")),
            None => Ok(()),
        }
    }

    /// A group between whose steps there are others.
    fn split_group(&self) -> Option<&GroupName> {
        let mut seen = BTreeSet::new();
        let groups = self.stages().into_iter().filter_map(|stage| stage.first()?.1.group());
        groups.into_iter().find(|group| !seen.insert(*group))
    }
}
