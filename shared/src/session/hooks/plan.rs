//! What a hook asks for: its template with parameters and summary filled in.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::core::v1::{HTTPHeader, Volume};
use serde_json::Value;

use super::{Summary, endpoint::Address, pods::Choice, template};
use crate::{
    api::{
        AddonInfo, AddonTask, FunctionHookExecutor, HookAction, HookExecutionPolicy, HookExecutorType, HookInfo, HookTemplateSpec, PodHookExecutor,
        RuntimeSettings, TaskReference, parameter_text, parse_duration,
    },
    session::variables::{VariableError, Variables, resolve_all, resolve_ours},
};

/// A try ends after this time where the hook names none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);
/// A failed hook is tried again so often at most.
const MAX_RETRY: i32 = 100;

/// Why a hook did not do what it should. Holds no paths, headers and bodies of requests, in which secrets may stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Something that a person has to correct; another try would end alike.
    #[error("{0}")]
    Template(String),
    /// A try that failed.
    #[error("{0}")]
    Failed(String),
}

fn wrong(reason: impl Into<String>) -> HookError {
    HookError::Template(reason.into())
}

/// Without the text around a variable: it may be the path of a webhook, which is a secret.
fn unresolved(error: &VariableError) -> HookError {
    match error {
        VariableError::Unknown { name, .. } => {
            wrong(format!("the variable {name} of the template has no value; set it in params of the hook, or give it a default: ${{{name}:=VALUE}}"))
        }
        VariableError::Syntax { reason, .. } => wrong(format!("a ${{…}} of the template cannot be resolved: {reason}")),
    }
}

/// A hook that can be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How often it is tried, the first time included.
    pub tries: u32,
    /// How long a try may take.
    pub timeout: Duration,
    /// Who does what.
    pub executor: Executor,
}

/// Who does what.
#[derive(Debug, Clone, PartialEq)]
pub enum Executor {
    /// Pods that are there.
    Pods(Choice, Action),
    /// The operator.
    Operator(Action),
    /// A Job.
    Function(Box<FunctionPlan>),
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A command.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
        /// Name of the container; the first one if absent.
        container: Option<String>,
    },
    /// A request.
    Request(Request),
    /// A connection that is opened and closed.
    Socket(Address),
}

/// A request of HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Whether it is a POST rather than a GET.
    pub post: bool,
    /// Where it goes.
    pub address: Address,
    /// Whether over TLS.
    pub tls: bool,
    /// Path, and maybe a query.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Body,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// A text.
    Text(String),
    /// Keys and values of a form.
    Form(Vec<(String, String)>),
}

/// What the Job of a Function is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionPlan {
    /// Name of the Function.
    pub function: String,
    /// Parameters and variables.
    pub task: TaskReference,
    /// What the template declares.
    pub definition: AddonTask,
    /// Settings of the container.
    pub addon: AddonInfo,
    /// Settings of the Pod.
    pub settings: Option<RuntimeSettings>,
    /// Volumes of template and hook.
    pub volumes: Vec<Volume>,
}

/// Whether a hook that comes behind the work runs.
pub fn runs(policy: Option<HookExecutionPolicy>, failed: bool) -> bool {
    match policy.unwrap_or(HookExecutionPolicy::Always) {
        HookExecutionPolicy::Always => true,
        HookExecutionPolicy::OnSuccess => !failed,
        HookExecutionPolicy::OnFailure => failed,
    }
}

