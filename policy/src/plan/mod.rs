//! What a Terraform plan would do, and what about it a person must see.
//!
//! [`summarise`] turns `terraform show -json` into the part that may leave production: addresses, actions and paths of
//! changed attributes; values only where the trust policy allows them and Terraform calls nothing within them
//! sensitive. A plan that it doesn't fully understand is an error, never a shorter summary. [`findings`] derives every
//! risk from that summary alone, unsuppressed; suppression is the trust policy's business.

mod address;
mod attributes;
mod explained;
mod findings;
mod format;
mod owned;
mod owned_functions;
mod owned_schedules;
mod secrets;
mod steps;
mod summary;
mod written;

pub use explained::{FINDING_RULES, FindingRule};
pub use findings::{Effects, RULES, Verdict, findings, verdict};
pub use format::PlanError;
pub use owned::{Owned, OwnedService, owned};
pub use owned_functions::OwnedFunction;
pub use owned_schedules::OwnedTrigger;
pub use summary::{PlanParts, summarise};
pub use written::Written;
