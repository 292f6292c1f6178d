//! A Terraform bundle that was just packed: what a worker would say to it, and what it locks.

use std::path::PathBuf;

use artifacts::{Origin, Packed, bundle_contents};
use manifest_schema::manifest::{Content, Step};
use manifest_schema::names::ArtifactName;
use policy::configuration::{self, ConfigFile, LOCK_FILE, Problem, Rule};

use crate::config::BundleSettings;
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};

/// A bundle and where it was packed.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The root module on disk.
    pub(crate) root: PathBuf,
    /// What airlock.toml says of its providers; paths as seen from here.
    pub(crate) settings: BundleSettings,
    /// Its lock file.
    pub(crate) lock: Option<Vec<u8>>,
    problems: Vec<Problem>,
}

impl Bundle {
    /// Looks into an artifact that these steps use; `None` if it is no bundle.
    pub(crate) fn of(packed: &Packed, root: PathBuf, settings: BundleSettings, steps: &[Step]) -> Option<Self> {
        let Content::Terraform { files, .. } = &packed.artifact.content else { return None };
        let archive = packed.blobs.iter().find_map(|source| match &source.origin {
            Origin::Bytes(bytes) => Some(bytes),
            Origin::File(_) | Origin::Range { .. } => None,
        })?;
        let contents = bundle_contents(archive, files);
        let listed: Vec<_> = files
            .iter()
            .zip(contents)
            .filter_map(|(file, bytes)| Some(ConfigFile { path: file.path.as_str(), bytes: bytes? }))
            .collect();
        let lock = listed.iter().find(|file| file.path == LOCK_FILE).map(|file| file.bytes.to_vec());
        // Which providers production allows is in its trust policy, not here.
        let mut problems = configuration::check(&listed, None);
        problems.extend(configuration::check_references(&listed, references(&packed.artifact.name, steps)));
        Some(Self { root, settings, lock, problems })
    }

    /// Where its lock file is on disk.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.root.join(LOCK_FILE)
    }

    /// Warns about what a worker would refuse.
    ///
    /// # Errors
    /// When a provider isn't locked: then there is nothing to carry, and nothing to compare it with.
    pub(crate) fn tell(&self, context: &Context) -> Result<(), Failure> {
        let place = |problem: &Problem| self.root.join(problem.to_string()).display().to_string();
        if let Some(problem) = self.problems.iter().find(|problem| problem.rule == Rule::Unlocked) {
            let root = self.root.display();
            let hint = format!("run terraform init in {root}, and commit {LOCK_FILE}");
            return Err(anyhow::anyhow!(place(problem))).or_hint(hint);
        }
        for problem in &self.problems {
            let unless =
                if problem.rule.relaxation().is_some() { ", unless its trust policy relaxes the rule" } else { "" };
            context.out.warn(format!("production would refuse {}{unless}", place(problem)));
        }
        Ok(())
    }
}

/// The variables that steps give a bundle by reference.
fn references<'a>(bundle: &'a ArtifactName, steps: &'a [Step]) -> impl Iterator<Item = &'a str> {
    let variables = steps.iter().filter_map(move |step| match step {
        Step::Terraform { artifact, variables } if artifact == bundle => Some(variables),
        Step::Terraform { .. }
        | Step::Service(_)
        | Step::Task(_)
        | Step::Files(_)
        | Step::Function(_)
        | Step::Schedule(_) => None,
    });
    variables.flatten().filter(|(_, variable)| variable.is_reference()).map(|(name, _)| name.as_str())
}
