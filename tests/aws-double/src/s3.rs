//! S3: IAM and buckets' policies decide here, an S3 server behind the double does the rest.
//!
//! True to AWS: which permissions a request needs, the condition keys of conditional writes and listings, bucket owners
//! that don't fit, and that an object that isn't there is forbidden, not missing, to who may not list its bucket.
//! Requests are path-style, and go on as they came, but without a signature: the server behind must let anybody in. Not
//! doubled: encryption (IAM sees that it is asked for), bodies whose chunks are signed, access points, ACLs, object
//! ownership, presigned requests, deleting several objects at once.

use std::collections::BTreeMap;
use std::io;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, EXPECT, HeaderName, TRANSFER_ENCODING};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http::{Refusal, Request, Response, decode};
use crate::iam::{Guard, Policy};
use crate::people::{Caller, policy};
use crate::{Core, State};

/// A bucket.
#[derive(Debug)]
struct Bucket {
    account: String,
    policy: Option<Policy>,
}

/// All of S3.
#[derive(Debug, Default)]
pub(crate) struct S3 {
    /// Host and port of the server behind.
    behind: Option<String>,
    buckets: BTreeMap<String, Bucket>,
}

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The permission that it needs.
    pub(crate) action: &'static str,
    bucket: String,
    key: Option<String>,
}

/// Queries of objects that need a permission of their own; `*` is any method.
const OBJECT_QUERIES: [(&str, &str, &str); 12] = [
    ("GET", "attributes", "s3:GetObjectAttributes"),
    ("GET", "legal-hold", "s3:GetObjectLegalHold"),
    ("PUT", "legal-hold", "s3:PutObjectLegalHold"),
    ("GET", "retention", "s3:GetObjectRetention"),
    ("PUT", "retention", "s3:PutObjectRetention"),
    ("GET", "tagging", "s3:GetObjectTagging"),
    ("PUT", "tagging", "s3:PutObjectTagging"),
    ("GET", "uploadId", "s3:ListMultipartUploadParts"),
    ("PUT", "uploadId", "s3:PutObject"),
    ("POST", "uploadId", "s3:PutObject"),
    ("POST", "uploads", "s3:PutObject"),
    ("DELETE", "uploadId", "s3:AbortMultipartUpload"),
];
/// The same of buckets.
const BUCKET_QUERIES: [(&str, &str, &str); 11] = [
    ("GET", "encryption", "s3:GetEncryptionConfiguration"),
    ("GET", "lifecycle", "s3:GetLifecycleConfiguration"),
    ("GET", "location", "s3:GetBucketLocation"),
    ("GET", "object-lock", "s3:GetBucketObjectLockConfiguration"),
    ("PUT", "object-lock", "s3:PutBucketObjectLockConfiguration"),
    ("GET", "policy", "s3:GetBucketPolicy"),
    ("GET", "tagging", "s3:GetBucketTagging"),
    ("GET", "uploads", "s3:ListBucketMultipartUploads"),
    ("GET", "versioning", "s3:GetBucketVersioning"),
    ("PUT", "versioning", "s3:PutBucketVersioning"),
    ("GET", "versions", "s3:ListBucketVersions"),
];
/// Queries that make no other request of it.
const HARMLESS: [&str; 16] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "x-id",
];

