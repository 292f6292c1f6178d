//! What the CI checked out: which commit, of which repository, and as which ref.

use super::{Lookup, System, address};

/// What a CI says about one of the repositories that it checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// The commit, and the variable that names it. Jenkins' scripted pipelines don't say.
    pub(crate) commit: Option<(&'static str, String)>,
    /// The ref that it is built from.
    pub(crate) reference: Option<Reference>,
    /// The repository's address, without credentials.
    pub(crate) address: Option<String>,
}

/// A ref as a CI tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The full ref.
    Full(String),
    /// The name of a branch, which may start with the remote's name and a `/`.
    Branch(String),
    /// A change request, which may be built as its author pushed it, or merged with its target.
    Request {
        /// The full ref of what the author pushed.
        head: String,
        /// The full ref of the merge.
        merge: String,
    },
}

impl Reference {
    /// The full ref, given the name of the remote and whether the commit is a merge.
    pub(crate) fn full(&self, remote: Option<&str>, is_merge: bool) -> String {
        match self {
            Self::Full(name) => name.clone(),
            Self::Branch(name) => {
                let name = name.strip_prefix("refs/remotes/").or(name.strip_prefix("remotes/")).unwrap_or(name);
                let remote = format!("{}/", remote.unwrap_or("origin"));
                format!("refs/heads/{}", name.strip_prefix(&remote).unwrap_or(name))
            }
            Self::Request { head, merge } => if is_merge { merge } else { head }.clone(),
        }
    }
}

impl Checkout {
    /// What the CI that runs this program says; nothing on a person's machine.
    pub(crate) fn detect(variable: Lookup<'_>) -> Self {
        let named = |name: &'static str| variable(name).map(|commit| (name, commit));
        match System::detect(variable) {
            System::GitHub => Self {
                commit: named("GITHUB_SHA"),
                // Of a pull request it is refs/pull/<number>/merge, and the commit is that merge.
                reference: variable("GITHUB_REF").map(Reference::Full),
                address: variable("GITHUB_REPOSITORY").map(|name| format!("{}/{name}", github_server(variable))),
            },
            System::GitLab => Self {
                commit: named("CI_COMMIT_SHA"),
                reference: gitlab(variable),
                address: address(variable, "CI_REPOSITORY_URL"),
            },
            System::Jenkins => Self {
                commit: named("GIT_COMMIT"),
                reference: jenkins(variable),
                address: address(variable, "GIT_URL"),
            },
        }
    }
}

