//! Hooks against an API server and receivers of requests, all within the test.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    response::IntoResponse as _,
};
use futures::FutureExt as _;
use jiff::SignedDuration;
use kube::{Client, Config};
use kubestash::{
    api::{BackupSession, BackupSessionStatus, HookPhase},
    session::job::Image,
};
use serde_json::{Value, json};

use super::*;
use crate::operator::context::Context;

/// Serves on a free port of this machine until the runtime ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// What a receiver got: line and host, headers, body.
#[derive(Debug, Clone)]
struct Got {
    line: String,
    host: String,
    content_type: String,
    body: String,
}

/// A server that remembers what it gets, and answers as the path says: `/500`, or `/500/200` for the first and the others at each host.
async fn receiver() -> (u16, Arc<Mutex<Vec<Got>>>) {
    let all: Arc<Mutex<Vec<Got>>> = Arc::default();
    let seen = Arc::clone(&all);
    let router = Router::new().fallback(move |request: Request| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let text = |name: header::HeaderName| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
            let got = Got {
                line: format!("{} {}", parts.method, parts.uri),
                host: text(header::HOST),
                content_type: text(header::CONTENT_TYPE),
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let codes: Vec<u16> = parts.uri.path().split('/').filter_map(|part| part.parse().ok()).collect();
            let before = seen.lock().unwrap().iter().filter(|old| old.host == got.host).count();
            seen.lock().unwrap().push(got);
            let code = codes.get(before).or(codes.last()).copied().unwrap_or(200);
            if code == 111 {
                tokio::time::sleep(Duration::from_secs(600)).await;
            }
            (StatusCode::from_u16(code).unwrap(), [(header::LOCATION, "/never")], "a secret answer").into_response()
        }
    });
    (serve(router).await.port(), all)
}

/// An operator in front of an API server that has these objects, by path.
async fn operator(objects: Vec<(&str, Value)>) -> Arc<Context> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let objects: Arc<BTreeMap<String, Value>> = Arc::new(objects.into_iter().map(|(path, object)| (path.to_owned(), object)).collect());
    let router = Router::new().fallback(move |request: Request| {
        let path = request.uri().path().to_owned();
        let found = objects.get(&path).cloned();
        async move {
            let missing = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": path});
            let code = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
            (code, axum::Json(found.unwrap_or(missing)))
        }
    });
    let port = serve(router).await.port();
    let config = Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    let image = Image { name: "localhost/kubestash:test".to_owned(), pull_policy: "Never".to_owned() };
    Context::new(Client::try_from(config).unwrap(), image)
}

const TEMPLATES: &str = "/apis/core.kubestash.com/v1alpha1/namespaces/demo/hooktemplates";

fn template(namespace: &str, spec: Value) -> Value {
    json!({"apiVersion": "core.kubestash.com/v1alpha1", "kind": "HookTemplate", "metadata": {"name": "t", "namespace": namespace}, "spec": spec})
}

fn get(port: u16, path: &str) -> Value {
    json!({"action": {"httpGet": {"host": "127.0.0.1", "port": port, "path": path}}, "executor": {"type": "Operator"}})
}

