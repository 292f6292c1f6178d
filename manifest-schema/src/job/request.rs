//! What a deploy job is asked for with, and the key by which the same request finds the same job.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::job::JobId;
use crate::json::{Document, schema_tag, to_bytes};
use crate::names::{ChangeId, EnvironmentName, ProjectName};
use crate::time::Timestamp;

schema_tag!(LaunchRequestSchema, "airlock/launch-request/v1");
schema_tag!(JobRequestSchema, "airlock/job-request/v1");

/// What a deploy job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Say what applying the build would do.
    Plan,
    /// Do what an approved plan says.
    Apply,
    /// Say whether reality still matches what was deployed.
    Drift,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Drift => "drift",
        })
    }
}

impl std::str::FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plan" => Ok(Self::Plan),
            "apply" => Ok(Self::Apply),
            "drift" => Ok(Self::Drift),
            _ => Err(format!("{text:?} is not an action: plan, apply or drift")),
        }
    }
}

/// Everything that a launch asks for but its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What to do.
    pub action: Action,
    /// Where.
    pub environment: EnvironmentName,
    /// Of what.
    pub project: ProjectName,
    /// The build's manifest.
    pub manifest: Digest,
    /// The plan statement to apply.
    pub plan: Option<Digest>,
    /// The change that asks for it.
    pub change: Option<ChangeId>,
    /// The approval statements that say yes.
    pub approvals: Vec<Digest>,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// A request to launch a deploy job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LaunchRequest {
    /// Always `airlock/launch-request/v1`.
    pub schema: LaunchRequestSchema,
    /// What to do.
    pub action: Action,
    /// Where.
    pub environment: EnvironmentName,
    /// Of what.
    pub project: ProjectName,
    /// The build's manifest.
    pub manifest: Digest,
    /// The plan statement to apply; only for `apply`, and required there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// The change that asks for it; required for `apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeId>,
    /// The approval statements that say yes, sorted; only for `apply`. Others are looked at only for a no.
    pub approvals: Vec<Digest>,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Idempotency key: the same key with the same request names the same job. 1 to 128 of `A-Z a-z 0-9 . _ -`;
    /// 64 hex digits are left to the default, the SHA-256 of everything else.
    pub key: String,
}

/// Most approvals that one request names.
const MOST_APPROVALS: usize = 32;

impl LaunchRequest {
    /// A request; without a `key`, under the SHA-256 of everything else.
    pub fn new(asked: Asked, key: Option<String>) -> Self {
        let Asked { action, environment, project, manifest, plan, change, mut approvals, attempt } = asked;
        approvals.sort_unstable();
        approvals.dedup();
        let schema = LaunchRequestSchema;
        let keyless = String::new();
        let mut request =
            Self { schema, action, environment, project, manifest, plan, change, approvals, attempt, key: keyless };
        request.key = key.unwrap_or_else(|| Digest::of(&to_bytes(&request)).hex());
        request
    }

    /// What identifies the request: everything but its key.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&to_bytes(&Self { key: String::new(), ..self.clone() }))
    }
}

impl Document for LaunchRequest {
    const SCHEMA: &'static str = LaunchRequestSchema::NAME;
    const NAME: &'static str = "launch request";
    const LIMIT: usize = 64 << 10;

    fn check(&self) -> Result<(), String> {
        let key_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !(1..=128).contains(&self.key.len()) || !self.key.bytes().all(key_ok) {
            return Err("the key must be 1 to 128 of A-Z a-z 0-9 . _ -".to_owned());
        }
        // Otherwise anybody could take the default key of a request that somebody else is going to make.
        let is_hex = self.key.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex && self.key.len() == 64 && self.key != self.fingerprint().hex() {
            return Err("a key of 64 hex digits must be the request's own SHA-256: leave it out".to_owned());
        }
        if self.attempt == 0 {
            return Err("attempts count from 1".to_owned());
        }
        if self.approvals.windows(2).any(|pair| pair[0] >= pair[1]) || self.approvals.len() > MOST_APPROVALS {
            return Err(format!("approvals must be sorted, named once, and at most {MOST_APPROVALS}"));
        }
        match self.action {
            Action::Apply if self.plan.is_none() => Err("apply needs the plan to apply".to_owned()),
            Action::Apply if self.change.is_none() => Err("apply needs the change that asks for it".to_owned()),
            Action::Apply => Ok(()),
            Action::Plan | Action::Drift if self.plan.is_some() || !self.approvals.is_empty() => {
                Err(format!("{} takes no plan and no approvals", self.action))
            }
            Action::Plan | Action::Drift => Ok(()),
        }
    }
}

