//! The Jobs that do the work, put together from Function, Addon, session and storage.
//!
//! ```text
//! container   Function ◀ its runtimeSettings ◀ addon.containerRuntimeSettings ◀ addon.jobTemplate.spec
//! pod         safe defaults ◀ the storage's runtimeSettings ◀ addon.jobTemplate.spec
//! volumes     the task's templates ◀ addonVolumes of the same name; local storages
//! ```
//! What stands further to the right wins, field by field. All of it is worked out on plain JSON, which Kubernetes' and KubeStash's types share,
//! and read as a Job at the end.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{batch::v1::Job, core::v1::PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::variables::{VariableError, Variables, resolve_all};
use crate::api::{AddonInfo, AddonTask, BackupStorage, Function, PodTemplateSpec, RuntimeSettings, TaskReference, parameter_text};

/// Name of the volume for temporary files, which task volumes may refer to as `RESTIC_CACHE_VOLUME`.
const TEMPORARY_VOLUME: &str = "kubestash-tmp-volume";
/// Name of the volume for data on its way, `INTERIM_VOLUME`.
const INTERIM_VOLUME: &str = "kubestash-interim-volume";

/// Fields of KubeStash's Pod template that mean the container.
const CONTAINER_FIELDS: [&str; 7] = ["args", "env", "resources", "livenessProbe", "readinessProbe", "lifecycle", "volumeMounts"];

/// Why a Job cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// A required parameter has no value.
    #[error("the task {task} needs the parameter {parameter}; set it in spec…addon.tasks[].params")]
    ParameterMissing {
        /// The task.
        task: String,
        /// The parameter.
        parameter: String,
    },
    /// A parameter is a list or an object.
    #[error("the parameter {parameter} of the task {task} is no text, number or boolean")]
    ParameterShape {
        /// The task.
        task: String,
        /// The parameter.
        parameter: String,
    },
    /// A variable cannot be resolved.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// The parts do not make a Job.
    #[error("Function {function} and the session's settings do not make a Job: {reason}")]
    Shape {
        /// The Function.
        function: String,
        /// What the reader of Jobs says.
        reason: String,
    },
}

/// Image of the operator and its Jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Name and tag.
    pub name: String,
    /// When it is fetched.
    pub pull_policy: String,
}

/// One task with everything that describes it.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// As the session names it.
    pub reference: &'a TaskReference,
    /// As the Addon describes it.
    pub definition: &'a AddonTask,
    /// What runs.
    pub function: &'a Function,
}

/// What a Job is made from.
#[derive(Debug, Clone)]
pub struct JobParts<'a> {
    /// Name of the Job.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Labels of the Job and its Pod.
    pub labels: BTreeMap<String, String>,
    /// The session that it belongs to.
    pub owner: OwnerReference,
    /// The tasks in their order.
    pub tasks: Vec<Task<'a>>,
    /// The session's settings of the Addon.
    pub addon: &'a AddonInfo,
    /// Variables that the user cannot change: names of the session, its namespace, the image.
    pub variables: Variables,
    /// Account of the Pod.
    pub service_account: String,
    /// Our own image.
    pub image: &'a Image,
    /// The storages of the session's repositories; local ones are mounted.
    pub storages: Vec<&'a BackupStorage>,
    /// Settings of the Pod that win over those of the storages.
    pub settings: Option<&'a RuntimeSettings>,
    /// Proxy settings and the like that every container gets.
    pub environment: Vec<(String, String)>,
    /// Seconds after which Kubernetes ends the Job.
    pub deadline: Option<i64>,
}

/// A Job, and the claims that its volumes need first.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedJob {
    /// The Job.
    pub job: Job,
    /// Claims to make before it.
    pub claims: Vec<PersistentVolumeClaim>,
}

/// The account that a session names for its Job.
pub fn named_account(addon: &AddonInfo) -> Option<&str> {
    let spec = addon.job_template.as_ref()?.spec.as_ref()?;
    spec.service_account_name.as_deref().filter(|name| !name.is_empty())
}

