//! Hooks on a real cluster: the manifests of docs/guides/hooks.md do what the guide says, and a hook that fails keeps the backup from happening.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use kubestash_tests::{
    cluster::Cluster,
    guide::{Backend, Guide},
    tests_folder,
};
use serde_json::{Value, json};

const HELPER: &str = "localhost/helper:1";

/// Stands for a database's client, its server and a web server: `serve PORT`, `log` to show what it was called with, else it notes its arguments.
const PROGRAM: &str = r#"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static const char answer[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
static int serve(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 8)) return 1;
    for (;;) {
        char request[4096];
        int one = accept(listener, 0, 0);
        if (read(one, request, sizeof request) > 0) write(one, answer, sizeof answer - 1);
        close(one);
    }
}
int main(int count, char **words) {
    char line[1024];
    if (count == 3 && !strcmp(words[1], "serve")) return serve(atoi(words[2]));
    if (count == 2 && !strcmp(words[1], "log")) {
        FILE *log = fopen("/data/log", "r");
        while (log && fgets(line, sizeof line, log)) fputs(line, stdout);
        return 0;
    }
    for (int at = 1; at < count; at++) {
        if (strstr(words[at], "missing")) {
            fprintf(stderr, "ERROR: relation \"missing\"\n  does not exist\n");
            return 3;
        }
    }
    FILE *log = fopen("/data/log", "a");
    for (int at = 1; at < count; at++) {
        if (log) fprintf(log, "%s ", words[at]);
        printf("%s ", words[at]);
    }
    if (log) fprintf(log, "\n");
    return 0;
}
"#;

fn import_helper(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let psql = folder.path().join("psql");
    let mut compiler = Command::new("cc").args(["-static", "-Os", "-x", "c", "-", "-o"]).arg(&psql).stdin(Stdio::piped()).spawn().unwrap();
    compiler.stdin.take().unwrap().write_all(PROGRAM.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success());
    std::fs::write(folder.path().join("Containerfile"), "FROM scratch\nCOPY psql /bin/psql\nENTRYPOINT [\"/bin/psql\"]\n").unwrap();
    cluster.import_image(HELPER, folder.path());
}

/// What the guide's hooks run in, and something to back up.
const SURROUNDINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: demo}
data: {colour: blue}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: demo}
spec:
  replicas: 2
  serviceName: db
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db, tier: data}}
    spec:
      dnsPolicy: Default
      terminationGracePeriodSeconds: 1
      volumes: [{name: data, emptyDir: {}}]
      containers:
        - {name: web, image: 'localhost/helper:1', imagePullPolicy: Never, args: [serve, '8080'], ports: [{name: http, containerPort: 8080}]}
        - {name: postgres, image: 'localhost/helper:1', imagePullPolicy: Never, args: [serve, '5432'], volumeMounts: [{name: data, mountPath: /data}]}
";

/// The manifests of the guide, with a receiver of messages in place of Slack, and our program in place of an image.
fn manifests(address: &str, port: u16) -> Vec<String> {
    let text = std::fs::read_to_string(tests_folder("../docs/guides/hooks.md")).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let local = |block: &str| {
        let block = block.replace("hooks.slack.com", address).replace("port: 443", &format!("port: {port}"));
        block.replace("scheme: HTTPS", "scheme: HTTP").replace("registry.example.com/announce:1", HELPER)
    };
    blocks.map(local).collect()
}

/// Paths and bodies of requests, in the order in which they came.
type Received = Arc<Mutex<Vec<(String, Value)>>>;

/// A receiver of messages: line and body of each request.
fn receiver(address: &str) -> (u16, Received) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let all: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let seen = Arc::clone(&all);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(count) = line.strip_prefix("content-length:") {
                    length = count.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").unwrap();
            seen.lock().unwrap().push((first.trim_end().to_owned(), serde_json::from_slice(&body).unwrap()));
        }
    });
    (port, all)
}