fn session(failed: bool) -> BackupSession {
    serde_json::from_value(json!({
        "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupSession",
        "metadata": {"name": "run-1", "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"invoker": {"kind": "BackupConfiguration", "name": "bc"}, "session": "s"},
        "status": {"snapshots": [{"name": "snap", "phase": if failed { "Failed" } else { "Succeeded" }}]},
    }))
    .unwrap()
}

struct Case {
    stage: Stage,
    failed: bool,
    known: Value,
    deadline: Option<Timestamp>,
}

const BEFORE: Case = Case { stage: Stage::Before, failed: false, known: Value::Null, deadline: None };
const AFTER: Case = Case { stage: Stage::After, ..BEFORE };

/// Runs hooks: phases by name as written into the status, the failure, and how often progress was noted.
async fn ran(case: Case, list: Value, context: &Context) -> (Vec<(String, HookPhase)>, Option<String>, usize) {
    let list: Vec<HookInfo> = serde_json::from_value(list).unwrap();
    let known: Option<Vec<HookExecutionStatus>> = serde_json::from_value(case.known).unwrap();
    let session = session(case.failed);
    let status: BackupSessionStatus = session.status.clone().unwrap();
    let now: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
    let summary = Summary::of_backup(&session, &status, None, case.stage == Stage::After, now);
    let hooks = Hooks {
        list: &list,
        stage: case.stage,
        summary: &summary,
        kind: "BackupSession",
        session: "s",
        owner: OwnerReference::default(),
        known: &known.unwrap_or_default(),
        deadline: case.deadline,
    };
    let noted = Mutex::new(0);
    let note = |_: Vec<HookExecutionStatus>| {
        *noted.lock().unwrap() += 1;
        std::future::ready(()).boxed()
    };
    let (results, failure) = run(&hooks, context, &note).await;
    let results = results.into_iter().map(|result| (result.name, result.phase.unwrap())).collect();
    let noted = *noted.lock().unwrap();
    (results, failure, noted)
}

/// Runs one hook of a template: why it failed.
async fn one(spec: Value, info: Value) -> Option<String> {
    let context = operator(vec![(&format!("{TEMPLATES}/t"), template("demo", spec))]).await;
    let mut hook = json!({"name": "h", "hookTemplate": {"name": "t"}});
    hook.as_object_mut().unwrap().extend(info.as_object().unwrap().clone());
    ran(AFTER, json!([hook]), &context).await.1
}

#[tokio::test]
async fn a_message_is_posted() {
    let (port, got) = receiver().await;
    let spec = json!({
        "params": [{"name": "channel", "default": "#none"}],
        "action": {"httpPost": {
            "host": "127.0.0.1", "port": port, "path": "/hook?x=${channel}", "httpHeaders": [{"name": "Content-Type", "value": "application/json"}],
            "body": "{{ if eq .Status.Phase \"Failed\" }}{{ dict \"text\" (printf \"%s/%s: %s\" .Namespace .Name .Status.Error) | toJson }}{{ end }}",
        }},
        "executor": {"type": "Operator"},
    });
    let context = operator(vec![(&format!("{TEMPLATES}/t"), template("demo", spec))]).await;
    let case = Case { failed: true, ..AFTER };
    let hook = json!([{"name": "tell", "hookTemplate": {"name": "t"}, "params": {"channel": "ops"}, "executionPolicy": "OnFailure"}]);
    assert_eq!(ran(case, hook, &context).await, (vec![("tell".to_owned(), HookPhase::Succeeded)], None, 1));
    let got = got.lock().unwrap().clone();
    assert_eq!((got.len(), got[0].line.as_str(), got[0].content_type.as_str()), (1, "POST /hook?x=ops", "application/json"));
    assert_eq!(got[0].body, r#"{"text":"demo/run-1: Snapshot snap failed"}"#);
}

#[tokio::test]
async fn forms_are_posted_as_a_browser_does() {
    let (port, got) = receiver().await;
    let post = json!({"httpPost": {"host": "127.0.0.1", "port": port, "form": [{"key": "a b", "values": ["1&2", "\u{e9}"]}]}});
    assert_eq!(one(json!({"action": post, "executor": {"type": "Operator"}}), json!({})).await, None);
    let got = got.lock().unwrap()[0].clone();
    assert_eq!((got.content_type.as_str(), got.body.as_str()), ("application/x-www-form-urlencoded", "a+b=1%262&a+b=%C3%A9"));
}

#[tokio::test]
async fn answers() {
    let (port, got) = receiver().await;
    for (code, good) in [(200, true), (204, true), (302, true), (399, true), (400, false), (404, false), (503, false)] {
        let failure = one(get(port, &format!("/{code}")), json!({})).await;
        assert_eq!(failure.is_none(), good, "{code}: {failure:?}");
        if let Some(failure) = failure {
            let wanted = format!("the hook h failed: GET http://127.0.0.1:{port} was answered with {code}");
            assert!(failure.starts_with(&wanted) && !failure.contains("secret"), "{failure}");
        }
    }
    assert!(got.lock().unwrap().iter().all(|got| got.line != "GET /never"), "redirections are not followed");
}

#[tokio::test]
async fn no_answer_and_no_secret_in_what_is_said() {
    let (port, _) = receiver().await;
    let failure = one(get(port, "/111"), json!({"timeout": "300ms"})).await.unwrap();
    assert!(failure.ends_with("was not answered within 0.3s"), "{failure}");
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let post = json!({"httpPost": {
        "host": "127.0.0.1", "port": closed, "path": "/services/SECRET", "body": "SECRET", "httpHeaders": [{"name": "Authorization", "value": "SECRET"}],
    }});
    let failure = one(json!({"action": post, "executor": {"type": "Operator"}}), json!({})).await.unwrap();
    assert!(failure.contains(&format!("POST http://127.0.0.1:{closed}: ")) && failure.to_lowercase().contains("refused"), "{failure}");
    assert!(!failure.contains("SECRET"), "{failure}");
}

#[tokio::test]
async fn ports_that_are_open_and_closed() {
    let (port, _) = receiver().await;
    let socket = |port: u16| json!({"action": {"tcpSocket": {"host": "127.0.0.1", "port": port}}, "executor": {"type": "Operator"}});
    assert_eq!(one(socket(port), json!({})).await, None);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(one(socket(closed), json!({})).await.unwrap().contains(&format!("127.0.0.1:{closed} cannot be connected to")));
}

fn pod(name: &str, address: &str, port: u16) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "demo", "uid": name, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-set"), "uid": "r"},
        ]},
        "spec": {"containers": [{"name": "web", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

#[tokio::test]
async fn requests_go_to_pods_and_again_only_to_those_that_failed() {
    let (port, got) = receiver().await;
    let spec = |strategy: &str, path: &str, owner: Value| {
        json!({
            "action": {"httpGet": {"port": "http", "path": path}, "containerName": "web"},
            "executor": {"type": "Pod", "pod": {"selector": "app=web", "strategy": strategy, "owner": owner}},
        })
    };
    let set = |owner: &str| {
        let owners = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "d"}]);
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "s", "ownerReferences": owners}})
    };
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "two", "uid": ""});
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod("a", "127.0.0.1", port), pod("b", "127.0.0.2", port)]});
    let context = operator(vec![
        (&format!("{TEMPLATES}/one"), template("demo", spec("ExecuteOnOne", "/200", Value::Null))),
        (&format!("{TEMPLATES}/all"), template("demo", spec("ExecuteOnAll", "/200/500/200", Value::Null))),
        (&format!("{TEMPLATES}/owned"), template("demo", spec("ExecuteOnAll", "/200", deployment))),
        ("/api/v1/namespaces/demo/pods", list),
        ("/apis/apps/v1/namespaces/demo/replicasets/a-set", set("one")),
        ("/apis/apps/v1/namespaces/demo/replicasets/b-set", set("two")),
    ])
    .await;
    let hosts = |got: &Mutex<Vec<Got>>| got.lock().unwrap().iter().map(|got| got.host.replace(&format!(":{port}"), "")).collect::<Vec<_>>();
    assert_eq!(ran(AFTER, json!([{"hookTemplate": {"name": "one"}}]), &context).await.1, None);
    assert_eq!(hosts(&got), ["127.0.0.1"]);
    // The second request at the first Pod's address fails, the first one at the other's does not.
    assert_eq!(ran(AFTER, json!([{"hookTemplate": {"name": "all"}, "maxRetry": 1}]), &context).await.1, None);
    assert_eq!(hosts(&got), ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.1"]);
    assert_eq!(ran(AFTER, json!([{"hookTemplate": {"name": "owned"}}]), &context).await.1, None);
    assert_eq!(hosts(&got)[4..], ["127.0.0.2"]);
}

