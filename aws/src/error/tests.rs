//! How answers, and what never became one, are sorted.

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
        assert_eq!(of_answer(code, None, Some(status)), kind, "{code:?} {status}");
    }
}

#[test]
fn what_was_never_sent_is_sorted_by_its_cause() {
    #[derive(Debug, thiserror::Error)]
    #[error("dispatch failure")]
    struct Outer<E: Error + 'static>(#[source] E);
    let kind = |error: &(dyn Error + 'static)| of_unsent(error).0;
    assert_eq!(kind(&Outer(CredentialsError::not_loaded("none"))), ErrorKind::NoCredentials);
    assert_eq!(kind(&Outer(CredentialsError::provider_error("denied"))), ErrorKind::NoSession);
    assert_eq!(kind(&Outer(ConnectorError::io("refused".into()))), ErrorKind::Unavailable);
    assert_eq!(kind(&Outer(ConnectorError::timeout("slow".into()))), ErrorKind::Unavailable);
    assert_eq!(kind(&Outer(ConnectorError::user("no address".into()))), ErrorKind::Other);
    assert_eq!(kind(&Outer(std::fmt::Error)), ErrorKind::Other);
}
