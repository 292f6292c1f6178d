//! Single calls of services that speak JSON (awsJson 1.0), without a client of their own: it would bring more than it is
//! worth for one call. They are signed, sent, tried again and given up as all others.

use std::fmt;

use aws_config::{Region, SdkConfig};
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use serde_json::Value;

use crate::connection::Connection;
use crate::error::{AwsError, Call};

/// A service, in the words of its own model.
#[derive(Debug, Clone, Copy)]
pub struct JsonService {
    /// What its endpoints and its signatures are for, such as `monitoring`.
    pub name: &'static str,
    /// What its operations' names come after in `X-Amz-Target`.
    pub target: &'static str,
}

/// What the service said no with.
#[derive(Debug)]
struct Refused(ErrorMetadata);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

impl Connection {
    /// Calls an operation; its answer.
    ///
    /// # Errors
    /// When nothing names a region, or the call fails; with `call`.
    pub async fn json(
        &self,
        service: JsonService,
        operation: &'static str,
        call: Call,
        body: &Value,
    ) -> Result<Value, AwsError> {
        let Some(region) = self.config().region() else { return Err(AwsError::no_region(call)) };
        let body = body.to_string();
        let request = move |(): ()| {
            let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
            request.set_method("POST")?;
            request.set_uri("/")?;
            let headers = request.headers_mut();
            headers.insert("content-type", "application/x-amz-json-1.0");
            headers.insert("content-length", body.len().to_string());
            headers.insert("x-amz-target", format!("{}.{operation}", service.target));
            Ok(request)
        };
        let mut building = Operation::builder()
            .service_name(service.name)
            .operation_name(operation)
            .endpoint_url(&endpoint(self, service, region))
            .runtime_plugin(signing(self.config(), service, region))
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
            .retry_classifier(AwsErrorCodeClassifier::<Refused>::new())
            .retry_classifier(HttpStatusCodeClassifier::default());
        let config = self.config();
        if let Some(client) = config.http_client() {
            building = building.http_client(client);
        }
        if let Some(retries) = config.retry_config() {
            building = building.standard_retry(retries);
        }
        if let Some(timeouts) = config.timeout_config() {
            building = building.timeout_config(timeouts.clone());
        }
        if let Some(sleep) = config.sleep_impl() {
            building = building.sleep_impl(sleep);
        }
        if let Some(time) = config.time_source() {
            building = building.time_source(time);
        }
        let operation = building.with_connection_poisoning().serializer(request).deserializer(answer).build();
        operation.invoke(()).await.map_err(|error| AwsError::new(call, error))
    }
}

/// Where the service is (AWS general reference, "Service endpoints"), unless everything is elsewhere.
fn endpoint(connection: &Connection, service: JsonService, region: &Region) -> String {
    let domain = if region.as_ref().starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let own = || format!("https://{}.{region}.{domain}", service.name);
    connection.endpoint().map_or_else(own, str::to_owned)
}

/// Signs as every client does, with the connection's credentials.
fn signing(config: &SdkConfig, service: JsonService, region: &Region) -> StaticRuntimePlugin {
    let mut layer = Layer::new("signing");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(region.clone())),
        name: Some(SigningName::from_static(service.name)),
        signing_options: SigningOptions::default(),
        ..Default::default()
    });
    let only = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
    let mut components = RuntimeComponentsBuilder::new("signing")
        .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
        .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(only)))
        .with_identity_cache(config.identity_cache());
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(credentials));
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

/// Reads an answer, or what is wrong (AWS JSON 1.0 protocol, "Operation error serialization").
fn answer(response: &HttpResponse) -> Result<Value, OrchestratorError<Refused>> {
    let said: Option<Value> = response.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok());
    if response.status().is_success() {
        return said.ok_or_else(|| OrchestratorError::other("the answer is no JSON"));
    }
    let text = |names: &[&str]| names.iter().find_map(|name| said.as_ref()?[name].as_str()).map(str::to_owned);
    let mut metadata = ErrorMetadata::builder();
    // `namespace#Code`, or the code alone.
    if let Some(code) = text(&["__type", "code"]) {
        metadata = metadata.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = text(&["message", "Message"]) {
        metadata = metadata.message(message);
    }
    if let Some(id) = response.headers().get("x-amzn-requestid") {
        metadata = metadata.custom("aws_request_id", id);
    }
    Err(OrchestratorError::operation(Refused(metadata.build())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn a_service_is_in_its_region_unless_everything_is_elsewhere() {
        let service = JsonService { name: "monitoring", target: "GraniteServiceVersion20100801" };
        for (region, elsewhere, expected) in [
            ("eu-central-1", None, "https://monitoring.eu-central-1.amazonaws.com"),
            ("cn-north-1", None, "https://monitoring.cn-north-1.amazonaws.com.cn"),
            ("eu-central-1", Some("http://127.0.0.1:1"), "http://127.0.0.1:1"),
        ] {
            let endpoint_of = elsewhere.map(str::to_owned);
            let settings = Settings { region: Some(region.to_owned()), endpoint: endpoint_of, role: None };
            let connection = Connection::new(&settings, &[]).await;
            assert_eq!(endpoint(&connection, service, connection.config().region().unwrap()), expected);
        }
    }
}
