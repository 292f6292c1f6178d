//! What a verification found, for people and for programs.

use manifest_schema::gates::VerifiedManifest;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::report::Signer;
use serde_json::{Value, json};

use super::{Candidate, Checked};
use crate::context::Context;
use crate::inspect::signatures;
use crate::output::{count, plain, size, wrap};

/// Tells that nothing is wrong, and what was looked at.
pub(super) fn verified(
    context: &Context,
    deep: bool,
    verified: &VerifiedManifest,
    candidate: &Candidate,
    checked: &Checked,
) -> anyhow::Result<()> {
    let manifest = verified.manifest();
    let (project, build, built_at) = (&manifest.project, manifest.build.number(), verified.built_at());
    if context.out.is_json() {
        let builders: Vec<String> = verified.builders().iter().map(|key| key.id().to_string()).collect();
        let mut answer = json!({ "verified": true, "project": project, "build": build,
            "manifest": verified.digest(), "builders": builders, "builtAt": built_at });
        if let Value::Object(fields) = details(checked, manifest) {
            fields.into_iter().for_each(|(name, value)| answer[name] = value);
        }
        return context.out.json(&answer);
    }
    let builders: Vec<String> = verified.builders().iter().map(|key| builder(candidate, key)).collect();
    let (word, signers) = (context.out.paint_out().green("verified"), builders.join(", "));
    let mut text = format!("{word}: build {build} of {project}, signed by {signers} at {built_at}\n");
    let mut line = |words: String| {
        text.push_str(&wrap(&plain(&words), context.out.width(), 2, 4));
        text.push('\n');
    };
    if let Some((place, blobs)) = &checked.blobs {
        let (number, bytes) = blobs.total();
        let how = if deep { "each read and hashed" } else { "each with its size; --deep reads them" };
        line(format!("{place} holds all of it: {}, {}, {how}", count(number, "blob"), size(bytes)));
    }
    for compared in checked.artifacts.iter().flatten() {
        line(format!("{} is the same in {}", compared.name, compared.path.display()));
    }
    context.out.data(text)
}

/// A builder's key, and its name if a trust policy has one for it.
fn builder(candidate: &Candidate, key: &manifest_schema::keys::PublicKey) -> String {
    let named = candidate.policy.as_ref().map(|policy| signatures::signer(policy.policy(), key));
    match named {
        Some(Signer { key, name: Some(name), .. }) => format!("{name} ({key})"),
        Some(Signer { key, name: None, .. }) => key,
        None => key.id().to_string(),
    }
}

/// Everything that was looked at beside signatures.
pub(super) fn details(checked: &Checked, manifest: &BuildManifest) -> Value {
    let mut details = json!({});
    if let Some((place, blobs)) = &checked.blobs {
        let (number, bytes) = blobs.total();
        details["store"] = json!({ "store": place.to_string(), "blobs": number, "bytes": bytes,
            "artifacts": blobs.artifacts(manifest), "evidence": blobs.evidence(manifest) });
    }
    if let Some(compared) = &checked.artifacts {
        details["artifacts"] = json!(compared);
    }
    details
}
