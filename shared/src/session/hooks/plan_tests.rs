use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::*;
use crate::session::hooks::summary::{Outcome, Reference};

fn summary() -> Summary {
    Summary {
        name: "run-1".to_owned(),
        namespace: "demo".to_owned(),
        invoker: Reference::default(),
        target: Reference::default(),
        status: Outcome { phase: "Succeeded".to_owned(), duration: "5s".to_owned(), error: String::new() },
    }
}

fn planned(info: Value, spec: Value) -> Result<Plan, HookError> {
    plan(&serde_json::from_value(info).unwrap(), &serde_json::from_value(spec).unwrap(), &summary())
}

fn operator(action: Value) -> Value {
    json!({"action": action, "executor": {"type": "Operator"}})
}

fn pod(action: Value) -> Value {
    json!({"action": action, "executor": {"type": "Pod", "pod": {"selector": "app=${app}"}}, "params": [{"name": "app", "default": "web"}]})
}

#[test]
fn commands_take_parameters_templates_and_leave_the_shell_alone() {
    let command = json!(["sh", "-c", "echo ${app} ${HOME:-${app}} $app $$ {{ .Name }} ${unset:-x}"]);
    let made =
        planned(json!({"name": "h", "params": {"app": "db"}, "maxRetry": 2, "timeout": "90s"}), pod(json!({"exec": {"command": command}}))).unwrap();
    let choice = Choice { selector: "app=db".to_owned(), owner: None, all: false };
    let command = ["sh", "-c", "echo db ${HOME:-db} $app $$ run-1 ${unset:-x}"].map(str::to_owned).to_vec();
    let executor = Executor::Pods(choice, Action::Exec { command, container: None });
    assert_eq!(made, Plan { tries: 3, timeout: Duration::from_secs(90), executor });
}

