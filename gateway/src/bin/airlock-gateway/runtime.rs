//! The runtime API of AWS Lambda: how a function gets its requests and gives its answers ("Using the Lambda runtime API
//! for custom runtimes"). Four calls, HTTP/1.1 to an address that only this process reaches.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use manifest_schema::gateway::FunctionError;
use tokio::net::TcpStream;

/// What every path starts with: the version of the API.
const API: &str = "/2018-06-01/runtime";
/// Lambda passes on no larger payloads, in bytes ("Lambda quotas").
const MOST_PAYLOAD: usize = 6 << 20;
/// Names a request.
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
/// Names the type of an error.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// One request to the function.
pub(crate) struct Invocation {
    /// Its id in Lambda.
    pub(crate) id: String,
    /// What was sent.
    pub(crate) payload: Bytes,
}

/// The runtime API, over one connection that is made again when it was closed.
pub(crate) struct Runtime {
    address: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Runtime {
    /// The API at `HOST:PORT`.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None }
    }

    /// Waits for the next request.
    ///
    /// # Errors
    /// When the API can't be reached; then the process has nothing left to do.
    pub(crate) async fn next(&mut self) -> Result<Invocation, String> {
        let answer = self.call(Method::GET, "/invocation/next", &[], Bytes::new()).await?;
        expect(&answer, StatusCode::OK, "the next request")?;
        let id = answer.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let id = id.ok_or_else(|| format!("the runtime API names no request ({REQUEST_ID})"))?.to_owned();
        let body = Limited::new(answer.into_body(), MOST_PAYLOAD).collect().await;
        let payload = body.map_err(|error| format!("a request from the runtime API breaks off: {error}"))?.to_bytes();
        Ok(Invocation { id, payload })
    }

    /// Gives the answer to a request.
    ///
    /// # Errors
    /// When the API can't be reached, or doesn't take it.
    pub(crate) async fn respond(&mut self, invocation: &Invocation, answer: Vec<u8>) -> Result<(), String> {
        let path = format!("/invocation/{}/response", invocation.id);
        self.tell(&path, &[("content-type", "application/json")], answer.into()).await
    }

    /// Says why a request has no answer.
    ///
    /// # Errors
    /// When the API can't be reached, or doesn't take it.
    pub(crate) async fn fail(&mut self, invocation: &Invocation, error: &FunctionError) -> Result<(), String> {
        self.tell_error(&format!("/invocation/{}/error", invocation.id), error).await
    }

    /// Says why this process can't take requests.
    ///
    /// # Errors
    /// When the API can't be reached, or doesn't take it.
    pub(crate) async fn refuse_init(&mut self, error: &FunctionError) -> Result<(), String> {
        self.tell_error("/init/error", error).await
    }

    async fn tell_error(&mut self, path: &str, error: &FunctionError) -> Result<(), String> {
        let headers = [("content-type", "application/json"), (ERROR_TYPE, error.kind.as_str())];
        self.tell(path, &headers, manifest_schema::json::to_bytes(error).into()).await
    }

    async fn tell(&mut self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<(), String> {
        let answer = self.call(Method::POST, path, headers, body).await?;
        expect(&answer, StatusCode::ACCEPTED, path)?;
        // Read to its end, so that the connection can be used again.
        Limited::new(answer.into_body(), MOST_PAYLOAD).collect().await.map(drop).map_err(|error| error.to_string())
    }

    async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::builder().method(method).uri(format!("{API}{path}")).header("host", &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| format!("{path} can't be asked for: {error}"))?;
        let unreachable = |error: &dyn std::fmt::Display| format!("the runtime API can't be reached: {error}");
        let mut kept = self.connection.take();
        if let Some(open) = &mut kept
            && open.ready().await.is_err()
        {
            kept = None;
        }
        let mut connection = match kept {
            Some(open) => open,
            None => connect(&self.address).await.map_err(|error| unreachable(&error))?,
        };
        let answer = connection.send_request(request).await.map_err(|error| unreachable(&error))?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // Whoever uses the connection next sees that it is gone.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the runtime API ended");
        }
    });
    Ok(sender)
}

fn expect(answer: &Response<Incoming>, status: StatusCode, what: &str) -> Result<(), String> {
    if answer.status() == status {
        return Ok(());
    }
    Err(format!("the runtime API answered {what} with HTTP {}", answer.status().as_u16()))
}
