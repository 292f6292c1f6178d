//! Plain HTTP beside the SDK's clients: one GET, one small answer. What may be in order a moment later is asked again, as
//! often as the SDK asks AWS.

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use zeroize::Zeroizing;

use crate::connection::{ATTEMPTS, CONNECT, FIRST_BYTE, TLS};
use crate::pause::pause;

/// Largest answer that is read, in bytes.
const LIMIT: usize = 64 << 10;

/// Why there is no answer.
struct NoAnswer {
    what: String,
    /// Whether there may be one in a moment.
    passes: bool,
}

/// What is asked with: the time limits of everything here.
pub(crate) fn connector() -> Connector {
    with_limits(HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(FIRST_BYTE).build())
}

/// The HTTP stack of everything here, for servers that no client of the SDK is for. A connection has to stand in time;
/// how long an answer may take is up to the caller.
pub fn patient_connector() -> Connector {
    with_limits(HttpConnectorSettings::builder().connect_timeout(CONNECT).build())
}

fn with_limits(limits: HttpConnectorSettings) -> Connector {
    Connector::builder().tls_provider(TLS).connector_settings(limits).build()
}

/// The body of a successful answer. What is wrong is told without the request, which may hold a secret.
pub(crate) async fn get(
    connector: &Connector,
    address: &str,
    headers: &[(&'static str, &str)],
) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut attempt = 1;
    loop {
        match once(connector, address, headers).await {
            Ok(body) => return Ok(body),
            Err(NoAnswer { passes: true, .. }) if attempt < ATTEMPTS => pause(attempt).await,
            Err(NoAnswer { what, .. }) => return Err(what),
        }
        attempt += 1;
    }
}

async fn once(
    connector: &Connector,
    address: &str,
    headers: &[(&'static str, &str)],
) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
    let failed = |what: &str| NoAnswer { what: what.to_owned(), passes: false };
    let passing = |what: &str| NoAnswer { what: what.to_owned(), passes: true };
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(address.to_owned()).map_err(|_| failed("it is no address"))?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, (*value).to_owned());
    }
    let answer = connector.call(request).await;
    // Not the connector's own words: they could quote the request.
    let answer =
        answer.map_err(|error| passing(if error.is_timeout() { "no answer in time" } else { "can't be reached" }))?;
    match answer.status().as_u16() {
        200 => read(answer).await.ok_or_else(|| passing("the answer breaks off, or is too long")),
        status @ (429 | 500..) => Err(passing(&format!("HTTP {status}"))),
        status => Err(failed(&format!("HTTP {status}"))),
    }
}

async fn read(answer: HttpResponse) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = ByteStream::new(answer.into_body());
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(chunk) = body.try_next().await.ok()? {
        if bytes.len() + chunk.len() > LIMIT {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}
