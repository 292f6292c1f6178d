//! Why a bundle can't get the modules that it calls.

/// A module that can't be copied into a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ModuleProblem {
    /// Not in `.terraform/modules`.
    #[error("module {address} ({asked}) was not fetched")]
    NotFetched {
        /// The module's address, without `module.`.
        address: String,
        /// What its caller asks for.
        asked: String,
    },
    /// In `.terraform/modules` is another than the configuration asks for.
    #[error("module {address} asks for {asked}, but {fetched} was fetched")]
    Stale {
        /// The module's address, without `module.`.
        address: String,
        /// What its caller asks for.
        asked: String,
        /// What Terraform recorded.
        fetched: String,
    },
    /// A local module that is no directory.
    #[error("module {address}: there is no directory {asked}, taken from the module that calls it")]
    Missing {
        /// The module's address, without `module.`.
        address: String,
        /// What its caller asks for.
        asked: String,
    },
    /// A module that was fetched and calls one beside or above what was fetched.
    #[error("module {address}: {asked} leaves what was fetched")]
    Escapes {
        /// The module's address, without `module.`.
        address: String,
        /// What its caller asks for.
        asked: String,
    },
    /// One directory that is called twice and whose own calls were fetched differently.
    #[error("modules {first} and {second} are one call, but were fetched differently")]
    Ambiguous {
        /// An address.
        first: String,
        /// Another.
        second: String,
    },
    /// A module that calls itself, or nearly so.
    #[error("module {address} is nested too deeply: does it call itself?")]
    Deep {
        /// The module's address, without `module.`.
        address: String,
    },
    /// Its `modules.json` isn't Terraform's.
    #[error(".terraform/modules/modules.json can't be read")]
    Index(#[source] serde_json::Error),
    /// The root module has a directory where modules from elsewhere go.
    #[error("it has a directory airlock-modules, where modules from elsewhere go")]
    Taken,
    /// A call that can't be rewritten as it stands.
    #[error("{0}")]
    Odd(String),
}

impl ModuleProblem {
    /// What to do in the root module, if something there helps.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NotFetched { .. } | Self::Stale { .. } => Some("run terraform init, or terraform get, there"),
            Self::Ambiguous { .. } => Some("run terraform get -update there"),
            Self::Index(_) => Some("remove .terraform and run terraform init there"),
            Self::Taken => Some("give the directory another name"),
            Self::Missing { .. } | Self::Escapes { .. } | Self::Deep { .. } | Self::Odd(_) => None,
        }
    }
}
