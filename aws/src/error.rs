//! What AWS says no to, sorted for whoever reacts to it, and told so that a person knows what to change.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

/// One call, in the words of an IAM policy: what would have to be allowed, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Such as `s3:PutObject`.
    pub action: &'static str,
    /// Such as `arn:aws:s3:::bucket/prefix/key`.
    pub resource: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

/// Why AWS said no, as far as it matters to who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No credentials were found.
    NoCredentials,
    /// There are credentials, but a role can't be taken on with them, or their source fails.
    NoSession,
    /// The credentials have expired.
    Expired,
    /// The credentials are not those of anybody.
    UnknownCredentials,
    /// The caller may not do this.
    Denied,
    /// There is no such thing.
    Missing,
    /// It is in another region than the call went to.
    WrongRegion,
    /// This machine's clock is too far off.
    ClockSkew,
    /// Somebody else did something at the same time (HTTP 409).
    Conflict,
    /// A condition of the request doesn't hold (HTTP 412).
    ConditionFailed,
    /// Too many calls.
    Throttled,
    /// AWS, or the way there, is out of order: the call may have been carried out or not.
    Unavailable,
    /// Anything else.
    Other,
}

/// A call that failed.
#[derive(Debug)]
pub struct AwsError {
    call: Call,
    kind: ErrorKind,
    detail: String,
    source: Box<dyn Error + Send + Sync>,
}

impl AwsError {
    /// Sorts what came back from `call`.
    pub fn new<E>(call: Call, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let kind = match &error {
            SdkError::ServiceError(_) => of_answer(error.code(), status),
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => ErrorKind::Unavailable,
            // The enum is open; besides these two it has nothing today.
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) | _ => of_unsent(&error),
        };
        Self { call, kind, detail: detail(&error, status), source: error.into() }
    }

    /// Which call it was.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self.kind {
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Conflict => true,
            ErrorKind::NoCredentials
            | ErrorKind::NoSession
            | ErrorKind::Expired
            | ErrorKind::UnknownCredentials
            | ErrorKind::Denied
            | ErrorKind::Missing
            | ErrorKind::WrongRegion
            | ErrorKind::ClockSkew
            | ErrorKind::ConditionFailed
            | ErrorKind::Other => false,
        }
    }

    /// What a person can do about it.
    pub fn advice(&self) -> String {
        let Call { action, resource } = &self.call;
        match self.kind {
            ErrorKind::NoCredentials => {
                "no AWS credentials were found: set AWS_PROFILE, or the variables of a role, or run where a role is attached".to_owned()
            }
            ErrorKind::NoSession => {
                "check the role's ARN, its trust policy, its external id, and the credentials that take it on".to_owned()
            }
            ErrorKind::Expired => "the AWS credentials have expired: log in again, or let a role be taken on with `role`".to_owned(),
            ErrorKind::UnknownCredentials => {
                "AWS doesn't know these credentials: check AWS_PROFILE, the access key and the endpoint".to_owned()
            }
            ErrorKind::Denied => format!(
                "allow {action} on {resource} for this identity (`airlock whoami` names it), in its own policies and in the \
                 resource's; look for a deny, an expected owner or a session policy in between"
            ),
            ErrorKind::Missing => format!("check the name, the account and the region of {resource}"),
            ErrorKind::WrongRegion => format!("name the region of {resource}: `region`, or AWS_REGION"),
            ErrorKind::ClockSkew => "set this machine's clock: AWS refuses requests that are 5 minutes off".to_owned(),
            ErrorKind::Conflict | ErrorKind::Throttled | ErrorKind::Unavailable => "run again in a moment".to_owned(),
            ErrorKind::ConditionFailed | ErrorKind::Other => format!("look up what AWS says about {action}"),
        }
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.call, self.detail)
    }
}

impl Error for AwsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// Sorts an answer of AWS: by its code, which is documented, and otherwise by the HTTP status. Answers to `HEAD` have no
/// code.
fn of_answer(code: Option<&str>, status: Option<u16>) -> ErrorKind {
    match code.unwrap_or_default() {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => return ErrorKind::Expired,
        "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "AuthFailure" => return ErrorKind::UnknownCredentials,
        "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "UnauthorizedOperation" => {
            return ErrorKind::Denied;
        }
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => return ErrorKind::ClockSkew,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return ErrorKind::WrongRegion;
        }
        "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "RequestLimitExceeded" => {
            return ErrorKind::Throttled;
        }
        "RequestTimeout" | "InternalError" | "ServiceUnavailable" => return ErrorKind::Unavailable,
        _ => {}
    }
    match status {
        Some(301 | 307) => ErrorKind::WrongRegion,
        Some(401 | 403) => ErrorKind::Denied,
        Some(404) => ErrorKind::Missing,
        Some(409) => ErrorKind::Conflict,
        Some(412) => ErrorKind::ConditionFailed,
        Some(429) => ErrorKind::Throttled,
        Some(500..) => ErrorKind::Unavailable,
        Some(_) | None => ErrorKind::Other,
    }
}