pub(super) fn github_server(variable: Lookup<'_>) -> String {
    address(variable, "GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned())
}

fn tag(name: String) -> Reference {
    Reference::Full(format!("refs/tags/{name}"))
}

/// `CI_COMMIT_REF_NAME` of a merge request is its source branch, which may be another repository's: the request's own
/// ref says what is built.
fn gitlab(variable: Lookup<'_>) -> Option<Reference> {
    let request = || {
        let head = variable("CI_MERGE_REQUEST_REF_PATH")?;
        let base = head.strip_suffix("/head").unwrap_or(&head);
        Some(Reference::Full(match variable("CI_MERGE_REQUEST_EVENT_TYPE").as_deref() {
            Some("merged_result") => format!("{base}/merge"),
            Some("merge_train") => format!("{base}/train"),
            Some(_) | None => head,
        }))
    };
    let branch = || variable("CI_COMMIT_BRANCH").map(|name| Reference::Full(format!("refs/heads/{name}")));
    // Older servers know only this name, of a branch unless it is a tag's.
    let named = || variable("CI_COMMIT_REF_NAME").map(|name| Reference::Full(format!("refs/heads/{name}")));
    variable("CI_COMMIT_TAG").map(tag).or_else(request).or_else(branch).or_else(named)
}

fn jenkins(variable: Lookup<'_>) -> Option<Reference> {
    let named = |name: &str| {
        let full = |name: String| if is_full(&name) { Reference::Full(name) } else { Reference::Branch(name) };
        // The git plugin calls a commit without a branch "detached".
        variable(name).filter(|name| name != "detached" && name != "HEAD").map(full)
    };
    // The branch name of a request, PR-12 or MR-12, is Jenkins' own.
    let request = || variable("CHANGE_ID").map(|id| change_request(variable, &id));
    variable("TAG_NAME").map(tag).or_else(request).or_else(|| named("BRANCH_NAME")).or_else(|| named("GIT_BRANCH"))
}

fn is_full(name: &str) -> bool {
    name.starts_with("refs/") && !name.starts_with("refs/remotes/")
}

/// Each forge has refs of its own for requests; which forge it is shows in the request's address.
fn change_request(variable: Lookup<'_>, id: &str) -> Reference {
    let page = variable("CHANGE_URL").unwrap_or_default();
    let (head, merge) = if page.contains("/merge_requests/") {
        (format!("refs/merge-requests/{id}/head"), format!("refs/merge-requests/{id}/merge"))
    } else if page.contains("/pull-requests/") {
        (format!("refs/pull-requests/{id}/from"), format!("refs/pull-requests/{id}/merge"))
    } else {
        (format!("refs/pull/{id}/head"), format!("refs/pull/{id}/merge"))
    };
    // A job that builds both says which one this is.
    match variable("BRANCH_NAME") {
        Some(name) if name.ends_with("-merge") => Reference::Full(merge),
        Some(name) if name.ends_with("-head") => Reference::Full(head),
        Some(_) | None => Reference::Request { head, merge },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Variables, with};
    use super::*;

    #[test]
    fn jenkins_says_which_ref_it_builds() {
        const REQUEST: (&str, &str) = ("CHANGE_URL", "https://forge.example/acme/hello/pull/12");
        let cases: [(Variables, Option<&str>, Option<&str>); 15] = [
            (&[], None, None),
            (&[("GIT_BRANCH", "origin/main")], Some("refs/heads/main"), Some("refs/heads/main")),
            (&[("GIT_BRANCH", "main")], Some("refs/heads/main"), Some("refs/heads/main")),
            (&[("GIT_BRANCH", "refs/remotes/origin/a/b")], Some("refs/heads/a/b"), Some("refs/heads/a/b")),
            (&[("GIT_BRANCH", "other/main")], Some("refs/heads/other/main"), Some("refs/heads/other/main")),
            (&[("GIT_BRANCH", "refs/tags/v1")], Some("refs/tags/v1"), Some("refs/tags/v1")),
            (&[("GIT_BRANCH", "detached")], None, None),
            (
                &[("BRANCH_NAME", "release/1"), ("GIT_BRANCH", "origin/x")],
                Some("refs/heads/release/1"),
                Some("refs/heads/release/1"),
            ),
            (&[("BRANCH_NAME", "v1"), ("TAG_NAME", "v1")], Some("refs/tags/v1"), Some("refs/tags/v1")),
            (
                &[("BRANCH_NAME", "PR-12"), ("CHANGE_ID", "12"), REQUEST],
                Some("refs/pull/12/head"),
                Some("refs/pull/12/merge"),
            ),
            (
                &[("BRANCH_NAME", "PR-12-merge"), ("CHANGE_ID", "12")],
                Some("refs/pull/12/merge"),
                Some("refs/pull/12/merge"),
            ),
            (
                &[("BRANCH_NAME", "PR-12-head"), ("CHANGE_ID", "12")],
                Some("refs/pull/12/head"),
                Some("refs/pull/12/head"),
            ),
            (
                &[("CHANGE_ID", "3"), ("CHANGE_URL", "https://gitlab.example/a/-/merge_requests/3")],
                Some("refs/merge-requests/3/head"),
                Some("refs/merge-requests/3/merge"),
            ),
            (
                &[("CHANGE_ID", "3"), ("CHANGE_URL", "https://bitbucket.example/projects/A/repos/b/pull-requests/3")],
                Some("refs/pull-requests/3/from"),
                Some("refs/pull-requests/3/merge"),
            ),
            (&[("CI_COMMIT_BRANCH", "main"), ("GITHUB_REF", "refs/heads/main")], None, None),
        ];
        for (variables, head, merge) in cases {
            let told = Checkout::detect(&with(variables)).reference;
            let full = |is_merge| told.as_ref().map(|reference| reference.full(Some("origin"), is_merge));
            assert_eq!((full(false).as_deref(), full(true).as_deref()), (head, merge), "{variables:?}");
        }
        let upstream = Checkout::detect(&with(&[("GIT_BRANCH", "upstream/main")])).reference.unwrap();
        assert_eq!(upstream.full(Some("upstream"), false), "refs/heads/main");
    }

    #[test]
    fn github_says_commit_ref_and_repository() {
        let told = Checkout::detect(&with(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", "abc"),
            ("GITHUB_REF", "refs/pull/12/merge"),
            ("GITHUB_REPOSITORY", "acme/hello"),
            ("GIT_COMMIT", "def"),
        ]));
        let reference = Some(Reference::Full("refs/pull/12/merge".to_owned()));
        let address = Some("https://github.com/acme/hello".to_owned());
        assert_eq!(told, Checkout { commit: Some(("GITHUB_SHA", "abc".to_owned())), reference, address });
    }

    #[test]
    fn gitlab_says_branch_tag_or_request() {
        const REQUEST: (&str, &str) = ("CI_MERGE_REQUEST_REF_PATH", "refs/merge-requests/3/head");
        const MARK: (&str, &str) = ("GITLAB_CI", "true");
        let cases: [(Variables, &str); 7] = [
            (&[MARK, ("CI_COMMIT_BRANCH", "main"), ("CI_COMMIT_REF_NAME", "main")], "refs/heads/main"),
            (&[MARK, ("CI_COMMIT_TAG", "v1"), ("CI_COMMIT_REF_NAME", "v1")], "refs/tags/v1"),
            (&[MARK, ("CI_COMMIT_REF_NAME", "main")], "refs/heads/main"),
            (&[MARK, REQUEST, ("CI_COMMIT_REF_NAME", "main")], "refs/merge-requests/3/head"),
            (&[MARK, REQUEST, ("CI_MERGE_REQUEST_EVENT_TYPE", "detached")], "refs/merge-requests/3/head"),
            (&[MARK, REQUEST, ("CI_MERGE_REQUEST_EVENT_TYPE", "merged_result")], "refs/merge-requests/3/merge"),
            (&[MARK, REQUEST, ("CI_MERGE_REQUEST_EVENT_TYPE", "merge_train")], "refs/merge-requests/3/train"),
        ];
        for (variables, expected) in cases {
            let told = Checkout::detect(&with(variables)).reference.unwrap();
            assert_eq!(told.full(None, true), expected, "{variables:?}");
        }
        let address = ("CI_REPOSITORY_URL", "https://gitlab-ci-token:s3cret@gitlab.example/acme/hello.git");
        let variables = [MARK, ("CI_COMMIT_SHA", "abc"), address];
        let told = Checkout::detect(&move |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        assert_eq!(told.commit, Some(("CI_COMMIT_SHA", "abc".to_owned())));
        assert_eq!(told.address.as_deref(), Some("https://gitlab.example/acme/hello.git"));
    }
}