impl Wanted {
    /// What a request is for; `None` for what isn't doubled.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let (bucket, key) = match request.path().strip_prefix('/')?.split_once('/') {
            Some((bucket, key)) => (decode(bucket), Some(decode_path(key)).filter(|key| !key.is_empty())),
            None => (decode(request.path().strip_prefix('/')?), None),
        };
        let query = request.query();
        let method = request.head.method.as_str();
        let method = if method == "HEAD" { "GET" } else { method };
        let known = if key.is_some() { &OBJECT_QUERIES[..] } else { &BUCKET_QUERIES };
        let special = known.iter().find(|(of, name, _)| *of == method && query.contains_key(*name));
        let named = |name: &str| {
            HARMLESS.contains(&name)
                || name.starts_with("response-")
                || known.iter().any(|(_, known, _)| *known == name)
                || (key.is_some() && ["versionId", "partNumber"].contains(&name))
        };
        if bucket.is_empty() || !query.keys().all(|name| named(name)) {
            return None;
        }
        let versioned = query.contains_key("versionId");
        let action = match (special, key.is_some(), method) {
            (Some((_, _, action)), ..) => action,
            (None, true, "GET") if versioned => "s3:GetObjectVersion",
            (None, true, "GET") => "s3:GetObject",
            (None, true, "PUT") => "s3:PutObject",
            (None, true, "DELETE") if versioned => "s3:DeleteObjectVersion",
            (None, true, "DELETE") => "s3:DeleteObject",
            (None, false, "GET") => "s3:ListBucket",
            (None, ..) => return None,
        };
        Some(Self { action, bucket, key })
    }

    fn arn(&self) -> String {
        match &self.key {
            Some(key) => format!("arn:aws:s3:::{}/{key}", self.bucket),
            None => format!("arn:aws:s3:::{}", self.bucket),
        }
    }
}

/// In a path, a plus is a plus.
fn decode_path(text: &str) -> String {
    decode(&text.replace('+', "%2B"))
}

/// What a call of S3 is noted with.
pub(crate) fn parameters(request: &Request) -> BTreeMap<String, String> {
    let mut parameters = request.query();
    if let Some(Wanted { bucket, key, .. }) = Wanted::of(request) {
        parameters.insert("Bucket".to_owned(), bucket);
        parameters.extend(key.map(|key| ("Key".to_owned(), key)));
    }
    parameters
}

impl S3 {
    pub(crate) fn set_behind(&mut self, endpoint: &str) {
        self.behind = endpoint.strip_prefix("http://").map(|host| host.trim_end_matches('/').to_owned());
        assert!(self.behind.is_some(), "the S3 server behind the double speaks plain HTTP: {endpoint}");
    }

    pub(crate) fn add_bucket(&mut self, account: &str, name: &str, document: Option<&Value>) {
        let policy = document.map(|document| policy(name, document));
        self.buckets.insert(name.to_owned(), Bucket { account: account.to_owned(), policy });
    }
}

