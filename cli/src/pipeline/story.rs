//! What a job did and how long it took, told when it is over.

use manifest_schema::Timestamp;
use manifest_schema::gateway::JobStatus;
use manifest_schema::job::{Event, Happening, Job, Phase};

use super::events::{outcome_text, plural};
use super::links;
use crate::output::duration;

/// A job's events, as they come.
pub(crate) struct Story {
    job: Option<Job>,
    begun: Option<Timestamp>,
    ended: Option<Timestamp>,
    phases: Vec<(Phase, Timestamp)>,
    steps: Vec<Step>,
    made: Option<String>,
}

/// One step: what it is, from when to when, and the last thing that was said in it.
struct Step {
    number: u32,
    name: String,
    begun: Timestamp,
    ended: Option<(Timestamp, bool)>,
    said: Option<String>,
}

impl Story {
    /// Of a job; told only if it is followed from its first event.
    pub(crate) fn new() -> Self {
        Self { job: None, begun: None, ended: None, phases: Vec::new(), steps: Vec::new(), made: None }
    }

    /// Takes in an event.
    pub(crate) fn take(&mut self, status: &JobStatus, event: &Event) {
        if event.number == 1 {
            self.job = Some(Job::new(status.job, status.request.action));
            self.begun = Some(event.at);
        }
        // A chain that doesn't hold is no story; `audit verify` says what is wrong with it.
        let Some(job) = &mut self.job else { return };
        if job.take(event).is_err() {
            self.job = None;
            return;
        }
        if self.phases.last().is_none_or(|(phase, _)| *phase != job.phase()) {
            self.phases.push((job.phase(), event.at));
        }
        self.note(event);
    }

    fn note(&mut self, event: &Event) {
        let at = event.at;
        match &event.event {
            Happening::Intent { step, name, .. } => {
                let (number, name) = (*step, format!("step {step}, {name}"));
                self.steps.push(Step { number, name, begun: at, ended: None, said: None });
            }
            Happening::Done { step } => self.end_step(*step, at, true),
            Happening::StepFailed { step, .. } | Happening::StepRolledBack { step, .. } => {
                self.end_step(*step, at, false);
            }
            Happening::Progress { lines } => {
                if let Some(step) = self.steps.last_mut().filter(|step| step.ended.is_none()) {
                    step.said =
                        lines.iter().rev().find(|line| line.starts_with("applied: ")).cloned().or(step.said.take());
                }
            }
            Happening::Planned { changes, findings, .. } => {
                let (change, finding) = (plural(*changes), plural(*findings));
                self.made = Some(format!("it would make {changes} change{change}; {findings} finding{finding}"));
            }
            Happening::Recorded { sequence, outcome } => {
                self.made = Some(format!("recorded as deployment {sequence}: {}", outcome_text(*outcome)));
            }
            Happening::Ended { .. } => self.ended = Some(at),
            Happening::Requested
            | Happening::Started { .. }
            | Happening::Began { .. }
            | Happening::Verified { .. }
            | Happening::Fetched { .. }
            | Happening::Checked
            | Happening::Claimed { .. }
            | Happening::CancelRequested => {}
        }
    }

    fn end_step(&mut self, number: u32, at: Timestamp, well: bool) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.number == number) {
            step.ended = Some((at, well));
        }
    }

    /// What changed, how long it took, where the time went and where to look on; nothing if the job was not followed from its beginning to
    /// its end.
    pub(crate) fn lines(&self, status: &JobStatus) -> Vec<String> {
        let (Some(job), Some(begun), Some(ended), Some(outcome)) = (&self.job, self.begun, self.ended, status.outcome)
        else {
            return Vec::new();
        };
        let request = &status.request;
        let took = duration(ended.seconds_since(begun));
        let mut lines = vec![format!(
            "{} of {} in {}: {outcome} after {took} ({})",
            request.action,
            request.project,
            request.environment,
            self.times(ended)
        )];
        for step in &self.steps {
            let told = match step.ended {
                Some((at, well)) => {
                    let word = if well { "done" } else { "failed" };
                    format!("{word} in {}", duration(at.seconds_since(step.begun)))
                }
                None => "not known how it ended".to_owned(),
            };
            let said = step.said.as_ref().map(|said| format!("; {said}")).unwrap_or_default();
            lines.push(format!("  {}: {told}{said}", step.name));
        }
        lines.extend(self.made.iter().map(|made| format!("  {made}")));
        lines.extend(request.change.iter().map(|change| format!("  change: {change}")));
        lines.extend(job.task().and_then(links::task).map(|link| format!("  {link}")));
        lines
    }

    /// How long each phase took, without those that took no time at all.
    fn times(&self, ended: Timestamp) -> String {
        let ends = self.phases.iter().skip(1).map(|(_, at)| *at).chain([ended]);
        let told = self.phases.iter().zip(ends).filter(|((phase, _), _)| *phase != Phase::Ended);
        let told = told.map(|((phase, from), to)| (word(*phase), to.seconds_since(*from)));
        let long: Vec<_> =
            told.filter(|(_, seconds)| *seconds > 0).map(|(word, s)| format!("{word} {}", duration(s))).collect();
        if long.is_empty() { "no phase took a second".to_owned() } else { long.join(", ") }
    }
}

