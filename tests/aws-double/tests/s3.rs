//! S3 behind the double's IAM, with boto3 as the client and SeaweedFS behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_double::{ACCESS_KEY, ACCOUNT, Double, Failure, PRODUCTION, USER};
use common::{Boto, allow, policy};
use emulators::SeaweedFs;
use serde_json::{Value, json};

/// Two buckets of production behind a double.
struct World {
    double: Double,
    _behind: SeaweedFs,
    bucket: String,
}

impl World {
    fn new() -> Self {
        let (double, behind) = (Double::start(), SeaweedFs::start_open());
        double.s3(&behind.endpoint());
        let bucket = behind.bucket();
        double.account(PRODUCTION).bucket(&bucket, None);
        Self { double, _behind: behind, bucket }
    }

    fn as_user(&self, account: &str, name: &str, statements: Value) -> Boto {
        let keys = self.double.account(account).user(name, &[policy(statements)]);
        Boto::new(self.double.environment_of(&keys))
    }

    fn arn(&self, key: &str) -> String {
        format!("arn:aws:s3:::{}{key}", self.bucket)
    }
}

fn code(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or("OK")
}

#[test]
fn objects_go_through_whole_and_conditions_hold() {
    let world = World::new();
    let mut boto = world.as_user(PRODUCTION, "all", allow(json!("s3:*"), json!("*")));
    let bucket = &world.bucket;
    let put = json!({ "Bucket": bucket, "Key": "a/b+c d", "Body": "text", "IfNoneMatch": "*" });
    assert_eq!(code(&boto.call("s3", "put_object", put.clone())), "OK");
    let again = boto.call("s3", "put_object", put);
    assert_eq!((code(&again), &again["status"]), ("PreconditionFailed", &412.into()), "{again}");
    let got = boto.call("s3", "get_object", json!({ "Bucket": bucket, "Key": "a/b+c d" }));
    assert_eq!(got["Body"], "text", "{got}");
    let head = boto.call("s3", "head_object", json!({ "Bucket": bucket, "Key": "a/b+c d" }));
    assert_eq!(head["ContentLength"], 4, "{head}");
    let listed = boto.call("s3", "list_objects_v2", json!({ "Bucket": bucket, "Prefix": "a/" }));
    assert_eq!(listed["Contents"][0]["Key"], "a/b+c d", "{listed}");
    let large = "x".repeat(24 << 20);
    let put = json!({ "Bucket": bucket, "Key": "large", "Body": large, "ChecksumAlgorithm": "SHA256" });
    assert_eq!(code(&boto.call("s3", "put_object", put)), "OK");
    let got = boto.call("s3", "get_object", json!({ "Bucket": bucket, "Key": "large", "ChecksumMode": "ENABLED" }));
    assert!(got["Body"] == large, "{} bytes", got["Body"].as_str().unwrap_or_default().len());
    let calls = world.double.calls_of("s3:PutObject");
    assert_eq!((calls.len(), &calls[0].parameters["Key"]), (3, &"a/b+c d".to_owned()));
}

