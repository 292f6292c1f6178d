//! The JSON Schemas (draft 2020-12) of every document that crosses the gap, generated from the types that read them.
//!
//! They are committed in `schemas/`, so that other tools can use them and a review shows when one changes. A schema
//! says what a document looks like; whether it is believed is never a schema's matter.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::deployment::{Claim, DeploymentRecord, Heartbeat, Lease};
use crate::diff::ManifestDiff;
use crate::dsse::Envelope;
use crate::gates::Authors;
use crate::gateway::{CancelRequest, CancelResponse, LaunchResponse, StatusRequest, StatusResponse};
use crate::image_report::ImageReport;
use crate::job::{Event, JobRequest, LaunchRequest};
use crate::json::Document;
use crate::manifest::BuildManifest;
use crate::plan::PlanSummary;
use crate::pointer::{BuildPointer, LaunchPointer, PlanPointer};
use crate::report::ManifestReport;
use crate::statement::{self, Predicate, STATEMENT_TYPE, Statement};
use crate::trust::{TrustPolicy, TrustRecord};

/// Schema names and predicate types that this version reads; get-deploy-job-status reports production's, so that
/// nobody sends it a document that it can't read.
pub const READS: &[&str] = &[
    Authors::SCHEMA,
    BuildManifest::SCHEMA,
    BuildPointer::SCHEMA,
    CancelRequest::SCHEMA,
    CancelResponse::SCHEMA,
    Claim::SCHEMA,
    DeploymentRecord::SCHEMA,
    Event::SCHEMA,
    Heartbeat::SCHEMA,
    JobRequest::SCHEMA,
    LaunchRequest::SCHEMA,
    LaunchResponse::SCHEMA,
    LaunchPointer::SCHEMA,
    Lease::SCHEMA,
    PlanPointer::SCHEMA,
    PlanSummary::SCHEMA,
    StatusRequest::SCHEMA,
    StatusResponse::SCHEMA,
    TrustPolicy::SCHEMA,
    TrustRecord::SCHEMA,
    statement::Approval::TYPE,
    statement::Build::TYPE,
    statement::Deployment::TYPE,
    statement::Plan::TYPE,
    statement::Review::TYPE,
    statement::TrustPolicy::TYPE,
];

/// Declares each document once: its name, and how its schema is made.
macro_rules! documents {
    ($($name:literal => $make:expr,)*) => {
        /// The documents that have a schema, sorted.
        pub fn names() -> &'static [&'static str] {
            &[$($name,)*]
        }

        /// The JSON Schema of the document called `name`: the same value every time.
        pub fn schema(name: &str) -> Option<Value> {
            match name {
                $($name => Some(identified($name, $make)),)*
                _ => None,
            }
        }
    };
}

documents! {
    "approval-statement" => signed::<statement::Approval>(),
    "authors" => of::<Authors>(),
    "build-manifest" => of::<BuildManifest>(),
    "build-pointer" => of::<BuildPointer>(),
    "build-statement" => signed::<statement::Build>(),
    "cancel-request" => of::<CancelRequest>(),
    "cancel-response" => of::<CancelResponse>(),
    "claim" => of::<Claim>(),
    "deployment-record" => of::<DeploymentRecord>(),
    "deployment-statement" => signed::<statement::Deployment>(),
    "envelope" => of::<Envelope>(),
    "heartbeat" => of::<Heartbeat>(),
    "image-report" => of::<ImageReport>(),
    "job-event" => of::<Event>(),
    "job-request" => of::<JobRequest>(),
    "launch-pointer" => of::<LaunchPointer>(),
    "launch-request" => of::<LaunchRequest>(),
    "launch-response" => of::<LaunchResponse>(),
    "lease" => of::<Lease>(),
    "manifest-diff" => of::<ManifestDiff>(),
    "manifest-report" => of::<ManifestReport>(),
    "plan-pointer" => of::<PlanPointer>(),
    "plan-statement" => signed::<statement::Plan>(),
    "plan-summary" => of::<PlanSummary>(),
    "review-statement" => signed::<statement::Review>(),
    "status-request" => of::<StatusRequest>(),
    "status-response" => of::<StatusResponse>(),
    "trust-policy" => of::<TrustPolicy>(),
    "trust-policy-statement" => signed::<statement::TrustPolicy>(),
    "trust-record" => of::<TrustRecord>(),
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// The types of a statement are plain text to the reader that checks them; a schema can say which text.
fn signed<P: Predicate>() -> Value {
    let mut schema = of::<Statement<P>>();
    schema["properties"]["_type"] = json!({ "const": STATEMENT_TYPE });
    schema["properties"]["predicateType"] = json!({ "const": P::TYPE });
    schema
}

fn identified(name: &str, mut schema: Value) -> Value {
    schema["$id"] = format!("urn:airlock:schema:{name}").into();
    schema["title"] = name.into();
    schema
}

#[cfg(test)]
mod frozen;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod tests;
