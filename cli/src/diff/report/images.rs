//! Images: their settings one by one, then their layers.

use manifest_schema::diff::{
    Change, ImageDiff, LayerDiff, PlatformDiff, Presence, Setting, SettingDiff, SettingKind, SettingValue,
};

use super::super::lines::clip;
use super::{Body, Item, Mark, Value, bounded};
use crate::diff::Limits;
use crate::output::size;

/// Longest value of a setting that is told, in characters.
const VALUE: usize = 300;

/// Longest step of a history that is told, in characters.
const STEP: usize = 160;

/// What an image holds: its only platform's settings and layers, or one item for each platform.
pub(super) fn body(image: &ImageDiff, limits: Limits) -> Vec<Body> {
    match image.platforms.as_slice() {
        [only] if only.presence == Presence::Kept => platform(only, limits),
        several => {
            let item = |diff: &PlatformDiff| {
                let mark = if diff.presence == Presence::Kept { Mark::Changed } else { mark(diff.presence) };
                let item = Item::new(mark, &diff.platform);
                Item { open: !diff.settings.is_empty(), body: platform(diff, limits), ..item }
            };
            bounded(several.iter().map(item), limits.others, "platforms")
        }
    }
}

fn platform(diff: &PlatformDiff, limits: Limits) -> Vec<Body> {
    let mut body = bounded(diff.settings.iter().map(setting), limits.others, "settings");
    if !diff.layers.is_empty() {
        body.push(Body::Item(layers(&diff.layers, limits)));
    }
    body
}

fn setting(diff: &SettingDiff) -> Item {
    let item = Item::of(name(&diff.setting), &diff.change, |value| match value {
        SettingValue::Text(text) => clip(text, VALUE),
        SettingValue::Hidden => "value hidden".to_owned(),
    });
    let root = |value: &SettingValue| match value {
        SettingValue::Text(user) => matches!(user.split(':').next(), Some("root" | "0")),
        SettingValue::Hidden => false,
    };
    let now_root = match &diff.change {
        Change::Removed(_) => true,
        Change::Added(_) => false,
        Change::Changed { new, .. } => root(new),
    };
    if diff.setting.kind == SettingKind::User && now_root { item.fact("it runs as root now") } else { item }
}

fn name(setting: &Setting) -> String {
    let kind = match setting.kind {
        SettingKind::User => "user",
        SettingKind::Entrypoint => "entrypoint",
        SettingKind::Command => "command",
        SettingKind::WorkingDirectory => "working directory",
        SettingKind::Environment => "environment variable",
        SettingKind::Port => "port",
        SettingKind::Volume => "volume",
        SettingKind::HealthCheck => "health check",
        SettingKind::StopSignal => "stop signal",
        SettingKind::Label => "label",
    };
    setting.key.as_ref().map_or_else(|| kind.to_owned(), |key| format!("{kind} {key}"))
}

/// One folded item for all layers.
fn layers(diffs: &[LayerDiff], limits: Limits) -> Item {
    let of = |presence| diffs.iter().filter(move |diff| diff.presence == presence);
    let told = |presence, word: &str| {
        let bytes = of(presence).map(|diff| diff.layer.size).fold(0, u64::saturating_add);
        let number = of(presence).count();
        (number > 0).then(|| format!("{} in {number} {word}", size(bytes)))
    };
    let layer = |diff: &LayerDiff| {
        let step = diff.layer.created_by.as_deref().unwrap_or_default();
        // Docker's history is full of tabs and double blanks.
        let step = step.split_whitespace().collect::<Vec<_>>().join(" ");
        let value = if step.is_empty() { Value::None } else { Value::One(clip(&step, STEP)) };
        let label = format!("layer {}", diff.layer.digest.short());
        Item { value, ..Item::new(mark(diff.presence), label) }.fact(size(diff.layer.size))
    };
    let mut item = Item::new(Mark::None, "layers");
    item.facts.extend(
        [told(Presence::Added, "new"), told(Presence::Removed, "gone"), told(Presence::Kept, "kept")]
            .into_iter()
            .flatten(),
    );
    let shown: Vec<_> = diffs.iter().filter(|diff| limits.folds || diff.presence != Presence::Kept).collect();
    item.body = bounded(shown.into_iter().map(layer), limits.others, "layers");
    item
}

fn mark(presence: Presence) -> Mark {
    match presence {
        Presence::Added => Mark::Added,
        Presence::Removed => Mark::Removed,
        Presence::Kept => Mark::Kept,
    }
}