/// A phase as what the time went into.
fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Requested => "waiting for a worker",
        Phase::Verifying => "verifying",
        Phase::Fetching => "fetching",
        Phase::Planning => "planning",
        Phase::Planned => "signing",
        Phase::Claiming => "claiming",
        Phase::Applying => "applying",
        Phase::Recorded => "recording",
        Phase::Ended => "ending",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use manifest_schema::job::{Action, Asked, JobId, JobOutcome, LaunchRequest, TaskId, Writer, WriterKind};
    use manifest_schema::names::GroupName;
    use manifest_schema::statement::Outcome;
    use manifest_schema::{Digest, Document as _};

    use super::*;

    pub(in crate::pipeline) fn status(outcome: Option<JobOutcome>) -> JobStatus {
        let asked = Asked {
            action: Action::Apply,
            environment: "production".parse().unwrap(),
            project: "hello".parse().unwrap(),
            manifest: Digest::of(b"m"),
            plan: Some(Digest::of(b"p")),
            change: Some("CHG-1".parse().unwrap()),
            approvals: Vec::new(),
            attempt: 1,
        };
        let at = Timestamp::from_millis(0).unwrap();
        JobStatus {
            job: JobId::new(at, [1; 10]),
            request: LaunchRequest::new(asked, None),
            requested_at: at,
            phase: Phase::Requested,
            since: at,
            task: None,
            heartbeat_at: None,
            cancelling: false,
            outcome,
            reasons: Vec::new(),
            events: Vec::new(),
            more: false,
            plan: None,
            deployment: None,
        }
    }

    /// An apply, each thing at its second.
    fn events(job: JobId) -> Vec<Event> {
        let task = TaskId::Ecs { arn: "arn:aws:ecs:eu-central-1:222222222222:task/airlock/0123".to_owned() };
        let intent =
            |step, name: &str| Happening::Intent { step, name: name.to_owned(), group: GroupName::new("web").ok() };
        let lines = vec!["applied: 1 added, 0 changed, 0 destroyed".to_owned(), "more".to_owned()];
        let happenings = [
            (0, Happening::Requested),
            (40, Happening::Began { task, version: "1".to_owned() }),
            (42, Happening::Verified { policy: 1, warnings: Vec::new() }),
            (42, Happening::Fetched { blobs: 1, bytes: 1 }),
            (45, Happening::Checked),
            (45, Happening::Claimed { claim: 1 }),
            (45, intent(1, "terraform infra")),
            (60, Happening::Progress { lines }),
            (110, Happening::Done { step: 1 }),
            (110, intent(2, "service web")),
            (110, intent(3, "service api")),
            (111, Happening::Done { step: 2 }),
            (111, Happening::Done { step: 3 }),
            (111, Happening::Recorded { sequence: 3, outcome: Outcome::Succeeded }),
            (112, Happening::Ended { outcome: JobOutcome::Succeeded, reasons: Vec::new() }),
        ];
        let mut previous = None;
        let written = (1..).zip(happenings).map(|(number, (second, event))| {
            let kind = if number == 1 { WriterKind::Gateway } else { WriterKind::Worker };
            let writer = Writer { kind, id: "w".to_owned(), nonce: "n".to_owned() };
            let at = Timestamp::from_millis(second * 1000).unwrap();
            let event = Event { schema: Default::default(), job, number, previous, at, writer, event };
            previous = Some(Digest::of(&event.to_bytes()));
            event
        });
        written.collect()
    }

    #[test]
    fn the_end_tells_what_was_done_and_where_the_time_went() {
        let (status, mut story) = (status(Some(JobOutcome::Succeeded)), Story::new());
        for event in events(status.job) {
            story.take(&status, &event);
        }
        assert_eq!(
            story.lines(&status),
            [
                "apply of hello in production: succeeded after 1 min 52 s (waiting for a worker 40 s, verifying 2 s, \
                 planning 3 s, applying 1 min 6 s, recording 1 s)",
                "  step 1, terraform infra: done in 1 min 5 s; applied: 1 added, 0 changed, 0 destroyed",
                "  step 2, service web: done in 1 s",
                "  step 3, service api: done in 1 s",
                "  recorded as deployment 3: succeeded",
                "  change: CHG-1",
                "  task: https://eu-central-1.console.aws.amazon.com/ecs/v2/clusters/airlock/tasks/0123\
                 ?region=eu-central-1",
            ]
        );
    }

    #[test]
    fn what_was_not_followed_from_its_beginning_to_its_end_is_no_story() {
        let (over, going_on) = (status(Some(JobOutcome::Succeeded)), status(None));
        for (from, to, status) in [(3, 15, &over), (0, 5, &going_on)] {
            let mut story = Story::new();
            for event in &events(status.job)[from..to] {
                story.take(status, event);
            }
            assert_eq!(story.lines(status), [""; 0], "{from}..{to}");
        }
    }
}
