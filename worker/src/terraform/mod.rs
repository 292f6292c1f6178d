//! Terraform (or OpenTofu) as a child process: cleared environment, providers from a mirror only, a backend block
//! that the worker writes, credentials of a role of its own, and its JSON stream turned into progress events.

mod credentials;
pub(crate) mod errored;
pub(crate) mod lock;
mod memory;
mod read_only;
mod redaction;
mod run;
mod saved;
mod state;
mod stream;
mod variables;
mod version;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use manifest_schema::trust::TerraformRules;
use manifest_schema::{Code, Reason};
use serde_json::json;

pub(crate) use redaction::Redaction;
pub(crate) use saved::SavedPlan;
pub(crate) use state::StatePlace;
pub(crate) use variables::Variables;

use self::credentials::Access;
use self::saved::{Blank, Planned};
use crate::fetch;
use crate::session::Session;
use crate::stop::Stop;
use crate::work::{WorkDir, private_directory, private_file};

/// Terraform, ready to run in one root module.
pub(crate) struct Terraform<'a> {
    session: &'a Session,
    program: PathBuf,
    leash: PathBuf,
    root: PathBuf,
    environment: BTreeMap<&'static str, PathBuf>,
    aws: Option<Access>,
    redaction: Redaction,
}

impl<'a> Terraform<'a> {
    /// Prepares the root module and runs `terraform init`, if this is a version that the trust policy allows.
    pub(crate) async fn init(
        session: &'a Session,
        work: &WorkDir,
        root: PathBuf,
        rules: &TerraformRules,
    ) -> Result<Self, Stop> {
        let failed = |error: io::Error| Stop::failed(format!("can't prepare the work directory: {error}"));
        let program = find_program(session.config().terraform.as_deref())?;
        let leash = find_leash()?;
        let aws = match &session.config().terraform_role {
            Some(role) => Some(Access::open(session, role).await?),
            None => None,
        };
        state::write_backend(session, aws.as_ref(), &root)?;
        let settings = write_settings(session, work).map_err(failed)?;
        let home = work.join("home");
        private_directory(&home).map_err(failed)?;
        let environment = BTreeMap::from([
            // Not who the machine is.
            ("AWS_EC2_METADATA_DISABLED", PathBuf::from("true")),
            ("CHECKPOINT_DISABLE", PathBuf::from("1")),
            ("HOME", home.clone()),
            ("LANG", PathBuf::from("C.UTF-8")),
            ("PATH", std::env::var_os("PATH").map(PathBuf::from).unwrap_or_default()),
            ("TF_CLI_CONFIG_FILE", settings),
            ("TF_INPUT", PathBuf::from("0")),
            ("TF_IN_AUTOMATION", PathBuf::from("1")),
            ("TMPDIR", home),
        ]);
        let terraform = Self { session, program, leash, root, environment, aws, redaction: Redaction::default() };
        terraform.expect_allowed(rules).await?;
        terraform.run("init", &["init", "-input=false", "-no-color", "-lockfile=readonly"]).await?;
        Ok(terraform)
    }

    /// From here on, tells nothing of these values.
    pub(crate) fn conceal(&mut self, redaction: Redaction) {
        self.redaction = redaction;
    }

    /// Makes a saved plan; gives its bytes, too.
    pub(crate) async fn plan(&mut self, variables: &Variables) -> Result<(SavedPlan, Vec<u8>), Stop> {
        self.conceal(variables.redaction().clone());
        let blank = Blank::new()?;
        let out = format!("-out={}", blank.path().display());
        let vars = format!("-var-file={}", variables.path().display());
        self.run("plan", &["plan", "-input=false", "-no-color", "-lock=false", "-json", &out, &vars]).await?;
        blank.seal()
    }

    /// What a saved plan would do.
    pub(crate) async fn show(&self, saved: &SavedPlan) -> Result<Planned, Stop> {
        saved.judged(self.run("show", &["show", "-no-color", "-json", &saved.path().display().to_string()]).await?)
    }

    /// Applies exactly this saved plan. A state that can't be saved afterwards is kept in the production store.
    pub(crate) async fn apply(&self, saved: &SavedPlan) -> Result<(), Stop> {
        let saved = saved.path().display().to_string();
        let applied = self.run("apply", &["apply", "-input=false", "-no-color", "-json", &saved]).await;
        errored::keep(self.session, &self.root, applied.map(drop)).await
    }
}

/// The CLI configuration: the providers that the build brings, then those that the worker's owner keeps, and no other
/// source, so that nothing is ever downloaded. Whichever it is, Terraform takes only what the lock file names.
fn write_settings(session: &Session, work: &WorkDir) -> io::Result<PathBuf> {
    let path = work.join("terraform.rc");
    let mirrors = [Some(work.join(fetch::MIRROR)), session.config().provider_mirror.clone()];
    let mirrors = mirrors.into_iter().flatten().map(|mirror| {
        // A JSON string is a string of Terraform's configuration language, but for its template marks.
        let mirror = json!(mirror).to_string().replace("${", "$${").replace("%{", "%%{");
        format!("  filesystem_mirror {{\n    path = {mirror}\n  }}\n")
    });
    let text = format!("provider_installation {{\n{}}}\n", mirrors.collect::<String>());
    private_file(&path)?.write_all(text.as_bytes())?;
    Ok(path)
}

/// `AIRLOCK_TERRAFORM`, or what the configuration names, or what PATH has of terraform and tofu.
fn find_program(configured: Option<&Path>) -> Result<PathBuf, Stop> {
    let missing = |message: String| Stop::Failed(Reason::new(Code::TerraformMissing, message));
    if let Some(named) = std::env::var_os("AIRLOCK_TERRAFORM").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        return on_path(&named)
            .ok_or_else(|| missing(format!("AIRLOCK_TERRAFORM names {}, which is no program here", named.display())));
    }
    if let Some(named) = configured {
        return on_path(named)
            .ok_or_else(|| missing(format!("the configuration names {}, which is no program here", named.display())));
    }
    let found = ["terraform", "tofu"].iter().find_map(|name| on_path(Path::new(name)));
    found.ok_or_else(|| missing("neither terraform nor tofu is on PATH".to_owned()))
}

/// A program by its path, or by its name on PATH.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}

/// `airlock-leash`, which is installed beside the worker.
fn find_leash() -> Result<PathBuf, Stop> {
    let own = std::env::current_exe().map_err(|error| Stop::failed(format!("where is this program? {error}")))?;
    let leash = own.with_file_name("airlock-leash");
    if leash.is_file() { Ok(leash) } else { Err(Stop::failed(format!("{} is missing: install it", leash.display()))) }
}
