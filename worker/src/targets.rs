//! What a build is deployed to beside the resources of Terraform: each kind of step has its own.

use manifest_schema::Reason;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::plan::{FilesChange, FunctionChange, PlanSummary, ScheduleChange, ServiceChange, TaskRun};
use policy::plan::Effects;

use crate::cluster::Cluster;
use crate::files::Files;
use crate::functions::Functions;
use crate::schedules;
use crate::session::Session;
use crate::stop::Stop;

/// What deploying a build would do to its targets, each in the order of the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) services: Vec<ServiceChange>,
    pub(crate) tasks: Vec<TaskRun>,
    pub(crate) files: Vec<FilesChange>,
    pub(crate) schedules: Vec<ScheduleChange>,
    pub(crate) functions: Vec<FunctionChange>,
}

impl Changes {
    /// What people agreed to.
    pub(crate) fn approved(PlanSummary { services, tasks, files, schedules, functions, .. }: &PlanSummary) -> Self {
        Self {
            services: services.clone(),
            tasks: tasks.clone(),
            files: files.clone(),
            schedules: schedules.clone(),
            functions: functions.clone(),
        }
    }

    /// What is judged of them.
    pub(crate) fn effects(&self) -> Effects<'_> {
        let Self { services, tasks, files, schedules, functions } = self;
        Effects { terraform: None, services, tasks, files, schedules, functions }
    }

    /// Leaves out what can't differ from what the build says: what runs once and is over.
    pub(crate) fn forget_what_is_over(&mut self) {
        self.tasks.clear();
    }

    /// What is another than in `planned`, in words.
    pub(crate) fn differ_in(&self, planned: &Self) -> Option<&'static str> {
        let Self { services, tasks, files, schedules, functions } = self;
        let same = [
            (*services == planned.services, "a service"),
            (*tasks == planned.tasks, "what a task runs like"),
            (*files == planned.files, "what is in a bucket"),
            (*schedules == planned.schedules, "what a schedule or a rule starts"),
            (*functions == planned.functions, "a function"),
        ];
        same.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let services = self.services.iter().filter(|service| service.changes()).count();
        let functions = self.functions.iter().filter(|function| function.changes()).count();
        let places = self.files.iter().filter(|place| place.changes()).count();
        let schedules = self.schedules.iter().filter(|schedule| schedule.changes()).count();
        services + self.tasks.len() + places + schedules + functions
    }
}

/// Everything that steps are done to.
pub(crate) struct Targets<'a> {
    pub(crate) cluster: Cluster<'a>,
    pub(crate) files: Files<'a>,
    pub(crate) functions: Functions<'a>,
}

impl<'a> Targets<'a> {
    /// Asks nobody yet.
    pub(crate) async fn open(session: &'a Session) -> Self {
        Self {
            cluster: Cluster::open(session).await,
            files: Files::open(session).await,
            functions: Functions::open(session),
        }
    }

    /// What deploying this build would do to them.
    ///
    /// # Errors
    /// When one can't be asked; with everything that isn't supported, of all of them.
    pub(crate) async fn changes(&self, manifest: &BuildManifest) -> Result<Changes, Stop> {
        let mut refused = Vec::new();
        let (services, tasks) = or_refused(self.cluster.changes(manifest).await, &mut refused)?;
        let functions = or_refused(self.functions.changes(manifest).await, &mut refused)?;
        let files = or_refused(self.files.changes(manifest).await, &mut refused)?;
        let schedules = or_refused(schedules::changes(&self.cluster, manifest).await, &mut refused)?;
        if refused.is_empty() {
            Ok(Changes { services, tasks, files, schedules, functions })
        } else {
            Err(Stop::Refused(refused))
        }
    }
}

/// What a target answers, and nothing, with its reasons beside the others', if it refuses.
fn or_refused<T: Default>(answer: Result<T, Stop>, refused: &mut Vec<Reason>) -> Result<T, Stop> {
    match answer {
        Err(Stop::Refused(reasons)) => {
            refused.extend(reasons);
            Ok(T::default())
        }
        answer => answer,
    }
}
