//! What was deployed, and which jobs there are.

use manifest_schema::gateway::{Answer, JobLine};
use manifest_schema::job::{JobId, WriterKind};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::{Key, prefix};
use records::{Journal, deployments, lease};

use super::budget::Budget;
use crate::{Gateway, GatewayError};

/// Most entries of one page: each is read from the store one by one.
const MOST_ENTRIES: usize = 100;

impl Gateway {
    pub(super) async fn deployed(
        &self,
        environment: &EnvironmentName,
        project: &ProjectName,
        after: u64,
    ) -> Result<Answer, GatewayError> {
        let applying = lease::holder(&self.sides.production, environment, project).await?;
        let mut budget = Budget::new();
        let mut found = Vec::new();
        // By their keys, not by counting: a record that is gone must not hide those after it.
        let past = Key::Deployed(environment.clone(), project.clone(), after).to_string();
        let prefix = prefix::deployed(environment, project);
        let listed = self.sides.production.list(&prefix, Some(&past), MOST_ENTRIES + 1).await?;
        for sequence in listed.iter().filter_map(|entry| Key::number_of(&entry.key)) {
            let record = deployments::get(&self.sides.production, environment, project, sequence).await?;
            let Some(record) = record else { continue };
            let files = self.deployment_files(record).await?;
            if found.len() == MOST_ENTRIES || !budget.take(&files) {
                return Ok(Answer::Deployed { deployments: found, more: true, applying });
            }
            found.push(files);
        }
        Ok(Answer::Deployed { deployments: found, more: false, applying })
    }

    pub(super) async fn jobs(&self, after: Option<JobId>) -> Result<Answer, GatewayError> {
        let mut budget = Budget::new();
        let mut found = Vec::new();
        let mut last = after;
        while let Some(job) = self.next_job(last).await? {
            let journal = Journal::open(&self.sides.production, &self.ambient, WriterKind::Gateway, job).await?;
            last = Some(job);
            let Some(journal) = journal else { continue };
            let line = line(&journal);
            if found.len() == MOST_ENTRIES || !budget.take(&line) {
                return Ok(Answer::Jobs { jobs: found, more: true });
            }
            found.push(line);
        }
        Ok(Answer::Jobs { jobs: found, more: false })
    }

    /// The job that comes after another one, in the order of their ids, which is that of their launches.
    async fn next_job(&self, last: Option<JobId>) -> Result<Option<JobId>, GatewayError> {
        // A job's request is the last of its keys, so what comes after it is another job's.
        let mut after = last.map(|job| Key::JobRequest(job).to_string());
        loop {
            let listed = self.sides.production.list(prefix::JOBS, after.as_deref(), 1).await?;
            let Some(entry) = listed.into_iter().next() else { return Ok(None) };
            let name = entry.key.strip_prefix(prefix::JOBS).and_then(|rest| rest.split('/').next());
            match name.and_then(|name| name.parse().ok()) {
                Some(job) if Some(job) != last => return Ok(Some(job)),
                Some(_) | None => after = Some(entry.key),
            }
        }
    }
}

fn line(journal: &Journal) -> JobLine {
    let (job, asked) = (journal.job(), journal.request());
    JobLine {
        job: job.id(),
        request: asked.request.clone(),
        requested_at: asked.requested_at,
        phase: job.phase(),
        outcome: job.ended().map(|(outcome, _)| outcome),
    }
}
