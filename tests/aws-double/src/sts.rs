//! What STS answers, in its XML.

use crate::ACCOUNT;
use crate::http::Response;
use crate::people::Caller;

fn xml(action: &str, result: &str) -> Response {
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>double-1</RequestId></ResponseMetadata></{action}Response>"
    );
    Response::new(200, "text/xml", body)
}

pub(crate) fn identity(caller: &Caller) -> Response {
    let Caller { arn, user_id } = caller;
    xml("GetCallerIdentity", &format!("<Arn>{arn}</Arn><UserId>{user_id}</UserId><Account>{ACCOUNT}</Account>"))
}

pub(crate) fn session(action: &str, [key, secret, token]: &[String; 3], expires: &str, arn: &str) -> Response {
    xml(
        action,
        &format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}\
             </SessionToken><Expiration>{expires}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA:x\
             </AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>"
        ),
    )
}
