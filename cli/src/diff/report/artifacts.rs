//! Artifacts: which of them matter most, and what is told of each.

use manifest_schema::diff::{ArtifactDiff, ArtifactState, Change};
use manifest_schema::manifest::{ArtifactKind, BlobRef, VendoredModule};

use super::{Body, Item, Mark, Teller, part, sizes};
use crate::output::{count, size};

/// Terraform bundles, images with other settings, and all others; in each, those first of which most changed.
pub(super) fn sorted(artifacts: &[ArtifactDiff]) -> [Vec<&ArtifactDiff>; 3] {
    let mut sorted = [const { Vec::new() }; 3];
    for artifact in artifacts {
        let place = match newest(artifact).kind {
            ArtifactKind::Terraform => 0,
            ArtifactKind::Image if has_other_settings(artifact) => 1,
            ArtifactKind::Image | ArtifactKind::Directory | ArtifactKind::File | ArtifactKind::Provider => 2,
        };
        sorted[place].push(artifact);
    }
    for artifacts in &mut sorted {
        artifacts.sort_by_key(|artifact| std::cmp::Reverse(weight(artifact)));
    }
    sorted
}

fn newest(artifact: &ArtifactDiff) -> &ArtifactState {
    match &artifact.change {
        Change::Added(state) | Change::Removed(state) | Change::Changed { new: state, .. } => state,
    }
}

fn has_other_settings(artifact: &ArtifactDiff) -> bool {
    artifact.image.iter().flat_map(|image| &image.platforms).any(|platform| !platform.settings.is_empty())
}

/// How much changed, in bytes.
fn weight(artifact: &ArtifactDiff) -> u64 {
    let whole = || match &artifact.change {
        Change::Added(one) | Change::Removed(one) => one.size,
        Change::Changed { old, new } => old.size.max(new.size),
    };
    if let Some(blobs) = &artifact.blobs {
        return sum(&blobs.added).saturating_add(sum(&blobs.removed));
    }
    if artifact.files.is_empty() {
        return whole();
    }
    let file = |change: &Change<u64>| match change {
        Change::Added(one) | Change::Removed(one) => *one,
        Change::Changed { old, new } => *old.max(new),
    };
    let sizes = artifact.files.iter().map(|diff| file(&part(&diff.change, |state| state.size)));
    sizes.fold(0, u64::saturating_add)
}

fn module(change: &Change<VendoredModule>) -> Item {
    let path = match change {
        Change::Added(module) | Change::Removed(module) | Change::Changed { new: module, .. } => &module.path,
    };
    Item::of(format!("module {path}"), change, VendoredModule::to_string)
}

fn sum(blobs: &[BlobRef]) -> u64 {
    blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add)
}

impl Teller {
    /// Items for artifacts, in this order.
    pub(super) fn artifacts(&mut self, artifacts: &[&ArtifactDiff]) -> Vec<Item> {
        let most = self.limits.others.max(1);
        let mut items: Vec<_> = artifacts.iter().take(most).map(|artifact| self.artifact(artifact)).collect();
        if artifacts.len() > most {
            items.push(Item::new(Mark::None, format!("… and {} more artifacts", artifacts.len() - most)));
        }
        items
    }

    fn artifact(&mut self, diff: &ArtifactDiff) -> Item {
        let mut item = Item::of(diff.name.to_string(), &diff.change, |state| match state.kind {
            // What is deployed is named by these.
            ArtifactKind::Image | ArtifactKind::File | ArtifactKind::Provider => match &state.provider {
                Some(provider) => format!("{provider}, {}", state.digest.short()),
                None => state.digest.short(),
            },
            ArtifactKind::Directory | ArtifactKind::Terraform => String::new(),
        });
        item.facts.push(match &diff.change {
            Change::Changed { old, new } if old.kind != new.kind => format!("{} → {}", old.kind, new.kind),
            Change::Added(state) | Change::Removed(state) | Change::Changed { new: state, .. } => {
                state.kind.to_string()
            }
        });
        match &diff.blobs {
            Some(blobs) => {
                let told = |blobs: &[BlobRef], word| format!("{} in {}", size(sum(blobs)), count(blobs.len(), word));
                item.facts.extend([told(&blobs.added, "new blob"), told(&blobs.kept, "kept blob")]);
            }
            None => item.facts.push(sizes(&part(&diff.change, |state| state.size))),
        }
        item.facts.extend(super::files::counts(diff.files.iter().map(|file| &file.change)));
        item.body.extend(diff.modules.iter().map(|change| Body::Item(module(change))));
        item.open = true;
        if let Some(image) = &diff.image {
            item.body.extend(super::images::body(image, self.limits));
        }
        if let Some(lines) = &diff.lines {
            self.add_lines(&mut item, lines);
        }
        let files = self.files(&diff.files, &diff.links);
        item.body.extend(files);
        item
    }
}