#[tokio::test]
async fn a_hook_is_tried_as_often_as_it_says() {
    let (port, got) = receiver().await;
    let failure = one(get(port, "/500"), json!({"maxRetry": 1})).await.unwrap();
    assert!(failure.ends_with("(tried 2 times)"), "{failure}");
    assert_eq!(got.lock().unwrap().len(), 2);
    let began = Instant::now();
    let refused = one(json!({"action": {"exec": {"command": ["true"]}}, "executor": {"type": "Operator"}}), json!({"maxRetry": 50})).await.unwrap();
    assert!(refused.contains("the executor Operator runs no commands"), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(2), "what a person has to correct is not tried again");
}

#[tokio::test]
async fn before_the_work_a_failure_stops_the_others_and_behind_it_all_run() {
    let (port, got) = receiver().await;
    let context = operator(vec![
        (&format!("{TEMPLATES}/good"), template("demo", get(port, "/200"))),
        (&format!("{TEMPLATES}/bad"), template("demo", get(port, "/500"))),
    ])
    .await;
    let hook = |name: &str, template: &str, policy: &str| json!({"name": name, "hookTemplate": {"name": template}, "executionPolicy": policy});
    // Before the work the policy does not matter.
    let list = json!([hook("one", "good", "OnFailure"), hook("two", "bad", "Always"), hook("three", "good", "Always")]);
    let (results, failure, noted) = ran(BEFORE, list.clone(), &context).await;
    let phases =
        |results: Vec<(String, HookPhase)>| results.into_iter().map(|(name, phase)| format!("{name} {}", phase.as_str())).collect::<Vec<_>>();
    assert_eq!((phases(results), noted), (["one Succeeded", "two Failed", "three Pending"].map(str::to_owned).to_vec(), 1));
    assert!(failure.unwrap().starts_with("the hook two failed: "));
    assert_eq!(got.lock().unwrap().len(), 2);
    let (results, failure, _) = ran(AFTER, list, &context).await;
    assert_eq!(phases(results), ["two Failed", "three Succeeded"]);
    assert!(failure.is_some());
    // An operator that takes over leaves alone what is done.
    let before = got.lock().unwrap().len();
    let known = json!([{"name": "one", "phase": "Succeeded"}, {"name": "two", "phase": "Pending"}]);
    let list = json!([hook("one", "good", "Always"), hook("two", "good", "Always")]);
    let (results, failure, _) = ran(Case { known, ..BEFORE }, list, &context).await;
    assert_eq!((phases(results), failure), (["one Succeeded", "two Succeeded"].map(str::to_owned).to_vec(), None));
    assert_eq!(got.lock().unwrap().len(), before + 1);
}

