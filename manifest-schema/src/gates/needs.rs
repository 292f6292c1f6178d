//! How many people must say yes: for what the plan, the build and the clock say, never for what the bot says.

use crate::Timestamp;
use crate::deployment::DeploymentRecord;
use crate::plan::PlanSummary;
use crate::trust::EnvironmentPolicy;

/// How many people must say yes, and why more than usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// How many people; 0 when the bot's approval is enough.
    pub people: u32,
    /// What demands a person: findings, a first deploy, a rollback.
    pub demands: Vec<String>,
}

/// What decides how many people are needed.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// What would be done.
    pub summary: &'a PlanSummary,
    /// The newest deployment record.
    pub deployed: Option<&'a DeploymentRecord>,
    /// Whether gate 7 or 8 would refuse the build.
    pub rollback: bool,
    /// Whether it is a freeze window.
    pub emergency: bool,
    /// Whether the bot approved, and its review is clear.
    pub bot_approved: bool,
    /// The clock: suppressions of findings end.
    pub now: Timestamp,
}

impl Needs {
    /// What the environment's rules ask for in these circumstances.
    pub fn of(environment: &EnvironmentPolicy, circumstances: &Circumstances<'_>) -> Self {
        let demands = demands(environment, circumstances);
        let rules = &environment.approval;
        let people = if !demands.is_empty() {
            rules.people_for_risk
        } else if rules.bot_alone && circumstances.bot_approved {
            0
        } else {
            rules.people
        };
        Self { people, demands }
    }
}

fn demands(environment: &EnvironmentPolicy, circumstances: &Circumstances<'_>) -> Vec<String> {
    let Circumstances { summary, deployed, rollback, emergency, bot_approved: _, now } = *circumstances;
    let mut demands = Vec::new();
    let accepted = |finding| environment.suppressions.iter().any(|suppression| suppression.covers(finding, now));
    let risks = summary.findings.iter().filter(|finding| !accepted(finding)).count();
    if risks > 0 {
        demands.push(format!("{risks} finding{} in the plan", if risks == 1 { "" } else { "s" }));
    }
    match deployed.and_then(|record| record.complete) {
        None => demands.push("the first deploy".to_owned()),
        Some(live) if summary.build.epoch > live.build.epoch => demands.push("a raised epoch".to_owned()),
        Some(_) => {}
    }
    if rollback {
        demands.push("a rollback".to_owned());
    }
    if emergency {
        demands.push("an emergency".to_owned());
    }
    let mut definitions = summary.services.iter().map(|service| &service.task_definition);
    if definitions.any(Option::is_none) || summary.tasks.iter().any(|task| task.task_definition.is_none()) {
        demands.push("a service that doesn't exist yet".to_owned());
    }
    if summary.schedules.iter().any(|schedule| schedule.task_definition.is_none()) {
        demands.push("a schedule that doesn't exist yet".to_owned());
    }
    if summary.functions.iter().any(|function| function.version.is_none()) {
        demands.push("a function that doesn't exist yet".to_owned());
    }
    if summary.files.iter().any(|place| place.missing) {
        demands.push("a bucket that doesn't exist yet".to_owned());
    }
    demands
}
