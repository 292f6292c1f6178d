//! Requests as the services see them, and answers in the words of each service's protocol.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::http::request::Parts;
use serde_json::{Value, json};

/// A body that is all there, or one on its way through.
pub(crate) type Body = BoxBody<Bytes, io::Error>;
/// What is answered.
pub(crate) type Response = hyper::Response<Body>;

/// Whose request it is. Real AWS has a host for each; here it is told by what the signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    CloudWatch,
    Ecs,
    Events,
    Kms,
    Lambda,
    Logs,
    S3,
    Scheduler,
    Ssm,
    Sts,
    /// GitHub's tokens for its jobs.
    Github,
    /// What ECS offers to the programs in its containers.
    Container,
}

/// A request, read whole, or without its body on the way to S3.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

/// A request that a service doesn't carry out.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// What else its body says, in services that speak JSON.
    pub(crate) more: Vec<(&'static str, Value)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), more: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.push((name, value));
        self
    }

    /// The test asks for something that the double can't do.
    pub(crate) fn not_doubled(what: impl Into<String>) -> Self {
        Self::new(501, "NotDoubled", what)
    }
}

impl Service {
    /// A refusal in its protocol.
    pub(crate) fn refuse(self, refusal: &Refusal) -> Response {
        let Refusal { status, code, message, more } = refusal;
        let (status, more) = (*status, more.iter().cloned());
        match self {
            Self::CloudWatch | Self::Ecs | Self::Events | Self::Kms | Self::Logs | Self::Ssm => {
                let mut body = json!({ "__type": code, "message": message });
                more.for_each(|(name, value)| body[name] = value);
                response(status, "application/x-amz-json-1.1", body.to_string())
            }
            Self::Lambda | Self::Scheduler => {
                let own = if self == Self::Scheduler
                    || code.starts_with("AccessDenied")
                    || code == "ResourceNotFoundException"
                {
                    "Message"
                } else {
                    "message"
                };
                let mut body = json!({ own: message, "Type": if status < 500 { "User" } else { "Service" } });
                more.for_each(|(name, value)| body[name] = value);
                let mut response = response(status, "application/json", body.to_string());
                if let Ok(code) = code.parse() {
                    response.headers_mut().insert("x-amzn-errortype", code);
                }
                response
            }
            Self::S3 => {
                let text = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{}</Message><RequestId>\
                     double-1</RequestId></Error>",
                    escaped(message)
                );
                response(status, "application/xml", text)
            }
            Self::Sts => {
                let text = format!(
                    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>\
                     {code}</Code><Message>{}</Message></Error><RequestId>double-1</RequestId></ErrorResponse>",
                    escaped(message)
                );
                response(status, "text/xml", text)
            }
            Self::Github | Self::Container => response(status, "text/plain", message.clone()),
        }
    }

    /// How it says that it is asked too often.
    pub(crate) fn throttled(self) -> Refusal {
        match self {
            Self::CloudWatch => Refusal::new(400, "Throttling", "Rate exceeded"),
            Self::Ecs | Self::Events | Self::Kms | Self::Logs | Self::Ssm => {
                Refusal::new(400, "ThrottlingException", "Rate exceeded")
            }
            Self::Scheduler => Refusal::new(429, "ThrottlingException", "Rate exceeded"),
            Self::Lambda => Refusal::new(429, "TooManyRequestsException", "Rate Exceeded.")
                .with("Reason", "CallerRateLimitExceeded".into()),
            Self::S3 => Refusal::new(503, "SlowDown", "Please reduce your request rate."),
            Self::Sts => Refusal::new(400, "Throttling", "Rate exceeded"),
            Self::Github | Self::Container => Refusal::new(429, "TooManyRequests", "too many requests"),
        }
    }

    /// How it says that something went wrong that is not the caller's fault.
    pub(crate) fn broken(self) -> Refusal {
        match self {
            Self::CloudWatch => Refusal::new(500, "InternalServiceFault", "The request processing has failed."),
            Self::Ecs => Refusal::new(500, "ServerException", "Service Unavailable. Please try again later."),
            Self::Events => Refusal::new(500, "InternalException", "An internal error occurred."),
            Self::Scheduler => Refusal::new(500, "InternalServerException", "Unexpected error."),
            Self::Kms => Refusal::new(500, "KMSInternalException", "The request was rejected. It can be retried."),
            Self::Lambda => {
                Refusal::new(500, "ServiceException", "An error occurred and the request cannot be processed.")
            }
            Self::Logs => Refusal::new(500, "ServiceUnavailableException", "The service cannot complete the request."),
            Self::S3 => Refusal::new(500, "InternalError", "We encountered an internal error. Please try again."),
            Self::Ssm => Refusal::new(500, "InternalServerError", "An error occurred on the server side."),
            Self::Sts => Refusal::new(503, "ServiceUnavailable", "Service Unavailable"),
            Self::Github | Self::Container => Refusal::new(500, "InternalError", "internal error"),
        }
    }
}