/// Fills parameters and summary in.
///
/// # Errors
/// What the user has to correct in the hook or its template.
pub fn plan(info: &HookInfo, spec: &HookTemplateSpec, summary: &Summary) -> Result<Plan, HookError> {
    let timeout = match info.timeout.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => parse_duration(text).map_err(|error| wrong(format!("timeout: {error}")))?,
        None => DEFAULT_TIMEOUT,
    };
    if timeout.is_zero() {
        return Err(wrong("timeout is 0, in which nothing can be done; leave it out for 5m"));
    }
    let tries = u32::try_from(info.max_retry.unwrap_or(0).clamp(0, MAX_RETRY)).unwrap_or(0) + 1;
    let executor = spec.executor.as_ref().ok_or_else(|| wrong("spec.executor is missing"))?;
    let parameters = Parameters::new(info, spec)?;
    let action = || {
        let action = spec.action.as_ref().ok_or_else(|| wrong("spec.action is missing"))?;
        parameters.action(action, summary)
    };
    let executor = match executor.type_.as_ref().ok_or_else(|| wrong("spec.executor.type is missing; it is Pod, Operator or Function"))? {
        HookExecutorType::Pod => {
            let pod = executor.pod.as_ref().ok_or_else(|| wrong("executor.pod.selector is missing; it says which Pods run the hook"))?;
            let selector = pod.selector.as_deref().map(|text| parameters.text(text)).transpose()?;
            Executor::Pods(Choice::new(&PodHookExecutor { selector, ..pod.clone() })?, action()?)
        }
        HookExecutorType::Operator => match action()? {
            Action::Exec { .. } => {
                return Err(wrong(
                    "the executor Operator runs no commands; choose the executor Pod or Function for exec, or an httpGet, httpPost or tcpSocket",
                ));
            }
            action => Executor::Operator(action),
        },
        HookExecutorType::Function => {
            let function = executor.function.as_ref().filter(|function| !function.name.is_empty());
            let function = function.ok_or_else(|| wrong("executor.function.name is missing"))?;
            Executor::Function(Box::new(function_plan(info, spec, function)))
        }
    };
    Ok(Plan { tries, timeout, executor })
}

/// Parameters by name, and all names that are some.
struct Parameters {
    values: Variables,
    names: BTreeSet<String>,
}