struct Stage {
    guide: Guide,
    messages: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Stage {
    fn start() -> (Self, Vec<String>) {
        let guide = Guide::start();
        let cluster = &guide.cluster;
        import_helper(cluster);
        let storage = cluster.state().unwrap().join("storage");
        std::fs::create_dir(&storage).unwrap();
        guide.prepare(Backend::HostPath(storage.to_str().unwrap()));
        cluster.apply(SURROUNDINGS);
        cluster.kubectl(&["-n", "demo", "rollout", "status", "statefulset/db", "--timeout=180s"]);
        let address = cluster.machine_address();
        let (port, messages) = receiver(&address);
        (Self { guide, messages }, manifests(&address, port))
    }

    /// The session whose name begins so, once it has ended.
    fn ended(&self, kind: &str, begin: &str) -> Value {
        let start = Instant::now();
        loop {
            let own = self.guide.list(kind).into_iter().find(|item| name(item).starts_with(begin));
            let phase = own.as_ref().and_then(|own| own["status"]["phase"].as_str()).unwrap_or_default();
            if matches!(phase, "Succeeded" | "Failed" | "Skipped" | "Invalid") {
                return own.unwrap();
            }
            assert!(start.elapsed() < Duration::from_secs(240), "{kind} {begin}… is {phase:?}\n{}", self.guide.everything());
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn noted(&self, pod: &str) -> Vec<String> {
        let text = self.guide.cluster.kubectl(&["-n", "demo", "exec", pod, "-c", "postgres", "--", "psql", "log"]);
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn taken(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.messages.lock().unwrap())
    }
}

fn condition<'a>(session: &'a Value, type_: &str) -> &'a Value {
    let all = session["status"]["conditions"].as_array().unwrap_or_else(|| panic!("no conditions: {session:#}"));
    all.iter().find(|condition| condition["type"] == type_).unwrap_or_else(|| panic!("no {type_}: {session:#}"))
}

fn name(session: &Value) -> &str {
    session["metadata"]["name"].as_str().unwrap()
}

#[test]
fn the_guide_and_a_hook_that_fails() {
    let (stage, manifests) = Stage::start();
    let cluster = &stage.guide.cluster;
    for manifest in &manifests {
        cluster.apply(manifest);
    }

    // The backup of the guide.
    let session = stage.ended("backupsession", "cluster-backup-frequent-");
    assert_eq!(session["status"]["phase"], "Succeeded", "{}", stage.guide.everything());
    let succeeded = |names: &[&str]| json!(names.iter().map(|name| json!({"name": name, "phase": "Succeeded"})).collect::<Vec<_>>());
    assert_eq!(session["status"]["hooks"]["preHooks"], succeeded(&["checkpoint", "healthy", "announce"]));
    assert_eq!(session["status"]["hooks"]["postHooks"], succeeded(&["tell"]), "the alarm is for failures");
    assert_eq!(condition(&session, "PreBackupHooksExecutionSucceeded")["reason"], "SuccessfullyExecutedPreBackupHooks");
    assert_eq!(condition(&session, "PostBackupHooksExecutionSucceeded")["status"], "True");
    for pod in ["db-0", "db-1"] {
        assert_eq!(stage.noted(pod), [format!("-U postgres -c CHECKPOINT; -- nightly: {}", name(&session))]);
    }
    let job = format!("hook-{}-pre-2-1", name(&session));
    let said = cluster.kubectl(&["-n", "demo", "logs", &format!("job/{job}")]);
    assert_eq!(said.trim(), format!("--namespace=demo --session={} --level=debug", name(&session)));
    let made: Value = serde_json::from_str(&cluster.kubectl(&["-n", "demo", "get", "job", &job, "-o", "json"])).unwrap();
    assert_eq!(made["metadata"]["labels"]["app.kubernetes.io/component"], "kubestash-hook");
    assert_eq!(made["metadata"]["ownerReferences"][0]["name"], name(&session));
    let env = made["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "REGION", "value": "north"})), "{env:?}");
    let [(line, message)]: [(String, Value); 1] = stage.taken().try_into().unwrap();
    assert_eq!(line, "POST /services/T000/B000/XXXX HTTP/1.1");
    assert_eq!((&message["channel"], &message["phase"]), (&json!("backups"), &json!("Succeeded")));
    let begin = format!("demo/{} took ", name(&session));
    assert!(message["text"].as_str().unwrap().starts_with(&begin), "{message}");

    // The same with a hook that fails.
    let bad = manifests.last().unwrap().replace("name: cluster-backup", "name: broken-backup").replace("name: repo", "name: broken-repo");
    let bad = bad.replace("directory: /cluster", "directory: /broken").replace("reason: nightly", "reason: missing");
    cluster.apply(&bad);
    let session = stage.ended("backupsession", "broken-backup-frequent-");
    assert_eq!(session["status"]["phase"], "Failed");
    let failed = condition(&session, "PreBackupHooksExecutionSucceeded");
    assert_eq!((&failed["status"], &failed["reason"]), (&json!("False"), &json!("FailedToExecutePreBackupHooks")));
    let why = failed["message"].as_str().unwrap();
    let said = "the hook checkpoint failed: the command in container postgres of Pod db-0 ended with exit code 3; it said: ERROR: relation \"missing\" does not exist";
    assert!(why.starts_with(said) && why.ends_with("(tried 3 times)"), "{why}");
    let phases = ["Failed", "Pending", "Pending"];
    let wanted: Vec<Value> =
        ["checkpoint", "healthy", "announce"].iter().zip(phases).map(|(name, phase)| json!({"name": name, "phase": phase})).collect();
    assert_eq!(session["status"]["hooks"]["preHooks"], json!(wanted));
    assert_eq!(session["status"]["hooks"]["postHooks"], succeeded(&["tell", "alarm"]));
    let messages = stage.taken();
    assert_eq!(messages.iter().map(|(_, message)| &message["channel"]).collect::<Vec<_>>(), ["backups", "alarms"]);
    assert_eq!(messages[1].1["text"], json!(format!("demo/{}: {why}", name(&session))));
    assert_eq!(
        cluster.kubectl(&["-n", "demo", "get", "snapshots.storage.kubestash.com", "-l", "kubestash.com/repo-name=broken-repo", "-o", "name"]),
        ""
    );
    assert!(!stage.guide.everything().contains("XXXX"), "the path of the webhook is shown");

    // Hooks of a restore are the same.
    cluster.apply(
        "
apiVersion: core.kubestash.com/v1alpha1
kind: RestoreSession
metadata: {name: back, namespace: demo}
spec:
  dataSource: {repository: repo, snapshot: latest, encryptionSecret: {name: encrypt-secret, namespace: demo}}
  hooks:
    preRestore: [{name: checkpoint, hookTemplate: {name: checkpoint}, params: {reason: restore}}]
    postRestore: [{name: tell, hookTemplate: {name: tell}}]
  addon:
    name: kubedump-addon
    tasks: [{name: manifest-restore, params: {IncludeResources: configmaps, IncludeNamespaces: demo}}]
",
    );
    let session = stage.ended("restoresession", "back");
    assert_eq!(session["status"]["phase"], "Succeeded", "{}", stage.guide.everything());
    assert_eq!(session["status"]["hooks"], json!({"preHooks": succeeded(&["checkpoint"]), "postHooks": succeeded(&["tell"])}));
    assert_eq!(stage.noted("db-0").last().unwrap(), "-U postgres -c CHECKPOINT; -- restore: back");
    assert_eq!(stage.taken()[0].1["channel"], "general");
}
