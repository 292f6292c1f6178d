//! A job's state is never stored: it is what its events add up to.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Event, Happening, JobOutcome, TaskId, WriterKind};
use super::{Action, JobId};
use crate::digest::Digest;
use crate::json::Document;
use crate::names::GroupName;
use crate::reason::Reason;
use crate::statement::Outcome;
use crate::time::Timestamp;

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The request is recorded; no worker has taken it.
    Requested,
    /// A worker has taken it and is deciding the gates.
    Verifying,
    /// Gates 1 to 10 passed; blobs are being fetched.
    Fetching,
    /// Everything is here; the plan is being made or checked.
    Planning,
    /// The plan is made and signed.
    Planned,
    /// The plan is the approved one; the lease and the claim are being taken.
    Claiming,
    /// Steps are being done.
    Applying,
    /// The deployment record is written.
    Recorded,
    /// It is over.
    Ended,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Requested => "requested",
            Self::Verifying => "verifying",
            Self::Fetching => "fetching",
            Self::Planning => "planning",
            Self::Planned => "planned",
            Self::Claiming => "claiming",
            Self::Applying => "applying",
            Self::Recorded => "recorded",
            Self::Ended => "ended",
        })
    }
}

/// A chain of events that can't have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job {job}, event {number}: {problem}")]
pub struct FoldError {
    /// The job.
    pub job: JobId,
    /// The event's place.
    pub number: u32,
    /// What is wrong.
    pub problem: String,
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// An intent without an end.
    Open,
    /// Done.
    Done,
    /// Failed.
    Failed(Reason),
    /// Failed, and what was live before is live again.
    RolledBack(Reason),
}

/// What a job's events add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    id: JobId,
    action: Action,
    phase: Phase,
    since: Option<Timestamp>,
    number: u32,
    last: Option<Digest>,
    task: Option<TaskId>,
    worker: Option<String>,
    cancelling: bool,
    warnings: Vec<Reason>,
    plan: Option<Digest>,
    steps: Vec<(u32, StepState)>,
    /// The group that the newest step is of.
    group: Option<GroupName>,
    recorded: Option<(u64, Outcome)>,
    ended: Option<(JobOutcome, Vec<Reason>)>,
}

impl Job {
    /// A job of which no event is known yet.
    pub fn new(id: JobId, action: Action) -> Self {
        Self {
            id,
            action,
            phase: Phase::Requested,
            since: None,
            number: 0,
            last: None,
            task: None,
            worker: None,
            cancelling: false,
            warnings: Vec::new(),
            plan: None,
            steps: Vec::new(),
            group: None,
            recorded: None,
            ended: None,
        }
    }

    /// Takes in the next event.
    ///
    /// # Errors
    /// When it is not the next of this job's chain, or can't happen now.
    pub fn take(&mut self, event: &Event) -> Result<(), FoldError> {
        self.check_link(event).and_then(|()| self.check_writer(event)).map_err(|problem| self.error(event, problem))?;
        let before = self.phase;
        self.happen(event).map_err(|problem| self.error(event, problem))?;
        if self.phase != before || self.since.is_none() {
            self.since = Some(event.at);
        }
        self.number = event.number;
        self.last = Some(Digest::of(&event.to_bytes()));
        Ok(())
    }

    fn error(&self, event: &Event, problem: String) -> FoldError {
        FoldError { job: self.id, number: event.number, problem }
    }

    fn check_link(&self, event: &Event) -> Result<(), String> {
        if event.job != self.id {
            return Err(format!("is of job {}", event.job));
        }
        if event.number != self.number + 1 {
            return Err(format!("comes after event {}", self.number));
        }
        if event.previous != self.last {
            return Err("doesn't hold the hash of the event before".to_owned());
        }
        if self.phase == Phase::Ended {
            return Err("comes after the end".to_owned());
        }
        Ok(())
    }

