//! Every environment variable that `airlock` reads as its own. Help and documentation list what is declared here.

/// A variable and what it is for.
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it sets, in a sentence without its full stop.
    pub(crate) meaning: &'static str,
}

macro_rules! variables {
    ($($constant:ident = $name:literal: $meaning:literal,)*) => {
        $(#[doc = $meaning] pub(crate) const $constant: &str = $name;)*

        /// All of them, sorted by name.
        pub(crate) const ALL: &[Variable] = &[$(Variable { name: $name, meaning: $meaning },)*];
    };
}

variables! {
    ARTIFACTS = "AIRLOCK_ARTIFACTS": "the artifacts store, over the environment's in airlock.toml",
    CHANGES = "AIRLOCK_CHANGES": "the directory of local changes, over the environment's in airlock.toml",
    CONFIG = "AIRLOCK_CONFIG": "the configuration file; without it, airlock.toml here or in a directory above",
    ENVIRONMENT = "AIRLOCK_ENVIRONMENT": "the environment to work with; needed if airlock.toml names several",
    FORMAT = "AIRLOCK_FORMAT": "text or json: how answers are written to standard output",
    GATEWAY = "AIRLOCK_GATEWAY": "the gateway, over the environment's in airlock.toml",
    KEY = "AIRLOCK_KEY": "the private key to sign with: a file, or awskms:///alias/NAME",
    LOG = "AIRLOCK_LOG": "what to log to standard error: error, warn, info, debug or trace",
    PASSPHRASE = "AIRLOCK_PASSPHRASE": "the passphrase of the private key",
    PRODUCTION = "AIRLOCK_PRODUCTION": "the local production directory, over the environment's in airlock.toml",
    S3_KMS_KEY = "AIRLOCK_S3_KMS_KEY": "the KMS key of what is written to the bucket, over airlock.toml",
    S3_OWNER = "AIRLOCK_S3_OWNER": "the account that the artifacts bucket must belong to, over airlock.toml",
    S3_PATH_STYLE = "AIRLOCK_S3_PATH_STYLE": "true to name the bucket in the path of each request, over airlock.toml",
    TERRAFORM = "AIRLOCK_TERRAFORM": "the program that runs as Terraform: terraform, tofu, or a path",
    WORKER = "AIRLOCK_WORKER": "the worker's program, if it isn't beside this one",
}

/// The end of `airlock --help`.
pub(crate) fn help() -> String {
    let longest = ALL.iter().map(|variable| variable.name.len()).max().unwrap_or(0);
    let lines = ALL.iter().map(|Variable { name, meaning }| format!("\n  {name:longest$}  {meaning}"));
    format!("Environment variables, over airlock.toml and under flags:{}", lines.collect::<String>())
}

/// A variable's value; empty counts as unset.
///
/// # Errors
/// When it is not UTF-8.
pub(crate) fn get(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var_os(name).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => match value.into_string() {
            Ok(text) => Ok(Some(text)),
            Err(_) => anyhow::bail!("the environment variable {name} is not UTF-8"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn variables_are_sorted_and_ours() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(ALL.iter().all(|variable| variable.name.starts_with("AIRLOCK_")));
    }
}
