//! What differs between two images, beyond their blobs: what they run, and in which layers.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Change;
use crate::digest::Digest;

/// What an image is, platform by platform. Whoever can read images makes one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageState {
    /// By platform, such as `linux/arm64`.
    pub platforms: BTreeMap<String, PlatformState>,
}

/// What an image is on one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlatformState {
    /// What its configuration says.
    pub settings: BTreeMap<Setting, String>,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Layer {
    /// SHA-256 of the layer as the registry has it.
    pub digest: Digest,
    /// Its length in bytes, as the registry has it.
    pub size: u64,
    /// The line of the image's history that made it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

/// One setting of an image's configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Setting {
    /// Its kind.
    pub kind: SettingKind,
    /// Which of its kind: the name of a variable or a label, a port, a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The settings of an image's configuration, those first that change what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettingKind {
    /// Who it runs as.
    User,
    /// What runs.
    Entrypoint,
    /// The arguments of the entrypoint, or what runs without one.
    Command,
    /// Where it runs.
    WorkingDirectory,
    /// A variable of its environment.
    Environment,
    /// A port that it says it listens on.
    Port,
    /// A directory that is kept apart from the image.
    Volume,
    /// How it is asked whether it is well.
    HealthCheck,
    /// The signal that asks it to stop.
    StopSignal,
    /// A label.
    Label,
}

/// What differs between two images; platforms that are the same are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageDiff {
    /// Sorted by platform.
    pub platforms: Vec<PlatformDiff>,
}

/// What differs on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlatformDiff {
    /// The platform, such as `linux/arm64`.
    pub platform: String,
    /// Which of the two images are for it.
    pub presence: Presence,
    /// Settings that differ, when both images are for it; those first that change what runs.
    pub settings: Vec<SettingDiff>,
    /// All layers, in order: those that are gone stand where they were.
    pub layers: Vec<LayerDiff>,
}

/// Which of two builds have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Only the new one.
    Added,
    /// Only the old one.
    Removed,
    /// Both.
    Kept,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SettingDiff {
    /// The setting.
    pub setting: Setting,
    /// What became of it.
    pub change: Change<SettingValue>,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SettingValue {
    /// As the configuration has it; what is a list there is JSON here.
    Text(String),
    /// Its name says that it is a secret.
    Hidden,
}

/// A layer, and which images have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LayerDiff {
    /// Which of the two images have it at this place.
    pub presence: Presence,
    /// The layer.
    pub layer: Layer,
}

impl ImageDiff {
    /// Compares two images. Values of settings that `is_secret` are compared and not told.
    pub fn between(old: &ImageState, new: &ImageState, is_secret: impl Fn(&Setting) -> bool) -> Self {
        let names: BTreeSet<_> = old.platforms.keys().chain(new.platforms.keys()).collect();
        let diff_of = |platform: &String| {
            let (old, new) = (old.platforms.get(platform), new.platforms.get(platform));
            let (presence, settings, layers) = match (old, new) {
                (Some(old), Some(new)) if old == new => return None,
                (Some(old), Some(new)) => {
                    (Presence::Kept, settings(old, new, &is_secret), layers(&old.layers, &new.layers))
                }
                (old, None) => (Presence::Removed, Vec::new(), layers(&old?.layers, &[])),
                (None, Some(new)) => (Presence::Added, Vec::new(), layers(&[], &new.layers)),
            };
            Some(PlatformDiff { platform: platform.clone(), presence, settings, layers })
        };
        Self { platforms: names.into_iter().filter_map(diff_of).collect() }
    }
}

fn settings(old: &PlatformState, new: &PlatformState, is_secret: impl Fn(&Setting) -> bool) -> Vec<SettingDiff> {
    let names: BTreeSet<_> = old.settings.keys().chain(new.settings.keys()).collect();
    let diff_of = |setting: &Setting| {
        let told = |value: &String| match is_secret(setting) {
            true => SettingValue::Hidden,
            false => SettingValue::Text(value.clone()),
        };
        let change = match (old.settings.get(setting), new.settings.get(setting)) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(old), Some(new)) => Change::Changed { old: told(old), new: told(new) },
            (old, None) => Change::Removed(told(old?)),
            (None, Some(new)) => Change::Added(told(new)),
        };
        Some(SettingDiff { setting: setting.clone(), change })
    };
    names.into_iter().filter_map(diff_of).collect()
}

