//! Terraform's saved plan: an unauthenticated zip that may hold secrets in clear. Here it is in memory, never in a file,
//! and from the moment its digest is known nobody can change it, whoever they are: what was hashed is what Terraform
//! opens.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use manifest_schema::plan::TerraformChanges;
use manifest_schema::{Code, Digest};
use policy::configuration::LOCK_FILE;
use policy::plan::{PlanParts, Written};

use super::memory;
use crate::stop::Stop;

/// Largest saved plan that is kept, in bytes.
const MOST: u64 = 256 << 20;

/// Memory for Terraform to write a plan into.
pub(crate) struct Blank(File);

/// A saved plan that nobody can change.
pub(crate) struct SavedPlan {
    file: File,
    digest: Digest,
}

impl Blank {
    pub(crate) fn new() -> Result<Self, Stop> {
        memory::blank("saved.tfplan").map(Self).map_err(unusable)
    }

    /// What Terraform calls it.
    pub(crate) fn path(&self) -> PathBuf {
        memory::path(&self.0)
    }

    /// The plan that Terraform has written, and its bytes.
    pub(crate) fn seal(self) -> Result<(SavedPlan, Vec<u8>), Stop> {
        let mut file = self.0;
        memory::seal(&file).map_err(unusable)?;
        let size = file.metadata().map_err(unusable)?.len();
        if size > MOST {
            return Err(Stop::failed(format!("the saved plan has {size} bytes; at most {MOST} are kept")));
        }
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(unusable)?;
        let digest = Digest::of(&bytes);
        Ok((SavedPlan { file, digest }, bytes))
    }
}

impl SavedPlan {
    /// The plan in these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, Stop> {
        let mut blank = Blank::new()?;
        blank.0.write_all(bytes).map_err(unusable)?;
        blank.seal().map(|(plan, _)| plan)
    }

    /// Refuses a plan that is not the signed one.
    pub(crate) fn expect(&self, signed: Option<Digest>) -> Result<(), Stop> {
        if signed == Some(self.digest) {
            return Ok(());
        }
        let signed = signed.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        Err(Stop::refused(Code::PlanEdited, format!("the saved plan is {}; signed was {signed}", self.digest)))
    }

    /// What Terraform calls it.
    pub(crate) fn path(&self) -> PathBuf {
        memory::path(&self.file)
    }

    /// The plan as it can be judged; `json` is what `terraform show -json` says of it.
    pub(super) fn judged(&self, json: Vec<u8>) -> Result<Planned, Stop> {
        let unreadable = |error: &dyn fmt::Display| Stop::failed(format!("the saved plan can't be read: {error}"));
        let mut archive = zip::ZipArchive::new(&self.file).map_err(|error| unreadable(&error))?;
        let mut read = |name: &str| -> Result<Vec<u8>, Stop> {
            let entry = archive.by_name(name).map_err(|error| unreadable(&format!("{name}: {error}")))?;
            let mut bytes = Vec::new();
            entry.take(MOST).read_to_end(&mut bytes).map_err(|error| unreadable(&format!("{name}: {error}")))?;
            Ok(bytes)
        };
        Ok(Planned { json, state: read("tfstate")?, lock: read(LOCK_FILE)? })
    }
}

/// What a saved plan would do, and from what on.
pub(crate) struct Planned {
    json: Vec<u8>,
    state: Vec<u8>,
    lock: Vec<u8>,
}

impl Planned {
    /// By the rules of this version; of `shown` attributes with their values, and no keys but those `written`.
    pub(crate) fn changes(&self, shown: &[String], written: &Written) -> Result<TerraformChanges, Stop> {
        let parts = PlanParts { json: &self.json, state: &self.state, lock: &self.lock, written };
        policy::plan::summarise(parts, shown).map_err(|error| Stop::refused(Code::PlanUnsupported, error))
    }

    /// The state that it starts from, as Terraform has it.
    pub(super) fn state(&self) -> &[u8] {
        &self.state
    }

    /// What `terraform show -json` says.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }
}

fn unusable(error: io::Error) -> Stop {
    Stop::failed(format!("can't hold the saved plan in memory: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    /// Threat model, row 28.
    #[test]
    fn what_was_hashed_can_be_changed_by_nobody() {
        let plan = SavedPlan::of(b"the plan").unwrap();
        assert!(plan.expect(Some(Digest::of(b"the plan"))).is_ok());
        for signed in [None, Some(Digest::of(b"another plan"))] {
            assert!(matches!(plan.expect(signed), Err(Stop::Refused(reasons)) if reasons[0].code == Code::PlanEdited));
        }
        let mut again = OpenOptions::new().read(true).write(true).open(plan.path()).unwrap();
        assert!(again.write_all(b"THE").is_err(), "it was written to");
        assert!(again.set_len(3).is_err() && again.set_len(30).is_err(), "its size was changed");
        assert_eq!(std::fs::read(plan.path()).unwrap(), b"the plan");
    }
}
