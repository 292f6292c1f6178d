//! What a function is like, and what a step would make of it. Nothing here asks anybody.

use aws_sdk_lambda::types::{FunctionConfiguration, LastUpdateStatus, PackageType, State};
use manifest_schema::Digest;
use manifest_schema::manifest::{FunctionCode, FunctionStep};
use manifest_schema::names::ProjectName;
use manifest_schema::plan::{FunctionChange, ImageChange};

use super::api::{Alias, Seen};

/// What a function's own configuration and code are called, which every change of them changes.
const LATEST: &str = "$LATEST";

/// What a step asks for.
pub(super) struct Wanted<'a> {
    pub(super) step: &'a FunctionStep,
    pub(super) project: &'a ProjectName,
    pub(super) digest: Digest,
    /// The repository that the image is in; of a zip archive there is none.
    pub(super) place: Option<String>,
    /// The repositories of the build's images.
    pub(super) own: Vec<String>,
}

/// A function as it is, and what its step asks for.
pub(super) struct Looked<'a> {
    pub(super) wanted: Wanted<'a>,
    /// Its own configuration and code; `None` if there is no such function.
    pub(super) latest: Option<Seen>,
    /// `None` if there is no such alias.
    pub(super) alias: Option<Alias>,
    /// What the alias names.
    pub(super) version: Option<Seen>,
}

impl Wanted<'_> {
    /// Whether this is the code that is asked for.
    pub(super) fn is_run_by(&self, seen: &Seen) -> bool {
        digest(seen) == Some(self.digest)
    }
}

impl Looked<'_> {
    /// Why it can't be deployed to, each the end of a sentence that starts with the function's name.
    pub(super) fn problems(&self) -> Vec<String> {
        let Wanted { step, .. } = self.wanted;
        let mut problems = Vec::new();
        if let Some(Seen { config, .. }) = &self.latest {
            let takes_images = config.package_type == Some(PackageType::Image);
            match (&step.code, takes_images) {
                (FunctionCode::Image(_), true) | (FunctionCode::Zip(_), false) => {}
                (FunctionCode::Image(_), false) => {
                    problems.push("it takes zip archives, and no image: name a zip, or make it anew".to_owned());
                }
                (FunctionCode::Zip(_), true) => {
                    problems.push("it takes images, and no zip archive: name an image, or make it anew".to_owned());
                }
            }
            if config.state == Some(State::Failed) {
                let why = config.state_reason.as_deref().unwrap_or("Lambda doesn't say why");
                problems.push(format!("it could not be made, and has to be made anew: {why}"));
            }
        }
        let secretive = |seen: &&Seen| seen.config.environment().is_some_and(|environment| environment.error.is_some());
        if self.latest.iter().chain(&self.version).any(|seen| secretive(&seen)) {
            problems
                .push("Lambda doesn't tell this worker its environment: allow `kms:Decrypt` with its key".to_owned());
        }
        if let Some(alias) = &self.alias {
            if alias.is_split {
                problems.push(format!(
                    "its alias {} sends some calls to another version: end that (routing-config) before something is deployed",
                    step.alias
                ));
            }
            if alias.version == LATEST {
                problems.push(format!(
                    "its alias {} names {LATEST}, which nothing can go back from: publish a version, and let it name that",
                    step.alias
                ));
            }
        }
        problems
    }

    /// What a person is to see of it.
    pub(super) fn change(&self) -> FunctionChange {
        let Wanted { step, project, digest: after, own, .. } = &self.wanted;
        let version = self.version.as_ref();
        let described = version.and_then(|version| version.config.description.as_deref());
        // Without an alias, it is the function's own code that would go.
        let reached = version.or(self.latest.as_ref().filter(|_| self.alias.is_none()));
        let place = reached.and_then(|reached| reached.image.as_deref()).map(place);
        let change = FunctionChange {
            function: step.function.clone(),
            alias: step.alias.clone(),
            version: self.alias.as_ref().map(|alias| alias.version.clone()),
            ours: described.is_some_and(|described| is_ours(described, project)),
            code: ImageChange {
                before: reached.and_then(digest),
                elsewhere: place.filter(|place| !own.iter().any(|own| own == place)).map(str::to_owned),
                after: *after,
            },
            settings: match (&self.latest, version) {
                (Some(latest), Some(version)) => differences(&latest.config, &version.config),
                (Some(_) | None, None) | (None, Some(_)) => Vec::new(),
            },
            revision: None,
            alarms: step.alarms.clone(),
            watch_seconds: step.watch_seconds(),
        };
        let revision = self.latest.as_ref().filter(|_| change.changes());
        FunctionChange { revision: revision.and_then(|latest| latest.config.revision_id.clone()), ..change }
    }
}