#[test]
fn requests() {
    let post = json!({"httpPost": {
        "host": "hooks.example.com", "port": 443, "scheme": "HTTPS", "path": "services/${token}",
        "httpHeaders": [{"name": "Content-Type", "value": "application/json"}], "body": "{\"text\": {{ toJson .Status.Phase }}, \"who\": \"${who:=me}\"}",
    }});
    let made = planned(json!({"params": {"token": "t"}}), operator(post)).unwrap();
    let request = Request {
        post: true,
        address: Address { host: Some("hooks.example.com".to_owned()), port: IntOrString::Int(443), container: None },
        tls: true,
        path: "/services/t".to_owned(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: Body::Text("{\"text\": \"Succeeded\", \"who\": \"me\"}".to_owned()),
    };
    assert_eq!(made, Plan { tries: 1, timeout: DEFAULT_TIMEOUT, executor: Executor::Operator(Action::Request(request)) });
    let form = json!({"httpPost": {"port": 80, "host": "h", "form": [{"key": "a", "values": ["1", "2"]}, {"key": "b", "values": ["${who}"]}]}});
    let Executor::Operator(Action::Request(request)) = planned(json!({"params": {"who": true}}), operator(form)).unwrap().executor else { panic!() };
    let pairs = [("a", "1"), ("a", "2"), ("b", "true")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!((request.path.as_str(), request.body), ("/", Body::Form(pairs.to_vec())));
}

#[test]
fn ports_may_be_parameters() {
    let socket = json!({"tcpSocket": {"port": "${port}"}, "containerName": "c"});
    let Executor::Pods(_, action) = planned(json!({"params": {"port": 5432}}), pod(socket)).unwrap().executor else { panic!() };
    let port = IntOrString::String("5432".to_owned());
    assert_eq!(action, Action::Socket(Address { host: None, port, container: Some("c".to_owned()) }));
}

#[test]
fn values_of_hooks_win_over_variables_and_these_over_defaults() {
    let spec = json!({
        "params": [{"name": "a", "default": "d"}, {"name": "b", "default": "d"}, {"name": "c", "default": "d"}],
        "action": {"exec": {"command": ["${a}${b}${c}"]}}, "executor": {"type": "Pod", "pod": {"selector": "x=y"}},
    });
    let info = json!({"params": {"a": "p"}, "variables": [{"name": "a", "value": "v"}, {"name": "b", "value": "v"}]});
    let Executor::Pods(_, Action::Exec { command, .. }) = planned(info, spec).unwrap().executor else { panic!() };
    assert_eq!(command, ["pvd"]);
}

#[test]
fn functions() {
    let spec = json!({
        "params": [{"name": "p", "default": "d"}],
        "executor": {"type": "Function", "function": {"name": "f", "env": [{"name": "A", "value": "1"}], "volumes": [{"name": "v", "emptyDir": {}}]}},
    });
    let info = json!({
        "name": "my hook", "variables": [{"name": "B", "value": "2"}], "volumes": [{"name": "w", "emptyDir": {}}],
        "runtimeSettings": {"container": {"resources": {"limits": {"memory": "1Gi"}}}},
    });
    let Executor::Function(made) = planned(info, spec).unwrap().executor else { panic!() };
    assert_eq!((made.function.as_str(), made.task.name.as_str()), ("f", "my hook"));
    assert_eq!(made.task.variables.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(made.volumes.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), ["v", "w"]);
    assert!(made.addon.container_runtime_settings.is_some() && made.definition.parameters.len() == 1);
}

#[test]
fn what_must_be_corrected_is_named() {
    let get = json!({"httpGet": {"port": 80, "host": "h"}});
    let required = json!({"params": [{"name": "url", "usage": "where to", "required": true}], "action": get, "executor": {"type": "Operator"}});
    for (info, spec, said) in [
        (json!({}), required, "needs the parameter url (where to); set it in params"),
        (json!({"params": {"x": [1]}}), operator(get.clone()), "the parameter x is no text"),
        (json!({"timeout": "soon"}), operator(get.clone()), "timeout: \"soon\" is no duration"),
        (json!({"timeout": "0s"}), operator(get.clone()), "timeout is 0"),
        (json!({}), json!({"action": get}), "spec.executor is missing"),
        (json!({}), json!({"action": get, "executor": {}}), "executor.type is missing"),
        (json!({}), json!({"executor": {"type": "Operator"}}), "spec.action is missing"),
        (json!({}), operator(json!({})), "spec.action is empty"),
        (json!({}), operator(json!({"httpGet": {"port": 80}, "tcpSocket": {"port": 80}})), "several actions"),
        (json!({}), operator(json!({"exec": {"command": ["true"]}})), "the executor Operator runs no commands"),
        (json!({}), pod(json!({"exec": {"command": []}})), "command is empty"),
        (
            json!({}),
            pod(json!({"exec": {"command": ["{{ .Nothing }}"]}})),
            "action.exec.command: line 1 of the template: the field .Nothing does not exist",
        ),
        (
            json!({}),
            operator(json!({"httpPost": {"port": 80, "body": "{{ now }}"}})),
            "action.httpPost.body: line 1 of the template: the function now",
        ),
        (json!({}), operator(json!({"httpPost": {"port": 80, "path": "/secret/${u}"}})), "the variable u of the template has no value"),
        (json!({}), operator(json!({"httpPost": {"port": 80, "body": "b", "form": [{"key": "a", "values": ["b"]}]}})), "a body and a form"),
        (json!({}), operator(json!({"httpGet": {"port": 80, "scheme": "FTP"}})), "it is HTTP or HTTPS"),
        (json!({}), json!({"action": get, "executor": {"type": "Pod"}}), "executor.pod.selector is missing"),
        (json!({}), json!({"executor": {"type": "Function"}}), "executor.function.name is missing"),
    ] {
        let error = planned(info, spec).unwrap_err();
        assert!(matches!(&error, HookError::Template(text) if text.contains(said)), "{said}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn when_hooks_run_behind_the_work() {
    use HookExecutionPolicy::{Always, OnFailure, OnSuccess};
    for (policy, failed, wanted) in [
        (None, true, true),
        (Some(Always), false, true),
        (Some(OnSuccess), false, true),
        (Some(OnSuccess), true, false),
        (Some(OnFailure), false, false),
        (Some(OnFailure), true, true),
    ] {
        assert_eq!(runs(policy, failed), wanted, "{policy:?} {failed}");
    }
}
