//! `HookTemplate`: something to do before or after a backup or a restore.

use k8s_openapi::{
    api::core::v1::{EnvVar, ExecAction, HTTPGetAction, HTTPHeader, TCPSocketAction, Volume, VolumeMount},
    apimachinery::pkg::{apis::meta::v1::OwnerReference, util::intstr::IntOrString},
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    parameter::ParameterDefinition,
    schema::{embedded, lenient, rules},
    usage_policy::UsagePolicy,
    words::words,
};

const RULES: [(&str, &str); 5] = [
    ("has(self.executor)", "executor must say who does what the hook says"),
    ("!has(self.executor) || has(self.executor.type)", "executor.type must be Function, Pod or Operator"),
    (
        "self.?executor.?type.orValue('Function') == 'Function' || (has(self.action) && (has(self.action.exec) || has(self.action.httpGet) || \
         has(self.action.httpPost) || has(self.action.tcpSocket)))",
        "action must hold exec, httpGet, httpPost or tcpSocket, unless a Function is the executor",
    ),
    (
        "self.?executor.?type.orValue('') != 'Function' || self.?executor.?function.?name.orValue('') != ''",
        "executor.type is Function, so executor.function must name it",
    ),
    (
        "!has(self.executor) || !has(self.executor.type) || self.executor.type != 'Pod' || (has(self.executor.pod) && \
         has(self.executor.pod.selector) && self.executor.pod.selector.matches('^[^,]*=[^,]*(,[^,]*=[^,]*)*$'))",
        "executor.type is Pod, so executor.pod.selector must give labels, as in app=web,tier=front",
    ),
];

/// Something to do before or after a backup or a restore.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "HookTemplate",
    plural = "hooktemplates",
    namespaced,
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "Something to do before or after a backup or a restore.",
    printcolumn = r#"{"name": "Executor", "type": "string", "jsonPath": ".spec.executor.type"}"#,
    printcolumn = r#"{"name": "Timeout", "type": "string", "jsonPath": ".spec.timeout"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct HookTemplateSpec {
    /// Which namespaces may use the template; its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_policy: Option<UsagePolicy>,
    /// Parameters that stand as `${name}` in the action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParameterDefinition>,
    /// What is done; nothing else is needed with a Function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<HookAction>,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<HookExecutor>,
}

/// What a hook does: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookAction {
    /// A command that is run.
    #[schemars(schema_with = "embedded::<ExecAction>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub exec: Option<ExecAction>,
    /// A GET request that is sent.
    #[schemars(schema_with = "embedded::<HTTPGetAction>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub http_get: Option<HTTPGetAction>,
    /// A POST request that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_post: Option<HttpPostAction>,
    /// A port that is opened.
    #[schemars(schema_with = "embedded::<TCPSocketAction>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub tcp_socket: Option<TCPSocketAction>,
    /// The container that runs the command, and whose ports have names; the first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
}

/// A POST request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpPostAction {
    /// Path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Port by number, or by its name in the container.
    #[schemars(schema_with = "embedded::<IntOrString>")]
    pub port: IntOrString,
    /// Host; the address of the Pod if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `HTTP` or `HTTPS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Headers of the request.
    #[schemars(schema_with = "embedded::<Vec<HTTPHeader>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub http_headers: Vec<HTTPHeader>,
    /// Body of the request: a template over the outcome of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Fields of a form, in place of a body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub form: Vec<FormEntry>,
}

/// A field of a form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormEntry {
    /// Name of the field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Values of the field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

words! {
    /// Who does what a hook says.
    HookExecutorType {
        /// A Function, in a Pod of its own.
        Function,
        /// A Pod that is there.
        Pod,
        /// The operator itself.
        Operator,
    }

    /// Which of several Pods do what a hook says.
    PodHookStrategy {
        /// Any one of them.
        ExecuteOnOne,
        /// All of them.
        ExecuteOnAll,
    }
}

/// Who does what a hook says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookExecutor {
    /// `Function`, `Pod` or `Operator`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<HookExecutorType>,
    /// The Function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionHookExecutor>,
    /// The Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodHookExecutor>,
}

/// A Function that does what a hook says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionHookExecutor {
    /// Name of the Function.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Environment variables.
    #[schemars(schema_with = "embedded::<Vec<EnvVar>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub env: Vec<EnvVar>,
    /// Volumes.
    #[schemars(schema_with = "embedded::<Vec<Volume>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volumes: Vec<Volume>,
    /// Where they are mounted.
    #[schemars(schema_with = "embedded::<Vec<VolumeMount>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volume_mounts: Vec<VolumeMount>,
}

/// Pods that do what a hook says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodHookExecutor {
    /// Labels of the Pods, such as `app=web,tier=front`.
    #[schemars(length(max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The object that the Pods belong to.
    #[schemars(schema_with = "embedded::<OwnerReference>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub owner: Option<OwnerReference>,
    /// Which of the Pods.
    #[schemars(extend("default" = "ExecuteOnOne"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<PodHookStrategy>,
}