/// The account that a storage names for its Jobs.
pub fn storage_account(settings: Option<&RuntimeSettings>) -> Option<&str> {
    settings?.pod.as_ref()?.service_account_name.as_deref().filter(|name| !name.is_empty())
}

/// Puts a Job together.
///
/// # Errors
/// What the user has to correct.
pub fn assemble(parts: &JobParts<'_>) -> Result<PlannedJob, JobError> {
    let settings = parts.storages.iter().filter_map(|storage| storage.spec.runtime_settings.as_ref()).chain(parts.settings);
    let mut pod = base_pod(&parts.service_account, settings);
    let template = parts.addon.job_template.as_ref();
    let own = template.and_then(|template| template.spec.as_ref()).map_or_else(Map::new, fields);
    let (for_container, for_pod) = split(own);
    let mut volumes: Vec<Value> = Vec::new();
    let mut claims = Vec::new();
    let mut containers = Vec::new();
    for task in &parts.tasks {
        let variables = variables(task, &parts.variables)?;
        let (task_volumes, task_claims) = task_volumes(task, parts)?;
        volumes.extend(task_volumes);
        claims.extend(task_claims);
        containers.push(container(task, parts, &for_container, &variables)?);
    }
    let storage_volumes = parts.storages.iter().filter_map(|storage| local_volume(storage));
    for (volume, mount) in storage_volumes {
        volumes.push(volume);
        containers.iter_mut().for_each(|container| append(container, "volumeMounts", vec![mount.clone()]));
    }
    merge(&mut pod, for_pod);
    let last = containers.pop();
    append_to(&mut pod, "initContainers", containers.into_iter().map(Value::Object).collect());
    append_to(&mut pod, "containers", last.into_iter().map(Value::Object).collect());
    append_to(&mut pod, "volumes", by_name(volumes));
    let meta = |own: Option<&crate::api::PartialMeta>| {
        let mut labels = own.map_or_else(BTreeMap::new, |meta| meta.labels.clone());
        labels.extend(parts.labels.clone());
        json!({"labels": labels, "annotations": own.map_or_else(BTreeMap::new, |meta| meta.annotations.clone())})
    };
    let mut job_meta = meta(template.and_then(|template| template.controller.as_ref()));
    job_meta["name"] = json!(parts.name);
    job_meta["namespace"] = json!(parts.namespace);
    job_meta["ownerReferences"] = json!([parts.owner]);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": job_meta,
        "spec": {
            // A second Pod would begin the same work anew; a session is tried again as a whole, as its retryConfig says.
            "backoffLimit": 0,
            "activeDeadlineSeconds": parts.deadline,
            "template": {"metadata": meta(template.and_then(|template| template.metadata.as_ref())), "spec": pod},
        },
    });
    let function = parts.tasks.first().and_then(|task| task.function.metadata.name.clone()).unwrap_or_default();
    let job = serde_json::from_value(job).map_err(|error| JobError::Shape { function, reason: error.to_string() })?;
    Ok(PlannedJob { job, claims })
}

/// A Job of our own image with one container, for what no Function describes.
pub fn own_job(parts: &OwnJob<'_>) -> Result<Job, JobError> {
    let mut pod = base_pod(&parts.service_account, parts.settings.into_iter());
    let mut container = base_container(parts.image, "kubestash");
    container.insert("args".to_owned(), json!(parts.args));
    if let Some(settings) = parts.settings.and_then(|settings| settings.container.as_ref()) {
        merge(&mut container, container_fields(fields(settings)));
    }
    let mut volumes = vec![json!({"name": TEMPORARY_VOLUME, "emptyDir": {}})];
    append(&mut container, "volumeMounts", vec![json!({"name": TEMPORARY_VOLUME, "mountPath": "/kubestash-tmp"})]);
    for (volume, mount) in parts.storages.iter().filter_map(|storage| local_volume(storage)) {
        volumes.push(volume);
        append(&mut container, "volumeMounts", vec![mount]);
    }
    append(&mut container, "env", environment(&parts.environment));
    append_to(&mut pod, "containers", vec![Value::Object(container)]);
    append_to(&mut pod, "volumes", volumes);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": parts.name, "namespace": parts.namespace, "labels": parts.labels, "ownerReferences": parts.owner.iter().collect::<Vec<_>>()},
        "spec": {
            "backoffLimit": parts.backoff,
            "ttlSecondsAfterFinished": parts.keep_seconds,
            "template": {"metadata": {"labels": parts.labels}, "spec": pod},
        },
    });
    serde_json::from_value(job).map_err(|error| JobError::Shape { function: parts.name.clone(), reason: error.to_string() })
}