impl Parameters {
    /// Values of the hook, then its variables, then defaults of the template.
    fn new(info: &HookInfo, spec: &HookTemplateSpec) -> Result<Self, HookError> {
        let mut values = Variables::new();
        let mut names = BTreeSet::new();
        for definition in &spec.params {
            names.insert(definition.name.clone());
            values.extend(definition.default.clone().map(|default| (definition.name.clone(), default)));
        }
        values.extend(info.variables.iter().filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?))));
        for (key, value) in info.params.iter().flatten() {
            let text = parameter_text(value).ok_or_else(|| wrong(format!("the parameter {key} is no text, number or boolean")))?;
            values.insert(key.clone(), text);
        }
        names.extend(values.keys().cloned());
        let missing = |definition: &&crate::api::ParameterDefinition| definition.required.unwrap_or(false) && !values.contains_key(&definition.name);
        if let Some(definition) = spec.params.iter().find(missing) {
            let usage = definition.usage.as_deref().filter(|usage| !usage.is_empty()).map_or(String::new(), |usage| format!(" ({usage})"));
            return Err(wrong(format!("the template needs the parameter {}{usage}; set it in params of the hook", definition.name)));
        }
        Ok(Self { values, names })
    }

    fn text(&self, text: &str) -> Result<String, HookError> {
        let mut value = Value::String(text.to_owned());
        resolve_all(&mut value, &self.values).map_err(|error| unresolved(&error))?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    fn action(&self, action: &HookAction, summary: &Summary) -> Result<Action, HookError> {
        let data = summary.data();
        let command = action.exec.as_ref().map(|exec| {
            let words = exec.command.iter().flatten().map(|word| {
                let word = resolve_ours(word, &self.values, &|name| self.names.contains(name)).map_err(|error| unresolved(&error))?;
                template::render(&word, &data).map_err(|error| wrong(format!("action.exec.command: {error}")))
            });
            words.collect::<Result<Vec<String>, HookError>>()
        });
        let mut rest = serde_json::to_value(HookAction { exec: None, ..action.clone() }).unwrap_or_default();
        resolve_all(&mut rest, &self.values).map_err(|error| unresolved(&error))?;
        let action: HookAction = serde_json::from_value(rest).map_err(|error| wrong(format!("spec.action cannot be read: {error}")))?;
        let container = action.container_name.clone().filter(|name| !name.is_empty());
        let address = |host: &Option<String>, port| Address { host: host.clone(), port, container: container.clone() };
        let mut found = Vec::new();
        if let Some(command) = command {
            let command = command?;
            if command.is_empty() {
                return Err(wrong("action.exec.command is empty"));
            }
            found.push(Action::Exec { command, container: container.clone() });
        }
        if let Some(get) = &action.http_get {
            let address = address(&get.host, get.port.clone());
            let (path, scheme) = (get.path.as_deref(), get.scheme.as_deref());
            found.push(Action::Request(request(false, address, path, scheme, get.http_headers.iter().flatten(), Body::None)?));
        }
        if let Some(post) = &action.http_post {
            let address = address(&post.host, post.port.clone());
            let text = post.body.as_deref().filter(|body| !body.is_empty());
            let text = text.map(|body| template::render(body, &data).map_err(|error| wrong(format!("action.httpPost.body: {error}")))).transpose()?;
            let form = post.form.iter().flat_map(|entry| entry.values.iter().map(|value| (entry.key.clone(), value.clone())));
            let form: Vec<(String, String)> = form.collect();
            let body = match (text, form.is_empty()) {
                (Some(_), false) => return Err(wrong("action.httpPost has a body and a form; a request has one of them")),
                (Some(text), true) => Body::Text(text),
                (None, false) => Body::Form(form),
                (None, true) => Body::None,
            };
            found.push(Action::Request(request(true, address, post.path.as_deref(), post.scheme.as_deref(), post.http_headers.iter(), body)?));
        }
        if let Some(socket) = &action.tcp_socket {
            found.push(Action::Socket(address(&socket.host, socket.port.clone())));
        }
        match (found.pop(), found.is_empty()) {
            (Some(action), true) => Ok(action),
            (Some(_), false) => Err(wrong("spec.action has several actions; write one of exec, httpGet, httpPost and tcpSocket")),
            (None, _) => Err(wrong("spec.action is empty; write one of exec, httpGet, httpPost and tcpSocket")),
        }
    }
}

fn request<'a>(
    post: bool,
    address: Address,
    path: Option<&str>,
    scheme: Option<&str>,
    headers: impl Iterator<Item = &'a HTTPHeader>,
    body: Body,
) -> Result<Request, HookError> {
    let tls = match scheme.unwrap_or_default().to_ascii_uppercase().as_str() {
        "" | "HTTP" => false,
        "HTTPS" => true,
        other => return Err(wrong(format!("action…scheme is {other:?}; it is HTTP or HTTPS"))),
    };
    let path = path.unwrap_or_default().trim();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Request { post, address, tls, path, headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(), body })
}

fn function_plan(info: &HookInfo, spec: &HookTemplateSpec, function: &FunctionHookExecutor) -> FunctionPlan {
    let name = if info.name.is_empty() { "hook".to_owned() } else { info.name.clone() };
    let settings = info.runtime_settings.clone();
    FunctionPlan {
        function: function.name.clone(),
        task: TaskReference {
            name: name.clone(),
            params: info.params.clone(),
            variables: function.env.iter().chain(&info.variables).cloned().collect(),
            ..TaskReference::default()
        },
        definition: AddonTask {
            name,
            parameters: spec.params.clone(),
            volume_mounts: function.volume_mounts.iter().chain(&info.volume_mounts).cloned().collect(),
            ..AddonTask::default()
        },
        addon: AddonInfo { container_runtime_settings: settings.as_ref().and_then(|settings| settings.container.clone()), ..AddonInfo::default() },
        settings,
        volumes: function.volumes.iter().chain(&info.volumes).cloned().collect(),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
