//! As much of HTTP/1.1 as the SDK speaks: one request per connection, bodies with a length.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::Call;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    status: u16,
    content: &'static str,
    body: String,
}

impl Response {
    pub(crate) fn new(status: u16, content: &'static str, body: impl Into<String>) -> Self {
        Self { status, content, body: body.into() }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::new(200, "application/x-amz-json-1.1", body.to_string())
    }
}

/// Answers the one request of a connection; `None` ends it without an answer.
pub(crate) fn serve(stream: TcpStream, answer: impl FnOnce(&Request) -> Option<Response>) {
    let Some(request) = stream.try_clone().ok().and_then(read) else { return };
    let Some(Response { status, content, body }) = answer(&request) else { return };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content}\r\ncontent-length: {}\r\nx-amzn-requestid: double-1\r\nconnection: \
         close\r\n\r\n",
        body.len()
    );
    // Who asked may have gone.
    let _ = (&stream).write_all(&[head.as_bytes(), body.as_bytes()].concat());
}

fn read(stream: TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let target = line()?.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { target, headers, body })
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Such as `kms:Sign`; `None` for what is no call of a service that is doubled.
    pub(crate) fn action(&self) -> Option<String> {
        if let Some(operation) = self.header("x-amz-target").and_then(|target| target.strip_prefix("TrentService.")) {
            return Some(format!("kms:{operation}"));
        }
        if self.target.starts_with("/github/token") {
            return Some("github:Token".to_owned());
        }
        Some(format!("sts:{}", self.parameters().get("Action")?))
    }

    /// What a JSON body or a form says.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        if let Ok(Value::Object(fields)) = serde_json::from_slice(&self.body) {
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return fields.into_iter().map(|(name, value)| (name, text(value))).collect();
        }
        form(&String::from_utf8_lossy(&self.body))
    }

    /// The access key and the region of the signature (`Credential=KEY/DATE/REGION/SERVICE/aws4_request`).
    pub(crate) fn signed_by(&self) -> Option<(String, String)> {
        let scope = self.header("authorization")?.split_once("Credential=")?.1;
        let mut parts = scope.split('/');
        Some((parts.next()?.to_owned(), parts.nth(1)?.to_owned()))
    }

    pub(crate) fn call(&self, action: &str) -> Call {
        let (access_key, region) = self.signed_by().unzip();
        Call { action: action.to_owned(), access_key, region, parameters: self.parameters() }
    }

    /// A refusal, in the words of the protocol that the request speaks.
    pub(crate) fn error(&self, status: u16, code: &str, message: &str) -> Response {
        if self.header("x-amz-target").is_some() {
            let body = serde_json::json!({ "__type": code, "message": message });
            return Response::new(status, "application/x-amz-json-1.1", body.to_string());
        }
        let body = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}\
             </Code><Message>{message}</Message></Error><RequestId>double-1</RequestId></ErrorResponse>"
        );
        Response::new(status, "text/xml", body)
    }
}

/// `application/x-www-form-urlencoded`.
fn form(text: &str) -> BTreeMap<String, String> {
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
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
