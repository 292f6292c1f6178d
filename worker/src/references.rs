//! The values of variables that a build gives by reference: read by the planner as itself, right before Terraform plans.
//!
//! What a build names is always below its own environment's and project's prefix, which the job says and not the build.
//! Parameter Store answers for Secrets Manager, too (Systems Manager user guide, "Referencing AWS Secrets Manager secrets
//! from Parameter Store parameters").

use std::collections::BTreeMap;
use std::fmt;

use aws::{AwsError, Call, Connection, ErrorKind};
use aws_sdk_ssm::Client;
use manifest_schema::job::LaunchRequest;
use manifest_schema::manifest::{BuildManifest, Variable};
use manifest_schema::{Code, Reason};
use records::place::StatedPlace;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::session::Session;
use crate::stop::Stop;

/// Most values that are asked for at a time: Parameter Store answers 40 times a second, for the whole account.
const AT_ONCE: usize = 8;
/// Where Parameter Store has what Secrets Manager has.
const SECRETS: &str = "/aws/reference/secretsmanager/";

/// Variables and their values. Deliberately without `Debug`.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<String, Zeroizing<String>>);

impl Secrets {
    /// Each variable with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(variable, value)| (variable.as_str(), value.as_str()))
    }
}

/// What a variable refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    /// The whole name of a parameter.
    Parameter(String),
    /// The whole name of a secret.
    Secret(String),
}

impl Reference {
    /// Nothing of a build comes before its environment and its project.
    fn new(request: &LaunchRequest, variable: &Variable) -> Option<Self> {
        let place = prefix(request);
        match variable {
            Variable::Value(_) | Variable::DigestOf(_) => None,
            Variable::Parameter(name) => Some(Self::Parameter(format!("/{place}/{name}"))),
            Variable::Secret(name) => Some(Self::Secret(format!("{place}/{name}"))),
        }
    }

    /// What Parameter Store calls it.
    fn parameter(&self) -> String {
        match self {
            Self::Parameter(name) => name.clone(),
            Self::Secret(name) => format!("{SECRETS}{name}"),
        }
    }

    /// Why there is no value of a variable, and what a person can do about it. What may be otherwise in a moment is no
    /// refusal.
    fn stop(&self, variable: &str, error: &AwsError) -> Stop {
        let advice = error.advice();
        let problem = match (error.kind(), self) {
            (ErrorKind::Missing, _) => {
                format!("{self} isn't there: make it in the worker's account and region, or correct airlock.toml")
            }
            (ErrorKind::Denied, Self::Secret(name)) => format!(
                "can't read {self}: {error}: {advice}; and allow secretsmanager:GetSecretValue on the secret {name}"
            ),
            (_, Self::Parameter(_) | Self::Secret(_)) => format!("can't read {self}: {error}: {advice}"),
        };
        let reason = Reason::new(Code::TerraformVariable, format!("variable {variable}: {problem}"));
        if error.is_temporary() { Stop::Failed(reason) } else { Stop::Refused(vec![reason]) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "the parameter {name}"),
            Self::Secret(name) => write!(f, "the secret {name}"),
        }
    }
}

/// What the names of everything begin with that a project of an environment may refer to.
pub(crate) fn prefix(request: &LaunchRequest) -> String {
    format!("airlock/{}/{}", request.environment, request.project)
}

/// Whether this worker is in AWS, or knows how to reach it.
pub(crate) fn has_aws(session: &Session) -> bool {
    let config = session.config();
    match config.place {
        StatedPlace::Fixed(_) => config.aws != aws::Settings::default(),
        StatedPlace::Aws => true,
    }
}

/// Refuses variables that refer to AWS where there is none.
pub(crate) fn expect_aws(session: &Session, manifest: &BuildManifest) -> Result<(), Stop> {
    let is_local = !has_aws(session);
    let reasons: Vec<_> = named(session.request(), manifest)
        .filter(|_| is_local)
        .map(|(variable, reference)| {
            let message = format!(
                "variable {variable} is {reference}, and this worker has no AWS: give it a text here, or name a \
                 region in `aws` of the worker's configuration"
            );
            Reason::new(Code::TerraformVariable, message)
        })
        .collect();
    if reasons.is_empty() { Ok(()) } else { Err(Stop::Refused(reasons)) }
}

/// Reads every value; refuses everything that can't be read.
pub(crate) async fn read(session: &Session, manifest: &BuildManifest) -> Result<Secrets, Stop> {
    let mut waiting = named(session.request(), manifest).peekable();
    if waiting.peek().is_none() {
        return Ok(Secrets::default());
    }
    let connection = Connection::new(&session.config().aws, &[]).await;
    let client = Client::new(connection.config());
    let (mut reading, mut found, mut refused) = (JoinSet::new(), Secrets::default(), Vec::new());
    loop {
        while reading.len() < AT_ONCE
            && let Some((variable, reference)) = waiting.next()
        {
            let (client, has_region) = (client.clone(), connection.region().is_some());
            let variable = variable.to_owned();
            reading.spawn(async move {
                let value = value(&client, has_region, &variable, &reference).await?;
                Ok((variable, value))
            });
        }
        match reading.join_next().await {
            None => break,
            Some(Err(error)) => return Err(Stop::failed(error)),
            Some(Ok(Ok((variable, value)))) => drop(found.0.insert(variable, value)),
            Some(Ok(Err(Stop::Refused(reasons)))) => refused.extend(reasons),
            Some(Ok(Err(stop))) => return Err(stop),
        }
    }
    refused.sort_by(|a, b| a.message.cmp(&b.message));
    if refused.is_empty() { Ok(found) } else { Err(Stop::Refused(refused)) }
}

/// The variables of the Terraform step that are given by reference.
fn named<'a>(
    request: &'a LaunchRequest,
    manifest: &'a BuildManifest,
) -> impl Iterator<Item = (&'a str, Reference)> + use<'a> {
    let variables = manifest.terraform().into_iter().flat_map(|(_, variables)| variables);
    variables.filter_map(|(name, variable)| Some((name.as_str(), Reference::new(request, variable)?)))
}

/// The value of one variable.
async fn value(
    client: &Client,
    has_region: bool,
    variable: &str,
    reference: &Reference,
) -> Result<Zeroizing<String>, Stop> {
    let call = || Call { action: "ssm:GetParameter", resource: reference.parameter() };
    if !has_region {
        return Err(reference.stop(variable, &AwsError::no_region(call())));
    }
    let asked = client.get_parameter().name(reference.parameter()).with_decryption(true).send().await;
    let answer = asked.map_err(|error| reference.stop(variable, &AwsError::new(call(), error)))?;
    match answer.parameter.and_then(|parameter| parameter.value).map(Zeroizing::new) {
        Some(value) if !value.is_empty() => Ok(value),
        Some(_) | None => {
            let message = format!("variable {variable}: {reference} holds no text: give it a value");
            Err(Stop::refused(Code::TerraformVariable, message))
        }
    }
}
