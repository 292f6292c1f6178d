//! `airlock.toml`: what a project builds and where it may go.

mod environment;
mod file;
mod gateway;
mod step;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::exit::{Failure, OrFail as _};
use crate::files;

pub(crate) use environment::{Environment, EnvironmentArgs, WhenBusy};
pub(crate) use file::{ArtifactConfig, BundleSettings, Config, EnvironmentConfig, PackKind};
pub(crate) use gateway::{Gateway, LambdaGateway};
pub(crate) use step::{NamedValue, StepConfig, VariableConfig};

/// What the file is called.
pub(crate) const FILE_NAME: &str = "airlock.toml";
/// Largest file that is read, in bytes.
const LIMIT: usize = 1 << 20;

/// An airlock.toml and the directory that its paths are relative to.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The file.
    pub(crate) path: PathBuf,
    /// Where it is.
    pub(crate) directory: PathBuf,
    /// What it says.
    pub(crate) config: Config,
}

impl Project {
    /// A path from the file, as seen from the current directory.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// Reads the file at `stated`, or the nearest one upward from the current directory.
///
/// # Errors
/// When there is none, or it can't be used.
pub(crate) fn load(stated: Option<&Path>) -> Result<Project, Failure> {
    let missing = || anyhow::anyhow!("there is no {FILE_NAME} here or in a directory above");
    load_if_any(stated)?.with_context(missing).or_hint("`airlock init` writes one; --config names another file")
}

/// Like [`load`], with `None` when no file was stated and there is none.
///
/// # Errors
/// When it can't be used.
pub(crate) fn load_if_any(stated: Option<&Path>) -> Result<Option<Project>, Failure> {
    let path = match stated {
        Some(path) => path.to_owned(),
        None => match search()? {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    Ok(Some(read(&path)?))
}

/// The nearest file upward: `airlock.toml` if it is here, so that messages stay short.
fn search() -> anyhow::Result<Option<PathBuf>> {
    if Path::new(FILE_NAME).is_file() {
        return Ok(Some(PathBuf::from(FILE_NAME)));
    }
    let here = std::env::current_dir().context("can't tell the current directory")?;
    Ok(here.ancestors().skip(1).map(|directory| directory.join(FILE_NAME)).find(|path| path.is_file()))
}

/// Reads exactly this file.
///
/// # Errors
/// When it can't be used; the message has the line.
pub(crate) fn read(path: &Path) -> Result<Project, Failure> {
    let bytes = files::read(path, LIMIT)?;
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
    let config = Config::parse(text).map_err(|(line, problem)| match line {
        Some(line) => anyhow::anyhow!("{}:{line}: {problem}", path.display()),
        None => anyhow::anyhow!("{}: {problem}", path.display()),
    })?;
    let directory = path.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Project { path: path.to_owned(), directory, config })
}
