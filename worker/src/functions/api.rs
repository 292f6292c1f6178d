//! The calls of Lambda that a deploy takes, each tried as often as everything of AWS. What a function's environment holds
//! comes with its configuration, and is never told.

use aws::{AwsError, Call, Connection, ErrorKind};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::FunctionConfiguration;
use aws_smithy_types::Blob;
use manifest_schema::manifest::FunctionStep;

/// A function, or one of its versions, as it is. Deliberately without `Debug`: its environment may hold secrets.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) config: FunctionConfiguration,
    /// Its image, as it was named; of one that is named by a tag, Lambda says which it found.
    pub(super) image: Option<String>,
}

/// An alias as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Alias {
    /// The version that it names.
    pub(super) version: String,
    /// Whether some of its calls go to another version.
    pub(super) is_split: bool,
    /// Which of its states this is: whoever changes it names it.
    pub(super) revision: Option<String>,
}

/// What a function is to run.
#[derive(Debug, Clone)]
pub(super) enum Code {
    /// `REGISTRY/REPOSITORY@sha256:…`.
    Image(String),
    /// The bytes of the archive.
    Zip(Blob),
}

/// Lambda, as the worker itself.
#[derive(Debug, Clone)]
pub(super) struct Api {
    client: Client,
}

fn call(action: &'static str, step: &FunctionStep, qualifier: Option<&str>) -> Call {
    let qualifier = qualifier.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
    Call { action, resource: format!("function:{}{qualifier}", step.function) }
}

fn or_none<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

impl Api {
    /// Asks nothing over the network.
    pub(super) fn new(connection: &Connection) -> Self {
        Self { client: Client::new(connection.config()) }
    }

    /// A function's own configuration and code (`$LATEST`), or those of a version; `None` if there is none.
    pub(super) async fn function(&self, step: &FunctionStep, version: Option<&str>) -> Result<Option<Seen>, AwsError> {
        let call = || call("lambda:GetFunction", step, version);
        let asking = self.client.get_function().function_name(step.function.as_str());
        let asked = asking.set_qualifier(version.map(str::to_owned)).send().await;
        let Some(answer) = or_none(asked.map_err(|error| AwsError::new(call(), error)))? else { return Ok(None) };
        let config = answer.configuration.ok_or_else(|| AwsError::incomplete(call(), "it names no configuration"))?;
        let image = answer.code.and_then(|code| code.resolved_image_uri.or(code.image_uri));
        Ok(Some(Seen { config, image }))
    }

    /// The step's alias; `None` if there is none.
    pub(super) async fn alias(&self, step: &FunctionStep) -> Result<Option<Alias>, AwsError> {
        let call = || call("lambda:GetAlias", step, Some(step.alias.as_str()));
        let asking = self.client.get_alias().function_name(step.function.as_str()).name(step.alias.as_str());
        let asked = asking.send().await.map_err(|error| AwsError::new(call(), error));
        let Some(answer) = or_none(asked)? else { return Ok(None) };
        let version = answer.function_version.ok_or_else(|| AwsError::incomplete(call(), "it names no version"))?;
        let weights = answer.routing_config.and_then(|routing| routing.additional_version_weights);
        let is_split = weights.is_some_and(|weights| !weights.is_empty());
        Ok(Some(Alias { version, is_split, revision: answer.revision_id }))
    }

    /// Gives a function other code, if it is still in this state. Its versions stay.
    pub(super) async fn update(
        &self,
        step: &FunctionStep,
        code: &Code,
        revision: Option<&str>,
    ) -> Result<(), AwsError> {
        let updating = self.client.update_function_code().function_name(step.function.as_str());
        let updating = match code {
            Code::Image(image) => updating.image_uri(image),
            Code::Zip(bytes) => updating.zip_file(bytes.clone()),
        };
        let updated = updating.set_revision_id(revision.map(str::to_owned)).send().await;
        updated.map(drop).map_err(|error| AwsError::new(call("lambda:UpdateFunctionCode", step, None), error))
    }

    /// Publishes a version of a function as it was seen, or finds the one that is already like it; its number.
    pub(super) async fn publish(
        &self,
        step: &FunctionStep,
        seen: &Seen,
        description: &str,
    ) -> Result<String, AwsError> {
        let call = || call("lambda:PublishVersion", step, None);
        let publishing = self.client.publish_version().function_name(step.function.as_str()).description(description);
        let FunctionConfiguration { code_sha256, revision_id, .. } = &seen.config;
        let publishing = publishing.set_code_sha256(code_sha256.clone()).set_revision_id(revision_id.clone());
        let published = publishing.send().await.map_err(|error| AwsError::new(call(), error))?;
        published.version.ok_or_else(|| AwsError::incomplete(call(), "it names no version"))
    }

    /// Moves the step's alias to a version, if it is still in this state; which state it is in then.
    pub(super) async fn move_alias(
        &self,
        step: &FunctionStep,
        version: &str,
        revision: Option<&str>,
    ) -> Result<Option<String>, AwsError> {
        let moving = self.client.update_alias().function_name(step.function.as_str()).name(step.alias.as_str());
        let moved = moving.function_version(version).set_revision_id(revision.map(str::to_owned)).send().await;
        let call = || call("lambda:UpdateAlias", step, Some(step.alias.as_str()));
        moved.map(|alias| alias.revision_id).map_err(|error| AwsError::new(call(), error))
    }
}