/// What a Job of our own is made from.
#[derive(Debug, Clone)]
pub struct OwnJob<'a> {
    /// Name of the Job.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Labels of the Job and its Pod.
    pub labels: BTreeMap<String, String>,
    /// The object that it belongs to, of the same namespace.
    pub owner: Option<OwnerReference>,
    /// Role and flags.
    pub args: Vec<String>,
    /// Account of the Pod.
    pub service_account: String,
    /// Our own image.
    pub image: &'a Image,
    /// Local ones are mounted.
    pub storages: Vec<&'a BackupStorage>,
    /// How its Pod is run.
    pub settings: Option<&'a RuntimeSettings>,
    /// Proxy settings and the like.
    pub environment: Vec<(String, String)>,
    /// How often a Pod that failed is started again.
    pub backoff: i32,
    /// Seconds for which the Job stays after its end.
    pub keep_seconds: Option<i32>,
}

/// The Pod of a session's trigger, and what its template says about the Pod's metadata.
pub(super) fn trigger_pod(
    template: Option<&PodTemplateSpec>,
    account: &str,
    args: Vec<String>,
    image: &Image,
    variables: &[(String, String)],
) -> (Map<String, Value>, Value) {
    let mut pod = base_pod(account, std::iter::empty());
    let mut container = base_container(image, "trigger");
    container.insert("resources".to_owned(), json!({"requests": {"cpu": "10m", "memory": "16Mi"}}));
    container.insert("args".to_owned(), json!(args));
    let own = template.and_then(|template| template.spec.as_ref()).map_or_else(Map::new, fields);
    let (mut for_container, mut for_pod) = split(own);
    // What the trigger does, and as whom, is not the template's to say.
    for_container.remove("args");
    for_pod.remove("serviceAccountName");
    if let Some(security) = for_container.remove("containerSecurityContext") {
        container.insert("securityContext".to_owned(), security);
    }
    merge(&mut container, for_container);
    append(&mut container, "env", environment(variables));
    merge(&mut pod, for_pod);
    append(&mut pod, "containers", vec![Value::Object(container)]);
    let meta = template.and_then(|template| template.metadata.as_ref()).map_or_else(|| json!({}), |meta| Value::Object(fields(meta)));
    (pod, meta)
}

/// Fields of KubeStash's Pod template that mean the container, and those that mean the Pod.
fn split(own: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    own.into_iter()
        .filter(|(key, _)| key != "podPlacementPolicy")
        .partition(|(key, _)| CONTAINER_FIELDS.contains(&key.as_str()) || key == "containerSecurityContext")
}

fn fields(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// A Pod with the least that our program needs; storages may say more.
fn base_pod<'a>(account: &str, settings: impl Iterator<Item = &'a RuntimeSettings>) -> Map<String, Value> {
    let mut pod = Map::new();
    pod.insert("restartPolicy".to_owned(), json!("Never"));
    let safe = json!({
        "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534, "seccompProfile": {"type": "RuntimeDefault"},
    });
    pod.insert("securityContext".to_owned(), safe);
    for settings in settings.filter_map(|settings| settings.pod.as_ref()) {
        let known = fields(settings).into_iter().filter(|(key, _)| {
            !matches!(key.as_str(), "podLabels" | "podAnnotations" | "serviceAccountAnnotations" | "serviceAccountName" | "readinessGates")
        });
        merge(&mut pod, known.collect());
    }
    pod.insert("serviceAccountName".to_owned(), json!(account));
    pod
}

