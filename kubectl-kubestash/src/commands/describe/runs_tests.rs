//! Pages about backups, Snapshots and restores.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::{
    super::fixture::{condition, now, object},
    *,
};

#[test]
fn a_failed_run_says_why_first() {
    let session: BackupSession = object(
        "core",
        "BackupSession",
        "bc-s-1",
        json!({"invoker": {"kind": "BackupConfiguration", "name": "bc"}, "session": "s"}),
        json!({
            "phase": "Failed", "duration": "7s",
            "snapshots": [{"name": "r-bc-s-1", "phase": "Failed", "repository": "r", "message": "wrong password; use the other"}],
            "conditions": [condition("SnapshotCleanupIncomplete", "True", "Pod p ended"), condition("MetricsPushed", "True", "m")],
            "retentionPolicy": [{"repository": "r", "ref": {"name": "keep"}, "phase": "FailedToApply", "error": "Pod p ended"}],
            "hooks": {"preHooks": [{"name": "flush", "phase": "Succeeded"}]},
        }),
    );
    let expected = "\
BackupSession demo/bc-s-1: Failed
  of      BackupConfiguration bc, session s
  began   10m ago
  took    7s

Problems
  - Snapshot r-bc-s-1 failed: wrong password; use the other
  - Pod p ended

Snapshots
  NAME       REPOSITORY   PHASE    OBJECTS   NEW   CHANGED   ADDED
  r-bc-s-1   r            Failed   -         -     -         -

Hooks
  NAME    WHEN     PHASE
  flush   before   Succeeded

Retention
  REPOSITORY   POLICY   PHASE
  r            keep     FailedToApply

Next
  kubectl kubestash logs bc-s-1 -n demo
  kubectl kubestash trigger bc -n demo
";
    assert_eq!(super::session(&session, &[], now()).render(), expected);
}

#[test]
fn a_run_that_waits_says_for_what() {
    let session: BackupSession = object(
        "core",
        "BackupSession",
        "x",
        json!({}),
        json!({"conditions": [condition("PodHasBeenInPendingStateForLongerThanExpected", "True", "no image; check it")]}),
    );
    let page = super::session(&session, &[], now());
    assert_eq!((page.problems, page.next), (vec!["no image; check it".to_owned()], vec!["kubectl kubestash wait x -n demo".to_owned()]));
}

#[test]
fn a_snapshot_tells_what_it_lacks_and_how_to_look_into_it() {
    let stats = json!({
        "objects": 11, "kinds": 2, "new": 11, "changed": 0, "removed": 0, "storedBytes": 4670, "resourceVersion": "77",
        "notRead": [{"resource": "secrets", "reason": "forbidden"}],
    });
    let snapshot: Snapshot = object(
        "storage",
        "Snapshot",
        "x",
        json!({"repository": "r", "backupSession": "bc-s-1"}),
        json!({
            "phase": "Succeeded", "integrity": true, "conditions": [condition("BackupPartial", "True", "Not read: secrets.")],
            "components": {"manifest": {"phase": "Succeeded", "kstashStats": stats}},
        }),
    );
    let expected = "\
Snapshot demo/x: Succeeded
  repository               r
  made by                  BackupSession bc-s-1
  objects                  11 objects of 2 kinds
  against the one before   11 new, 0 changed, 0 gone
  added                    4.6 KiB
  one moment               all at resourceVersion 77
  integrity                good

Problems
  - Not read: secrets.

Not read
  WHAT      WHY
  secrets   forbidden

Next
  kubectl kubestash --repo demo/r mount x DIR
  kubectl kubestash --repo demo/r diff x live --stat
  kubectl kubestash --repo demo/r restore x --dry-run
";
    assert_eq!(super::snapshot(&snapshot, now()).render(), expected);
}

#[test]
fn a_restore_lists_what_was_not_restored() {
    let part = json!({
        "phase": "Failed", "error": "1 of 3 objects were not restored: 1 objects: no such kind",
        "counts": {"created": 2, "failed": 1}, "failures": [{"object": "a/b", "reason": "no such kind"}],
    });
    let restore: RestoreSession = object(
        "core",
        "RestoreSession",
        "back",
        json!({"dataSource": {"repository": "r", "snapshot": "latest"}}),
        json!({
            "phase": "Failed", "components": {"manifest": part}, "conditions": [condition("RestoreExecutorEnsured", "True", "m")],
            "dependencies": [{"kind": "Snapshot", "name": "x", "found": true}],
        }),
    );
    let page = super::restore(&restore, now());
    assert_eq!(page.problems, ["1 of 3 objects were not restored: 1 objects: no such kind"]);
    assert_eq!(page.next, ["kubectl kubestash logs back -n demo"]);
    let text = page.render();
    assert!(
        text.contains("snapshot     x\n") && text.contains("2 created, 0 updated, 0 skipped, 1 failed") && text.contains("a/b      no such kind"),
        "{text}"
    );
    let waits: RestoreSession =
        object("core", "RestoreSession", "back", json!({}), json!({"conditions": [condition("SnapshotFound", "False", "there is none; look")]}));
    assert_eq!(super::restore(&waits, now()).problems, ["there is none; look"]);
}
