//! What AWS says no to, sorted for whoever reacts to it, and told so that a person knows what to change.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
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
    /// It is there, but in a state or of a kind that can't do this.
    Unusable,
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
}

impl AwsError {
    /// Sorts what came back from `call`.
    pub fn new<E>(call: Call, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let (kind, detail) = judge(&error);
        Self { call, kind, detail }
    }

    /// `call` was not even sent: there are no credentials to sign it with.
    pub fn no_session(call: Call, error: &CredentialsError) -> Self {
        let (kind, detail) = of_unsent(error);
        Self { call, kind, detail }
    }

    /// `call` was not sent, because nothing names a region.
    pub fn no_region(call: Call) -> Self {
        Self { call, kind: ErrorKind::WrongRegion, detail: "nothing names a region".to_owned() }
    }

    /// An answer that says less than AWS documents.
    pub fn incomplete(call: Call, what: &'static str) -> Self {
        Self { call, kind: ErrorKind::Other, detail: what.to_owned() }
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
            | ErrorKind::Unusable
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
                "check the role's ARN; that its trust policy lets this identity in, with this external id and with session \
                 tags (sts:TagSession); and the credentials or the token that take it on"
                    .to_owned()
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
            ErrorKind::Unusable => format!(
                "look at {resource}: enable it, cancel its deletion, or name one of the right kind"
            ),
            ErrorKind::WrongRegion => format!("name the region of {resource}: set `region`, or AWS_REGION"),
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

// What AWS said is in the message; the layers of the SDK between would only say that something failed.
impl Error for AwsError {}

/// Why a call failed, and what AWS said about it on one line: its code, its message, and the id by which AWS finds the
/// request.
fn judge<E>(error: &SdkError<E, HttpResponse>) -> (ErrorKind, String)
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::ServiceError(_) => (of_answer(error.code(), error.message(), status), said(error, status)),
        SdkError::TimeoutError(_) => (ErrorKind::Unavailable, "there was no answer in time".to_owned()),
        SdkError::ResponseError(_) => (ErrorKind::Unavailable, said(error, status)),
        // The enum is open; besides these two it has nothing today.
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) | _ => of_unsent(error),
    }
}

/// Sorts an answer of AWS: by its code, which is documented, and otherwise by the HTTP status. Answers to `HEAD` have no
/// code.
fn of_answer(code: Option<&str>, message: Option<&str>, status: Option<u16>) -> ErrorKind {
    // A clock that is off has a code of its own only in S3; elsewhere the signature is wrong, and the message says why.
    let skewed = |text: &str| text.starts_with("Signature expired") || text.starts_with("Signature not yet current");
    match code.unwrap_or_default() {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => return ErrorKind::Expired,
        "SignatureDoesNotMatch" | "InvalidSignatureException" if message.is_some_and(skewed) => {
            return ErrorKind::ClockSkew;
        }
        "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "AuthFailure" => return ErrorKind::UnknownCredentials,
        "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "UnauthorizedOperation" => {
            return ErrorKind::Denied;
        }
        "NotFoundException" | "ResourceNotFoundException" | "ClusterNotFoundException" | "ParameterNotFound" => {
            return ErrorKind::Missing;
        }
        "DisabledException"
        | "KMSInvalidStateException"
        | "InvalidKeyId"
        | "InvalidKeyUsageException"
        | "UnsupportedOperationException" => {
            return ErrorKind::Unusable;
        }
        // EventBridge's is no 409: somebody else changes the same rule.
        "ConcurrentModificationException" => return ErrorKind::Conflict,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => return ErrorKind::ClockSkew,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return ErrorKind::WrongRegion;
        }
        "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "RequestLimitExceeded" => {
            return ErrorKind::Throttled;
        }
        "RequestTimeout"
        | "InternalError"
        | "ServiceUnavailable"
        | "KMSInternalException"
        | "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "IDPCommunicationError" => return ErrorKind::Unavailable,
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
fn of_unsent(error: &(dyn Error + 'static)) -> (ErrorKind, String) {
    let mut cause = Some(error);
    while let Some(this) = cause {
        if let Some(credentials) = this.downcast_ref::<CredentialsError>() {
            return of_credentials(credentials);
        }
        if let Some(connector) = this.downcast_ref::<ConnectorError>() {
            if connector.is_other() && connector.as_other().is_none() {
                // Something went wrong before there was a connection; what, is further in.
                cause = this.source();
                continue;
            }
            // A mistake of ours, such as an endpoint that is no address, stays one when it is tried again.
            let kind = if connector.is_user() { ErrorKind::Other } else { ErrorKind::Unavailable };
            return (kind, innermost(this));
        }
        cause = this.source();
    }
    (ErrorKind::Other, innermost(error))
}

/// Why there are no credentials. If a role can't be taken on, what STS says about it is what a person needs.
fn of_credentials(error: &CredentialsError) -> (ErrorKind, String) {
    let mut cause = error.source();
    while let Some(this) = cause {
        if let Some(refused) = this.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
            return of_session("sts:AssumeRole", refused);
        }
        if let Some(refused) = this.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>() {
            return of_session("sts:AssumeRoleWithWebIdentity", refused);
        }
        cause = this.source();
    }
    let kind = match error {
        CredentialsError::CredentialsNotLoaded(_) => ErrorKind::NoCredentials,
        CredentialsError::ProviderTimedOut(_) => ErrorKind::Unavailable,
        CredentialsError::InvalidConfiguration(_)
        | CredentialsError::ProviderError(_)
        | CredentialsError::Unhandled(_)
        | _ => ErrorKind::NoSession,
    };
    // The SDK would list every place where it looked.
    let none = kind == ErrorKind::NoCredentials;
    (kind, if none { "there are no credentials".to_owned() } else { innermost(error) })
}

fn of_session<E>(action: &str, refused: &SdkError<E, HttpResponse>) -> (ErrorKind, String)
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let (kind, said) = judge(refused);
    let kind = match kind {
        // These are about the credentials that take the role on, the clock, or the way there.
        ErrorKind::NoCredentials
        | ErrorKind::Expired
        | ErrorKind::UnknownCredentials
        | ErrorKind::ClockSkew
        | ErrorKind::Throttled
        | ErrorKind::Unavailable => kind,
        ErrorKind::NoSession
        | ErrorKind::Denied
        | ErrorKind::Missing
        | ErrorKind::Unusable
        | ErrorKind::WrongRegion
        | ErrorKind::Conflict
        | ErrorKind::ConditionFailed
        | ErrorKind::Other => ErrorKind::NoSession,
    };
    (kind, format!("{action}: {said}"))
}

fn said<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> String {
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

/// The cause that has no other: the layers above only say that something below them failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests;
