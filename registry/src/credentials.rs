//! Who we are in a registry.

use std::fmt;

use zeroize::Zeroizing;

/// Who pushes.
#[derive(Clone)]
pub enum Credentials {
    /// Nobody in particular.
    Anonymous,
    /// A user, or a token that is shown as one.
    Basic {
        /// The user's name.
        user: String,
        /// The password or token.
        password: Zeroizing<String>,
    },
    /// What ECR gives to an identity in AWS (`ecr:GetAuthorizationToken`), asked for anew before it expires.
    Ecr(Box<aws::Connection>),
}

impl fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { user, .. } => write!(f, "Basic({user:?})"),
            Self::Ecr(_) => f.write_str("Ecr"),
        }
    }
}
