//! What the gates get to see.

use std::fs;

use manifest_schema::dsse;
use manifest_schema::gates::{Deployed, Place};
use manifest_schema::job::LaunchRequest;
use manifest_schema::storage::{AttestationKind, Key, prefix};
use manifest_schema::trust::PinnedRoots;
use manifest_schema::{Digest, Document};
use records::RecordError;
use records::attestations::{self, MOST_ENVELOPES};
use records::case::{self, Standpoint};
use records::deployments;
use store::Creation;

use crate::desk::{Desk, apply};

fn standpoint() -> Standpoint {
    let place = Place { account: "local".to_owned(), region: "local".to_owned() };
    Standpoint { place, roots: PinnedRoots { threshold: 1, keys: Vec::new() } }
}

fn request() -> LaunchRequest {
    apply(Digest::of(b"plan"))
}

async fn gather(desk: &Desk) -> Result<manifest_schema::gates::Case, RecordError> {
    case::gather(&desk.sides, &standpoint(), &request(), desk.ambient.now()).await
}

fn envelope(number: usize) -> Vec<u8> {
    // Four digits are base64 as well.
    format!(r#"{{"payloadType":"{}","payload":"{number:04}","signatures":[]}}"#, dsse::PAYLOAD_TYPE).into_bytes()
}

async fn put(desk: &Desk, kind: AttestationKind, count: usize) {
    for number in 0..count {
        let created = attestations::add(&desk.sides.artifacts, request().manifest, kind, &envelope(number)).await;
        assert_eq!(created.unwrap(), Creation::Created);
    }
}

#[tokio::test]
async fn of_nothing_a_case_holds_nothing() {
    let desk = Desk::new().await;
    let case = gather(&desk).await.unwrap();
    assert!(case.manifest.is_none() && case.plan.is_none() && matches!(case.deployed, Deployed::Never));
    assert!(case.trust.is_empty() && case.builds.is_empty() && case.reviews.is_empty());
    assert_eq!((case.approvals, case.last_seen), (Some(Vec::new()), 0));
    assert_eq!(case.request, request().to_bytes());
}

#[tokio::test]
async fn everything_signed_about_the_build_is_in_the_case() {
    let desk = Desk::new().await;
    for (kind, count) in
        [(AttestationKind::Build, 2), (AttestationKind::Review, 3), (AttestationKind::Approval, MOST_ENVELOPES)]
    {
        put(&desk, kind, count).await;
    }
    let case = gather(&desk).await.unwrap();
    let approvals = case.approvals.unwrap();
    assert_eq!((case.builds.len(), case.reviews.len(), approvals.len()), (2, 3, MOST_ENVELOPES));
    assert!(approvals.contains(&envelope(255)));
}

/// A no could be among those that were left out.
#[tokio::test]
async fn more_approvals_than_are_read_are_unreadable() {
    let desk = Desk::new().await;
    put(&desk, AttestationKind::Approval, MOST_ENVELOPES + 1).await;
    assert_eq!(gather(&desk).await.unwrap().approvals, None);
}

#[tokio::test]
async fn approvals_that_cannot_all_be_read_are_unreadable() {
    for case in ["a file in the folder's place", "another name", "a link"] {
        let desk = Desk::new().await;
        let folder = prefix::attestations(request().manifest, AttestationKind::Approval);
        let folder = desk.directory.path().join("artifacts").join(folder.trim_end_matches('/'));
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        match case {
            "a file in the folder's place" => fs::write(&folder, "").unwrap(),
            "another name" => {
                fs::create_dir(&folder).unwrap();
                fs::write(folder.join("notes.json"), "").unwrap();
            }
            _ => {
                fs::create_dir(&folder).unwrap();
                std::os::unix::fs::symlink("/etc/hostname", folder.join("a.json")).unwrap();
            }
        }
        assert_eq!(gather(&desk).await.unwrap().approvals, None, "{case}");
    }
}

#[tokio::test]
async fn build_statements_that_cannot_all_be_read_are_an_error() {
    let desk = Desk::new().await;
    put(&desk, AttestationKind::Build, MOST_ENVELOPES + 1).await;
    let error = gather(&desk).await.unwrap_err();
    assert!(matches!(error, RecordError::TooMany { .. }) && !error.is_temporary(), "{error}");
}

#[tokio::test]
async fn a_blob_that_is_not_what_its_name_says_is_passed_on_for_the_gates_to_refuse() {
    let desk = Desk::new().await;
    let path = desk.directory.path().join("artifacts").join(Key::Blob(request().manifest).to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "not it").unwrap();
    let case = gather(&desk).await.unwrap();
    assert_eq!(case.manifest, Some(b"not it".to_vec()));
    assert!(case.evidence.is_empty());
}

#[tokio::test]
async fn only_envelopes_are_added() {
    let desk = Desk::new().await;
    let manifest = request().manifest;
    let error = attestations::add(&desk.sides.artifacts, manifest, AttestationKind::Approval, b"{}").await.unwrap_err();
    assert!(matches!(error, RecordError::Envelope(_)), "{error}");
    assert_eq!(gather(&desk).await.unwrap().approvals, Some(Vec::new()));
}

/// A name that sorts after every number must not read as "never deployed", nor a gap as what came before it.
#[tokio::test]
async fn deployment_records_out_of_order_are_never_taken_for_none() {
    for names in [&["zzz.json"][..], &["000002.json"], &["000001.json"], &["000001.json", "000003.json"]] {
        let desk = Desk::new().await;
        let folder = prefix::deployed(&request().environment, &request().project);
        let folder = desk.directory.path().join("production").join(folder);
        fs::create_dir_all(&folder).unwrap();
        names.iter().for_each(|name| fs::write(folder.join(name), "{}").unwrap());
        let case = gather(&desk).await.unwrap();
        assert!(matches!(case.deployed, Deployed::Unreadable(_)), "{names:?}: {:?}", case.deployed);
        let latest = deployments::latest(desk.production(), &request().environment, &request().project).await;
        assert!(!latest.unwrap_err().is_temporary(), "{names:?}");
    }
}

/// Nothing has to be deleted to hide a no: another genuine envelope over it would be enough.
#[tokio::test]
async fn a_no_that_was_overwritten_makes_the_approvals_unreadable() {
    let desk = Desk::new().await;
    put(&desk, AttestationKind::Approval, 2).await;
    let folder = prefix::attestations(request().manifest, AttestationKind::Approval);
    let folder = desk.directory.path().join("artifacts").join(folder);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(gather(&desk).await.unwrap().approvals.is_some());
    let padded = [fs::read(&files[0]).unwrap(), b" ".to_vec()].concat();
    for altered in [fs::read(&files[1]).unwrap(), padded, b"{}".to_vec()] {
        let genuine = fs::read(&files[0]).unwrap();
        fs::write(&files[0], altered).unwrap();
        assert_eq!(gather(&desk).await.unwrap().approvals, None);
        fs::write(&files[0], genuine).unwrap();
    }
    assert!(gather(&desk).await.unwrap().approvals.is_some());
}

/// Otherwise one file in the artifacts store would end every launch with an error instead of a refusal.
#[tokio::test]
async fn an_endless_file_in_a_blobs_place_is_no_blob() {
    let desk = Desk::new().await;
    let path = desk.directory.path().join("artifacts").join(Key::Blob(request().manifest).to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(gather(&desk).await.unwrap().manifest, None);
}
