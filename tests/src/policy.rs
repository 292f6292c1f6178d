//! The next version of the trust policy, signed by the root that `airlock init` made.

use serde_json::Value;

use crate::Scratch;

impl Scratch {
    /// Publishes the next version of the trust policy, changed.
    #[track_caller]
    pub fn next_policy(&self, change: impl FnOnce(&mut Value)) {
        let mut policy = self.json(&["trust", "show"]).exits(0).json();
        let version = policy["version"].as_u64().expect("a version") + 1;
        policy["version"] = version.into();
        change(&mut policy);
        self.write("trust-policy.json", policy.to_string());
        let root = ["--key", ".airlock/keys/root.pem", "--output", "trust.dsse.json"];
        self.ok(&[&["trust", "sign", "trust-policy.json"], &root[..]].concat());
        self.ok(&["trust", "publish", "trust-policy.json", "--envelope", "trust.dsse.json"]);
    }
}