fn base_container(image: &Image, name: &str) -> Map<String, Value> {
    let container = json!({
        "name": name,
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
        "env": [{"name": "TMPDIR", "value": "/kubestash-tmp"}],
        // So that the status of the Pod has the last words of one that fails, also when the Pod is gone from its node.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    fields(&container)
}

/// Priorities of the process are not a Pod's to set.
fn container_fields(mut fields: Map<String, Value>) -> Map<String, Value> {
    fields.remove("nice");
    fields.remove("ionice");
    fields
}

fn environment(pairs: &[(String, String)]) -> Vec<Value> {
    pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// Lays fields over others; variables and mounts are added to those that are there.
fn merge(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (key, value) in above {
        match value {
            Value::Array(items) if matches!(key.as_str(), "env" | "envFrom" | "volumeMounts") => append(below, &key, items),
            value => {
                below.insert(key, value);
            }
        }
    }
}

/// Adds to a list; of two entries with one name, or mounted at one path, the later stays.
fn append(object: &mut Map<String, Value>, key: &str, items: Vec<Value>) {
    let list = object.entry(key.to_owned()).or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    for item in items {
        let unique = if key == "volumeMounts" { "mountPath" } else { "name" };
        list.retain(|old| old.get(unique).is_none() || old.get(unique) != item.get(unique));
        list.push(item);
    }
}

fn append_to(object: &mut Map<String, Value>, key: &str, items: Vec<Value>) {
    if !items.is_empty() || !object.contains_key(key) {
        append(object, key, items);
    }
}

fn by_name(volumes: Vec<Value>) -> Vec<Value> {
    let mut object = Map::new();
    append(&mut object, "volumes", volumes);
    match object.remove("volumes") {
        Some(Value::Array(volumes)) => volumes,
        _ => Vec::new(),
    }
}

/// The volume of a local storage, and where our program finds it.
fn local_volume(storage: &BackupStorage) -> Option<(Value, Value)> {
    let local = storage.spec.storage.as_ref()?.local.as_ref()?;
    let name = local_volume_name(storage);
    let mut mount = json!({"name": name, "mountPath": local_mount_path(storage)});
    if let Some(below) = local.sub_path.as_deref().map(|path| path.trim_matches('/')).filter(|path| !path.is_empty()) {
        mount["subPath"] = json!(below);
    }
    Some((serde_json::to_value(local.source.volume(&name)).ok()?, mount))
}

fn local_volume_name(storage: &BackupStorage) -> String {
    crate::api::join_name("", &crate::api::sanitize_name(&format!("storage-{}", storage.metadata.name.as_deref().unwrap_or_default())), "")
}

/// Where a local storage is mounted in our Jobs: two storages may say the same `mountPath`, so each has a folder of its own name.
pub fn local_mount_path(storage: &BackupStorage) -> String {
    let namespace = storage.metadata.namespace.as_deref().unwrap_or_default();
    format!("/kubestash-storage/{namespace}/{}", storage.metadata.name.as_deref().unwrap_or_default())
}

/// Variables of one task: what is built in wins over params, these over variables, these over the Addon's defaults.
fn variables(task: &Task<'_>, built_in: &Variables) -> Result<Variables, JobError> {
    let name = task.reference.name.clone();
    let mut all = Variables::new();
    for parameter in &task.definition.parameters {
        if let Some(default) = &parameter.default {
            all.insert(parameter.name.clone(), default.clone());
        }
    }
    all.extend(task.reference.variables.iter().filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?))));
    for (key, value) in task.reference.params.iter().flatten() {
        let text = parameter_text(value).ok_or_else(|| JobError::ParameterShape { task: name.clone(), parameter: key.clone() })?;
        all.insert(key.clone(), text);
    }
    let missing = |parameter: &&crate::api::ParameterDefinition| parameter.required.unwrap_or(false) && !all.contains_key(&parameter.name);
    if let Some(parameter) = task.definition.parameters.iter().find(missing) {
        return Err(JobError::ParameterMissing { task: name, parameter: parameter.name.clone() });
    }
    all.insert("RESTIC_CACHE_VOLUME".to_owned(), TEMPORARY_VOLUME.to_owned());
    all.insert("INTERIM_VOLUME".to_owned(), INTERIM_VOLUME.to_owned());
    all.extend(built_in.clone());
    Ok(all)
}

