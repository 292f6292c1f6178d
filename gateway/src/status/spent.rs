//! Why a plan can no longer be applied: for the CLI, which then plans again. The gates judge it for themselves.

use manifest_schema::Digest;
use manifest_schema::dsse::{self, EnvelopeError};
use manifest_schema::job::{Action, WriterKind};
use manifest_schema::statement;
use records::plans::{self, ClaimState};
use records::{Journal, RecordError, deployments};

use crate::{Gateway, GatewayError};

impl Gateway {
    pub(super) async fn spent(
        &self,
        maker: &Journal,
        plan: Digest,
        envelope: &[u8],
    ) -> Result<Option<String>, GatewayError> {
        let production = &self.sides.production;
        if maker.job().action() == Action::Drift {
            return Ok(Some("it is a drift job's, and only says what differs".to_owned()));
        }
        if maker.job().ended().is_some() && plans::job_of(production, plan).await? != Some(maker.job().id()) {
            return Ok(Some("its planner died before it was finished".to_owned()));
        }
        if let ClaimState::Taken(job) = plans::claims(production, &self.ambient, plan).await?
            && let Some(claimer) = Journal::open(production, &self.ambient, WriterKind::Gateway, job).await?
            && !claimer.job().steps().is_empty()
        {
            return Ok(Some(format!("job {job} began to apply it")));
        }
        let said = predicate(envelope).map_err(RecordError::Envelope)?;
        let base = deployments::base(production, &self.ambient, &said.environment, &said.project).await?;
        if base != said.base {
            return Ok(Some(format!(
                "it starts from deployment {}; the latest is {} now",
                said.base.sequence, base.sequence
            )));
        }
        let expired = self.ambient.now() >= said.expires_at;
        Ok(expired.then(|| format!("it expired at {}", said.expires_at)))
    }
}

/// What the plan statement says, unverified: enough for a hint.
fn predicate(envelope: &[u8]) -> Result<statement::Plan, EnvelopeError> {
    #[derive(serde::Deserialize)]
    struct Unverified {
        predicate: statement::Plan,
    }

    let payload = dsse::inspect(envelope)?.payload;
    let parsed = serde_json::from_slice::<Unverified>(&payload);
    let refuse =
        |error: serde_json::Error| EnvelopeError::Payload { expected: "a plan statement", cause: error.to_string() };
    parsed.map(|unverified| unverified.predicate).map_err(refuse)
}