/// Goes through both lists once. A layer that moved is gone from one place and new at another.
fn layers(old: &[Layer], new: &[Layer]) -> Vec<LayerDiff> {
    let digests = |layers: &[Layer]| layers.iter().map(|layer| layer.digest).collect::<BTreeSet<_>>();
    let (was, is) = (digests(old), digests(new));
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut told = Vec::new();
    loop {
        let (presence, layer) = match (old.peek(), new.peek()) {
            (Some(before), Some(after)) if before.digest == after.digest => {
                old.next();
                (Presence::Kept, new.next())
            }
            (Some(before), _) if !is.contains(&before.digest) => (Presence::Removed, old.next()),
            (_, Some(after)) if !was.contains(&after.digest) => (Presence::Added, new.next()),
            (Some(_), _) => (Presence::Removed, old.next()),
            (None, _) => (Presence::Added, new.next()),
        };
        let Some(layer) = layer else { return told };
        told.push(LayerDiff { presence, layer: layer.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(settings: &[(SettingKind, Option<&str>, &str)], layers: &str) -> ImageState {
        let settings = settings
            .iter()
            .map(|(kind, key, value)| (Setting { kind: *kind, key: key.map(str::to_owned) }, (*value).to_owned()));
        let layer = |name: char| Layer { digest: Digest::of(&[name as u8]), size: 1, created_by: Some(name.into()) };
        let platform = PlatformState { settings: settings.collect(), layers: layers.chars().map(layer).collect() };
        ImageState { platforms: BTreeMap::from([("linux/amd64".to_owned(), platform)]) }
    }

    fn diff(old: &ImageState, new: &ImageState) -> ImageDiff {
        ImageDiff::between(old, new, |setting| setting.key.as_deref() == Some("TOKEN"))
    }

    #[test]
    fn settings_are_compared_one_by_one_and_secrets_are_not_told() {
        use SettingKind::{Environment, Label, User};
        let old = image(&[(Environment, Some("A"), "1"), (Environment, Some("TOKEN"), "x"), (User, None, "app")], "");
        let new = image(&[(Environment, Some("TOKEN"), "y"), (Label, Some("l"), "1"), (User, None, "root")], "");
        let text = |text: &str| SettingValue::Text(text.to_owned());
        let told: Vec<_> = diff(&old, &new)
            .platforms
            .remove(0)
            .settings
            .into_iter()
            .map(|diff| (diff.setting.kind, diff.setting.key, diff.change))
            .collect();
        let expected = vec![
            (User, None, Change::Changed { old: text("app"), new: text("root") }),
            (Environment, Some("A".to_owned()), Change::Removed(text("1"))),
            (
                Environment,
                Some("TOKEN".to_owned()),
                Change::Changed { old: SettingValue::Hidden, new: SettingValue::Hidden },
            ),
            (Label, Some("l".to_owned()), Change::Added(text("1"))),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn layers_keep_their_order_and_those_gone_stand_where_they_were() {
        for (old, new, expected) in [
            ("ab", "ac", " a-b+c"),
            ("abc", "xbc", "-a+x b c"),
            ("ab", "", "-a-b"),
            ("", "ab", "+a+b"),
            ("ab", "ba", "-a b+a"),
            ("aab", "ab", " a-a b"),
            ("ab", "aab", " a-b+a+b"),
            ("abc", "bxc", "-a b+x c"),
        ] {
            let told = layers(
                &image(&[], old).platforms["linux/amd64"].layers,
                &image(&[], new).platforms["linux/amd64"].layers,
            );
            let told: String = told
                .iter()
                .map(|diff| {
                    let mark = match diff.presence {
                        Presence::Added => "+",
                        Presence::Removed => "-",
                        Presence::Kept => " ",
                    };
                    format!("{mark}{}", diff.layer.created_by.clone().unwrap_or_default())
                })
                .collect();
            assert_eq!(told, expected, "{old} → {new}");
        }
    }

    #[test]
    fn a_platform_that_is_new_or_gone_has_its_layers() {
        let (one, none) = (image(&[(SettingKind::User, None, "app")], "ab"), ImageState::default());
        assert_eq!(diff(&one, &one), ImageDiff::default());
        let (added, removed) = (diff(&none, &one), diff(&one, &none));
        assert_eq!((added.platforms[0].presence, added.platforms[0].layers.len()), (Presence::Added, 2));
        assert_eq!((removed.platforms[0].presence, removed.platforms[0].layers.len()), (Presence::Removed, 2));
        assert!(added.platforms[0].settings.is_empty());
    }
}
