//! The CLI's side of the gateway: one JSON document out, one back.
//!
//! In local mode the functions run in this process; the documents are the same as those that Lambda gets.

use std::path::Path;

use gateway::{Function, Gateway, GatewayError};
use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::gateway::{
    Answer, CancelRequest, CancelResponse, Cancelled, DeploymentFiles, JobLine, JobStatus, LaunchResponse, Launched,
    Query, StatusRequest, StatusResponse,
};
use manifest_schema::job::{JobId, LaunchRequest};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::{Document, Timestamp};
use records::Ambient;
use records::place::PlaceError;

use crate::exit::{Exit, Failure};

/// A gateway that can be asked.
pub(crate) enum GatewayClient {
    /// In this process.
    Local(Box<Gateway>),
}

impl GatewayClient {
    /// The gateway of a local production directory.
    pub(crate) async fn local(production: &Path, ambient: &Ambient) -> Result<Self, Failure> {
        let config = production.join("config").join("gateway.json");
        let gateway = Gateway::open(&config, ambient.clone()).await.map_err(failure)?;
        Ok(Self::Local(Box::new(gateway)))
    }

    async fn call<A: Document>(&self, function: Function, request: &impl Document) -> Result<A, Failure> {
        let answer = match self {
            Self::Local(gateway) => gateway.handle(function, &request.to_bytes()).await.map_err(failure)?,
        };
        Ok(A::from_bytes(&answer)?)
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
        match self.ask(Query::Job { job, after }).await? {
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
            match self.ask(query).await? {
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
        match self.ask(query).await? {
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
            match self.ask(Query::Jobs { after }).await? {
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

    async fn ask(&self, query: Query) -> Result<Answer, Failure> {
        let request = StatusRequest { schema: Default::default(), query };
        let response: StatusResponse = self.call(Function::GetDeployJobStatus, &request).await?;
        Ok(response.answer)
    }
}

fn failure(error: GatewayError) -> Failure {
    if let GatewayError::Record(error) = error {
        return error.into();
    }
    if let GatewayError::Place(PlaceError::Aws(error)) = error {
        return error.into();
    }
    let exit = if error.is_temporary() { Exit::Unavailable } else { Exit::Failed };
    Failure::new(exit, error)
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
