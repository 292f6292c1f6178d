//! Builds as people name them: a file, a digest, a number in a store, or what is deployed somewhere.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use manifest_schema::deployment::StepRecord;
use manifest_schema::diff::Deployed;
use manifest_schema::manifest::{BuildManifest, BuildNumber};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::pointer::BuildPointer;
use manifest_schema::storage::{Key, prefix};
use manifest_schema::{Digest, Document as _};
use store::{Location, Store};

use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};
use crate::files;
use crate::production::{self, Production};
use crate::purpose::Purpose;

/// What people may write for a build.
pub(crate) const FORMS: &str =
    "a build is a manifest file, sha256:…, project#number, epoch.number, or deployed:environment";

/// What comes before the environment in `deployed:production`.
const DEPLOYED: &str = "deployed:";

/// How many builds are listed at once.
const PAGE: usize = 1000;

/// A build as it was named; which of the forms it is, shows from the text alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildName {
    /// A manifest file.
    File(PathBuf),
    /// A manifest digest, in the store.
    Digest(Digest),
    /// A number, in the store: of this project or of airlock.toml's, of this epoch or of the highest that has it.
    Number {
        /// `hello` in `hello#12`.
        project: Option<ProjectName>,
        /// `0` in `0.12`.
        epoch: Option<u32>,
        /// `12`.
        number: u64,
    },
    /// What the newest deployment record of airlock.toml's project in this environment names.
    Deployed(EnvironmentName),
}

impl FromStr for BuildName {
    type Err = String;

    /// Anything that has no other form is a path; `./0.12` is one, too.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(environment) = text.strip_prefix(DEPLOYED) {
            return environment.parse().map(Self::Deployed).map_err(|error| format!("{error}; {FORMS}"));
        }
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        if let Some((project, rest)) = text.split_once('#')
            && let Ok(project) = project.parse()
            && let Some((epoch, number)) = number(rest)
        {
            return Ok(Self::Number { project: Some(project), epoch, number });
        }
        Ok(match text.parse::<BuildNumber>() {
            Ok(BuildNumber { epoch, number }) => Self::Number { project: None, epoch: Some(epoch), number },
            Err(_) => Self::File(PathBuf::from(text)),
        })
    }
}

/// `12`, or `0.12`, whose epoch is given.
pub(crate) fn number(text: &str) -> Option<(Option<u32>, u64)> {
    let exact = text.parse::<BuildNumber>().ok().map(|build| (Some(build.epoch), build.number));
    exact.or_else(|| format!("0.{text}").parse::<BuildNumber>().ok().map(|build| (None, build.number)))
}

/// A manifest that was read. Who signed it was not asked.
#[derive(Debug, Clone)]
pub(crate) struct NamedBuild {
    /// SHA-256 of the bytes.
    pub(crate) digest: Digest,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// What they say.
    pub(crate) manifest: BuildManifest,
    /// The deployment that led to it, if it was named by an environment.
    pub(crate) deployed: Option<Deployed>,
}

impl NamedBuild {
    /// Reads exactly these bytes.
    fn parse(bytes: Vec<u8>, place: &str) -> Result<Self, Failure> {
        let manifest = BuildManifest::from_bytes(&bytes).with_context(|| format!("can't use {place}"))?;
        Ok(Self { digest: Digest::of(&bytes), bytes, manifest, deployed: None })
    }

    /// Reads a manifest file.
    ///
    /// # Errors
    /// When it can't be read, or is no manifest.
    pub(crate) fn read(path: &std::path::Path) -> Result<Self, Failure> {
        let bytes = files::read(path, BuildManifest::LIMIT)?;
        Self::parse(bytes, &path.display().to_string())
    }

    /// Finds a build: in a file, or in the environment's artifacts store. Of an environment it warns when its steps
    /// don't all run the build that it finds.
    ///
    /// # Errors
    /// When it isn't there, or is no manifest, or an environment can't be asked.
    pub(crate) fn find(context: &Context, place: &EnvironmentArgs, name: &BuildName) -> Result<Self, Failure> {
        match name {
            BuildName::File(path) if path.exists() => Self::read(path),
            BuildName::File(path) => Self::read(path).map_err(|failure| failure.hint(FORMS)),
            BuildName::Digest(digest) => {
                let environment = context.environment(place)?;
                context.block_on(async {
                    fetch(
                        &Store::open(environment.artifacts()?, &environment.access(&Purpose::default())).await?,
                        *digest,
                    )
                    .await
                })
            }
            BuildName::Number { project, epoch, number } => {
                let project = project_of(context, project.as_ref())?;
                let environment = context.environment(place)?;
                context.block_on(async {
                    let store = Store::open(environment.artifacts()?, &environment.access(&Purpose::default())).await?;
                    let (build, digest) = look_up(&store, &project, *epoch, *number).await?;
                    if store.size_of(&Key::Blob(digest)).await?.is_none() {
                        return Err(gone(&store, &project, build, digest));
                    }
                    fetch(&store, digest).await
                })
            }
            BuildName::Deployed(environment) => context.block_on(async {
                let (production, deployed, digest) = deployed(context, place.store.clone(), environment).await?;
                Ok(Self { deployed: Some(deployed), ..fetch(&production.artifacts, digest).await? })
            }),
        }
    }
}

