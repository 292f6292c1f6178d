//! What can go wrong between a store and a registry.

use std::fmt;

use artifacts::ImageProblem;
use aws::AwsError;
use manifest_schema::Digest;
use manifest_schema::registry::Address;
use store::StoreError;

/// An image couldn't be pushed. What the registry has by then stays there, and is not sent again the next time.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry, or the server that gives tokens for it, can't be reached, or gives no answer in time.
    #[error("can't {doing}: {problem}")]
    Unreachable {
        /// What was tried, and where.
        doing: Doing,
        /// What happened.
        problem: String,
    },
    /// The registry is out of order or overloaded (HTTP 429 and 5xx), also after some attempts.
    #[error("can't {doing}: {said}; run again in a moment")]
    Unavailable {
        /// What was tried, and where.
        doing: Doing,
        /// What the registry said.
        said: String,
    },
    /// We may not do this there (HTTP 401 and 403).
    #[error("no permission to {doing}: {said}; {advice}", advice = .doing.advice())]
    Denied {
        /// What was tried, and where.
        doing: Doing,
        /// What the registry said.
        said: String,
    },
    /// There is no such repository (`NAME_UNKNOWN`), and this registry makes none by itself.
    #[error("there is no repository {repository} in {registry}: create it, or correct its name")]
    NoRepository {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
    },
    /// The tag names another image already. It was left alone, and nothing was pushed after this was found.
    #[error(
        "the tag {tag} of {repository} is {found} already, not {wanted}: choose another tag, or none, as images are \
         deployed by digest"
    )]
    TagTaken {
        /// The registry and the repository.
        repository: String,
        /// The tag.
        tag: String,
        /// What it names; what the registry said about it if it names no digest.
        found: String,
        /// What it should have named.
        wanted: Digest,
    },
    /// The registry says no to what was asked.
    #[error("can't {doing}: {said}")]
    Refused {
        /// What was tried, and where.
        doing: Doing,
        /// What the registry said.
        said: String,
    },
    /// The registry's answer contradicts what was asked, or the specification.
    #[error("can't {doing}: the answer can't be right: {problem}")]
    WrongAnswer {
        /// What was tried, and where.
        doing: Doing,
        /// What is wrong with it.
        problem: String,
    },
    /// A manifest or an index of the image can't be read.
    #[error("can't read the manifest {digest}: build and publish the image again")]
    Document {
        /// The manifest or index.
        digest: Digest,
        /// What is wrong with it.
        source: ImageProblem,
    },
    /// The list of the image's blobs doesn't fit what its manifests name.
    #[error("the list of the image's blobs doesn't fit its manifests: {problem}; build and publish it again")]
    WrongList {
        /// What doesn't fit.
        problem: String,
    },
    /// A token of ECR opens all of an identity's repositories, so only ECR gets it.
    #[error(
        "{registry} is not a registry of ECR, so no AWS token is shown to it: name one such as \
         123456789012.dkr.ecr.eu-central-1.amazonaws.com, or give it a user and a password"
    )]
    NotEcr {
        /// The registry.
        registry: String,
    },
    /// The store doesn't give the image's bytes. A blob that isn't its digest never becomes one in the registry.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// AWS gives no token for ECR.
    #[error("{0}; {advice}", advice = .0.advice())]
    Aws(Box<AwsError>),
}

impl From<AwsError> for RegistryError {
    fn from(error: AwsError) -> Self {
        Self::Aws(Box::new(error))
    }
}

impl RegistryError {
    /// Whether the same push may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unavailable { .. } => true,
            Self::Store(error) => error.is_temporary(),
            Self::Aws(error) => error.is_temporary(),
            Self::Denied { .. }
            | Self::NoRepository { .. }
            | Self::TagTaken { .. }
            | Self::Refused { .. }
            | Self::WrongAnswer { .. }
            | Self::Document { .. }
            | Self::WrongList { .. }
            | Self::NotEcr { .. } => false,
        }
    }
}

/// One request, in words; and what would have to be allowed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    what: String,
    place: String,
    needs: Needs,
}

/// What ECR asks for in a policy (ECR user guide, "IAM permissions for pushing an image"); elsewhere it is the right to
/// pull or to push.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Needs {
    permission: Permission,
    /// The repository's ARN in ECR, as far as the registry's address tells it.
    arn: Option<String>,
}

/// What a request needs in a policy of ECR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    BatchCheckLayerAvailability,
    InitiateLayerUpload,
    UploadLayerPart,
    CompleteLayerUpload,
    BatchGetImage,
    PutImage,
}

impl Permission {
    fn name(self) -> &'static str {
        match self {
            Self::BatchCheckLayerAvailability => "ecr:BatchCheckLayerAvailability",
            Self::InitiateLayerUpload => "ecr:InitiateLayerUpload",
            Self::UploadLayerPart => "ecr:UploadLayerPart",
            Self::CompleteLayerUpload => "ecr:CompleteLayerUpload",
            Self::BatchGetImage => "ecr:BatchGetImage",
            Self::PutImage => "ecr:PutImage",
        }
    }

    /// In other registries.
    fn right(self) -> &'static str {
        match self {
            Self::BatchCheckLayerAvailability | Self::BatchGetImage => "pull from",
            Self::InitiateLayerUpload | Self::UploadLayerPart | Self::CompleteLayerUpload | Self::PutImage => "push to",
        }
    }
}

impl Doing {
    /// `what` is such as "upload the blob sha256:…".
    pub(crate) fn new(what: String, permission: Permission, registry: &Address, repository: &str) -> Self {
        let arn = registry.ecr().map(|(account, region)| {
            let partition = if region.starts_with("cn-") {
                "aws-cn"
            } else if region.starts_with("us-gov-") {
                "aws-us-gov"
            } else {
                "aws"
            };
            format!("arn:{partition}:ecr:{region}:{account}:repository/{repository}")
        });
        Self { what, place: format!("{registry}/{repository}"), needs: Needs { permission, arn } }
    }

    fn advice(&self) -> String {
        let Needs { permission, arn } = &self.needs;
        match arn {
            Some(arn) => format!(
                "allow {} on {arn} for this identity (`airlock whoami` names it), in its own policies and in the \
                 repository's",
                permission.name()
            ),
            None => format!("let this user {} {}, or check its name and password", permission.right(), self.place),
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.what, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_allow() {
        let denied = |registry: &str, permission| RegistryError::Denied {
            doing: Doing::new("put the manifest".to_owned(), permission, &registry.parse().unwrap(), "team/app"),
            said: "HTTP 403".to_owned(),
        };
        let (elsewhere, ecr) = ("registry.example.com", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn");
        assert_eq!(
            denied(ecr, Permission::PutImage).to_string(),
            format!(
                "no permission to put the manifest in {ecr}/team/app: HTTP 403; allow ecr:PutImage on \
                 arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/app for this identity (`airlock whoami` names \
                 it), in its own policies and in the repository's"
            )
        );
        assert_eq!(
            denied(elsewhere, Permission::BatchGetImage).to_string(),
            "no permission to put the manifest in registry.example.com/team/app: HTTP 403; let this user pull from \
             registry.example.com/team/app, or check its name and password"
        );
    }
}