fn container(task: &Task<'_>, parts: &JobParts<'_>, settings: &Map<String, Value>, variables: &Variables) -> Result<Map<String, Value>, JobError> {
    let mut container = base_container(parts.image, &crate::api::sanitize_name(&task.reference.name));
    let mut function = fields(&task.function.spec);
    function.remove("availableVersions");
    let own = match function.remove("runtimeSettings") {
        Some(Value::Object(own)) => own,
        _ => Map::new(),
    };
    merge(&mut container, function);
    merge(&mut container, container_fields(own));
    if let Some(more) = &parts.addon.container_runtime_settings {
        merge(&mut container, container_fields(fields(more)));
    }
    let mut settings = settings.clone();
    if let Some(security) = settings.remove("containerSecurityContext") {
        container.insert("securityContext".to_owned(), security);
    }
    // Additional args of the template come behind the Function's.
    if let Some(Value::Array(args)) = settings.remove("args") {
        let mut all = container.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
        all.extend(args);
        container.insert("args".to_owned(), Value::Array(all));
    }
    merge(&mut container, settings);
    append(&mut container, "env", task.reference.variables.iter().filter_map(|variable| serde_json::to_value(variable).ok()).collect());
    append(&mut container, "env", environment(&parts.environment));
    append(&mut container, "env", vec![json!({"name": "COMPONENT_NAME", "value": crate::api::COMPONENT})]);
    let mounts = task.definition.volume_mounts.iter().filter_map(|mount| serde_json::to_value(mount).ok()).collect();
    append(&mut container, "volumeMounts", mounts);
    let mut container = Value::Object(container);
    resolve_all(&mut container, variables)?;
    replace_image(&mut container, parts.image);
    Ok(fields(&container))
}

/// KubeStash's own image does not know how to do our work: ours takes its place in Functions that were copied from KubeStash's catalogue.
fn replace_image(container: &mut Value, image: &Image) {
    let name = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let repository = name.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    if name.is_empty() || repository.split(':').next() == Some("kubedump") {
        container["image"] = json!(image.name);
    }
}

