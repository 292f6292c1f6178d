//! The server: takes requests, notes them, lets them fail as ordered, and hands them to their service.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::http::{Refusal, Request, Response, Service, response};
use crate::{Call, Core, Failure, ecs, lambda, scheduler, sts};

/// The longest body of a request that isn't for S3, in bytes.
const LONGEST: usize = 16 << 20;

/// The connection ends without an answer.
type Cut = io::Error;

/// Accepts connections until it is dropped.
pub(crate) async fn serve(listener: TcpListener, core: Arc<Core>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let core = Arc::clone(&core);
                // What was begun goes on when the caller has gone, as in AWS.
                async move { tokio::spawn(answer(core, request)).await.map_err(io::Error::other)? }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(core: Arc<Core>, request: hyper::Request<Incoming>) -> Result<Response, Cut> {
    let (head, body) = request.into_parts();
    let mut request = Request { head, body: Bytes::new() };
    let mut streamed = None;
    if request.service() == Some(Service::S3) {
        streamed = Some(body);
    } else {
        let body = http_body_util::Limited::new(body, LONGEST).collect().await.map_err(io::Error::other)?;
        request.body = body.to_bytes();
    }
    let Some((service, action)) = action(&request) else {
        let what = format!("{} {}", request.head.method, request.head.uri);
        return Ok(core.complain(&Refusal::not_doubled(what), None));
    };
    let failure = core.note(service, &request, &action);
    let refuse = |refusal: &Refusal| Ok(service.refuse(refusal));
    match failure {
        Failure::Error { status, code, message } => return refuse(&Refusal::new(status, code, message)),
        Failure::Throttled => return refuse(&service.throttled()),
        Failure::Broken => return refuse(&service.broken()),
        Failure::Cut => return Err(io::ErrorKind::ConnectionReset.into()),
        Failure::Slow(pause) => tokio::time::sleep(pause).await,
        Failure::None | Failure::Late(_) | Failure::Lost | Failure::Task(_) | Failure::OtherKey | Failure::Garbage => {}
    }
    let answered = carry_out(&core, service, &action, &request, streamed, &failure).await;
    let response = answered.unwrap_or_else(|refusal| match refusal.status {
        501 => core.complain(&refusal, Some(service)),
        _ => service.refuse(&refusal),
    });
    match failure {
        Failure::Lost => Err(io::ErrorKind::ConnectionReset.into()),
        Failure::Late(pause) => {
            tokio::time::sleep(pause).await;
            Ok(response)
        }
        Failure::None
        | Failure::Error { .. }
        | Failure::Throttled
        | Failure::Broken
        | Failure::Slow(_)
        | Failure::Cut
        | Failure::Task(_)
        | Failure::OtherKey
        | Failure::Garbage => Ok(response),
    }
}

/// Whose request it is, and for what, such as `kms:Sign`.
fn action(request: &Request) -> Option<(Service, String)> {
    let service = request.service()?;
    let operation = || request.header("x-amz-target")?.split_once('.').map(|(_, operation)| operation.to_owned());
    let action = match service {
        Service::Kms => format!("kms:{}", operation()?),
        Service::Ecs => format!("ecs:{}", operation()?),
        Service::Events => format!("events:{}", operation()?),
        Service::Logs => format!("logs:{}", operation()?),
        Service::Scheduler => scheduler::action(request)?.to_owned(),
        Service::Ssm => format!("ssm:{}", operation()?),
        Service::CloudWatch => format!("cloudwatch:{}", operation()?),
        Service::Lambda => lambda::action(request)?,
        Service::Sts => format!("sts:{}", request.parameters().get("Action")?),
        Service::S3 => crate::s3::Wanted::of(request).map(|wanted| wanted.action.to_owned())?,
        Service::Github => "github:Token".to_owned(),
        Service::Container if request.path().starts_with("/v2/") => "container:Credentials".to_owned(),
        Service::Container => "container:Metadata".to_owned(),
    };
    Some((service, action))
}

async fn carry_out(
    core: &Arc<Core>,
    service: Service,
    action: &str,
    request: &Request,
    body: Option<Incoming>,
    failure: &Failure,
) -> Result<Response, Refusal> {
    match service {
        Service::Github => return Ok(core.state().people.github(request)),
        Service::Container => return Ok(ecs::serve_container(core, request.path())),
        Service::Sts if action == "sts:AssumeRoleWithWebIdentity" => return core.state().assume_with_token(request),
        Service::CloudWatch
        | Service::Ecs
        | Service::Events
        | Service::Kms
        | Service::Lambda
        | Service::Logs
        | Service::S3
        | Service::Scheduler
        | Service::Ssm
        | Service::Sts => {}
    }
    let caller = core.state().people.who(service, request)?;
    let operation = action.split_once(':').map_or(action, |(_, operation)| operation);
    match service {
        Service::Sts => match operation {
            "GetCallerIdentity" => Ok(sts::identity(&caller)),
            "AssumeRole" => core.state().assume(request, &caller),
            _ => Err(Refusal::not_doubled(action)),
        },
        Service::Kms => core.state().kms(operation, request, &caller, failure.lie()),
        Service::Events => core.state().events(operation, request, &caller),
        Service::Scheduler => core.state().scheduler(operation, request, &caller),
        Service::Logs => core.state().logs(operation, request, &caller),
        Service::Ssm => core.state().ssm(operation, request, &caller),
        Service::Ecs => {
            let failure = if let Failure::Task(failure) = failure { Some(failure.clone()) } else { None };
            ecs::answer(core, operation, request, &caller, failure)
        }
        Service::CloudWatch => core.state().cloudwatch(operation, request, &caller),
        Service::Lambda => lambda::answer_call(core, request, &caller).await,
        Service::S3 => crate::s3::answer(core, request, &caller, body).await,
        Service::Github | Service::Container => Err(Refusal::not_doubled(action)),
    }
}

impl Core {
    /// Notes a call; what is to go wrong with it.
    fn note(&self, service: Service, request: &Request, action: &str) -> Failure {
        let mut state = self.state();
        let scope = request.scope();
        let caller = state.people.who(service, request).ok().map(|caller| caller.arn().to_owned());
        let (access_key, region) = scope.map(|scope| (scope.access_key, scope.region)).unzip();
        let parameters = match service {
            Service::S3 => crate::s3::parameters(request),
            Service::Lambda => lambda::parameters(request),
            Service::Scheduler => scheduler::parameters(request),
            Service::CloudWatch
            | Service::Ecs
            | Service::Events
            | Service::Kms
            | Service::Logs
            | Service::Ssm
            | Service::Sts
            | Service::Github
            | Service::Container => request.parameters(),
        };
        state.calls.push(Call { action: action.to_owned(), access_key, caller, region, parameters });
        let position = state.failures.iter().position(|(of, _)| of == action);
        position.map_or(Failure::None, |position| state.failures.remove(position).1)
    }

    /// The test has asked for what isn't doubled: its author must hear of it.
    fn complain(&self, refusal: &Refusal, service: Option<Service>) -> Response {
        let complaint = format!("the double of AWS can't do {}", refusal.message);
        eprintln!("{complaint}");
        self.state().complaints.push(complaint.clone());
        match service {
            Some(service) => service.refuse(refusal),
            None => response(501, "text/plain", complaint),
        }
    }
}