    fn check_writer(&self, event: &Event) -> Result<(), String> {
        let by_gateway = event.writer.kind == WriterKind::Gateway;
        let gateway_only =
            matches!(event.event, Happening::Requested | Happening::Started { .. } | Happening::CancelRequested);
        let either = matches!(event.event, Happening::Ended { .. });
        if by_gateway != gateway_only && !either {
            return Err("is not for its writer to write".to_owned());
        }
        match &self.worker {
            Some(worker) if !by_gateway && *worker != event.writer.id => Err("is of another worker".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), String> {
        match &event.event {
            Happening::Requested => self.require(self.number == 0)?,
            Happening::Started { task } => {
                self.require(self.number > 0)?;
                // A worker that was quicker than the gateway's note of it has said more exactly what it is.
                self.task.get_or_insert_with(|| task.clone());
            }
            Happening::Began { task, .. } => {
                self.require(self.number > 0 && self.worker.is_none())?;
                self.task = Some(task.clone());
                self.worker = Some(event.writer.id.clone());
                self.phase = Phase::Verifying;
            }
            Happening::Verified { warnings, .. } => {
                self.advance(Phase::Verifying, Phase::Fetching)?;
                self.warnings.clone_from(warnings);
            }
            Happening::Fetched { .. } => self.advance(Phase::Fetching, Phase::Planning)?,
            Happening::Planned { plan, .. } => {
                self.require(self.action != Action::Apply)?;
                self.advance(Phase::Planning, Phase::Planned)?;
                self.plan = Some(*plan);
            }
            Happening::Checked => {
                self.require(self.action == Action::Apply)?;
                self.advance(Phase::Planning, Phase::Claiming)?;
            }
            Happening::Claimed { .. } => self.advance(Phase::Claiming, Phase::Applying)?,
            Happening::Intent { step, group, .. } => self.open(*step, group.as_ref())?,
            Happening::Done { step } => self.close(*step, StepState::Done)?,
            Happening::StepFailed { step, reason } => self.close(*step, StepState::Failed(reason.clone()))?,
            Happening::StepRolledBack { step, reason } => self.close(*step, StepState::RolledBack(reason.clone()))?,
            Happening::Recorded { sequence, outcome } => {
                let all_done = self.steps.iter().all(|(_, state)| *state == StepState::Done);
                if *outcome == Outcome::Succeeded && !all_done {
                    return Err("records a success, but not every step is done".to_owned());
                }
                self.advance(Phase::Applying, Phase::Recorded)?;
                self.recorded = Some((*sequence, *outcome));
            }
            Happening::Progress { .. } => self.require(self.worker.is_some())?,
            Happening::CancelRequested => {
                self.require(self.number > 0)?;
                self.cancelling = true;
            }
            Happening::Ended { outcome, reasons } => self.end(event.writer.kind, *outcome, reasons)?,
        }
        Ok(())
    }

    fn require(&self, holds: bool) -> Result<(), String> {
        if holds { Ok(()) } else { Err(format!("can't happen while {}", self.phase)) }
    }

    fn advance(&mut self, from: Phase, to: Phase) -> Result<(), String> {
        self.require(self.phase == from)?;
        self.phase = to;
        Ok(())
    }

    /// One step after the other, and those of a group at the same time.
    fn open(&mut self, step: u32, group: Option<&GroupName>) -> Result<(), String> {
        let comes_next = self.steps.last().is_none_or(|(last, _)| *last < step);
        let is_grouped = group.is_some() && self.group.as_ref() == group;
        let may_begin = self.steps.iter().all(|(_, state)| match state {
            StepState::Done => true,
            StepState::Open => is_grouped,
            StepState::Failed(_) | StepState::RolledBack(_) => false,
        });
        self.require(self.phase == Phase::Applying && comes_next && may_begin)?;
        self.steps.push((step, StepState::Open));
        self.group = group.cloned();
        Ok(())
    }

    fn close(&mut self, step: u32, state: StepState) -> Result<(), String> {
        let open = self.steps.iter_mut().find(|(number, current)| *number == step && *current == StepState::Open);
        let (_, current) = open.ok_or_else(|| format!("ends step {step}, which is not open"))?;
        *current = state;
        Ok(())
    }

    fn end(&mut self, by: WriterKind, outcome: JobOutcome, reasons: &[Reason]) -> Result<(), String> {
        // A worker ends what it took; the gateway ends what nobody took, and what a dead worker left.
        self.require(match by {
            WriterKind::Gateway => self.number > 0,
            WriterKind::Worker => self.worker.is_some(),
        })?;
        let recorded = self.recorded.map(|(_, outcome)| outcome);
        match outcome {
            JobOutcome::Succeeded => self.require(match self.action {
                Action::Plan | Action::Drift => self.phase == Phase::Planned,
                Action::Apply => recorded == Some(Outcome::Succeeded),
            })?,
            JobOutcome::RolledBack => self.require(recorded == Some(Outcome::RolledBack))?,
            JobOutcome::Refused => self.require(self.steps.is_empty())?,
            // Nobody says of itself that it died.
            JobOutcome::Interrupted => self.require(by == WriterKind::Gateway)?,
            JobOutcome::Failed | JobOutcome::Cancelled => {}
        }
        self.phase = Phase::Ended;
        self.ended = Some((outcome, reasons.to_vec()));
        Ok(())
    }
}

/// What can be asked of the sum.
impl Job {
    /// Which job.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// What it does.
    pub fn action(&self) -> Action {
        self.action
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Since when it has been in this phase; `None` before its first event.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Number of the last event; 0 when there is none.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Hash of the last event, which the next one must hold.
    pub fn last(&self) -> Option<Digest> {
        self.last
    }

    /// The task that runs its worker, as far as is known.
    pub fn task(&self) -> Option<&TaskId> {
        self.task.as_ref()
    }

    /// The worker that took it.
    pub fn worker(&self) -> Option<&str> {
        self.worker.as_deref()
    }

    /// Whether somebody asked for it to be cancelled.
    pub fn is_cancelling(&self) -> bool {
        self.cancelling
    }

    /// Gates that were only reported.
    pub fn warnings(&self) -> &[Reason] {
        &self.warnings
    }

    /// The plan that it made.
    pub fn plan(&self) -> Option<Digest> {
        self.plan
    }

    /// The steps begun, in order, and what became of them.
    pub fn steps(&self) -> &[(u32, StepState)] {
        &self.steps
    }

    /// Number and outcome of the deployment record that it wrote.
    pub fn recorded(&self) -> Option<(u64, Outcome)> {
        self.recorded
    }

    /// How it ended, and why.
    pub fn ended(&self) -> Option<(JobOutcome, &[Reason])> {
        self.ended.as_ref().map(|(outcome, reasons)| (*outcome, reasons.as_slice()))
    }
}

#[cfg(test)]
mod tests;
