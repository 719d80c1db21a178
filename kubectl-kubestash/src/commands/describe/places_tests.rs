//! Whole pages about configurations, storages and repositories.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::{
    super::fixture::{condition, now, object},
    *,
};

#[test]
fn a_configuration_tells_schedule_runs_and_the_last_failure() {
    let configuration: BackupConfiguration = object(
        "core",
        "BackupConfiguration",
        "bc",
        json!({"sessions": [{
            "name": "hourly", "scheduler": {"schedule": "0 * * * *", "jobTemplate": {}},
            "repositories": [{"name": "r", "backend": "main", "directory": "/d"}, {"name": "new", "directory": "/n"}],
            "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-backup"}]},
        }]}),
        json!({
            "phase": "Ready", "conditions": [condition("ValidationPassed", "True", "fine")],
            "sessions": [{"name": "hourly", "nextSchedule": "2026-01-01T01:00:00Z"}],
        }),
    );
    let repository = object("storage", "Repository", "r", json!({}), json!({"phase": "Ready", "snapshotCount": 3, "size": "1.000 MiB"}));
    let invoker = json!({"invoker": {"kind": "BackupConfiguration", "name": "bc"}, "session": "hourly"});
    let failed = json!({
        "phase": "Failed", "duration": "7s", "conditions": [],
        "snapshots": [{"name": "s", "phase": "Failed", "message": "no bucket; make it first"}],
    });
    let other = json!({"invoker": {"kind": "BackupConfiguration", "name": "other"}, "session": "hourly"});
    let runs = vec![
        object("core", "BackupSession", "bc-hourly-1", invoker, failed),
        object("core", "BackupSession", "other-hourly-1", other, json!({"phase": "Failed"})),
    ];
    let expected = "\
BackupConfiguration demo/bc: Ready
  created   10m ago

Problems
  - the last run of hourly, bc-hourly-1, failed: Snapshot s failed: no bucket; make it first

Sessions
  NAME     SCHEDULE    NEXT     LAST              TASK
  hourly   0 * * * *   in 50m   Failed, 10m ago   manifest-backup

Repositories
  NAME   BACKEND   DIRECTORY   PHASE          SNAPSHOTS   SIZE        LAST BACKUP
  r      main      /d          Ready          3           1.000 MiB   -
  new    -         /n          not made yet   -           -           -

Last runs
  BACKUPSESSION   PHASE    DURATION   AGE
  bc-hourly-1     Failed   7s         10m

Next
  kubectl kubestash describe session/bc-hourly-1 -n demo
  kubectl kubestash trigger bc -n demo
";
    assert_eq!(super::configuration(&configuration, &[repository], runs, now()).render(), expected);
}

#[test]
fn what_keeps_a_configuration_from_being_ready_is_told_once() {
    let configuration: BackupConfiguration = object(
        "core",
        "BackupConfiguration",
        "bc",
        json!({"paused": true, "sessions": [{"name": "hourly"}]}),
        json!({
            "phase": "NotReady",
            "backends": [{"name": "main", "ready": false, "storage": {"phase": "NotReady", "reason": "BackupStorage demo/s does not exist"}}],
            "repositories": [{"name": "r", "phase": "NotReady", "reason": "BackupStorage demo/s does not exist"}],
            "sessions": [{"name": "hourly", "conditions": [condition("SchedulerEnsured", "False", "Secret demo/e does not exist")]}],
        }),
    );
    let page = super::configuration(&configuration, &[], Vec::new(), now());
    assert_eq!(page.problems, ["backend main: BackupStorage demo/s does not exist", "session hourly: Secret demo/e does not exist",]);
    assert_eq!(page.next, ["kubectl kubestash resume bc -n demo"]);
    assert!(page.render().contains("paused    yes: nothing runs by schedule"));
}

#[test]
fn a_storage_tells_where_it_is_and_what_is_wrong() {
    let s3 = json!({"bucket": "b", "prefix": "/p/", "endpoint": "http://x:1", "secretName": "keys"});
    let storage: BackupStorage = object(
        "storage",
        "BackupStorage",
        "s",
        json!({"storage": {"provider": "s3", "s3": s3}, "deletionPolicy": "WipeOut"}),
        json!({
            "phase": "NotReady", "totalSize": "0 B", "conditions": [condition("BackendInitialized", "False", "no bucket; make it first")],
            "repositories": [{"name": "r", "namespace": "team", "path": "/d", "error": "namespace team does not exist"}],
        }),
    );
    let expected = "\
BackupStorage demo/s: NotReady
  place          s3://b/p at http://x:1
  secret         demo/keys
  used by        its own namespace
  size           0 B
  when deleted   WipeOut
  created        10m ago

Problems
  - no bucket; make it first
  - repository r: namespace team does not exist

Repositories
  NAME     DIRECTORY   SIZE
  team/r   /d          -
";
    assert_eq!(super::storage(&storage, now()).render(), expected);
}

#[test]
fn a_repository_leads_to_the_snapshot_that_failed() {
    let repository: Repository = object(
        "storage",
        "Repository",
        "r",
        json!({"storageRef": {"name": "s"}, "path": "/d", "encryptionSecret": {"name": "e"}}),
        json!({
            "phase": "Ready", "snapshotCount": 1, "size": "1 B", "integrity": false,
            "recentSnapshots": [{"name": "x", "phase": "Failed", "session": "hourly", "snapshotTime": "2026-01-01T00:09:00Z"}],
        }),
    );
    let page = super::repository(&repository, now());
    assert_eq!(page.problems.len(), 2);
    assert!(page.problems[0].contains("check --read-data --repo demo/r"), "{:?}", page.problems);
    assert_eq!(page.next, ["kubectl kubestash describe snapshot/x -n demo", "kubectl kubestash snapshots --repo demo/r"]);
    assert!(page.render().contains("x      hourly    Failed   -      60s"), "{}", page.render());
}
