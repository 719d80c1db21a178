//! What `kubectl describe` prints after a failure: what went wrong, and what to do about it, without a look into any log.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use kubestash_tests::{
    guide::{Backend, Guide, NAMESPACE},
    s3::S3Server,
};

/// Secrets and accounts that are not as they should be, an Addon whose image nobody has, a hook for Pods that are not there.
const BROKEN: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: wrong-keys, namespace: demo}
stringData: {AWS_ACCESS_KEY_ID: testkey, AWS_SECRET_ACCESS_KEY: not-this-one}
---
apiVersion: v1
kind: Secret
metadata: {name: half-keys, namespace: demo}
stringData: {AWS_ACCESS_KEY_ID: testkey}
---
apiVersion: v1
kind: Secret
metadata: {name: wrong-password, namespace: demo}
stringData: {RESTIC_PASSWORD: another}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: powerless, namespace: demo}
---
apiVersion: addons.kubestash.com/v1alpha1
kind: Function
metadata: {name: nowhere}
spec: {image: "localhost:1/nowhere:1", args: [backup, "--namespace=${namespace}", "--backupsession=${backupSession:=}"]}
---
apiVersion: addons.kubestash.com/v1alpha1
kind: Addon
metadata: {name: nowhere}
spec: {backupTasks: [{name: manifest-backup, function: nowhere, driver: KStash, executor: Job, singleton: true}]}
---
apiVersion: core.kubestash.com/v1alpha1
kind: HookTemplate
metadata: {name: flush, namespace: demo}
spec: {action: {exec: {command: ["true"]}}, executor: {type: Pod, pod: {selector: app=nothing}}}
"#;

/// A storage in a bucket of a server.
fn storage(name: &str, secret: &str, bucket: &str, endpoint: &str) -> String {
    format!(
        "---\napiVersion: storage.kubestash.com/v1alpha1\nkind: BackupStorage\nmetadata: {{name: {name}, namespace: demo}}\nspec:\n  storage:\n    \
         provider: s3\n    s3: {{bucket: {bucket}, region: us-east-1, endpoint: \"{endpoint}\", secretName: {secret}, prefix: {name}}}\n"
    )
}

/// What differs between configurations; the rest is as it should be.
struct Configuration {
    name: &'static str,
    storage: &'static str,
    policy: &'static str,
    addon: &'static str,
    task: &'static str,
    secret: &'static str,
    /// Fields of the session.
    session: &'static str,
    /// Fields of the Pod.
    pod: &'static str,
}

const GOOD: Configuration = Configuration {
    name: "good",
    storage: "storage",
    policy: "demo-retention",
    addon: "kubedump-addon",
    task: "manifest-backup",
    secret: "encrypt-secret",
    session: "",
    pod: "",
};

impl Configuration {
    fn manifest(&self) -> String {
        let Self { name, storage, policy, addon, task, secret, session, pod } = self;
        format!(
            r#"---
apiVersion: core.kubestash.com/v1alpha1
kind: BackupConfiguration
metadata: {{name: {name}, namespace: demo}}
spec:
  backends: [{{name: main, storageRef: {{name: {storage}}}, retentionPolicy: {{name: {policy}}}}}]
  sessions:
    - name: s
      scheduler: {{schedule: "0 3 * * *", jobTemplate: {{backoffLimit: 1}}}}
      repositories: [{{name: r-{name}, backend: main, directory: /{name}, encryptionSecret: {{name: {secret}}}}}]
      addon: {{name: {addon}, tasks: [{{name: {task}, params: {{IncludeNamespaces: demo}}}}], jobTemplate: {{spec: {{{pod}}}}}}}
      {session}
"#
        )
    }
}

/// A restore of the newest good snapshot, but for what is named.
fn restore(name: &str, repository: &str, snapshot: &str, secret: &str, pod: &str) -> String {
    format!(
        r#"---
apiVersion: core.kubestash.com/v1alpha1
kind: RestoreSession
metadata: {{name: {name}, namespace: demo}}
spec:
  dataSource: {{repository: {repository}, snapshot: {snapshot}, encryptionSecret: {{name: {secret}}}}}
  addon: {{name: kubedump-addon, tasks: [{{name: manifest-restore, params: {{IncludeNamespaces: demo}}}}], jobTemplate: {{spec: {{{pod}}}}}}}
"#
    )
}