/// What a version that is published for a build says of itself.
pub(super) fn description(project: &ProjectName, build: &str) -> String {
    format!("airlock {project} {build}")
}

/// Whether a version says that a deploy of this project published it.
fn is_ours(described: &str, project: &ProjectName) -> bool {
    let build = described.strip_prefix(&description(project, ""));
    build.is_some_and(|build| build.parse::<manifest_schema::manifest::BuildNumber>().is_ok())
}

/// Where an image is, without tag and digest.
fn place(image: &str) -> &str {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    match named.rsplit_once(':') {
        // Else it is the port of the registry.
        Some((place, tag)) if !tag.contains('/') => place,
        Some(_) | None => named,
    }
}

/// The digest of an image, or of a zip archive: Lambda tells that one in base64.
fn digest(seen: &Seen) -> Option<Digest> {
    if seen.config.package_type == Some(PackageType::Image) {
        return seen.image.as_deref()?.split_once('@')?.1.parse().ok();
    }
    let bytes = aws_smithy_types::base64::decode(seen.config.code_sha256.as_deref()?).ok()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::from_hex(&hex).ok()
}

/// In what two states of a function differ beside their code, as Lambda calls it.
pub(super) fn differences(latest: &FunctionConfiguration, version: &FunctionConfiguration) -> Vec<String> {
    let (a, b) = (latest, version);
    let layers = |of: &FunctionConfiguration| of.layers().iter().map(|layer| layer.arn.clone()).collect::<Vec<_>>();
    let variables = |of: &FunctionConfiguration| {
        of.environment().and_then(|environment| environment.variables.clone()).unwrap_or_default()
    };
    let snap_start = |of: &FunctionConfiguration| of.snap_start().and_then(|said| said.apply_on.clone());
    let same = [
        ("architectures", a.architectures == b.architectures),
        ("capacityProviderConfig", a.capacity_provider_config == b.capacity_provider_config),
        ("deadLetterConfig", a.dead_letter_config == b.dead_letter_config),
        ("durableConfig", a.durable_config == b.durable_config),
        ("environment", variables(a) == variables(b)),
        ("ephemeralStorage", a.ephemeral_storage == b.ephemeral_storage),
        ("fileSystemConfigs", a.file_system_configs() == b.file_system_configs()),
        ("handler", a.handler == b.handler),
        ("imageConfig", a.image_config_response == b.image_config_response),
        ("kmsKeyArn", a.kms_key_arn == b.kms_key_arn),
        ("layers", layers(a) == layers(b)),
        ("loggingConfig", a.logging_config == b.logging_config),
        ("memorySize", a.memory_size == b.memory_size),
        ("role", a.role == b.role),
        ("runtime", a.runtime == b.runtime),
        ("snapStart", snap_start(a) == snap_start(b)),
        ("tenancyConfig", a.tenancy_config == b.tenancy_config),
        ("timeout", a.timeout == b.timeout),
        ("tracingConfig", a.tracing_config == b.tracing_config),
        ("vpcConfig", a.vpc_config == b.vpc_config),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name.to_owned()).collect()
}

/// How far a function, or a version, is with what it was last told to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Lambda still works at it.
    UnderWay,
    Ready,
    /// With why.
    Failed(String),
}

/// Lambda developer guide, "Lambda function states".
pub(super) fn progress(config: &FunctionConfiguration) -> Progress {
    let why = |said: &Option<String>| said.clone().unwrap_or_else(|| "Lambda doesn't say why".to_owned());
    match (&config.state, &config.last_update_status) {
        (Some(State::Failed), _) => Progress::Failed(why(&config.state_reason)),
        (Some(State::Pending), _) | (_, Some(LastUpdateStatus::InProgress)) => Progress::UnderWay,
        (_, Some(LastUpdateStatus::Failed)) => Progress::Failed(why(&config.last_update_status_reason)),
        // An inactive one is woken by its next call.
        (_, _) => Progress::Ready,
    }
}

#[cfg(test)]
mod tests;
