//! The CLI's side of the gateway: one JSON document out, one back.
//!
//! In local mode the functions run in this process; the documents are the same as those that Lambda gets. Whoever asks
//! waits out what passes: a minute, or as long as it says.

mod lambda;
mod patience;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use gateway::{Function, Gateway, GatewayError};
use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::gateway::{
    Answer, CancelRequest, CancelResponse, Cancelled, DeploymentFiles, JobLine, JobStatus, LaunchResponse, Launched,
    Query, StatusRequest, StatusResponse,
};
use manifest_schema::job::{JobId, LaunchRequest};
use manifest_schema::manifest::BuildManifest;
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::{Document, Timestamp};
use records::Ambient;
use records::place::PlaceError;

use crate::config::{self, Environment};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::purpose::Purpose;
use lambda::Lambda;
use patience::Patience;

/// A gateway that can be asked.
pub(crate) struct GatewayClient {
    way: Rc<Way>,
    patience: Patience,
}

enum Way {
    /// In this process.
    Local(Box<Gateway>),
    /// In production's account.
    Lambda(Box<Lambda>),
}

impl GatewayClient {
    /// The gateway of an environment.
    ///
    /// # Errors
    /// When nothing names it, or a local one can't be opened. One in AWS is not asked yet.
    pub(crate) async fn open(context: &Context, environment: &Environment, purpose: &Purpose) -> Result<Self, Failure> {
        let way = Rc::new(match environment.gateway()? {
            config::Gateway::Local { production } => Way::Local(Box::new(local(&production, &context.ambient).await?)),
            config::Gateway::Lambda(gateway) => Way::Lambda(Box::new(Lambda::new(gateway, environment, purpose).await)),
        });
        Ok(Self { way, patience: Patience::short(context) })
    }

    /// The same gateway, waited for up to `limit` when it can't answer: for whoever has something to lose.
    pub(crate) fn patient(&self, limit: Duration) -> Self {
        Self { way: Rc::clone(&self.way), patience: self.patience.long(limit) }
    }

    async fn call<A: Document>(&self, function: Function, request: &impl Document) -> Result<A, Failure> {
        let request = request.to_bytes();
        let ask = async || match &*self.way {
            Way::Local(gateway) => gateway.handle(function, &request).await.map_err(failure),
            Way::Lambda(lambda) => lambda.call(function, request.clone()).await,
        };
        let answer = self.patience.ask(ask).await?;
        A::from_bytes(&answer).map_err(|error| {
            let problem = anyhow::Error::new(error).context(format!("the answer of {function} can't be read"));
            Failure::new(Exit::Failed, problem).hint("use a CLI of production's version")
        })
    }

