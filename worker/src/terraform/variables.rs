//! The input variables, as Terraform reads them: in memory, never in a file, because some may be secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use manifest_schema::manifest::BuildManifest;

use super::memory;
use super::redaction::Redaction;
use crate::references::Secrets;
use crate::stop::Stop;
use crate::work::WorkDir;

/// All variables of a build.
pub(crate) struct Variables {
    /// What Terraform inherits.
    _memory: File,
    path: PathBuf,
    redaction: Redaction,
}

impl Variables {
    /// Writes the public variables of a build, and the others with their values.
    pub(crate) fn write(work: &WorkDir, manifest: &BuildManifest, secrets: &Secrets) -> Result<Self, Stop> {
        let failed = |error: io::Error| Stop::failed(format!("can't hold the variables in memory: {error}"));
        let variables = manifest.terraform().into_iter().flat_map(|(_, variables)| variables);
        let public: BTreeMap<&str, String> =
            variables.filter_map(|(name, variable)| Some((name.as_str(), manifest.public_text(variable)?))).collect();
        let mut values: BTreeMap<&str, &str> = public.iter().map(|(name, text)| (*name, text.as_str())).collect();
        values.extend(secrets.iter());
        let memory = memory::blank("variables").map_err(failed)?;
        // Straight into that memory: a buffer would stay behind.
        serde_json::to_writer(&memory, &values).map_err(|error| failed(error.into()))?;
        memory::seal(&memory).map_err(failed)?;
        // Terraform tells JSON by the file's name.
        let path = work.join("variables.tfvars.json");
        symlink(memory::path(&memory), &path).map_err(failed)?;
        Ok(Self { _memory: memory, path, redaction: Redaction::of(secrets.iter().map(|(_, value)| value)) })
    }

    /// What Terraform calls them.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What must not be told of them.
    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }
}
