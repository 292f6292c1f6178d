//! The committed schemas are those of the types.

use std::path::{Path, PathBuf};

use super::*;

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(format!("{name}.json"))
}

/// Our documents are what their schemas say; a change of a type must show in a review as a change of its schema.
#[test]
fn committed_schemas_are_those_of_the_types() {
    // What a released version says never changes, not even by a field that may be left out: older readers refuse it.
    let hint =
        "regenerate with AIRLOCK_UPDATE_SCHEMAS=1 cargo test -p manifest-schema schemas, and read the difference";
    for name in names() {
        let path = committed(name);
        let now = schema(name).unwrap();
        if std::env::var_os("AIRLOCK_UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, crate::json::to_bytes(&now)).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; {hint}", path.display()));
        let then: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(then == now, "schema {name} has drifted from {}: {hint}", path.display());
    }
    let directory = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")).unwrap();
    let mut files: Vec<_> = directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let mut expected: Vec<_> = names().iter().map(|name| format!("{name}.json")).collect();
    expected.sort();
    assert_eq!(files, expected, "a schema is left of a document that is gone");
}

#[test]
fn every_schema_names_itself() {
    assert!(names().is_sorted());
    for name in names() {
        let schema = schema(name).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema["$id"], format!("urn:airlock:schema:{name}"));
        assert_eq!(schema["title"], *name);
        assert!(schema["description"].is_string(), "{name} has no description");
    }
    assert_eq!(schema("nonsense"), None);
}

/// What the readers refuse, the schemas refuse: objects with fields that they don't name. Envelopes and statements,
/// whose specifications want unknown fields ignored, are the exception, but not the predicates inside.
#[test]
fn objects_of_ours_are_closed() {
    let open = ["Envelope", "EnvelopeSignature", "Statement", "Subject", "SubjectDigest"];
    for name in names() {
        let schema = schema(name).unwrap();
        let is_open = *name == "envelope" || name.ends_with("-statement");
        let mut root = schema.clone();
        root.as_object_mut().unwrap().remove("$defs");
        assert_eq!(closed(&root, is_open), Vec::<String>::new(), "{name}");
        for (def, schema) in schema["$defs"].as_object().into_iter().flatten() {
            assert_eq!(closed(schema, open.contains(&def.as_str())), Vec::<String>::new(), "{name}: {def}");
        }
    }
}

/// The objects within a schema that have properties and don't say whether there may be others.
fn closed(schema: &Value, is_open: bool) -> Vec<String> {
    let mut problems = Vec::new();
    match schema {
        Value::Object(fields) => {
            let is_object =
                fields.get("type").is_some_and(|kind| kind == "object") && fields.contains_key("properties");
            if is_object && (fields.get("additionalProperties") == Some(&Value::Bool(false))) == is_open {
                problems.push(schema.to_string());
            }
            problems.extend(fields.values().flat_map(|inner| closed(inner, is_open)));
        }
        Value::Array(items) => problems.extend(items.iter().flat_map(|inner| closed(inner, is_open))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    problems
}

/// Types that read and write themselves by other means than a derived implementation.
#[test]
fn hand_written_types_have_the_schema_of_what_is_written() {
    let manifest = schema("build-manifest").unwrap();
    let artifact = &manifest["$defs"]["Artifact"];
    let mut fields: Vec<_> = artifact["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = ["blobs", "digest", "files", "kind", "links", "mediaType", "modules", "name", "provider", "size"];
    assert_eq!(fields, expected);
    assert_eq!(artifact["required"], json!(["name", "kind", "mediaType", "digest", "size"]));
    assert_eq!(
        manifest["properties"]["schema"],
        json!({ "const": "airlock/build-manifest/v1", "description": manifest["properties"]["schema"]["description"] })
    );
    assert_eq!(manifest["$defs"]["Digest"]["pattern"], "^sha256:[0-9a-f]{64}$");
    let build = schema("build-statement").unwrap();
    assert_eq!(build["properties"]["predicateType"]["const"], "urn:airlock:build:v1");
    assert_eq!(build["properties"]["_type"]["const"], "https://in-toto.io/Statement/v1");
    let record = schema("trust-record").unwrap();
    assert_eq!(record["$defs"]["Bytes"]["type"], "string");
}

#[test]
fn what_is_read_is_listed_once() {
    let mut reads = READS.to_vec();
    reads.sort_unstable();
    reads.dedup();
    assert_eq!(reads.len(), READS.len());
    let is_read = |name: &&&str| !matches!(**name, "envelope" | "image-report" | "manifest-diff" | "manifest-report");
    for name in names().iter().filter(is_read) {
        let listed = match name.strip_suffix("-statement") {
            Some(predicate) => format!("urn:airlock:{predicate}:v1"),
            None => format!("airlock/{name}/v1"),
        };
        assert!(READS.contains(&listed.as_str()), "{listed} is not listed");
    }
}
