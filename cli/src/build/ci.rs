//! What a CI system says, in its variables, about the build that runs now and what it checked out for it.
//!
//! Sources: Jenkins' own `env-vars.html` with the git and branch-api plugins; GitHub's "Default environment variables";
//! GitLab's "Predefined CI/CD variables reference". Only what stays the same when a build's step is tried again goes
//! into a manifest: no attempt, no job of a pipeline.

mod checkout;

use manifest_schema::manifest::BuildNumber;

use crate::exit::Failure;
use crate::git::without_credentials;

pub(crate) use checkout::Checkout;

/// A build of a CI job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CiBuild {
    /// The job's number for it.
    pub(crate) number: u64,
    /// The CI's own name for it.
    pub(crate) id: Option<String>,
    /// Where a person can look at it.
    pub(crate) url: Option<String>,
    /// The CI system and job.
    pub(crate) builder: String,
}

/// The environment of a process, so that tests can bring their own.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment; empty and unreadable variables count as unset.
pub(crate) fn process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who builds when no CI does.
pub(crate) const LOCAL: &str = "local";

/// The systems whose variables are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    GitHub,
    GitLab,
    /// Or whoever else sets `BUILD_NUMBER`, or nobody.
    Jenkins,
}

impl System {
    /// By the variable that each of the others always sets; a `BUILD_NUMBER` of a workflow's own means nothing there.
    fn detect(variable: Lookup<'_>) -> Self {
        if variable("GITHUB_ACTIONS").is_some() {
            Self::GitHub
        } else if variable("GITLAB_CI").is_some() {
            Self::GitLab
        } else {
            Self::Jenkins
        }
    }
}

impl CiBuild {
    /// The build of the CI that runs this program. `None` on a person's machine.
    ///
    /// # Errors
    /// When its number is none.
    pub(crate) fn detect(variable: Lookup<'_>) -> Result<Option<Self>, Failure> {
        match System::detect(variable) {
            System::GitHub => github(variable),
            System::GitLab => gitlab(variable),
            System::Jenkins => jenkins(variable),
        }
    }
}

fn jenkins(variable: Lookup<'_>) -> Result<Option<CiBuild>, Failure> {
    let Some(number) = number(variable, "BUILD_NUMBER")? else { return Ok(None) };
    let job = || variable("JOB_NAME").map(|job| format!("jenkins:{job}"));
    let builder = address(variable, "JOB_URL").or_else(job);
    Ok(Some(CiBuild {
        number,
        id: variable("BUILD_TAG"),
        url: address(variable, "BUILD_URL"),
        builder: builder.unwrap_or_else(|| LOCAL.to_owned()),
    }))
}

/// A run that is started again keeps its number and id.
fn github(variable: Lookup<'_>) -> Result<Option<CiBuild>, Failure> {
    let Some(number) = number(variable, "GITHUB_RUN_NUMBER")? else { return Ok(None) };
    let server = checkout::github_server(variable);
    let run = variable("GITHUB_RUN_ID");
    let page = variable("GITHUB_REPOSITORY").zip(run.clone());
    let workflow = variable("GITHUB_WORKFLOW_REF").map(|workflow| format!("{server}/{workflow}"));
    Ok(Some(CiBuild {
        number,
        url: page.map(|(repository, run)| format!("{server}/{repository}/actions/runs/{run}")),
        id: run,
        builder: workflow.unwrap_or(server),
    }))
}

/// The number counts the pipelines of the project; the instance's, which skips, is the id.
fn gitlab(variable: Lookup<'_>) -> Result<Option<CiBuild>, Failure> {
    let Some(number) = number(variable, "CI_PIPELINE_IID")? else { return Ok(None) };
    let builder = address(variable, "CI_PROJECT_URL").or_else(|| address(variable, "CI_SERVER_URL"));
    Ok(Some(CiBuild {
        number,
        id: variable("CI_PIPELINE_ID"),
        url: address(variable, "CI_PIPELINE_URL").or_else(|| address(variable, "CI_JOB_URL")),
        builder: builder.unwrap_or_else(|| "gitlab".to_owned()),
    }))
}

fn number(variable: Lookup<'_>, name: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = variable(name) else { return Ok(None) };
    // Read as it is written in a build's name, so that 007 and +7 are not 7.
    let number = format!("0.{text}").parse::<BuildNumber>();
    let number = number.map_err(|_| Failure::usage(format!("{name} is {text:?}, which is no build number")))?;
    Ok(Some(number.number))
}

fn address(variable: Lookup<'_>, name: &str) -> Option<String> {
    variable(name).map(|address| without_credentials(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) type Variables = &'static [(&'static str, &'static str)];

    pub(super) fn with(variables: Variables) -> impl Fn(&str) -> Option<String> {
        move |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn each_system_names_its_build() {
        let jenkins = &[
            ("BUILD_NUMBER", "12"),
            ("JOB_NAME", "hello/main"),
            ("BUILD_TAG", "jenkins-hello-main-12"),
            ("BUILD_URL", "https://user:token@ci.example/job/hello/12/"),
        ];
        let github = &[
            ("GITHUB_ACTIONS", "true"),
            ("BUILD_NUMBER", "a workflow's own"),
            ("GITHUB_RUN_NUMBER", "7"),
            ("GITHUB_RUN_ID", "99"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("GITHUB_REPOSITORY", "acme/hello"),
            ("GITHUB_WORKFLOW_REF", "acme/hello/.github/workflows/build.yml@refs/heads/main"),
        ];
        let gitlab = &[
            ("GITLAB_CI", "true"),
            ("CI_PIPELINE_IID", "31"),
            ("CI_PIPELINE_ID", "100233"),
            ("CI_PIPELINE_URL", "https://gitlab.example/acme/hello/-/pipelines/100233"),
            ("CI_JOB_URL", "https://gitlab.example/acme/hello/-/jobs/5"),
            ("CI_PROJECT_URL", "https://gitlab.example/acme/hello"),
        ];
        let cases: [(Variables, u64, &str, &str, &str); 3] = [
            (jenkins, 12, "jenkins-hello-main-12", "https://ci.example/job/hello/12/", "jenkins:hello/main"),
            (
                github,
                7,
                "99",
                "https://github.com/acme/hello/actions/runs/99",
                "https://github.com/acme/hello/.github/workflows/build.yml@refs/heads/main",
            ),
            (
                gitlab,
                31,
                "100233",
                "https://gitlab.example/acme/hello/-/pipelines/100233",
                "https://gitlab.example/acme/hello",
            ),
        ];
        for (variables, number, id, url, builder) in cases {
            let expected =
                CiBuild { number, id: Some(id.to_owned()), url: Some(url.to_owned()), builder: builder.to_owned() };
            assert_eq!(CiBuild::detect(&with(variables)).unwrap(), Some(expected));
        }
    }

    #[test]
    fn a_person_has_no_build_and_a_wrong_number_is_refused() {
        assert_eq!(CiBuild::detect(&with(&[])).unwrap(), None);
        assert_eq!(CiBuild::detect(&with(&[("GITLAB_CI", "true")])).unwrap(), None);
        for wrong in [
            &[("BUILD_NUMBER", "x")][..],
            &[("BUILD_NUMBER", "-1")],
            &[("BUILD_NUMBER", "007")],
            &[("GITLAB_CI", "true"), ("CI_PIPELINE_IID", "1.5")],
        ] {
            assert!(CiBuild::detect(&with(wrong)).is_err(), "{wrong:?}");
        }
    }
}
