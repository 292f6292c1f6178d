//! `airlock change show`

use std::fmt::Write as _;

use change::ChangeRecord;
use manifest_schema::Document as _;
use manifest_schema::names::ChangeId;
use manifest_schema::plan::PlanSummary;
use manifest_schema::statement::Decision;
use serde_json::json;
use store::Store;

use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Table, plain};
use crate::pipeline::summary;
use crate::pipeline::waiting::{self, View};
use crate::production::{self, Production};
use crate::purpose::Purpose;

/// Shows a change.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// The change.
    change: Option<ChangeId>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Some(id) = &self.change else { return self.list(context) };
        context.block_on(async {
            let production = Production::open(context, &self.environment, &Purpose::of_change(id)).await?;
            let change = production::tracker(&production.environment)?.get(id)?;
            let view = waiting::view(context, &production, &change).await?;
            if context.out.is_json() {
                let needs = json!({ "people": view.needs.people, "because": view.needs.demands });
                let enough = view.is_enough();
                context.out.json(
                    &json!({ "change": change, "standing": view.standing, "needs": needs, "approved": enough }),
                )?;
            } else {
                context.out.data(text(context, &production.artifacts, &change, &view).await?)?;
            }
            Ok(Exit::Done)
        })
    }

    fn list(&self, context: &Context) -> Result<Exit, Failure> {
        let records = production::tracker(&context.environment(&self.environment)?)?.list()?;
        if context.out.is_json() {
            context.out.json(&records)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(["change", "status", "build", "environment", "summary"]);
        for ChangeRecord { id, status, request, .. } in &records {
            let build = format!("{} {}", request.project, request.build.number);
            table.row([
                id.to_string(),
                status.to_string(),
                build,
                request.environment.to_string(),
                request.summary.clone(),
            ]);
        }
        context.out.data(table.render(context.out.width()))?;
        Ok(Exit::Done)
    }
}

async fn text(context: &Context, artifacts: &Store, change: &ChangeRecord, view: &View) -> Result<String, Failure> {
    let request = &change.request;
    let paint = context.out.paint_out();
    let mut text = format!("{} ({}): {}\n", paint.bold(change.id.as_str()), change.status, plain(&request.summary));
    let _ = writeln!(text, "  opened {} by {}", change.opened_at, plain(&change.opened_by));
    let line = |text: &mut String, name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name}: {}", plain(value).replace('\n', " "));
        }
    };
    line(&mut text, "why", &request.justification);
    line(&mut text, "rollback plan", &request.rollback_plan);
    line(&mut text, "branch", request.branch.as_deref().unwrap_or_default());
    line(&mut text, "components", &request.components.join(", "));
    line(&mut text, "links", &request.links.join(" "));
    line(&mut text, "manifest", &request.manifest.to_string());
    line(&mut text, "plan statement", &request.plan.to_string());
    let bytes = artifacts.fetch(&request.plan_summary, PlanSummary::LIMIT).await?;
    text.push('\n');
    text.push_str(&summary::text(&PlanSummary::from_bytes(&bytes)?, paint));
    text.push('\n');
    for voice in &view.standing.voices {
        let said = match voice.decision {
            Decision::Approve => "yes",
            Decision::Reject => "no",
            Decision::Revoke { .. } => "takes back",
        };
        let lifts = match (voice.rollback, voice.emergency) {
            (false, false) => "",
            (true, false) => ", rollback",
            (false, true) => ", emergency",
            (true, true) => ", rollback, emergency",
        };
        let _ = write!(text, "  {} by {} at {}{lifts}: {}", said, voice.voter, voice.issued_at, voice.state);
        let comment = voice.comment.as_deref().map(|comment| format!(" — {}", plain(comment))).unwrap_or_default();
        let _ = writeln!(text, "{comment}");
    }
    for unheard in &view.standing.unheard {
        let keys = unheard.claimed_keys.join(", ");
        let _ = writeln!(text, "  ignored: a statement claimed by {} ({})", plain(&keys), plain(&unheard.problem));
    }
    let state = if view.standing.rejections().next().is_some() {
        paint.red("rejected")
    } else if view.is_enough() {
        paint.green("approved")
    } else {
        paint.yellow(&format!("waiting: {}", view.waiting_for()))
    };
    let _ = writeln!(text, "  {state}");
    Ok(text)
}
