//! What an image runs and is made of, read from the documents in the artifacts store.

use artifacts::{Descriptor, ImageConfig, ImageDocument};
use manifest_schema::diff::{ImageState, Layer, PlatformState, Setting, SettingKind};
use manifest_schema::manifest::Artifact;
use store::Store;

/// Deepest nesting of indexes, the image itself included; packing keeps to less.
const DEPTH: usize = 8;

/// Most images of an index that are read.
const MOST: usize = 64;

/// Reads an image.
///
/// # Errors
/// When the store lacks one of its documents, or one can't be read.
pub(super) async fn read(store: &Store, artifact: &Artifact) -> anyhow::Result<ImageState> {
    let mut image = ImageState::default();
    let mut open = vec![(artifact.media_type.clone(), artifact.digest, None, 1)];
    while let Some((media_type, digest, platform, depth)) = open.pop() {
        anyhow::ensure!(depth <= DEPTH, "its indexes are nested more than {DEPTH} deep");
        let bytes = store.fetch(&digest, limit()).await?;
        match ImageDocument::from_bytes(&bytes, &media_type)? {
            ImageDocument::Index { manifests } => {
                anyhow::ensure!(open.len() + manifests.len() <= MOST, "it has more than {MOST} platforms");
                // The first one last, so that it is taken next.
                open.extend(manifests.into_iter().rev().map(|next| {
                    let platform = next.platform.as_ref().map(ToString::to_string);
                    (next.media_type, next.digest, platform, depth + 1)
                }));
            }
            ImageDocument::Image { config, layers } => {
                let (named, state) = read_platform(store, &config, &layers).await?;
                let name = platform.or(named).unwrap_or_else(|| "unknown platform".to_owned());
                // Attestations travel as images of an unknown platform, several of them under one name.
                let mut key = name.clone();
                for number in 2.. {
                    if !image.platforms.contains_key(&key) {
                        break;
                    }
                    key = format!("{name} ({number})");
                }
                image.platforms.insert(key, state);
            }
        }
        anyhow::ensure!(image.platforms.len() <= MOST, "it has more than {MOST} platforms");
    }
    Ok(image)
}

fn limit() -> usize {
    usize::try_from(artifacts::DOCUMENT_LIMIT).unwrap_or(usize::MAX)
}

async fn read_platform(
    store: &Store,
    config: &Descriptor,
    layers: &[Descriptor],
) -> anyhow::Result<(Option<String>, PlatformState)> {
    let layer = |layer: &Descriptor| Layer { digest: layer.digest, size: layer.size, created_by: None };
    let mut state = PlatformState { layers: layers.iter().map(layer).collect(), ..PlatformState::default() };
    // What isn't an image but travels as one has layers only.
    if !ImageConfig::is_media_type(&config.media_type) {
        return Ok((None, state));
    }
    let config = ImageConfig::from_bytes(&store.fetch(&config.digest, limit()).await?)?;
    for (layer, step) in state.layers.iter_mut().zip(config.steps(layers.len())) {
        layer.created_by.clone_from(&step.created_by);
    }
    state.settings = settings(&config).collect();
    let parts = [&config.os, &config.architecture, &config.variant];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    Ok((Some(parts.join("/")).filter(|platform| !platform.is_empty()), state))
}

/// Every setting that an image has; what is empty is as good as not there.
fn settings(config: &ImageConfig) -> impl Iterator<Item = (Setting, String)> {
    let run = &config.config;
    let list = |items: &[String]| match items {
        [] => None,
        _ => Some(String::from_utf8_lossy(&serde_json::to_vec(items).unwrap_or_default()).into_owned()),
    };
    let health = run.healthcheck.as_ref().map(|check| {
        let seconds = |nanoseconds: Option<i64>| nanoseconds.map_or(0, |number| number / 1_000_000_000);
        let (interval, timeout) = (seconds(check.interval), seconds(check.timeout));
        let retries = check.retries.unwrap_or(0);
        format!("{} every {interval} s for {timeout} s, {retries} retries", list(&check.test).unwrap_or_default())
    });
    let single = [
        (SettingKind::User, run.user.clone()),
        (SettingKind::Entrypoint, list(&run.entrypoint)),
        (SettingKind::Command, list(&run.cmd)),
        (SettingKind::WorkingDirectory, run.working_dir.clone()),
        (SettingKind::HealthCheck, health),
        (SettingKind::StopSignal, run.stop_signal.clone()),
    ];
    let single = single
        .into_iter()
        .filter_map(|(kind, value)| Some((Setting { kind, key: None }, value.filter(|value| !value.is_empty())?)));
    let keyed = |kind, key: &str, value: &str| (Setting { kind, key: Some(key.to_owned()) }, value.to_owned());
    let variables = run.env.iter().map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        keyed(SettingKind::Environment, name, value)
    });
    let ports = run.exposed_ports.iter().map(move |port| keyed(SettingKind::Port, port, ""));
    let volumes = run.volumes.iter().map(move |volume| keyed(SettingKind::Volume, volume, ""));
    let labels = run.labels.iter().map(move |(name, value)| keyed(SettingKind::Label, name, value));
    single.chain(variables).chain(ports).chain(volumes).chain(labels)
}

/// Whether a setting's name says that its value is a secret. An image should hold none; if it does, a comparison is
/// not where it is to be shown.
pub(super) fn is_secret(setting: &Setting) -> bool {
    let name = setting.key.as_deref().unwrap_or_default();
    match setting.kind {
        SettingKind::Environment | SettingKind::Label => policy::is_secret_name(name),
        SettingKind::User
        | SettingKind::Entrypoint
        | SettingKind::Command
        | SettingKind::WorkingDirectory
        | SettingKind::Port
        | SettingKind::Volume
        | SettingKind::HealthCheck
        | SettingKind::StopSignal => false,
    }
}