/// Sorts a request that was never sent, or whose answer never came.
fn of_unsent(error: &(dyn Error + 'static)) -> ErrorKind {
    let mut cause = Some(error);
    while let Some(this) = cause {
        if let Some(credentials) = this.downcast_ref::<CredentialsError>() {
            return match credentials {
                CredentialsError::CredentialsNotLoaded(_) => ErrorKind::NoCredentials,
                CredentialsError::ProviderTimedOut(_) => ErrorKind::Unavailable,
                CredentialsError::InvalidConfiguration(_)
                | CredentialsError::ProviderError(_)
                | CredentialsError::Unhandled(_)
                | _ => ErrorKind::NoSession,
            };
        }
        if let Some(connector) = this.downcast_ref::<ConnectorError>() {
            // A mistake of ours, such as an endpoint that is no address, stays one when it is tried again.
            return if connector.is_user() { ErrorKind::Other } else { ErrorKind::Unavailable };
        }
        cause = this.source();
    }
    ErrorKind::Other
}

/// What AWS said, on one line: its code, its message, and the id by which AWS finds the request.
fn detail<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> String {
    let said: Vec<String> = [
        error.code().map(str::to_owned),
        error.message().map(str::to_owned),
        status.filter(|_| error.code().is_none()).map(|status| format!("HTTP {status}")),
        error.request_id().map(|id| format!("request {id}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if said.is_empty() { "there was no answer".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_code_and_otherwise_by_status() {
        for (code, status, kind) in [
            (Some("ExpiredToken"), 400, ErrorKind::Expired),
            (Some("InvalidAccessKeyId"), 403, ErrorKind::UnknownCredentials),
            (Some("SignatureDoesNotMatch"), 403, ErrorKind::UnknownCredentials),
            (Some("AccessDenied"), 403, ErrorKind::Denied),
            (Some("RequestTimeTooSkewed"), 403, ErrorKind::ClockSkew),
            (Some("AuthorizationHeaderMalformed"), 400, ErrorKind::WrongRegion),
            (Some("PermanentRedirect"), 301, ErrorKind::WrongRegion),
            (Some("NoSuchBucket"), 404, ErrorKind::Missing),
            (Some("SlowDown"), 503, ErrorKind::Throttled),
            (Some("ConditionalRequestConflict"), 409, ErrorKind::Conflict),
            (Some("PreconditionFailed"), 412, ErrorKind::ConditionFailed),
            (Some("InternalError"), 500, ErrorKind::Unavailable),
            (Some("MalformedXML"), 400, ErrorKind::Other),
            (None, 403, ErrorKind::Denied),
            (None, 404, ErrorKind::Missing),
            (None, 301, ErrorKind::WrongRegion),
            (None, 502, ErrorKind::Unavailable),
        ] {
            assert_eq!(of_answer(code, Some(status)), kind, "{code:?} {status}");
        }
    }

    #[test]
    fn what_was_never_sent_is_sorted_by_its_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("dispatch failure")]
        struct Outer<E: Error + 'static>(#[source] E);
        let kind = |error: &(dyn Error + 'static)| of_unsent(error);
        assert_eq!(kind(&Outer(CredentialsError::not_loaded("none"))), ErrorKind::NoCredentials);
        assert_eq!(kind(&Outer(CredentialsError::provider_error("denied"))), ErrorKind::NoSession);
        assert_eq!(kind(&Outer(ConnectorError::io("refused".into()))), ErrorKind::Unavailable);
        assert_eq!(kind(&Outer(ConnectorError::timeout("slow".into()))), ErrorKind::Unavailable);
        assert_eq!(kind(&Outer(ConnectorError::user("no address".into()))), ErrorKind::Other);
        assert_eq!(kind(&Outer(std::fmt::Error)), ErrorKind::Other);
    }
}