impl BuildName {
    /// The manifest digest that the name stands for in a store, whether or not the manifest is there.
    ///
    /// # Errors
    /// When the store has no build of that number or can't be read, and for a file, which stands for itself.
    pub(crate) async fn digest_in(&self, context: &Context, store: &Store) -> Result<Digest, Failure> {
        match self {
            Self::File(path) => Err(anyhow::anyhow!("{} is a file: {FORMS}", path.display()).into()),
            Self::Digest(digest) => Ok(*digest),
            Self::Number { project, epoch, number } => {
                let project = project_of(context, project.as_ref())?;
                look_up(store, &project, *epoch, *number).await.map(|(_, digest)| digest)
            }
            Self::Deployed(environment) => {
                deployed(context, Some(store.location()), environment).await.map(|(_, _, digest)| digest)
            }
        }
    }
}

/// The project that a name means: its own, or airlock.toml's.
fn project_of(context: &Context, named: Option<&ProjectName>) -> Result<ProjectName, Failure> {
    named.map_or_else(|| Ok(context.project()?.config.project), |project| Ok(project.clone()))
}

/// The build that is live in every step of an environment, as its newest deployment record says; if there is no such
/// build, the one of that record, with a warning.
async fn deployed(
    context: &Context,
    store: Option<Location>,
    environment: &EnvironmentName,
) -> Result<(Production, Deployed, Digest), Failure> {
    let place = EnvironmentArgs { environment: Some(environment.clone()), store };
    let production = Production::open(context, &place, &Purpose::default()).await?;
    let project = production::project(context, None)?;
    let Some(record) = production.client.latest(environment, &project).await? else {
        let problem = anyhow::anyhow!("{project} was never deployed to {environment}");
        return Err(problem).or_hint("`airlock deployed` says what runs there; name a build in another way");
    };
    let deployed = Deployed::of(&record);
    if let Some(warning) = not_all_live(&deployed) {
        context.out.warn(format!("{warning}; {} is taken, which the newest record names", record.build));
    }
    let manifest = deployed.only_live().map_or(record.manifest, |live| live.manifest);
    Ok((production, deployed, manifest))
}

/// What is to say when the steps of an environment don't all run one build: which step runs what.
pub(crate) fn not_all_live(deployed: &Deployed) -> Option<String> {
    if deployed.only_live().is_some() || deployed.steps.is_empty() {
        return None;
    }
    let step = |step: &StepRecord| {
        let live: Vec<_> = step.live.iter().map(|live| live.build.to_string()).collect();
        format!("{} runs {}", step.name, if live.is_empty() { "nothing".to_owned() } else { live.join(" or ") })
    };
    let steps: Vec<_> = deployed.steps.iter().map(step).collect();
    Some(format!("the steps in {} don't all run the same build: {}", deployed.environment, steps.join(", ")))
}

async fn fetch(store: &Store, digest: Digest) -> Result<NamedBuild, Failure> {
    let bytes = store.fetch(&digest, BuildManifest::LIMIT).await?;
    NamedBuild::parse(bytes, &format!("{digest} in {}", store.location()))
}

/// A number outlives its build.
fn gone(store: &Store, project: &ProjectName, build: BuildNumber, manifest: Digest) -> Failure {
    let store = store.location();
    let problem = format!(
        "build {build} of {project} was published in {store}, but its manifest {manifest} is gone: `airlock gc` collected \
         the build, or somebody removed its blobs"
    );
    Failure::from(anyhow::Error::msg(problem)).hint(
        "publish it again from its commit: the same inputs make the same build, and its number still stands for it",
    )
}

