//! What a CI system says about the build that runs now.

use manifest_schema::manifest::BuildNumber;

use crate::exit::Failure;
use crate::git::without_credentials;

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

impl CiBuild {
    /// Jenkins, or whoever else sets `BUILD_NUMBER`; then GitHub Actions. `None` on a person's machine.
    ///
    /// # Errors
    /// When the number is none.
    pub(crate) fn detect(variable: Lookup<'_>) -> Result<Option<Self>, Failure> {
        if let Some(number) = number(variable, "BUILD_NUMBER")? {
            let job = || variable("JOB_NAME").map(|job| format!("jenkins:{job}"));
            let builder = variable("JOB_URL").map(|url| without_credentials(&url)).or_else(job);
            return Ok(Some(Self {
                number,
                id: variable("BUILD_TAG"),
                url: variable("BUILD_URL").map(|url| without_credentials(&url)),
                builder: builder.unwrap_or_else(|| LOCAL.to_owned()),
            }));
        }
        let Some(number) = number(variable, "GITHUB_RUN_NUMBER")? else { return Ok(None) };
        let server = variable("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
        let run = variable("GITHUB_RUN_ID");
        let page = variable("GITHUB_REPOSITORY").zip(run.clone());
        let workflow = variable("GITHUB_WORKFLOW_REF").map(|workflow| format!("{server}/{workflow}"));
        Ok(Some(Self {
            number,
            url: page.map(|(repository, run)| format!("{server}/{repository}/actions/runs/{run}")),
            id: run,
            builder: workflow.unwrap_or_else(|| server.clone()),
        }))
    }
}

fn number(variable: Lookup<'_>, name: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = variable(name) else { return Ok(None) };
    // Read as it is written in a build's name, so that 007 and +7 are not 7.
    let number = format!("0.{text}").parse::<BuildNumber>();
    let number = number.map_err(|_| Failure::usage(format!("{name} is {text:?}, which is no build number")))?;
    Ok(Some(number.number))
}

/// The full ref that the CI checked out, for a working tree on no branch.
pub(crate) fn reference(variable: Lookup<'_>) -> Option<String> {
    let full = |name: &str| if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") };
    let tag = || variable("TAG_NAME").map(|tag| format!("refs/tags/{tag}"));
    // Jenkins calls a pull request's build PR-12, which is no branch.
    let request = || variable("CHANGE_ID").map(|id| format!("refs/pull/{id}/head"));
    let branch = || variable("BRANCH_NAME").map(|branch| full(&branch));
    let remote = || variable("GIT_BRANCH").map(|name| full(name.strip_prefix("origin/").unwrap_or(&name)));
    variable("GITHUB_REF").or_else(tag).or_else(request).or_else(branch).or_else(remote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn jenkins_names_its_build() {
        let jenkins = with(&[
            ("BUILD_NUMBER", "12"),
            ("JOB_NAME", "hello/main"),
            ("BUILD_TAG", "jenkins-hello-main-12"),
            ("BUILD_URL", "https://user:token@ci.example/job/hello/12/"),
        ]);
        let build = CiBuild::detect(&jenkins).unwrap().unwrap();
        assert_eq!((build.number, build.builder.as_str()), (12, "jenkins:hello/main"));
        assert_eq!(build.url.as_deref(), Some("https://ci.example/job/hello/12/"));
    }

    #[test]
    fn github_names_its_build() {
        let github = with(&[
            ("GITHUB_RUN_NUMBER", "7"),
            ("GITHUB_RUN_ID", "99"),
            ("GITHUB_REPOSITORY", "acme/hello"),
            ("GITHUB_WORKFLOW_REF", "acme/hello/.github/workflows/build.yml@refs/heads/main"),
        ]);
        let build = CiBuild::detect(&github).unwrap().unwrap();
        assert_eq!(build.url.as_deref(), Some("https://github.com/acme/hello/actions/runs/99"));
        assert_eq!(build.builder, "https://github.com/acme/hello/.github/workflows/build.yml@refs/heads/main");
    }

    #[test]
    fn a_person_has_no_build_and_a_wrong_number_is_refused() {
        assert_eq!(CiBuild::detect(&with(&[])).unwrap(), None);
        for wrong in [&[("BUILD_NUMBER", "x")], &[("BUILD_NUMBER", "-1")], &[("BUILD_NUMBER", "007")]] {
            assert!(CiBuild::detect(&with(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn refs_are_full() {
        for (variables, expected) in [
            (&[("GIT_BRANCH", "origin/main")][..], "refs/heads/main"),
            (&[("BRANCH_NAME", "release/1"), ("GIT_BRANCH", "origin/x")], "refs/heads/release/1"),
            (&[("BRANCH_NAME", "PR-12"), ("CHANGE_ID", "12")], "refs/pull/12/head"),
            (&[("BRANCH_NAME", "v1"), ("TAG_NAME", "v1")], "refs/tags/v1"),
            (&[("GITHUB_REF", "refs/heads/main")], "refs/heads/main"),
        ] {
            assert_eq!(reference(&with(variables)).as_deref(), Some(expected));
        }
    }
}
