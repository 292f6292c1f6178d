//! The Lambda Runtime API, version 2018-06-01, as one instance sees it.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use super::LONGEST_RESPONSE;
use super::instance::{Desk, Outcome, Work};
use crate::http::{Response, response};

/// Serves it until it is aborted.
pub(super) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(answer(request, &desk).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: hyper::Request<Incoming>, desk: &Desk) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return said(400, "BadRequest", "the body broke off");
    };
    let path = head.uri.path().strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
    match (head.method.as_str(), &path.split('/').collect::<Vec<_>>()[..]) {
        ("GET", ["invocation", "next"]) => next(desk).await,
        ("POST", ["invocation", id, "response"]) => {
            let too_large = body.len() > LONGEST_RESPONSE;
            let answered = settle(desk, id, Outcome::Response(body));
            if too_large {
                let message = format!("Exceeded maximum allowed payload size ({LONGEST_RESPONSE} bytes).");
                return said(413, "RequestEntityTooLarge", &message);
            }
            answered
        }
        ("POST", ["invocation", id, "error"]) => settle(desk, id, Outcome::Error { body }),
        ("POST", ["init", "error"]) => {
            *desk.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
            accepted()
        }
        _ => said(404, "NotFound", "the Runtime API has no such path"),
    }
}

/// Waits for work, for as long as it takes.
async fn next(desk: &Desk) -> Response {
    desk.ready.send_replace(true);
    let Some(Work { id, payload, deadline, answer }) = desk.queue.lock().await.recv().await else {
        return said(500, "Gone", "this instance gets no more work");
    };
    let mut response = response(200, "application/json", payload);
    let trace = format!("Root=1-d0b1e000-{};Parent=d0b1e00000000000;Sampled=0", &id.replace('-', "")[8..]);
    for (name, value) in [
        ("lambda-runtime-aws-request-id", id.clone()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", desk.arn.clone()),
        ("lambda-runtime-trace-id", trace),
    ] {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    *desk.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, answer));
    response
}

/// Ends the invocation with this id.
fn settle(desk: &Desk, id: &str, outcome: Outcome) -> Response {
    let mut current = desk.current.lock().unwrap_or_else(PoisonError::into_inner);
    match current.take() {
        Some((of, answer)) if of == id => {
            // Who asked may have given up.
            let _ = answer.send(outcome);
            accepted()
        }
        other => {
            *current = other;
            said(400, "InvalidRequestID", "Invalid request ID")
        }
    }
}

fn accepted() -> Response {
    response(202, "application/json", "{\"status\":\"OK\"}\n")
}

fn said(status: u16, kind: &str, message: &str) -> Response {
    response(status, "application/json", json!({ "errorType": kind, "errorMessage": message }).to_string())
}