#[tokio::test]
async fn templates_of_other_namespaces_need_their_permission() {
    let (port, _) = receiver().await;
    let policy = |from: Value| {
        let mut spec = get(port, "/200");
        spec["usagePolicy"] = json!({"allowedNamespaces": from});
        template("other", spec)
    };
    let other = "/apis/core.kubestash.com/v1alpha1/namespaces/other/hooktemplates";
    let selector = |team: &str| json!({"from": "Selector", "selector": {"matchLabels": {"team": team}}});
    let context = operator(vec![
        (&format!("{other}/all"), policy(json!({"from": "All"}))),
        (&format!("{other}/same"), policy(json!({"from": "Same"}))),
        (&format!("{other}/ours"), policy(selector("a"))),
        (&format!("{other}/theirs"), policy(selector("b"))),
        ("/api/v1/namespaces/demo", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo", "labels": {"team": "a"}}})),
    ])
    .await;
    for (name, allowed) in [("all", true), ("same", false), ("ours", true), ("theirs", false)] {
        let hook = json!([{"name": "h", "hookTemplate": {"name": name, "namespace": "other"}, "maxRetry": 9}]);
        let failure = ran(AFTER, hook, &context).await.1;
        let refused = format!("the hook h failed: the usagePolicy of HookTemplate other/{name} does not allow the namespace demo to use it");
        assert_eq!(failure, (!allowed).then_some(refused));
    }
    let missing = ran(AFTER, json!([{"hookTemplate": {"name": "gone"}}]), &context).await.1.unwrap();
    assert_eq!(missing, "the hook gone failed: HookTemplate demo/gone does not exist");
}

#[tokio::test]
async fn before_the_work_the_sessions_deadline_counts() {
    let (port, got) = receiver().await;
    let context = operator(vec![(&format!("{TEMPLATES}/t"), template("demo", get(port, "/111")))]).await;
    let hook = json!([{"name": "h", "hookTemplate": {"name": "t"}, "timeout": "1h", "maxRetry": 5}]);
    let soon = Timestamp::now() + SignedDuration::from_millis(500);
    let failure = ran(Case { deadline: Some(soon), ..BEFORE }, hook, &context).await.1.unwrap();
    assert!(failure.contains("deadline exceeded"), "{failure}");
    assert_eq!(got.lock().unwrap().len(), 1);
}

#[test]
fn texts_become_one_short_line() {
    assert_eq!(tail(" a\n\tb\u{7}c ", 10), "a b c");
    assert_eq!(tail("abcdef", 3), "…def");
}
