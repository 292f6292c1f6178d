//! Change records as documents: what they count, and what they refuse.

use manifest_schema::DocumentError;
use manifest_schema::plan::{PlanSummary, ResourceAction, ResourceChange, TerraformChanges};

use super::*;
use crate::fixture::{now, request, summary};

fn record() -> ChangeRecord {
    ChangeRecord::new(ChangeId::new("CHG-1").unwrap(), request(), now(), "alice")
}

fn note(text: &str) -> Note {
    Note { at: now(), by: "alice".to_owned(), text: text.to_owned() }
}

#[test]
fn a_record_round_trips() {
    let mut record = record();
    record.comment(note("please"));
    record.end(Ending::Resolved, note("deployed")).unwrap();
    assert_eq!(ChangeRecord::from_bytes(&record.to_bytes()).unwrap(), record);
}

#[test]
fn another_schema_and_unknown_fields_are_refused() {
    let text = String::from_utf8(record().to_bytes()).unwrap();
    let newer = ChangeRecord::from_bytes(text.replace("change/v1", "change/v9").as_bytes());
    assert!(matches!(newer, Err(DocumentError::Schema { .. })), "{newer:?}");
    let unknown = ChangeRecord::from_bytes(text.replacen('{', "{\"approved\": true,", 1).as_bytes());
    assert!(matches!(unknown, Err(DocumentError::Malformed { .. })), "{unknown:?}");
}

#[test]
fn records_that_contradict_themselves_are_refused() {
    let long = "x".repeat(LONGEST_TEXT + 1);
    let with = |change: &dyn Fn(&mut ChangeRecord)| {
        let mut record = record();
        change(&mut record);
        record
    };
    for (case, record) in [
        ("open with a resolution", with(&|r| r.resolution = Some(note("done")))),
        ("closed without one", with(&|r| r.status = Status::Closed)),
        ("drift", with(&|r| r.request.action = Action::Drift)),
        ("no summary", with(&|r| r.request.summary = " ".to_owned())),
        ("a summary of two lines", with(&|r| r.request.summary = "a\nb".to_owned())),
        ("a long summary", with(&|r| r.request.summary = "x".repeat(201))),
        ("a long justification", with(&|r| r.request.justification.clone_from(&long))),
        ("a long rollback plan", with(&|r| r.request.rollback_plan.clone_from(&long))),
        ("a long comment", with(&|r| r.comment(note(&long)))),
    ] {
        assert!(ChangeRecord::from_bytes(&record.to_bytes()).is_err(), "{case} was taken");
    }
}

#[test]
fn a_change_ends_once() {
    use Ending::{Closed, Rejected, Resolved};
    for (first, then, allowed) in [
        (Resolved, Resolved, true),
        (Resolved, Closed, true),
        (Resolved, Rejected, false),
        (Closed, Closed, true),
        (Closed, Resolved, false),
        (Closed, Rejected, false),
        (Rejected, Rejected, true),
        (Rejected, Closed, false),
    ] {
        let mut record = record();
        record.end(first, note("first")).unwrap();
        assert_eq!(record.end(then, note("then")).is_ok(), allowed, "{first:?}, then {then:?}");
        let last = if allowed && first != then { (then, "then") } else { (first, "first") };
        assert_eq!((record.status, record.resolution.unwrap().text.as_str()), (last.0.into(), last.1));
    }
}

#[test]
fn an_approval_is_noted_once() {
    let copy = |key: &str| ApprovalCopy {
        statement: Digest::of(b"s"),
        decision: Decision::Approve,
        key: key.to_owned(),
        at: now(),
    };
    let mut record = record();
    for key in ["SHA256:a", "SHA256:b", "SHA256:a"] {
        record.note_approval(copy(key));
    }
    assert_eq!(record.approvals, [copy("SHA256:a"), copy("SHA256:b")]);
}

#[test]
fn a_plan_in_brief_counts_by_action() {
    use ResourceAction::{Create, CreateDelete, Delete, DeleteCreate, Forget, Read, Update};
    let change = |action| ResourceChange {
        address: "null_resource.a".to_owned(),
        resource_type: "null_resource".to_owned(),
        action,
        attributes: Vec::new(),
        values: Default::default(),
    };
    let changes = [Create, Create, Update, DeleteCreate, CreateDelete, Delete, Forget, Read].map(change).to_vec();
    let terraform = TerraformChanges {
        version: "1.11.0".to_owned(),
        providers: Vec::new(),
        state: None,
        shown: Vec::new(),
        changes,
        drift: vec![change(Update)],
        outputs: Vec::new(),
    };
    let brief = PlanInBrief::from(&PlanSummary { terraform: Some(terraform), ..summary() });
    let expected = ResourceCounts { create: 2, update: 1, replace: 2, delete: 1, forget: 1, read: 1, drifted: 1 };
    assert_eq!(brief.resources, Some(expected));
    assert_eq!(PlanInBrief::from(&summary()).resources, None);
}
