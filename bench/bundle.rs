//! Extracts a build's Terraform bundle and judges its configuration, as a worker does before Terraform sees it, and prints
//! how long each time took, in microseconds: what `bench/bundle.sh` runs.
//!
//!     bench-bundle MANIFEST STORE TIMES

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use artifacts::{BundleLimits, extract_bundle};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use manifest_schema::Document as _;
use manifest_schema::manifest::{BlobRef, BuildManifest, Content, FileEntry};
use manifest_schema::trust::TerraformRules;
use policy::configuration::{self, ConfigFile};
use store::{Access, Store};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [manifest, store, times] = arguments.as_slice() else {
        return Err("usage: bench-bundle MANIFEST STORE TIMES".into());
    };
    let manifest = BuildManifest::from_bytes(&fs::read(manifest)?)?;
    let (artifact, _) = manifest.terraform().ok_or("the build has no Terraform step")?;
    let Content::Terraform { files, .. } = &artifact.content else { return Err("the step names no bundle".into()) };
    let blob = BlobRef { digest: artifact.digest, size: artifact.size };
    let archive = Store::open(&store.parse()?, &Access::default()).await?.read_blob(&blob, Vec::new()).await?;
    // All of them stay until the end: deleting many files makes ext4 slow at making others for a while, and a worker has
    // its directory to itself.
    let directory = tempfile::tempdir()?;
    for time in 0..times.parse::<u32>()? {
        let into = directory.path().join(time.to_string());
        fs::create_dir(&into)?;
        let begin = Instant::now();
        extract_and_judge(&archive, files, &into)?;
        writeln!(io::stdout(), "{}", begin.elapsed().as_micros())?;
    }
    Ok(())
}

fn extract_and_judge(archive: &[u8], files: &[FileEntry], into: &Path) -> Outcome<()> {
    extract_bundle(archive, files, &Dir::open_ambient_dir(into, ambient_authority())?, BundleLimits::default())?;
    let contents = files.iter().map(|file| fs::read(into.join(file.path.as_str()))).collect::<Result<Vec<_>, _>>()?;
    let listed = files.iter().zip(&contents);
    let listed: Vec<_> = listed.map(|(file, bytes)| ConfigFile { path: file.path.as_str(), bytes }).collect();
    let problems = configuration::check(&listed, Some(&TerraformRules::default()));
    if problems.is_empty() { Ok(()) } else { Err(format!("the bundle is refused: {problems:?}").into()) }
}
