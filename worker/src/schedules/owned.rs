//! Schedules and rules that Terraform would change, and a step, too: each would undo the other.

use manifest_schema::manifest::Trigger;
use manifest_schema::names::ScheduleName;
use manifest_schema::plan::ScheduleChange;
use manifest_schema::{Code, Reason};
use policy::plan::OwnedTrigger;

use super::target::about;

/// What both would change. What isn't there yet is Terraform's to make.
pub(crate) fn owned_twice(owned: &[OwnedTrigger], schedules: &[ScheduleChange]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for schedule in schedules {
        let there = schedule.task_definition.is_some();
        for by in owned.iter().filter(|owned| (there || !owned.creates) && is(owned, &schedule.trigger)) {
            let what = format!("{} would make it start another task definition, and so does its step", by.address);
            reasons.push(Reason::new(Code::ScheduleOwnedTwice, about(&schedule.trigger, &what)));
        }
    }
    reasons
}

/// Whether a resource of Terraform may be what a step moves; of what Terraform doesn't know yet, all but the name.
fn is(owned: &OwnedTrigger, trigger: &Trigger) -> bool {
    // A bus by its ARN, `arn:aws:events:REGION:ACCOUNT:event-bus/NAME`; buses of partners have slashes in their names.
    let place = owned.place.as_deref().map(|place| place.split_once(":event-bus/").map_or(place, |(_, name)| name));
    let same_place = place.is_none_or(|place| place == trigger.place());
    let named = |name: &ScheduleName| owned.name.as_deref() == Some(name.as_str());
    match trigger {
        Trigger::Schedule { name, .. } => !owned.is_rule && named(name) && same_place,
        Trigger::Rule { name, target, .. } => {
            let known = owned.target.as_deref().zip(target.as_ref().map(ScheduleName::as_str));
            owned.is_rule && named(name) && same_place && known.is_none_or(|(theirs, ours)| theirs == ours)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(kind: &str, place: Option<&str>, target: Option<&str>, creates: bool) -> OwnedTrigger {
        OwnedTrigger {
            address: format!("{kind}.nightly"),
            is_rule: kind == "rule",
            name: Some("nightly".to_owned()),
            place: place.map(str::to_owned),
            target: target.map(str::to_owned),
            creates,
        }
    }

    #[test]
    fn what_a_schedule_starts_is_terraforms_or_a_steps() {
        let name = || "nightly".parse().unwrap();
        let schedule = Trigger::Schedule { name: name(), group: Some("jobs".parse().unwrap()) };
        let rule = |target: Option<&str>| {
            let target = target.map(|target| target.parse().unwrap());
            Trigger::Rule { name: name(), event_bus: Some("orders".parse().unwrap()), target }
        };
        let unnamed = OwnedTrigger { name: None, ..owned("schedule", Some("jobs"), None, true) };
        let bus = "arn:aws:events:eu-central-1:222222222222:event-bus/orders";
        for (case, owned, trigger, there, refused) in [
            ("changed", owned("schedule", Some("jobs"), None, false), &schedule, true, true),
            ("in a group that is not known yet", owned("schedule", None, None, false), &schedule, true, true),
            ("in another group", owned("schedule", Some("default"), None, false), &schedule, true, false),
            ("without a name yet", unnamed, &schedule, true, false),
            ("made once more", owned("schedule", Some("jobs"), None, true), &schedule, true, true),
            ("made for the first time", owned("schedule", Some("jobs"), None, true), &schedule, false, false),
            ("a rule of the same name", owned("rule", Some("jobs"), None, false), &schedule, true, false),
            ("a rule's only target", owned("rule", Some("orders"), Some("a"), false), &rule(None), true, true),
            ("a rule's target", owned("rule", Some("orders"), Some("a"), false), &rule(Some("a")), true, true),
            ("of a bus by its ARN", owned("rule", Some(bus), Some("a"), false), &rule(Some("a")), true, true),
            ("another target", owned("rule", Some("orders"), Some("b"), false), &rule(Some("a")), true, false),
            ("a target not known yet", owned("rule", Some("orders"), None, false), &rule(Some("a")), true, true),
            ("another bus", owned("rule", Some("default"), Some("a"), false), &rule(Some("a")), true, false),
        ] {
            let change = ScheduleChange {
                trigger: trigger.clone(),
                cluster: None,
                task_definition: there.then(|| "nightly:1".to_owned()),
                containers: Default::default(),
                settings: Default::default(),
            };
            let found = owned_twice(&[owned], &[change]);
            let codes: Vec<_> = found.iter().map(|reason| reason.code.to_string()).collect();
            assert_eq!(codes, if refused { vec!["schedule.owned-twice"] } else { vec![] }, "{case}");
        }
    }
}