/// A job as it is stored: the launch that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JobRequest {
    /// Always `airlock/job-request/v1`.
    pub schema: JobRequestSchema,
    /// The job.
    pub job: JobId,
    /// What it is to do.
    pub request: LaunchRequest,
    /// When it was launched.
    pub requested_at: Timestamp,
}

impl Document for JobRequest {
    const SCHEMA: &'static str = JobRequestSchema::NAME;
    const NAME: &'static str = "job request";
    const LIMIT: usize = 128 << 10;

    fn check(&self) -> Result<(), String> {
        self.request.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(action: Action) -> Asked {
        Asked {
            action,
            environment: EnvironmentName::new("production").unwrap(),
            project: ProjectName::new("hello").unwrap(),
            manifest: Digest::of(b"m"),
            plan: None,
            change: None,
            approvals: Vec::new(),
            attempt: 1,
        }
    }

    #[test]
    fn the_default_key_is_that_of_everything_else() {
        let one = LaunchRequest::new(asked(Action::Plan), None);
        assert_eq!(one, LaunchRequest::new(asked(Action::Plan), None));
        assert_ne!(one.key, LaunchRequest::new(Asked { attempt: 2, ..asked(Action::Plan) }, None).key);
        let chosen = LaunchRequest::new(asked(Action::Plan), Some("mine".to_owned()));
        assert_eq!((chosen.key.as_str(), chosen.fingerprint()), ("mine", one.fingerprint()));
    }

    /// The key would be in the way of the request whose default key it is.
    #[test]
    fn the_default_key_of_another_request_cannot_be_squatted() {
        let victim = LaunchRequest::new(asked(Action::Plan), None);
        let other = Asked { attempt: 2, ..asked(Action::Plan) };
        for key in [victim.key.clone(), victim.key.to_uppercase()] {
            let squatting = LaunchRequest::new(other.clone(), Some(key));
            assert!(LaunchRequest::from_bytes(&squatting.to_bytes()).is_err());
        }
        let own = LaunchRequest::new(asked(Action::Plan), Some(victim.key.clone()));
        assert_eq!(LaunchRequest::from_bytes(&own.to_bytes()).unwrap(), victim);
    }

    #[test]
    fn requests_that_make_no_sense_are_refused() {
        let full = Asked {
            plan: Some(Digest::of(b"p")),
            change: Some(ChangeId::new("CHG-1").unwrap()),
            approvals: vec![Digest::of(b"a")],
            ..asked(Action::Apply)
        };
        let round_trip = |asked: Asked, key: Option<&str>| {
            let request = LaunchRequest::new(asked, key.map(str::to_owned));
            LaunchRequest::from_bytes(&request.to_bytes())
        };
        assert!(round_trip(full.clone(), None).is_ok());
        assert!(round_trip(asked(Action::Plan), None).is_ok());
        for (case, asked, key) in [
            ("apply without plan", Asked { plan: None, ..full.clone() }, None),
            ("apply without change", Asked { change: None, ..full.clone() }, None),
            ("plan with plan", Asked { action: Action::Plan, ..full.clone() }, None),
            ("attempt 0", Asked { attempt: 0, ..full.clone() }, None),
            ("key with a slash", full.clone(), Some("../x")),
            ("empty key", full.clone(), Some("")),
            ("too many approvals", Asked { approvals: (0..40u8).map(|i| Digest::of(&[i])).collect(), ..full }, None),
        ] {
            assert!(round_trip(asked, key).is_err(), "{case} was taken");
        }
    }
}
