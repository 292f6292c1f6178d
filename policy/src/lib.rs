//! Pure judgements: a Terraform plan into a summary with risk findings, and Terraform configuration into the reasons
//! why it must not run.
//!
//! Nothing here reads a file, a clock or the network. The same bytes give the same answer, so that the deployer can
//! derive again what the planner signed. What can't be understood is refused, never skipped.

pub mod configuration;
mod json;
pub mod plan;
mod secret_names;
pub mod state;

pub use secret_names::is_secret_name;
