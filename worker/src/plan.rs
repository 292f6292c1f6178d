//! A plan job: what would applying this build do? Nothing is changed; the answer is signed. A drift job asks the same of
//! the build that runs, and its answer can't be applied: the saved plan is not kept, and nothing points to it.

use manifest_schema::gates::Admission;
use manifest_schema::job::{Action, Happening};
use manifest_schema::plan::{PlanSummary, TerraformChanges};
use manifest_schema::pointer::PlanPointer;
use manifest_schema::statement::{Plan, PlanBase, Statement, Subject, subject};
use manifest_schema::storage::{Key, PlanFile};
use manifest_schema::{Code, Digest, Document};
use policy::plan::{Effects, Owned};
use records::plans;
use store::{Creation, Store};

use crate::fetch::{self, Images};
use crate::references;
use crate::session::Session;
use crate::stop::Stop;
use crate::targets::{Changes, Targets};
use crate::terraform::{Terraform, Variables, errored};
use crate::work::WorkDir;
use crate::written;

/// Verifies, fetches, plans, signs.
pub(crate) async fn run(session: &Session) -> Result<(), Stop> {
    let admission = session.decide().await?;
    let (policy, warnings) = (admission.policy().policy().version, admission.warnings().to_vec());
    session.say(Happening::Verified { policy, warnings }).await?;
    let manifest = admission.manifest().manifest();
    references::expect_aws(session, manifest)?;
    let targets = Targets::open(session, &admission).await?;

    let work = WorkDir::take(session).await?;
    // Read before Terraform looks at the state: if something is deployed in between, the plan is stale, not wrong.
    let request = session.request();
    let production = &session.sides().production;
    let (environment, project) = (&request.environment, &request.project);
    let base = records::deployments::base(production, session.ambient(), environment, project).await?;
    let fetched = fetch::run(session, &admission, &work, Images::Present).await?;

    let mut saved = None;
    let mut changes = None;
    let mut owned = Owned::default();
    if let Some(bundle) = fetched.bundle {
        let rules = &admission.environment().terraform;
        let mut terraform = Terraform::init(session, &work, bundle.root, rules).await?;
        let variables = Variables::write(&work, manifest, &references::read(session, manifest).await?)?;
        let (plan, bytes) = terraform.plan(&variables).await?;
        drop(variables);
        let planned = terraform.show(&plan).await?;
        errored::expect_settled(session, &planned).await?;
        let written = written::by_authors(session, manifest, bundle.written, &rules.shown).await?;
        changes = Some(planned.changes(&rules.shown, &written)?);
        saved = Some(bytes);
        // What a drift job finds is told, and nothing comes of it.
        if request.action == Action::Plan {
            owned = policy::plan::owned(planned.json()).map_err(Stop::failed)?;
        }
    }
    let mut of_targets = targets.changes(manifest).await?;
    if request.action != Action::Plan {
        of_targets.forget_what_is_over();
    }
    of_targets.expect_owned_once(&owned)?;
    let summary = summary(&admission, changes, of_targets);
    session.may_go_on()?;
    finish(session, &admission, base, &summary, saved.as_deref()).await?;
    empty_expired(session, &admission).await;
    Ok(())
}

/// Plans that nobody applied in time still hold secrets. What can't be emptied now is by the next plan job.
async fn empty_expired(session: &Session, admission: &Admission) {
    let environments = admission.policy().policy().environments.values();
    let longest = environments.map(|rules| rules.approval.validity_seconds).max().unwrap_or_default();
    if let Err(error) = plans::empty_expired(&session.sides().production, session.ambient().now(), longest).await {
        tracing::warn!(%error, "expired saved plans could not be emptied");
    }
}

/// The whole summary, with every finding.
pub(crate) fn summary(admission: &Admission, terraform: Option<TerraformChanges>, changes: Changes) -> PlanSummary {
    let request = admission.request();
    let findings = policy::plan::findings(Effects { terraform: terraform.as_ref(), ..changes.effects() });
    let Changes { services, tasks, files, schedules, functions } = changes;
    PlanSummary {
        schema: Default::default(),
        project: request.project.clone(),
        environment: request.environment.clone(),
        manifest: request.manifest,
        build: admission.manifest().manifest().build.number(),
        rules: policy::plan::RULES.to_owned(),
        terraform,
        services,
        tasks,
        files,
        schedules,
        functions,
        findings,
    }
}

/// Signs the plan and stores it: the pointer that makes it a plan that can be applied comes last.
async fn finish(
    session: &Session,
    admission: &Admission,
    base: PlanBase,
    summary: &PlanSummary,
    saved: Option<&[u8]>,
) -> Result<(), Stop> {
    let bytes = summary.to_bytes();
    expect_readable(bytes.len())?;
    // Of a drift job only the summary is worth anything.
    let saved = saved.filter(|_| admission.request().action == Action::Plan);
    let mut subjects = vec![
        Subject::new(subject::MANIFEST, admission.manifest().digest()),
        Subject::new(subject::SUMMARY, Digest::of(&bytes)),
    ];
    subjects.extend(saved.map(|saved| Subject::new(subject::SAVED_PLAN, Digest::of(saved))));
    let planned_at = session.ambient().now().whole_seconds();
    let plan = Plan {
        project: summary.project.clone(),
        environment: summary.environment.clone(),
        job: session.job(),
        base,
        planned_at,
        expires_at: planned_at.plus_seconds(admission.environment().approval.validity_seconds),
    };
    let signed = session.sign(&Statement::new(subjects, plan)).await?;

    let production = &session.sides().production;
    if let Some(saved) = saved {
        expect_new(plans::keep_saved(production, session.job(), saved).await?, "the saved plan")?;
    }
    keep(production, Key::JobPlan(session.job(), PlanFile::Summary), &bytes).await?;
    keep(production, Key::JobPlan(session.job(), PlanFile::Envelope), &signed.envelope).await?;
    if admission.request().action == Action::Plan {
        let pointer = PlanPointer { schema: Default::default(), job: session.job() };
        keep(production, Key::PlanJob(signed.statement), &pointer.to_bytes()).await?;
    }

    let resources = summary.terraform.as_ref().map_or(0, |terraform| terraform.changes.len());
    let changes = (resources + Changes::approved(summary).count()) as u64;
    let findings = summary.findings.len() as u64;
    session.say(Happening::Planned { plan: signed.statement, changes, findings }).await
}

/// Refuses a summary, of so many bytes, that nobody would read.
fn expect_readable(length: usize) -> Result<(), Stop> {
    if length <= PlanSummary::LIMIT {
        return Ok(());
    }
    let what = format!(
        "the plan changes too much for one deploy: its summary has {length} bytes, and at most {} are read",
        PlanSummary::LIMIT
    );
    Err(Stop::refused(Code::PlanUnsupported, what))
}

/// Creates an object that only this job can have created.
async fn keep(production: &Store, key: Key, bytes: &[u8]) -> Result<(), Stop> {
    expect_new(production.create(&key, bytes).await?, &key.to_string())
}

fn expect_new(creation: Creation, what: &str) -> Result<(), Stop> {
    match creation {
        Creation::Created => Ok(()),
        Creation::Exists => Err(Stop::failed(format!("{what} is there already: somebody else writes for this job"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_that_nobody_would_read_is_refused() {
        assert!(expect_readable(PlanSummary::LIMIT).is_ok());
        let refused = expect_readable(PlanSummary::LIMIT + 1).unwrap_err().to_string();
        assert!(refused.starts_with("plan.unsupported: ") && refused.contains("2097153 bytes"), "{refused}");
    }
}