/// Answers a request for S3.
pub(crate) async fn answer(
    core: &Core,
    request: &Request,
    caller: &Caller,
    body: Option<Incoming>,
) -> Result<Response, Refusal> {
    let checked = check(&core.state(), request, caller);
    let (behind, may_list) = match checked {
        Ok(checked) => checked,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let reads = ["GET", "HEAD"].contains(&request.head.method.as_str());
    let answered = match body {
        Some(body) => forward(&behind, request, body).await,
        None => Err(io::Error::other("it has no body")),
    };
    let answered = answered.map_err(|error| {
        let message = format!("the S3 server behind the double fails: {error}");
        Refusal::new(503, "ServiceUnavailable", message)
    })?;
    if reads && answered.status() == 404 && !may_list {
        return Err(Refusal::new(403, "AccessDenied", "Access Denied"));
    }
    Ok(answered)
}

/// Reads a body to its end: a client that is refused while it sends may never see the refusal.
pub(crate) async fn drain(body: Option<Incoming>) {
    let Some(mut body) = body else { return };
    while let Some(Ok(_)) = body.frame().await {}
}

/// The server behind, if the request may go there; and whether the caller may know what isn't there.
fn check(state: &State, request: &Request, caller: &Caller) -> Result<(String, bool), Refusal> {
    let wanted = Wanted::of(request).ok_or_else(|| Refusal::not_doubled("this request of S3"))?;
    let Some(bucket) = state.s3.buckets.get(&wanted.bucket) else {
        return Err(Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist"));
    };
    if request.header("x-amz-expected-bucket-owner").is_some_and(|owner| owner != bucket.account) {
        return Err(Refusal::new(403, "AccessDenied", "Access Denied"));
    }
    let guard = bucket.policy.as_ref().map_or(Guard::None, Guard::Adds);
    let context = caller.context(conditions(request, &wanted, bucket));
    let may = |action: &str, resource: &str| caller.may((action, resource, &bucket.account), &context, guard);
    for action in actions(request, &wanted) {
        may(action, &wanted.arn()).map_err(|message| Refusal::new(403, "AccessDenied", message))?;
    }
    if request.header("x-amz-copy-source").is_some() {
        return Err(Refusal::not_doubled("s3:CopyObject"));
    }
    let may_list = wanted.key.is_none() || may("s3:ListBucket", &format!("arn:aws:s3:::{}", wanted.bucket)).is_ok();
    let behind = state.s3.behind.clone().ok_or_else(|| Refusal::not_doubled("S3 without a server behind it"))?;
    Ok((behind, may_list))
}

/// All permissions that a request needs.
fn actions(request: &Request, wanted: &Wanted) -> Vec<&'static str> {
    let mut actions = vec![wanted.action];
    let more = [
        ("x-amz-tagging", "s3:PutObjectTagging"),
        ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
        ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
    ];
    if wanted.action == "s3:PutObject" {
        actions
            .extend(more.into_iter().filter(|(header, _)| request.header(header).is_some()).map(|(_, action)| action));
    }
    if wanted.action == "s3:GetObjectAttributes" {
        actions.push("s3:GetObject");
    }
    actions
}

/// The condition keys that a request of S3 has.
fn conditions(request: &Request, wanted: &Wanted, bucket: &Bucket) -> Vec<(&'static str, String)> {
    let headers = [
        ("s3:if-match", "if-match"),
        ("s3:if-none-match", "if-none-match"),
        ("s3:object-lock-mode", "x-amz-object-lock-mode"),
        ("s3:x-amz-copy-source", "x-amz-copy-source"),
        ("s3:x-amz-server-side-encryption", "x-amz-server-side-encryption"),
        ("s3:x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-aws-kms-key-id"),
    ];
    let headers = headers.into_iter().filter_map(|(key, name)| Some((key, request.header(name)?.to_owned())));
    let queries = [
        ("s3:prefix", "prefix"),
        ("s3:delimiter", "delimiter"),
        ("s3:max-keys", "max-keys"),
        ("s3:versionid", "versionId"),
    ];
    let query = request.query();
    let queries = queries.into_iter().filter_map(|(key, name)| Some((key, query.get(name)?.clone())));
    // Conditions of writes are for writes only.
    let writes = wanted.action == "s3:PutObject" || wanted.action == "s3:DeleteObject";
    let headers = headers.filter(|(key, _)| writes || !key.starts_with("s3:if-"));
    let owners = ["s3:ResourceAccount", "aws:ResourceAccount"].map(|key| (key, bucket.account.clone()));
    headers.chain(queries).chain(owners).collect()
}

/// Sends a request on, its body as it comes.
async fn forward(behind: &str, request: &Request, body: Incoming) -> io::Result<Response> {
    let stream = TcpStream::connect(behind).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let mut head = request.head.clone();
    // The double has told the client to go on already, and who it is; the server behind knows nobody, and has no keys.
    let unknown =
        ["x-amz-security-token", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"];
    for header in [EXPECT, AUTHORIZATION].into_iter().chain(unknown.map(HeaderName::from_static)) {
        head.headers.remove(header);
    }
    let answered = sender.send_request(hyper::Request::from_parts(head, body)).await.map_err(io::Error::other)?;
    let (mut head, body) = answered.into_parts();
    head.headers.remove(CONNECTION);
    head.headers.remove(TRANSFER_ENCODING);
    Ok(Response::from_parts(head, body.map_err(io::Error::other).boxed()))
}