    /// Makes sure that production reads what this CLI writes, before anything is made that it couldn't use.
    ///
    /// # Errors
    /// When it doesn't, or the gateway can't answer.
    pub(crate) async fn expect_readers(
        &self,
        environment: &EnvironmentName,
        project: &ProjectName,
    ) -> Result<(), Failure> {
        let query = Query::Deployed { environment: environment.clone(), project: project.clone(), after: u64::MAX };
        let reads = self.ask(query).await?.reads;
        let missing: Vec<&str> = WRITES.into_iter().filter(|name| !reads.iter().any(|known| known == name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let problem = anyhow::anyhow!("production in {environment} doesn't read {}", missing.join(", "));
        Err(Failure::new(Exit::Failed, problem).hint("use a CLI of production's version, or have production upgraded"))
    }

    /// Asks for a job.
    ///
    /// # Errors
    /// When the gateway can't answer. A refusal is an answer.
    pub(crate) async fn launch(&self, request: &LaunchRequest) -> Result<Launched, Failure> {
        let response: LaunchResponse = self.call(Function::LaunchDeployJob, request).await?;
        Ok(response.result)
    }

    /// How a job is, with its events after a number.
    ///
    /// # Errors
    /// When there is no such job, or the gateway can't answer.
    pub(crate) async fn job(&self, job: JobId, after: u32) -> Result<JobStatus, Failure> {
        match self.ask(Query::Job { job, after }).await?.answer {
            Answer::Job(status) => Ok(*status),
            Answer::UnknownJob => Err(unknown(job)),
            Answer::Deployed { .. } | Answer::Jobs { .. } => Err(another_question()),
        }
    }

    /// All deployments of a project in an environment, oldest first.
    ///
    /// # Errors
    /// When the gateway can't answer.
    pub(crate) async fn deployments(
        &self,
        environment: &EnvironmentName,
        project: &ProjectName,
    ) -> Result<Vec<DeploymentFiles>, Failure> {
        let mut all: Vec<DeploymentFiles> = Vec::new();
        loop {
            let after = all.last().map_or(0, |files| files.record.sequence);
            let query = Query::Deployed { environment: environment.clone(), project: project.clone(), after };
            match self.ask(query).await?.answer {
                Answer::Deployed { deployments, more, .. } => {
                    let empty = deployments.is_empty();
                    all.extend(deployments);
                    if !more || empty {
                        return Ok(all);
                    }
                }
                Answer::Job(_) | Answer::UnknownJob | Answer::Jobs { .. } => return Err(another_question()),
            }
        }
    }

    /// The job that holds the lease of a project in an environment, live or not.
    ///
    /// # Errors
    /// When the gateway can't answer.
    pub(crate) async fn applying(
        &self,
        environment: &EnvironmentName,
        project: &ProjectName,
    ) -> Result<Option<JobId>, Failure> {
        // No record comes after the last number, so only the lease is looked at.
        let query = Query::Deployed { environment: environment.clone(), project: project.clone(), after: u64::MAX };
        match self.ask(query).await?.answer {
            Answer::Deployed { applying, .. } => Ok(applying),
            Answer::Job(_) | Answer::UnknownJob | Answer::Jobs { .. } => Err(another_question()),
        }
    }

    /// The newest deployment record.
    ///
    /// # Errors
    /// When the gateway can't answer.
    pub(crate) async fn latest(
        &self,
        environment: &EnvironmentName,
        project: &ProjectName,
    ) -> Result<Option<DeploymentRecord>, Failure> {
        Ok(self.deployments(environment, project).await?.pop().map(|files| files.record))
    }

    /// All jobs, oldest first.
    ///
    /// # Errors
    /// When the gateway can't answer.
    pub(crate) async fn jobs(&self) -> Result<Vec<JobLine>, Failure> {
        let mut all: Vec<JobLine> = Vec::new();
        loop {
            let after = all.last().map(|line| line.job);
            match self.ask(Query::Jobs { after }).await?.answer {
                Answer::Jobs { jobs, more } => {
                    let empty = jobs.is_empty();
                    all.extend(jobs);
                    if !more || empty {
                        return Ok(all);
                    }
                }
                Answer::Job(_) | Answer::UnknownJob | Answer::Deployed { .. } => return Err(another_question()),
            }
        }
    }

    /// Asks for a job to be cancelled.
    ///
    /// # Errors
    /// When there is no such job, or the gateway can't answer.
    pub(crate) async fn cancel(&self, job: JobId) -> Result<Cancelled, Failure> {
        let request = CancelRequest { schema: Default::default(), job };
        let response: CancelResponse = self.call(Function::CancelDeployJob, &request).await?;
        match response.result {
            Cancelled::UnknownJob => Err(unknown(job)),
            result @ (Cancelled::Requested | Cancelled::AlreadyEnded) => Ok(result),
        }
    }

    async fn ask(&self, query: Query) -> Result<StatusResponse, Failure> {
        let request = StatusRequest { schema: Default::default(), query };
        self.call(Function::GetDeployJobStatus, &request).await
    }
}

/// What this CLI writes and production has to read.
const WRITES: [&str; 4] = [BuildManifest::SCHEMA, LaunchRequest::SCHEMA, StatusRequest::SCHEMA, CancelRequest::SCHEMA];

/// The gateway of a local production directory.
async fn local(production: &Path, ambient: &Ambient) -> Result<Gateway, Failure> {
    let config = production.join("config").join("gateway.json");
    Gateway::open(&config, ambient.clone()).await.map_err(failure)
}

fn failure(error: GatewayError) -> Failure {
    if let GatewayError::Record(error) = error {
        return error.into();
    }
    if let GatewayError::Place(PlaceError::Aws(error)) = error {
        return error.into();
    }
    let (exit, advice) = (if error.is_temporary() { Exit::Unavailable } else { Exit::Failed }, error.advice());
    let failure = Failure::new(exit, error);
    match advice {
        Some(advice) => failure.hint(advice),
        None => failure,
    }
}

fn unknown(job: JobId) -> Failure {
    let failure = Failure::new(Exit::Failed, anyhow::anyhow!("this environment has no job {job}"));
    failure.hint("check the id and the environment; `airlock audit log` lists the jobs")
}

fn another_question() -> Failure {
    Failure::new(
        Exit::Failed,
        anyhow::anyhow!("the gateway answered another question: its version doesn't fit this one"),
    )
}

/// How long ago a time was, for people.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    format!("{} ago", crate::output::duration(now.seconds_since(then)))
}
