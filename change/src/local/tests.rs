use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use manifest_schema::Digest;

use super::*;
use crate::fixture::{now, request};
use crate::record::Status;

struct Place {
    _directory: tempfile::TempDir,
    tracker: LocalTracker,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let tracker = LocalTracker::new(directory.path().join("state/changes"));
    Place { _directory: directory, tracker }
}

fn id(text: &str) -> ChangeId {
    ChangeId::new(text).unwrap()
}

fn note(text: &str) -> Note {
    Note { at: now(), by: "alice".to_owned(), text: text.to_owned() }
}

fn with_plan(plan: u32) -> ChangeRequest {
    ChangeRequest { plan: Digest::of(&plan.to_be_bytes()), ..request() }
}

#[test]
fn the_same_deploy_is_one_change_while_it_is_open() {
    let Place { tracker, .. } = &place();
    let open = |request| tracker.open(request, "alice", now()).unwrap();
    let first = open(request());
    assert_eq!((first.record.id.as_str(), first.is_new), ("CHG-1", true));
    let again = open(ChangeRequest { summary: "In other words".to_owned(), ..request() });
    assert_eq!(again, Opened { is_new: false, ..first });

    assert_eq!(open(with_plan(2)).record.id, id("CHG-2"), "another plan is another change");
    tracker.close(&id("CHG-1"), Ending::Closed, note("not now")).unwrap();
    assert_eq!(open(request()).record.id, id("CHG-3"), "a closed change is not reopened");
    let ids: Vec<_> = tracker.list().unwrap().into_iter().map(|record| record.id).collect();
    assert_eq!(ids, [id("CHG-1"), id("CHG-2"), id("CHG-3")]);
}

#[test]
fn whoever_opens_at_once_shares_a_change_or_none() {
    let Place { tracker, .. } = &place();
    let opened: Vec<Opened> = std::thread::scope(|scope| {
        let open = |n: u32| move || tracker.open(with_plan(n % 8), "alice", now()).unwrap();
        let threads: Vec<_> = (0..32).map(|n| scope.spawn(open(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(opened.iter().filter(|opened| opened.is_new).count(), 8);
    let plans: BTreeSet<_> = opened.iter().map(|o| (o.record.id.clone(), o.record.request.plan)).collect();
    assert_eq!(plans.len(), 8, "an id was given to two plans, or a plan got two ids");
    assert_eq!(tracker.list().unwrap().len(), 8);
}

#[test]
fn no_edit_is_lost() {
    let Place { tracker, .. } = &place();
    let change = tracker.open(request(), "alice", now()).unwrap().record.id;
    std::thread::scope(|scope| {
        for n in 0..16 {
            let change = &change;
            scope.spawn(move || tracker.comment(change, note(&n.to_string())).unwrap());
        }
    });
    let said: BTreeSet<_> = tracker.get(&change).unwrap().history.into_iter().map(|note| note.text).collect();
    assert_eq!(said, (0..16).map(|n: u32| n.to_string()).collect());
}

#[test]
fn an_edit_that_fails_leaves_everything_as_it_was() {
    let Place { tracker, .. } = &place();
    let before = tracker.open(request(), "alice", now()).unwrap().record;
    let change = &before.id;
    let other_id = tracker.update(change, |record| {
        record.id = id("CHG-9");
        Ok(())
    });
    assert!(matches!(other_id, Err(TrackerError::Unsound(_))), "{other_id:?}");
    let unsound = tracker.comment(change, note(&"x".repeat(1 << 20)));
    assert!(matches!(unsound, Err(TrackerError::Unsound(_))), "{unsound:?}");
    assert_eq!(tracker.get(change).unwrap(), before);

    tracker.close(change, Ending::Rejected, note("no")).unwrap();
    let refused = tracker.close(change, Ending::Resolved, note("yes"));
    assert!(matches!(refused, Err(TrackerError::Edit(_))), "{refused:?}");
    assert_eq!(tracker.get(change).unwrap().status, Status::Rejected);
    let left = std::fs::read_dir(tracker.directory()).unwrap().count();
    assert_eq!(left, 2, "one record and the lock");
}

#[test]
fn an_unknown_change_names_the_known_ones() {
    let Place { tracker, .. } = &place();
    let message = |change: &str| tracker.get(&id(change)).unwrap_err().to_string();
    assert_eq!(message("CHG-1"), "there is no change CHG-1; none was opened here yet");
    assert!(!tracker.directory().exists(), "reading made the directory");
    for plan in 0..2 {
        tracker.open(with_plan(plan), "alice", now()).unwrap();
    }
    assert_eq!(message("PROD-7"), "there is no change PROD-7; there are CHG-2, CHG-1");
    for other in ["CHG-01", "CHG-0", "CHG-3", "chg-1"] {
        assert!(matches!(tracker.get(&id(other)), Err(TrackerError::Unknown { .. })), "{other}");
        assert!(tracker.comment(&id(other), note("hello")).is_err(), "{other}");
    }
    for plan in 2..11 {
        tracker.open(with_plan(plan), "alice", now()).unwrap();
    }
    assert!(message("CHG-99").contains("the last of 11 are CHG-11, CHG-10"), "{}", message("CHG-99"));
}

#[test]
fn a_damaged_record_is_named_and_keeps_its_number() {
    let Place { tracker, .. } = &place();
    for plan in 0..2 {
        tracker.open(with_plan(plan), "alice", now()).unwrap();
    }
    let path = tracker.directory().join("CHG-2.json");
    let sound = std::fs::read(&path).unwrap();
    let stranger = std::fs::read(tracker.directory().join("CHG-1.json")).unwrap();
    for (case, bytes) in [
        ("cut", sound[..sound.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("of another change", stranger),
        ("too large", [sound.clone(), vec![b' '; ChangeRecord::LIMIT]].concat()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let results = [
            tracker.get(&id("CHG-2")).map(|_| ()),
            tracker.list().map(|_| ()),
            tracker.comment(&id("CHG-2"), note("hello")).map(|_| ()),
            tracker.open(with_plan(9), "alice", now()).map(|_| ()),
        ];
        for result in results {
            assert!(matches!(&result, Err(TrackerError::Damaged { path: named, .. }) if *named == path), "{case}");
        }
        assert!(tracker.get(&id("CHG-1")).is_ok(), "{case}: the others can still be read");
    }
}

#[test]
fn records_are_for_their_owner_alone() {
    let Place { tracker, .. } = &place();
    tracker.open(request(), "alice", now()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(tracker.directory()), 0o700);
    assert_eq!(mode(&tracker.directory().join("CHG-1.json")), 0o600);
}

#[test]
fn other_files_in_the_directory_are_left_alone() {
    let Place { tracker, .. } = &place();
    tracker.open(request(), "alice", now()).unwrap();
    for name in ["notes.txt", "CHG-x.json", "CHG-7.json.orig", ".new-dead"] {
        std::fs::write(tracker.directory().join(name), b"?").unwrap();
    }
    assert_eq!(tracker.list().unwrap().len(), 1);
    assert_eq!(tracker.open(with_plan(2), "alice", now()).unwrap().record.id, id("CHG-2"));
}
