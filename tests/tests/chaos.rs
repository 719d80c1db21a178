//! Whatever is killed or stalls at whatever moment: each session ends as an undisturbed one would, or in a truthful failure from which the next one
//! recovers, and no earlier snapshot loses anything.
//!
//! `CHAOS_TRIALS` sets how many; the moments come from a seed, which is printed.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use kubestash_tests::{
    guide::{ACCOUNT, Backend, CONFIGURATION, Guide, NAMESPACE, RESOURCES},
    s3::S3Server,
};
use serde_json::{Value, json};

/// What is done to a cluster while it works.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    KillOperator,
    KillJob,
    DeleteJob,
    StallApiServer,
    CrashApiServer,
    StallStore,
    LoseStore,
    StallNode,
    RestartNode,
}

const ALL: [Disturbance; 9] = [
    Disturbance::KillOperator,
    Disturbance::KillJob,
    Disturbance::StallStore,
    Disturbance::StallApiServer,
    Disturbance::DeleteJob,
    Disturbance::CrashApiServer,
    Disturbance::StallNode,
    Disturbance::LoseStore,
    Disturbance::RestartNode,
];

/// How long what is stalled stays so: longer than a request is waited for at first, shorter than it is tried again.
const STALL: Duration = Duration::from_secs(8);
/// How long the store is gone: longer than any request is waited for.
const LOSS: Duration = Duration::from_secs(60);
/// How long an API server stays down: clients have to connect again.
const DOWN: Duration = Duration::from_secs(5);

fn signal(signal: &str, process: &str) {
    assert!(Command::new("kill").args([signal, process]).status().unwrap().success(), "{signal} {process}");
}

fn stall(processes: &[String], time: Duration) {
    processes.iter().for_each(|process| signal("-STOP", process));
    std::thread::sleep(time);
    processes.iter().for_each(|process| signal("-CONT", process));
}

/// The program itself: what is recorded of one in a node is nsenter, which waits in front of the namespace.
fn process_of(guide: &Guide, name: &str) -> String {
    let record = std::fs::read_to_string(guide.cluster.state().unwrap().join(format!("{name}.pid"))).unwrap();
    let recorded = record.split_whitespace().next().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{recorded}/task/{recorded}/children")).unwrap();
    children.split_whitespace().next().unwrap_or_else(|| panic!("{name} runs in no namespace")).to_owned()
}

fn disturb(guide: &Guide, server: &S3Server, what: Disturbance, session: &str) {
    let remove = |namespace: &str, selector: &str| {
        let args = ["-n", namespace, "delete", "pod", "-l", selector, "--force", "--grace-period=0", "--ignore-not-found"];
        let _ = guide.cluster.try_kubectl(&args, "");
    };
    match what {
        Disturbance::KillOperator => remove("kubestash", "app.kubernetes.io/name=kubestash-operator"),
        Disturbance::KillJob => remove(NAMESPACE, &format!("batch.kubernetes.io/job-name={session}")),
        Disturbance::DeleteJob => {
            let _ = guide.cluster.try_kubectl(&["-n", NAMESPACE, "delete", "job", session, "--ignore-not-found"], "");
        }
        Disturbance::StallApiServer => stall(&[process_of(guide, "apiserver")], STALL),
        Disturbance::CrashApiServer => {
            guide.cluster.crash(&["apiserver"]);
            std::thread::sleep(DOWN);
            guide.cluster.start_again(&["apiserver"]);
        }
        Disturbance::StallStore => stall(&[server.process().to_string()], STALL),
        Disturbance::LoseStore => stall(&[server.process().to_string()], LOSS),
        Disturbance::StallNode => stall(&[process_of(guide, "kubelet"), process_of(guide, "containerd")], STALL),
        Disturbance::RestartNode => guide.cluster.restart_node(),
    }
}

