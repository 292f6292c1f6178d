//! What tests do to rules and schedules of EventBridge, besides what they do over its own calls.

use serde_json::{Value, json};

use crate::{Account, Double};

impl Account<'_> {
    /// A rule, as `PutRule` takes it, or another in its place, with what only AWS says of one, such as `ManagedBy`; and
    /// targets of it, or others in their places. Its ARN.
    ///
    /// # Panics
    /// When the targets can't be put.
    pub fn rule(self, rule: &Value, targets: &[Value]) -> String {
        let mut state = self.double().state();
        let arn = state.rules.put_rule(self.id(), rule);
        let put = json!({ "Rule": rule["Name"], "EventBusName": rule["EventBusName"], "Targets": targets });
        let put = state.rules.put_targets(self.id(), &put);
        put.unwrap_or_else(|refusal| panic!("the targets are refused: {}", refusal.message));
        arn
    }

    /// The targets of a rule on the default bus.
    ///
    /// # Panics
    /// When there is no such rule.
    pub fn targets(self, rule: &str) -> Vec<Value> {
        let targets = self.double().state().rules.targets(self.id(), rule);
        targets.unwrap_or_else(|| panic!("there is no rule {rule}"))
    }

    /// Has somebody delete a rule with its targets.
    pub fn delete_rule(self, rule: &str) {
        self.double().state().rules.delete(self.id(), rule);
    }

    /// A schedule, as `CreateSchedule` takes it, or another in its place; its ARN.
    ///
    /// # Panics
    /// When Scheduler refuses it.
    pub fn schedule(self, schedule: &Value) -> String {
        let put = self.double().state().put_schedule(self.id(), schedule);
        put.unwrap_or_else(|refusal| panic!("the schedule is refused: {}", refusal.message))
    }
}

impl Double {
    /// A schedule, as `GetSchedule` says it.
    ///
    /// # Panics
    /// When there is none.
    pub fn schedule(&self, arn: &str) -> Value {
        self.state().described_schedule(arn).unwrap_or_else(|| panic!("there is no schedule {arn}"))
    }

    /// Has somebody delete a schedule.
    pub fn delete_schedule(&self, arn: &str) {
        self.state().delete_schedule(arn);
    }

    /// The next target that is put, one for each call of this, is a failed entry.
    pub fn refuse_target(&self, code: &str, message: &str) {
        self.state().rules.refuse_target(code, message);
    }
}