/// As the SDKs send what they stream: in pieces, with the checksum at the end.
#[test]
fn bodies_in_chunks_go_through_untouched() {
    let world = World::new();
    let mut boto = world.as_user(PRODUCTION, "all", allow(json!("s3:*"), json!("*")));
    let host = world.double.url().replace("http://", "");
    let send = |checksum: &str| {
        let body = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n");
        let mut stream = TcpStream::connect(&host).unwrap();
        write!(
            stream,
            "PUT /{}/chunked HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nexpect: 100-continue\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261122/eu-central-1/s3/aws4_request, \
             SignedHeaders=host, Signature=0\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n\
             x-amz-date: 20261122T093000Z\r\ncontent-encoding: aws-chunked\r\nx-amz-decoded-content-length: 5\r\n\
             x-amz-trailer: x-amz-checksum-crc32\r\ncontent-length: {}\r\n\r\n{body}",
            world.bucket,
            body.len(),
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.replace("HTTP/1.1 100 Continue\r\n\r\n", "").lines().next().unwrap_or_default().to_owned()
    };
    let user = json!({ "AWS": USER });
    let lets_in =
        policy(json!({ "Effect": "Allow", "Principal": user, "Action": "s3:*", "Resource": world.arn("/*") }));
    world.double.account(PRODUCTION).bucket(&world.bucket, Some(&lets_in));
    assert_eq!(send("NhCmhg=="), "HTTP/1.1 200 OK");
    let get = json!({ "Bucket": world.bucket, "Key": "chunked" });
    assert_eq!(boto.call("s3", "get_object", get)["Body"], "hello");
    assert_eq!(send("AAAAAA=="), "HTTP/1.1 400 Bad Request", "the server behind checks what is sent");
}

#[test]
fn permissions_are_those_of_the_caller_the_bucket_and_the_request() {
    let world = World::new();
    let bucket = world.bucket.clone();
    let mut all = world.as_user(PRODUCTION, "all", allow(json!("s3:*"), json!("*")));
    all.call("s3", "put_object", json!({ "Bucket": bucket, "Key": "jobs/1", "Body": "1" }));
    // As the writer of a journal: create-only, in its own place, and no list but of that.
    let mut create = allow(json!("s3:PutObject"), json!(world.arn("/jobs/*")));
    create["Condition"] = json!({ "StringEquals": { "s3:if-none-match": "*" } });
    let mut list = allow(json!("s3:ListBucket"), json!(world.arn("")));
    list["Condition"] = json!({ "StringLike": { "s3:prefix": "jobs/*" } });
    let mut writer =
        world.as_user(PRODUCTION, "writer", json!([create, list, allow(json!("s3:GetObject"), json!("*"))]));
    let put = |key: &str, more: Value| {
        let mut put = json!({ "Bucket": bucket, "Key": key, "Body": "2" });
        put.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        put
    };
    for (operation, parameters, expected) in [
        ("put_object", put("jobs/2", json!({ "IfNoneMatch": "*" })), "OK"),
        ("put_object", put("jobs/3", json!({})), "AccessDenied"),
        ("put_object", put("other/3", json!({ "IfNoneMatch": "*" })), "AccessDenied"),
        ("put_object", put("jobs/4", json!({ "IfNoneMatch": "*", "Tagging": "a=b" })), "AccessDenied"),
        ("delete_object", json!({ "Bucket": bucket, "Key": "jobs/1" }), "AccessDenied"),
        ("list_objects_v2", json!({ "Bucket": bucket, "Prefix": "jobs/" }), "OK"),
        ("list_objects_v2", json!({ "Bucket": bucket }), "AccessDenied"),
        ("get_object", json!({ "Bucket": bucket, "Key": "jobs/1" }), "OK"),
        // Who may not list the bucket isn't told that an object is missing.
        ("get_object", json!({ "Bucket": bucket, "Key": "jobs/9" }), "AccessDenied"),
        ("get_object", json!({ "Bucket": bucket, "Key": "jobs/1", "ExpectedBucketOwner": PRODUCTION }), "OK"),
        ("get_object", json!({ "Bucket": bucket, "Key": "jobs/1", "ExpectedBucketOwner": ACCOUNT }), "AccessDenied"),
        ("get_object", json!({ "Bucket": "elsewhere", "Key": "jobs/1" }), "NoSuchBucket"),
    ] {
        let answer = writer.call("s3", operation, parameters.clone());
        assert_eq!(code(&answer), expected, "{operation} {parameters}: {answer}");
    }
    let missing = all.call("s3", "get_object", json!({ "Bucket": bucket, "Key": "jobs/9" }));
    assert_eq!(code(&missing), "NoSuchKey");

    // Another account: both sides must agree.
    let get = json!({ "Bucket": bucket, "Key": "jobs/1" });
    let mut foreign = world.as_user(ACCOUNT, "reader", allow(json!("s3:GetObject"), json!("*")));
    assert_eq!(code(&foreign.call("s3", "get_object", get.clone())), "AccessDenied");
    let reader = json!({ "AWS": "arn:aws:iam::111111111111:user/reader" });
    let lets_in = |action: &str| {
        policy(json!([
            { "Effect": "Allow", "Principal": reader, "Action": action, "Resource": format!("arn:aws:s3:::{bucket}/*") },
            { "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
              "Condition": { "Bool": { "aws:SecureTransport": "false" } } },
        ]))
    };
    world.double.account(PRODUCTION).bucket(&bucket, Some(&lets_in("s3:GetObject")));
    assert_eq!(code(&foreign.call("s3", "get_object", get.clone())), "OK");
    world.double.account(PRODUCTION).bucket(&bucket, Some(&lets_in("s3:PutObject")));
    assert_eq!(code(&foreign.call("s3", "get_object", get)), "AccessDenied");
}

#[test]
fn failures_of_s3_are_ordered_by_the_test() {
    let world = World::new();
    let mut boto = world.as_user(PRODUCTION, "all", allow(json!("s3:*"), json!("*")));
    let put = json!({ "Bucket": world.bucket, "Key": "a", "Body": "x".repeat(1 << 20), "IfNoneMatch": "*" });
    for (failure, expected) in [
        (Failure::Throttled, "SlowDown"),
        (Failure::Broken, "InternalError"),
        (Failure::Lost, "ConnectionClosedError"),
        (Failure::None, "PreconditionFailed"),
    ] {
        world.double.fail("s3:PutObject", failure);
        let answer = boto.call("s3", "put_object", put.clone());
        assert_eq!(code(&answer), expected, "{answer}");
    }
}