/// Waits for the end of a session; its phase and why.
fn end_of(guide: &Guide, session: &str) -> (String, Value) {
    let start = Instant::now();
    loop {
        let found = guide.cluster.try_kubectl(&["-n", NAMESPACE, "get", "backupsession", session, "-o", "json"], "");
        let found: Value = found.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        let phase = found["status"]["phase"].as_str().unwrap_or_default();
        if matches!(phase, "Succeeded" | "Failed" | "Skipped") {
            return (phase.to_owned(), found);
        }
        assert!(start.elapsed() < Duration::from_secs(240), "{session} is {phase:?} after four minutes\n{}", guide.everything());
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Makes a session by hand, which needs nothing but the API server.
fn make_session(guide: &Guide, name: &str) {
    let session = json!({
        "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupSession", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "invoker": {"apiGroup": "core.kubestash.com", "kind": "BackupConfiguration", "name": "cluster-resources-backup"},
            "session": "frequent-backup", "retryLeft": 0,
        },
    });
    guide.cluster.apply(&session.to_string());
}

#[test]
fn sessions_end_truthfully_whatever_happens() {
    let trials: u64 = std::env::var("CHAOS_TRIALS").map_or(9, |text| text.parse().unwrap());
    let seed: u64 = std::env::var("CHAOS_SEED").map_or(11, |text| text.parse().unwrap());
    println!("CHAOS_TRIALS={trials} CHAOS_SEED={seed}");
    let guide = Guide::start();
    let server = S3Server::start_at(&guide.cluster.machine_address());
    guide.cluster.apply(RESOURCES);
    guide.prepare(Backend::Bucket(&server, "chaos"));
    guide.cluster.apply(ACCOUNT);
    let keep = r#"{"spec":{"successfulSnapshots":{"last":100},"failedSnapshots":{"last":100}}}"#;
    guide.cluster.kubectl(&["-n", NAMESPACE, "patch", "retentionpolicy", "demo-retention", "--type=merge", "-p", keep]);
    guide.cluster.apply(CONFIGURATION);
    let first = guide.wait_for_one("backupsession")["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(end_of(&guide, &first).0, "Succeeded", "{}", guide.everything());
    let mut good = vec![format!("repo-{first}")];
    let mut random = seed;
    for trial in 0..trials {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let what = ALL[usize::try_from(trial).unwrap() % ALL.len()];
        let after = Duration::from_millis((random >> 33) % 5_000);
        let session = format!("chaos-{trial}");
        make_session(&guide, &session);
        std::thread::sleep(after);
        disturb(&guide, &server, what, &session);
        let (phase, ended) = end_of(&guide, &session);
        println!("{trial}: {what:?} after {after:?}: {phase}");
        match phase.as_str() {
            "Succeeded" => good.push(format!("repo-{session}")),
            "Failed" => {
                let told = serde_json::to_string(&ended["status"]).unwrap();
                let snapshot = guide
                    .cluster
                    .try_kubectl(&["-n", NAMESPACE, "get", "snapshots.storage.kubestash.com", &format!("repo-{session}"), "-o", "json"], "");
                let why = snapshot
                    .map_or(Value::Null, |text| serde_json::from_str::<Value>(&text).unwrap()["status"]["components"]["manifest"]["error"].clone());
                assert!(why.as_str().is_some_and(|why| !why.is_empty()) || told.contains("\"False\""), "{what:?}: nobody says why: {ended:#}");
                // The next one recovers by itself.
                let next = format!("chaos-{trial}-next");
                make_session(&guide, &next);
                let (phase, _) = end_of(&guide, &next);
                assert_eq!(phase, "Succeeded", "{what:?} after {after:?}\n{}", guide.everything());
                good.push(format!("repo-{next}"));
            }
            other => panic!("{other}: {ended:#}"),
        }
    }
    // Everything that was called good is there, and whole.
    let user = guide.user;
    let listed = user.ok(&["snapshots", "--repo", "demo/repo", "-o", "name"]);
    for name in &good {
        assert!(listed.lines().any(|line| line == name), "{name} is not among\n{listed}");
    }
    user.ok(&["check", "--repo", "demo/repo", "--read-data"]);
}