async fn look_up(
    store: &Store,
    project: &ProjectName,
    epoch: Option<u32>,
    number: u64,
) -> Result<(BuildNumber, Digest), Failure> {
    let builds = published(store, project).await?;
    let fits = |build: &&BuildNumber| build.number == number && epoch.is_none_or(|epoch| build.epoch == epoch);
    let Some(build) = builds.iter().rev().find(fits) else {
        let asked = epoch.map_or_else(|| number.to_string(), |epoch| format!("{epoch}.{number}"));
        let problem = anyhow::anyhow!("{} has no build {asked} of {project}", store.location());
        return Err(problem).or_hint(match builds.last() {
            Some(newest) => format!("the newest is {newest}"),
            None => format!("no build of {project} was published there"),
        });
    };
    let pointer = pointer(store, project, *build).await?;
    let digest = pointer.with_context(|| format!("build {build} of {project} vanished from {}", store.location()))?;
    Ok((*build, digest))
}

/// The manifest that a build points to; `None` if it was not published.
///
/// # Errors
/// When the store can't be read.
pub(crate) async fn pointer(
    store: &Store,
    project: &ProjectName,
    build: BuildNumber,
) -> Result<Option<Digest>, Failure> {
    let pointer: Option<BuildPointer> = records::load(store, &Key::Build(project.clone(), build)).await?;
    Ok(pointer.map(|pointer| pointer.manifest))
}

/// All builds of a project, from the lowest to the highest.
///
/// # Errors
/// When the store can't be read.
pub(crate) async fn published(store: &Store, project: &ProjectName) -> Result<Vec<BuildNumber>, Failure> {
    let prefix = prefix::builds(project);
    let mut builds: Vec<BuildNumber> = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(&prefix, after.as_deref(), PAGE).await?;
        let names = page.iter().filter_map(|entry| entry.key.strip_prefix(&prefix)?.strip_suffix(".json"));
        builds.extend(names.filter_map(|name| name.parse::<BuildNumber>().ok()));
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            Some(_) | None => break,
        }
    }
    builds.sort_unstable();
    Ok(builds)
}

#[cfg(test)]
mod tests {
    use manifest_schema::deployment::{LiveBuild, StepOutcome};
    use manifest_schema::statement::Outcome;

    use super::*;

    #[test]
    fn the_form_of_a_name_shows_what_it_is() {
        let digest = Digest::of(b"x");
        let number = |project: Option<&str>, epoch, number| BuildName::Number {
            project: project.map(|name| name.parse().unwrap()),
            epoch,
            number,
        };
        for (text, expected) in [
            ("hello#12", number(Some("hello"), None, 12)),
            ("hello#1.12", number(Some("hello"), Some(1), 12)),
            ("0.12", number(None, Some(0), 12)),
            ("./0.12", BuildName::File("./0.12".into())),
            ("hello#x", BuildName::File("hello#x".into())),
            ("hello#012", BuildName::File("hello#012".into())),
            ("build-manifest.json", BuildName::File("build-manifest.json".into())),
            (&digest.to_string(), BuildName::Digest(digest)),
            ("deployed:production", BuildName::Deployed("production".parse().unwrap())),
            ("./deployed:production", BuildName::File("./deployed:production".into())),
        ] {
            assert_eq!(text.parse::<BuildName>().unwrap(), expected, "{text}");
        }
        assert!("deployed:Production!".parse::<BuildName>().unwrap_err().contains("is not a"));
    }

    #[test]
    fn steps_that_run_several_builds_are_told() {
        let live = |number| LiveBuild { build: BuildNumber { epoch: 0, number }, manifest: Digest::of(b"m") };
        let deployed = |steps: &[(&str, &[u64])]| Deployed {
            environment: "production".parse().unwrap(),
            sequence: 3,
            finished_at: "2026-11-22T08:00:00Z".parse().unwrap(),
            outcome: Outcome::Failed,
            steps: steps
                .iter()
                .map(|(name, builds)| StepRecord {
                    name: (*name).to_owned(),
                    outcome: StepOutcome::Failed,
                    live: builds.iter().copied().map(live).collect(),
                })
                .collect(),
        };
        assert_eq!(not_all_live(&deployed(&[("terraform infra", &[7]), ("service web", &[7])])), None);
        assert_eq!(not_all_live(&deployed(&[])), None);
        let told = not_all_live(&deployed(&[("terraform infra", &[8]), ("service web", &[7, 8]), ("service a", &[])]));
        let expected = "the steps in production don't all run the same build: terraform infra runs 0.8, service web \
                        runs 0.7 or 0.8, service a runs nothing";
        assert_eq!(told.as_deref(), Some(expected));
    }
}
