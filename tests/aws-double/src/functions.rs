//! What tests do to functions that are never run, and to alarms, besides what they do over AWS's own calls.

use serde_json::Value;

use crate::{Account, Double, PRODUCTION};

impl Account<'_> {
    /// A function that is never run, with this configuration (what GetFunction says of it beside its state) and this code
    /// (`{"ImageUri": …}` or `{"ZipFile": …}`, as UpdateFunctionCode takes it); version 1 is published, and this alias names
    /// it. Its ARN.
    ///
    /// # Panics
    /// When Lambda refuses the code.
    pub fn published_function(self, name: &str, config: &Value, code: &Value, alias: &str) -> String {
        self.double().state().functions.add(self.id(), name, config, code, alias)
    }

    /// A metric alarm that is OK.
    pub fn alarm(self, name: &str) {
        self.double().state().set_alarm(self.id(), name, false, ("OK", "Threshold not crossed."));
    }

    /// The same that depends on other alarms.
    pub fn composite_alarm(self, name: &str) {
        self.double().state().set_alarm(self.id(), name, true, ("OK", "none of its alarms goes off"));
    }
}

impl Double {
    /// A function that is never run: `{"latest": …, "versions": […], "aliases": {…}}`, each as Lambda tells it.
    ///
    /// # Panics
    /// When there is none.
    pub fn published(&self, arn: &str) -> Value {
        let told = self.state().functions.told(arn);
        told.unwrap_or_else(|| panic!("there is no function {arn}"))
    }

    /// Has somebody else change fields of a function's own configuration.
    pub fn amend_function(&self, arn: &str, change: &Value) {
        self.state().functions.amend(arn, None, change);
    }

    /// Has somebody else change fields of an alias: `FunctionVersion`, `RoutingConfig`.
    pub fn amend_alias(&self, arn: &str, alias: &str, change: &Value) {
        self.state().functions.amend(arn, Some(alias), change);
    }

    /// Has somebody else delete an alias.
    pub fn remove_alias(&self, arn: &str, alias: &str) {
        self.state().functions.remove_alias(arn, alias);
    }

    /// Lets Lambda fail with the next code of a function, for this reason.
    pub fn reject_code(&self, arn: &str, why: &str) {
        self.state().functions.reject(arn, why);
    }

    /// Lets a metric alarm of [`PRODUCTION`] go off, for this reason.
    pub fn ring(&self, name: &str, why: &str) {
        self.state().set_alarm(PRODUCTION, name, false, ("ALARM", why));
    }

    /// Has somebody delete an alarm of [`PRODUCTION`].
    pub fn remove_alarm(&self, name: &str) {
        self.state().remove_alarm(PRODUCTION, name);
    }
}