/// Volumes of a task's templates, those of the session in their places, and the claims to make.
fn task_volumes(task: &Task<'_>, parts: &JobParts<'_>) -> Result<(Vec<Value>, Vec<PersistentVolumeClaim>), JobError> {
    let mut volumes = Vec::new();
    let mut claims = Vec::new();
    for template in &task.definition.volume_template {
        if let Some(source) = &template.source {
            volumes.push(serde_json::to_value(source.source.volume(&template.name)).unwrap_or_default());
        }
    }
    for volume in &task.reference.addon_volumes {
        let mut name = Value::String(volume.name.clone());
        resolve_all(&mut name, &variables(task, &parts.variables)?)?;
        let name = name.as_str().unwrap_or_default().to_owned();
        let Some(source) = &volume.source else { continue };
        if let Some(template) = &source.volume_claim_template {
            let claim = crate::api::join_name(&parts.name, &name, "");
            let mut made = PersistentVolumeClaim { spec: template.spec.clone(), ..PersistentVolumeClaim::default() };
            made.metadata.name = Some(claim.clone());
            made.metadata.namespace = Some(parts.namespace.clone());
            made.metadata.labels = Some(parts.labels.clone());
            made.metadata.owner_references = Some(vec![parts.owner.clone()]);
            claims.push(made);
            volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": claim}}));
        } else {
            volumes.push(serde_json::to_value(source.source.volume(&name)).unwrap_or_default());
        }
    }
    Ok((volumes, claims))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        api::Addon,
        deploy::{Settings, addon::catalogue},
    };

    fn installed() -> (Addon, Vec<Function>) {
        let mut all = catalogue(&Settings::default()).into_iter();
        let addon = serde_json::from_value(all.next().unwrap()).unwrap();
        (addon, all.map(|function| serde_json::from_value(function).unwrap()).collect())
    }

    fn storage(value: Value) -> BackupStorage {
        serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "BackupStorage", "metadata": {"name": "disk", "namespace": "demo"}, "spec": value,
        }))
        .unwrap()
    }

    fn assembled(addon_info: Value, storages: &[BackupStorage], change: impl Fn(&mut Function)) -> Result<Value, JobError> {
        let (addon, mut functions) = installed();
        change(&mut functions[0]);
        let info: AddonInfo = serde_json::from_value(addon_info).unwrap();
        let image = Image { name: "ours:1".to_owned(), pull_policy: "IfNotPresent".to_owned() };
        let definition = &addon.spec.backup_tasks[0];
        let parts = JobParts {
            name: "bs-1".to_owned(),
            namespace: "demo".to_owned(),
            labels: [("l".to_owned(), "v".to_owned())].into(),
            owner: OwnerReference { name: "bs-1".to_owned(), ..OwnerReference::default() },
            tasks: info.tasks.iter().map(|reference| Task { reference, definition, function: &functions[0] }).collect(),
            addon: &info,
            variables: [("namespace", "demo"), ("backupSession", "bs-1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            service_account: "bs-1".to_owned(),
            image: &image,
            storages: storages.iter().collect(),
            settings: None,
            environment: vec![("HTTP_PROXY".to_owned(), "p".to_owned())],
            deadline: Some(60),
        };
        Ok(serde_json::to_value(assemble(&parts)?.job).unwrap())
    }

    fn guide() -> Value {
        json!({
            "name": "kubedump-addon",
            "tasks": [{"name": "manifest-backup", "params": {"IncludeClusterResources": true, "IncludeNamespaces": "a,\"b\""}}],
            "jobTemplate": {"spec": {"serviceAccountName": "reader"}},
        })
    }

    #[test]
    fn the_job_of_the_guide() {
        let job = assembled(guide(), &[], |_| ()).unwrap();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let args: Vec<&str> = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        assert_eq!(&args[..3], ["backup", "--namespace=demo", "--backupsession=bs-1"]);
        assert!(args.contains(&"--include-cluster-resources=true"), "{args:?}");
        assert!(args.contains(&"--include-namespaces=a,\"b\""), "{args:?}");
        assert!(args.contains(&"--exclude-namespaces="), "{args:?}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError");
        assert_eq!(job["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"], true);
        assert_eq!(container["volumeMounts"], json!([{"name": "kubestash-tmp-volume", "mountPath": "/kubestash-tmp"}]));
        assert_eq!((&job["spec"]["backoffLimit"], &job["spec"]["activeDeadlineSeconds"]), (&json!(0), &json!(60)));
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], json!({"l": "v"}));
        // The account is decided by the caller, who has looked at what the session names.
        assert_eq!(job["spec"]["template"]["spec"]["serviceAccountName"], "reader");
        assert_eq!(named_account(&serde_json::from_value(guide()).unwrap()), Some("reader"));
    }

    #[test]
    fn settings_further_to_the_right_win() {
        let mut info = guide();
        info["containerRuntimeSettings"] =
            json!({"resources": {"limits": {"memory": "1Gi"}}, "env": [{"name": "A", "value": "1"}], "nice": {"adjustment": 5}});
        info["jobTemplate"] = json!({
            "metadata": {"labels": {"team": "x"}}, "controller": {"annotations": {"why": "y"}},
            "spec": {
                "securityContext": {"runAsUser": 0}, "nodeSelector": {"disk": "ssd"}, "env": [{"name": "A", "value": "2"}],
                "resources": {"limits": {"memory": "2Gi"}}, "args": ["--more"], "podPlacementPolicy": {"name": "p"},
            },
        });
        let job = assembled(info, &[], |function| function.spec.image = Some("mirror.example.com/kubestash/kubedump:v0.28.0".to_owned())).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(pod["securityContext"], json!({"runAsUser": 0}));
        assert_eq!(pod["nodeSelector"], json!({"disk": "ssd"}));
        assert_eq!(container["resources"], json!({"limits": {"memory": "2Gi"}}));
        assert_eq!(container["image"], "ours:1", "KubeStash's image cannot do our work");
        assert_eq!(container["args"].as_array().unwrap().last().unwrap(), "--more");
        let environment: Vec<(&str, &str)> =
            container["env"].as_array().unwrap().iter().map(|pair| (pair["name"].as_str().unwrap(), pair["value"].as_str().unwrap())).collect();
        assert_eq!(environment, [("TMPDIR", "/kubestash-tmp"), ("A", "2"), ("HTTP_PROXY", "p"), ("COMPONENT_NAME", "manifest")]);
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], json!({"l": "v", "team": "x"}));
        assert_eq!(job["metadata"]["annotations"], json!({"why": "y"}));
        let own = assembled(guide(), &[], |function| function.spec.image = Some("mirror.example.com/mine:1".to_owned())).unwrap();
        assert_eq!(own["spec"]["template"]["spec"]["containers"][0]["image"], "mirror.example.com/mine:1");
    }

    #[test]
    fn local_storages_are_mounted_with_what_they_need() {
        let disk = storage(json!({
            "storage": {"provider": "local", "local": {"hostPath": {"path": "/data"}, "mountPath": "/safe/data", "subPath": "/x/"}},
            "runtimeSettings": {"pod": {"securityContext": {"runAsUser": 0}}},
        }));
        let bucket = storage(json!({"storage": {"provider": "s3", "s3": {"bucket": "b"}}}));
        let job = assembled(guide(), &[disk, bucket], |_| ()).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"], json!({"runAsUser": 0}));
        assert_eq!(pod["volumes"][1], json!({"name": "storage-disk", "hostPath": {"path": "/data"}}));
        let mount = json!({"name": "storage-disk", "mountPath": "/kubestash-storage/demo/disk", "subPath": "x"});
        assert_eq!(pod["containers"][0]["volumeMounts"][1], mount);
        assert_eq!(pod["volumes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn claims_and_shares_are_mounted_as_they_are() {
        let table = [
            (
                json!({"persistentVolumeClaim": {"claimName": "backups"}}),
                json!({"name": "storage-disk", "persistentVolumeClaim": {"claimName": "backups"}}),
            ),
            (
                json!({"nfs": {"server": "nfs.example.com", "path": "/exports/backups"}}),
                json!({"name": "storage-disk", "nfs": {"server": "nfs.example.com", "path": "/exports/backups"}}),
            ),
        ];
        for (source, volume) in table {
            let mut local = source;
            local["mountPath"] = json!("/safe/data");
            let disk = storage(json!({"storage": {"provider": "local", "local": local}}));
            let job = assembled(guide(), &[disk], |_| ()).unwrap();
            let pod = &job["spec"]["template"]["spec"];
            assert_eq!(pod["volumes"][1], volume);
            assert_eq!(pod["containers"][0]["volumeMounts"][1], json!({"name": "storage-disk", "mountPath": "/kubestash-storage/demo/disk"}));
        }
    }

    #[test]
    fn volumes_of_the_session_take_the_place_of_the_addons() {
        let mut info = guide();
        info["tasks"][0]["addonVolumes"] = json!([
            {"name": "${RESTIC_CACHE_VOLUME}", "source": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
            {"name": "more", "source": {"emptyDir": {}}},
        ]);
        let job = assembled(info, &[], |_| ()).unwrap();
        assert_eq!(
            job["spec"]["template"]["spec"]["volumes"],
            json!([{"name": "kubestash-tmp-volume", "persistentVolumeClaim": {"claimName": "bs-1-kubestash-tmp-volume"}}, {"name": "more", "emptyDir": {}}])
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let unknown = assembled(guide(), &[], |function| function.spec.args.push("--user=${user}".to_owned())).unwrap_err();
        assert!(unknown.to_string().contains("user"), "{unknown}");
        let mut shape = guide();
        shape["tasks"][0]["params"]["IncludeNamespaces"] = json!(["a"]);
        assert!(matches!(assembled(shape, &[], |_| ()).unwrap_err(), JobError::ParameterShape { parameter, .. } if parameter == "IncludeNamespaces"));
    }
}
