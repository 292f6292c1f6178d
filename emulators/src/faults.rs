//! A proxy that carries out requests, or doesn't, and answers what it is told to: the ways in which networks and S3 fail.
//!
//! Each request is read whole, shown to the plan, and met with the fault that it names. Requests go on with the headers
//! that they came with, the host's name too, so signatures stay right.

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

/// A request, as the plan and the test see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How many came before it.
    pub number: usize,
    /// Such as `PUT`.
    pub method: String,
    /// Such as `/bucket/blobs/sha256/…`.
    pub path: String,
    /// Such as `uploads=&x-id=CreateMultipartUpload`; empty if there is none.
    pub query: String,
    /// The header `If-None-Match` or `If-Match`, with its name.
    pub condition: Option<String>,
    /// The header `x-amz-expected-bucket-owner`.
    pub owner: Option<String>,
    /// The access key of its signature.
    pub access_key: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// How long its body is.
    pub length: usize,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing bad.
    None,
    /// It is carried out after this time.
    Delay(Duration),
    /// One bit of its body is another when it is carried out.
    WrongUpload,
    /// It is carried out; the first text in the answer's body is the second.
    Instead(&'static str, &'static str),
    /// It is not carried out; the answer is this error.
    Status(u16, &'static str),
    /// It is not carried out; this is the answer: status, headers and body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// It is not carried out; the connection is closed.
    Dropped,
    /// So many bytes of its body are passed on; then both connections are closed.
    CutUpload(usize),
    /// So many bytes of its body are carried out as if they were all; the connection is closed without an answer.
    PartOfUpload(usize),
    /// It is not carried out; what the last [`Fault::PartOfUpload`] led to is the answer, as a registry's 204.
    UploadStatus,
    /// It is carried out; the connection is closed without an answer.
    LostAnswer,
    /// It is carried out; the answer is this error.
    CarriedOutBut(u16, &'static str),
    /// The answer says how long it is, and breaks off half-way.
    CutBody,
    /// The answer is shorter, and says so.
    ShortBody,
    /// One bit of the answer's body is another.
    WrongBytes,
    /// The answer to the first request with this method and path is given again.
    Stale,
}

type Plan = Box<dyn Fn(&Seen) -> Fault + Send>;

/// What was answered, to be answered again.
type Answers = Vec<(String, StatusCode, hyper::HeaderMap, Bytes)>;

struct State {
    plan: Plan,
    seen: Vec<Seen>,
    answers: Answers,
    /// What a registry answered to a part of an upload.
    part: hyper::HeaderMap,
}

/// A running proxy.
pub struct FaultProxy {
    port: u16,
    state: Arc<Mutex<State>>,
    _stop: oneshot::Sender<Infallible>,
}

impl FaultProxy {
    /// Starts one before the server at this port on loopback, without faults.
    pub fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan: Plan = Box::new(|_| Fault::None);
        let state =
            Arc::new(Mutex::new(State { plan, seen: Vec::new(), answers: Vec::new(), part: hyper::HeaderMap::new() }));
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, upstream, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { port, state, _stop: stop }
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on this happens, and what was seen is forgotten.
    pub fn plan(&self, plan: impl Fn(&Seen) -> Fault + Send + 'static) {
        let mut state = lock(&self.state);
        (state.plan, state.seen) = (Box::new(plan), Vec::new());
    }

    /// This happens to the first `times` requests that fit.
    pub fn first(&self, times: usize, fault: Fault, fits: impl Fn(&Seen) -> bool + Send + 'static) {
        let left = Mutex::new(times);
        self.plan(move |seen| {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            if *left == 0 || !fits(seen) {
                return Fault::None;
            }
            *left -= 1;
            fault.clone()
        });
    }

    /// What came since the plan was made.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: tokio::net::TcpListener, upstream: u16, state: Arc<Mutex<State>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, upstream, Arc::clone(&state)));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A fault that closes the connection is an error here.
            let _ = connection.await;
        });
    }
}

/// The connection is closed.
type Closed = std::io::Error;

