//! Copies, in the artifacts store, of what production signed: for people and the change bot. They are trusted only for
//! their signatures.

use manifest_schema::Digest;
use manifest_schema::gateway::{DeploymentFiles, JobStatus, PlanFiles};
use manifest_schema::job::Action;
use manifest_schema::storage::AttestationKind;
use records::attestations;
use store::{Creation, Store};

use crate::exit::Failure;
use crate::output::Output;
use crate::stores;

/// Keeps what a job's status brought: its plan, its deployment. What a drift job found nobody approves or audits.
///
/// # Errors
/// When the artifacts store can't be written.
pub(crate) async fn keep(out: &Output, artifacts: &Store, status: &JobStatus) -> Result<(), Failure> {
    let manifest = status.request.manifest;
    if let (Some(plan), Action::Plan) = (&status.plan, status.request.action) {
        keep_plan(out, artifacts, manifest, plan).await?;
    }
    if let Some(DeploymentFiles { envelope: Some(envelope), .. }) = &status.deployment {
        let (Creation::Created | Creation::Exists) =
            attestations::add(artifacts, manifest, AttestationKind::Deployment, &envelope.0).await?;
    }
    Ok(())
}

/// The summary is a blob like any other, the statement an attestation.
async fn keep_plan(out: &Output, artifacts: &Store, manifest: Digest, plan: &PlanFiles) -> Result<(), Failure> {
    // Held until the statement names the summary.
    let writer = stores::blob_writer(out, artifacts).await?;
    let (Creation::Created | Creation::Exists) = writer.create_bytes(plan.summary.0.clone()).await?;
    let (Creation::Created | Creation::Exists) =
        attestations::add(artifacts, manifest, AttestationKind::Plan, &plan.envelope.0).await?;
    Ok(())
}