/// An answer whose body is all there.
pub(crate) fn response(status: u16, content: &str, body: impl Into<Bytes>) -> Response {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
    let mut response = hyper::Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    if let Ok(content) = content.parse() {
        headers.insert("content-type", content);
    }
    headers.insert("x-amzn-requestid", hyper::header::HeaderValue::from_static("double-1"));
    response
}

/// An answer in awsJson 1.1.
pub(crate) fn json(body: &Value) -> Response {
    response(200, "application/x-amz-json-1.1", body.to_string())
}

/// Where a signature is for: key, region and service of its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn path(&self) -> &str {
        self.head.uri.path()
    }

    pub(crate) fn query(&self) -> BTreeMap<String, String> {
        form(self.head.uri.query().unwrap_or_default())
    }

    /// The scope of the signature (`Credential=KEY/DATE/REGION/SERVICE/aws4_request`).
    pub(crate) fn scope(&self) -> Option<Scope> {
        let scope = self.header("authorization")?.split_once("Credential=")?.1;
        let parts: Vec<&str> = scope.split(',').next()?.split('/').collect();
        let [.., key, _, region, service, _] = parts[..] else { return None };
        Some(Scope { access_key: key.to_owned(), region: region.to_owned(), service: service.to_owned() })
    }

    /// Whose it is.
    pub(crate) fn service(&self) -> Option<Service> {
        let path = self.path();
        match self.scope().as_ref().map(|scope| scope.service.as_str()) {
            Some("ecs") => Some(Service::Ecs),
            Some("events") => Some(Service::Events),
            Some("monitoring") => Some(Service::CloudWatch),
            Some("kms") => Some(Service::Kms),
            Some("logs") => Some(Service::Logs),
            Some("lambda") => Some(Service::Lambda),
            Some("s3") => Some(Service::S3),
            Some("scheduler") => Some(Service::Scheduler),
            Some("ssm") => Some(Service::Ssm),
            Some("sts") => Some(Service::Sts),
            Some(_) => None,
            None if path == "/github/token" => Some(Service::Github),
            None if path.starts_with("/v2/") || path.starts_with("/v4/") => Some(Service::Container),
            None if self.header("x-amz-target").is_some_and(|target| target.starts_with("TrentService.")) => {
                Some(Service::Kms)
            }
            None if self.header("x-amz-target").is_some_and(|target| target.starts_with("AmazonSSM.")) => {
                Some(Service::Ssm)
            }
            None if self.header("x-amz-target").is_some() => Some(Service::Ecs),
            None if self.parameters().contains_key("Action") => Some(Service::Sts),
            None => None,
        }
    }

    /// A JSON body; `null` if it isn't one.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// What a JSON body or a form says.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        if let Value::Object(fields) = self.json() {
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return fields.into_iter().map(|(name, value)| (name, text(value))).collect();
        }
        form(&String::from_utf8_lossy(&self.body))
    }
}

/// `application/x-www-form-urlencoded`; a name without `=` has an empty value.
fn form(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// What `%XX` and `+` stand for.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0);
                bytes.push(u8::try_from(digit() * 16 + digit()).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Text in XML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