async fn answer(
    request: Request<Incoming>,
    upstream: u16,
    state: Arc<Mutex<State>>,
) -> Result<Response<Answer>, Closed> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let (seen, fault) = {
        let mut state = lock(&state);
        let seen = describe(&head, state.seen.len(), body.len());
        state.seen.push(seen.clone());
        let fault = (state.plan)(&seen);
        (seen, fault)
    };
    let closed = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    match fault {
        Fault::Status(status, code) => return Ok(error(status, code)),
        Fault::Answer(status, headers, body) => return Ok(said(status, &headers, body)),
        Fault::Dropped => return Err(closed()),
        Fault::CutUpload(length) => {
            let part = body.slice(..length.min(body.len()));
            let cut = Answer { missing: body.len() - part.len(), bytes: Some(part) };
            let _ = forward(head, cut, upstream).await;
            return Err(closed());
        }
        Fault::PartOfUpload(length) => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            let part = Full::new(body.slice(..length));
            let (_, headers, _) = forward(head, part, upstream).await.map_err(std::io::Error::other)?;
            lock(&state).part = headers;
            return Err(closed());
        }
        Fault::UploadStatus => {
            let headers = lock(&state).part.clone();
            return Ok(response(StatusCode::NO_CONTENT, headers, Bytes::new(), 0));
        }
        Fault::Delay(time) => tokio::time::sleep(time).await,
        Fault::None
        | Fault::WrongUpload
        | Fault::Instead(..)
        | Fault::LostAnswer
        | Fault::CarriedOutBut(..)
        | Fault::CutBody
        | Fault::ShortBody
        | Fault::WrongBytes
        | Fault::Stale => {}
    }
    let body = if fault == Fault::WrongUpload { flipped(&body) } else { body };
    let (status, headers, body) = forward(head, Full::new(body), upstream).await.map_err(std::io::Error::other)?;
    let name = format!("{} {}", seen.method, seen.path);
    let first = {
        let mut state = lock(&state);
        if !state.answers.iter().any(|(other, ..)| *other == name) {
            state.answers.push((name.clone(), status, headers.clone(), body.clone()));
        }
        state.answers.iter().find(|(other, ..)| *other == name).cloned()
    };
    Ok(match fault {
        Fault::LostAnswer => return Err(closed()),
        Fault::CarriedOutBut(status, code) => error(status, code),
        Fault::CutBody => response(status, headers, body.slice(..body.len() / 2), body.len()),
        Fault::ShortBody => response(status, headers, body.slice(..body.len() / 2), body.len() / 2),
        Fault::WrongBytes => {
            let length = body.len();
            response(status, headers, flipped(&body), length)
        }
        Fault::Instead(there, instead) => {
            let text = String::from_utf8_lossy(&body).replace(there, instead);
            let length = text.len();
            response(status, headers, text.into(), length)
        }
        Fault::Stale => match first {
            Some((_, status, headers, body)) => {
                let length = body.len();
                response(status, headers, body, length)
            }
            None => return Err(closed()),
        },
        Fault::None
        | Fault::WrongUpload
        | Fault::Delay(_)
        | Fault::Status(..)
        | Fault::Dropped
        | Fault::Answer(..)
        | Fault::CutUpload(_)
        | Fault::PartOfUpload(_)
        | Fault::UploadStatus => {
            // What HEAD answers says how long a body would be that isn't there.
            let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            let length = told.filter(|_| seen.method == "HEAD").unwrap_or(body.len());
            response(status, headers, body, length)
        }
    })
}

/// With one bit changed.
fn flipped(body: &Bytes) -> Bytes {
    let mut wrong = body.to_vec();
    if let Some(byte) = wrong.get_mut(body.len() / 2) {
        *byte ^= 1;
    }
    wrong.into()
}

fn describe(head: &hyper::http::request::Parts, number: usize, length: usize) -> Seen {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let conditions = ["if-none-match", "if-match"];
    let condition = conditions.into_iter().find_map(|name| header(name).map(|value| format!("{name}: {value}")));
    Seen {
        number,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        condition,
        owner: header("x-amz-expected-bucket-owner"),
        access_key: header("authorization")
            .and_then(|signed| Some(signed.split_once("Credential=")?.1.split_once('/')?.0.to_owned())),
        authorization: header("authorization"),
        length,
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn forward<B>(
    head: hyper::http::request::Parts,
    body: B,
    upstream: u16,
) -> Result<(StatusCode, hyper::HeaderMap, Bytes), Failure>
where
    B: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", upstream)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(Request::from_parts(head, body)).await?;
    let (head, body) = answer.into_parts();
    Ok((head.status, head.headers, body.collect().await?.to_bytes()))
}

fn error(status: u16, code: &'static str) -> Response<Answer> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>planned</Message></Error>");
    let mut headers = hyper::HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    let length = text.len();
    response(StatusCode::from_u16(status).unwrap(), headers, text.into(), length)
}

fn said(status: u16, headers: &[(&'static str, String)], body: String) -> Response<Answer> {
    let named = headers
        .iter()
        .map(|(name, value)| (hyper::header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
    let length = body.len();
    response(StatusCode::from_u16(status).unwrap(), named.collect(), body.into(), length)
}

fn response(status: StatusCode, mut headers: hyper::HeaderMap, body: Bytes, length: usize) -> Response<Answer> {
    headers.remove(TRANSFER_ENCODING);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let mut response = Response::new(Answer { missing: length.saturating_sub(body.len()), bytes: Some(body) });
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}

/// A body that breaks off if it is shorter than it was said to be.
struct Answer {
    bytes: Option<Bytes>,
    missing: usize,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if let Some(bytes) = self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.missing == 0 {
            return Poll::Ready(None);
        }
        // Once more round, so that what was given is on its way before the connection closes.
        self.missing = 0;
        context.waker().wake_by_ref();
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }

    fn size_hint(&self) -> SizeHint {
        let here = self.bytes.as_ref().map_or(0, Bytes::len) + self.missing;
        SizeHint::with_exact(here as u64)
    }
}