/// Waits until `kubectl describe` of an object has all of these, and gives its words.
fn describes(guide: &Guide, object: &str, wanted: &[&str]) {
    let start = Instant::now();
    loop {
        let shown = guide.cluster.try_kubectl(&["-n", NAMESPACE, "describe", object], "").unwrap_or_else(|error| error);
        let missing: Vec<&&str> = wanted.iter().filter(|part| !shown.contains(**part)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(240), "{missing:#?} is not in what describe {object} shows:\n{shown}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The run of a configuration, once there is one.
fn run_of(guide: &Guide, configuration: &str) -> String {
    let start = Instant::now();
    loop {
        let label = format!("kubestash.com/invoker-name={configuration}");
        let found = guide.cluster.kubectl(&["-n", NAMESPACE, "get", "backupsession", "-l", &label, "-o", "name"]);
        if let Some(name) = found.lines().next() {
            return name.to_owned();
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{configuration} does not run\n{}", guide.everything());
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn storages(guide: &Guide, server: &S3Server) {
    let good = server.endpoint();
    let none = format!("http://{}:1", guide.cluster.machine_address());
    guide.cluster.apply(
        &[
            storage("no-secret", "nothing", "bucket", &good),
            storage("half", "half-keys", "bucket", &good),
            storage("denied", "wrong-keys", "bucket", &good),
            storage("down", "s3-secret", "bucket", &none),
            storage("no-bucket", "s3-secret", "absent", &good),
            "---\napiVersion: storage.kubestash.com/v1alpha1\nkind: BackupStorage\nmetadata: {name: not-ours, namespace: demo}\nspec:\n  storage:\n    \
             provider: local\n    local: {mountPath: /x, hostPath: {path: /var/not-ours, type: DirectoryOrCreate}}\n"
                .to_owned(),
        ]
        .concat(),
    );
    describes(
        guide,
        "backupstorage/no-secret",
        &["BackendSecretNotAvailable", "Secret demo/nothing does not exist; create it in the namespace demo"],
    );
    describes(guide, "backupstorage/half", &["Secret demo/half-keys cannot be used: AWS_SECRET_ACCESS_KEY is missing"]);
    describes(guide, "backupstorage/denied", &["BackendInitializationFailed", "SignatureDoesNotMatch", "check the keys in the Secret"]);
    describes(guide, "backupstorage/down", &["Connection refused", "check endpoint and bucket in spec.storage"]);
    describes(guide, "backupstorage/no-bucket", &["there is no such bucket or container; make it first"]);
    describes(guide, "backupstorage/not-ours", &["Permission denied", "say in runtimeSettings.pod.securityContext"]);
    // The same answer is the same text: nothing changes from look to look.
    let version = || guide.get("backupstorage", "denied")["metadata"]["resourceVersion"].clone();
    let before = version();
    std::thread::sleep(Duration::from_secs(25));
    assert_eq!(version(), before);
}

fn configurations(guide: &Guide) {
    let all = [
        Configuration { name: "no-storage", storage: "missing", ..GOOD },
        Configuration { name: "bad-storage", storage: "no-bucket", ..GOOD },
        Configuration { name: "no-policy", policy: "missing", ..GOOD },
        Configuration { name: "no-addon", addon: "missing", ..GOOD },
        Configuration { name: "bad-task", task: "dump-it", ..GOOD },
        Configuration { name: "no-password", secret: "missing", ..GOOD },
    ];
    guide.cluster.apply(&all.iter().map(Configuration::manifest).collect::<String>());
    describes(guide, "bc/no-storage", &["NotReady", "BackupStorage demo/missing does not exist; create it"]);
    describes(guide, "bc/bad-storage", &["NotReady", "there is no such bucket or container; make it first"]);
    describes(guide, "bc/no-policy", &["NotReady", "RetentionPolicy demo/missing does not exist; create it"]);
    describes(guide, "bc/no-addon", &["NotReady", "Addon missing does not exist; create it, or use kubedump-addon"]);
    describes(guide, "bc/bad-task", &["Invalid", "has no backup task \"dump-it\"; it has manifest-backup"]);
    describes(guide, "bc/no-password", &["NotReady", "Secret demo/missing does not exist; create it in the namespace demo"]);
    let schedule = GOOD.manifest().replace("0 3 * * *", "every day");
    let refused = guide.cluster.try_kubectl(&["apply", "--server-side", "-f", "-"], &schedule).unwrap_err();
    // The API server asks the operator's Pod, through its Service.
    assert!(refused.contains("admission webhook \"validate.kubestash.com\" denied the request"), "{refused}");
    assert!(refused.contains("five fields are needed: minute, hour, day of month, month, day of week"), "{refused}");
    // What was missing comes, and the first backup runs.
    guide.cluster.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: missing, namespace: demo}\nstringData: {RESTIC_PASSWORD: x}\n");
    guide.wait_for_phase("bc", "no-password", "Ready");
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", "bc", "no-password", "--wait=true"]);
}

fn runs(guide: &Guide) {
    let all = [
        Configuration { name: "hook", session: "hooks: {preBackup: [{name: flush, hookTemplate: {name: flush}}]}", ..GOOD },
        Configuration { name: "image", addon: "nowhere", ..GOOD },
        Configuration { name: "node", pod: "nodeSelector: {disk: gold}", session: "backupTimeout: 20s", ..GOOD },
        Configuration { name: "account", pod: "serviceAccountName: nobody", ..GOOD },
        Configuration { name: "weak", pod: "serviceAccountName: powerless", ..GOOD },
        Configuration { name: "memory", pod: "resources: {limits: {memory: 8Mi}, requests: {memory: 8Mi}}", ..GOOD },
        GOOD,
    ];
    guide.cluster.apply(&all.iter().map(Configuration::manifest).collect::<String>());
    describes(guide, &run_of(guide, "hook"), &["Failed", "the hook flush failed: no running Pod of namespace demo matches app=nothing; look at"]);
    describes(
        guide,
        &run_of(guide, "node"),
        &["TimeoutReached", "it did not end within 20s. Pod node-s-", "make room on a node, or change nodeSelector"],
    );
    describes(guide, &run_of(guide, "account"), &["ServiceAccount demo/nobody", "does not exist; create it, or leave the field out"]);
    describes(guide, &run_of(guide, "memory"), &["(OOMKilled): it needs more memory; raise resources.limits.memory"]);
    describes(guide, &run_of(guide, "weak"), &["Succeeded", "Not read: ", "Let the ServiceAccount of the session get and list them"]);
    let pending = "PodHasBeenInPendingStateForLongerThanExpected";
    describes(guide, &run_of(guide, "image"), &[pending, "its image localhost:1/nowhere:1 cannot be had", "check name and registry of the image"]);
    // With the session, what it had begun ends too.
    let session = run_of(guide, "image");
    let name = session.split_once('/').unwrap().1;
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", &session, "--wait=true"]);
    let snapshot = format!("snapshots.storage.kubestash.com/r-image-{name}");
    describes(guide, &snapshot, &["BackupExecutorTerminatedBeforeCompletion", "the BackupSession was deleted before its backup had ended"]);
    guide.wait_for_phase("backupsession", run_of(guide, "good").split_once('/').unwrap().1, "Succeeded");
    // Another password than the one that the repository was made with.
    let patch = r#"{"spec":{"encryptionSecret":{"name":"wrong-password","namespace":"demo"}}}"#;
    guide.cluster.kubectl(&["-n", NAMESPACE, "patch", "repo", "r-good", "--type=merge", "-p", patch]);
    let ran = guide.user.run(&["trigger", "good", "-n", NAMESPACE]);
    let advice = "the Secret that encryptionSecret names must hold that one as RESTIC_PASSWORD";
    assert!(ran.code != 0 && ran.err.contains("wrong password") && ran.err.contains(advice), "{ran:?}");
    let session = ran.out.trim().to_owned();
    describes(guide, &format!("backupsession/{session}"), &["Failed", "wrong password for the repository", advice]);
    describes(guide, &format!("snapshots.storage.kubestash.com/r-good-{session}"), &["Failed", "wrong password for the repository", advice]);
    let page = guide.user.ok(&["describe", "bc/good", "-n", NAMESPACE]);
    assert!(page.contains("Problems\n  - the last run of s, ") && page.contains(advice), "{page}");
}

fn restores(guide: &Guide) {
    let latest = |name: &str, secret: &str, pod: &str| restore(name, "r-good", "latest", secret, pod);
    guide.cluster.apply(
        &[
            restore("no-snapshot", "r-good", "gone", "encrypt-secret", ""),
            restore("no-repository", "nothing", "latest", "encrypt-secret", ""),
            latest("no-account", "encrypt-secret", "serviceAccountName: nobody"),
            latest("weak", "encrypt-secret", "serviceAccountName: powerless"),
            latest("wrong", "wrong-password", ""),
            latest("node", "encrypt-secret", "nodeSelector: {disk: gold}"),
        ]
        .concat(),
    );
    describes(guide, "restoresession/no-snapshot", &["Pending", "SnapshotNotFound", "Snapshot gone does not exist; `kubectl get snapshots"]);
    describes(guide, "restoresession/no-repository", &["Repository demo/nothing does not exist; `kubectl get repositories -A`"]);
    describes(guide, "restoresession/no-account", &["Failed", "ServiceAccount demo/nobody", "does not exist; create it, or leave the field out"]);
    describes(
        guide,
        "restoresession/weak",
        &["Failed", "is forbidden: User \"system:serviceaccount:demo:powerless\"", "grant that to the ServiceAccount"],
    );
    describes(guide, "restoresession/wrong", &["Failed", "wrong password for the repository", "must hold that one as RESTIC_PASSWORD"]);
    describes(guide, "restoresession/node", &["PodHasBeenInPendingStateForLongerThanExpected", "make room on a node, or change nodeSelector"]);
    describes(guide, "restoresession/no-snapshot", &["Invalid", "Snapshot gone does not exist"]);
}

#[test]
fn what_failed_says_why_and_what_to_do() {
    let guide = Guide::start();
    let server = S3Server::start_at(&guide.cluster.machine_address());
    guide.prepare(Backend::Bucket(&server, "describe"));
    guide.cluster.apply(BROKEN);
    guide.wait_for_phase("backupstorage", "storage", "Ready");
    storages(&guide, &server);
    configurations(&guide);
    runs(&guide);
    restores(&guide);
    let listed = guide.user.ok(&["snapshots", "--in-cluster", "-A", "-o", "wide"]);
    for part in ["NAMESPACE", "r-good", "Succeeded", "Partial", "Failed", "wrong password"] {
        assert!(listed.contains(part), "{part} is not in\n{listed}");
    }
    let unsecret = guide.everything() + &guide.cluster.kubectl(&["get", "events", "-A", "-o", "yaml"]);
    for value in ["not-this-one", "testsecret", "changeit"] {
        assert!(!unsecret.contains(value), "{value} is shown");
    }
}
