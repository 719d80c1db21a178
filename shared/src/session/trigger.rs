//! The CronJob of a session, which makes BackupSessions.

use k8s_openapi::{api::batch::v1::CronJob, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use super::{
    job::{Image, JobError, trigger_pod},
    objects::{invoker_labels, trigger_name},
};
use crate::api::{BackupConfiguration, Session};

/// The CronJob of a session. Paused configurations and suspended schedules have it suspended.
///
/// # Errors
/// A session without a scheduler, or settings that make no CronJob.
pub fn cron_job(
    configuration: &BackupConfiguration,
    session: &Session,
    owner: OwnerReference,
    image: &Image,
    environment: &[(String, String)],
) -> Result<CronJob, JobError> {
    let invoker = configuration.name_any();
    let namespace = configuration.namespace().unwrap_or_default();
    let name = trigger_name(&invoker, &session.name);
    let shape = |reason: String| JobError::Shape { function: format!("the scheduler of session {}", session.name), reason };
    let scheduler = session.scheduler.as_ref().ok_or_else(|| shape("it is missing".to_owned()))?;
    let labels = invoker_labels("BackupConfiguration", &namespace, &invoker, &session.name, None);
    let args = vec![
        "trigger-backup".to_owned(),
        format!("--invoker-name={invoker}"),
        "--invoker-kind=BackupConfiguration".to_owned(),
        format!("--session-name={}", session.name),
    ];
    let template = &scheduler.job_template;
    let (pod, meta) = trigger_pod(template.template.as_ref(), &name, args, image, environment);
    let mut job = json!({
        "parallelism": template.parallelism, "completions": template.completions, "activeDeadlineSeconds": template.active_deadline_seconds,
        "backoffLimit": template.backoff_limit, "ttlSecondsAfterFinished": template.ttl_seconds_after_finished,
        "completionMode": template.completion_mode, "suspend": template.suspend,
        "template": {"metadata": with_labels(meta, &labels), "spec": pod},
    });
    drop_nulls(&mut job);
    let mut spec = json!({
        "schedule": scheduler.schedule, "startingDeadlineSeconds": scheduler.starting_deadline_seconds,
        "concurrencyPolicy": scheduler.concurrency_policy, "successfulJobsHistoryLimit": scheduler.successful_jobs_history_limit,
        "failedJobsHistoryLimit": scheduler.failed_jobs_history_limit,
        "suspend": configuration.spec.paused.unwrap_or(false) || scheduler.suspend.unwrap_or(false),
        "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
    });
    drop_nulls(&mut spec);
    let whole = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]},
        "spec": spec,
    });
    serde_json::from_value(whole).map_err(|error| shape(error.to_string()))
}

fn with_labels(mut meta: Value, labels: &std::collections::BTreeMap<String, String>) -> Value {
    let own = meta.as_object_mut().map(|meta| meta.entry("labels").or_insert_with(|| Value::Object(Map::new())));
    if let Some(Value::Object(own)) = own {
        own.extend(labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
    meta
}

fn drop_nulls(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_cron_job_of_the_guide() {
        let mut configuration: BackupConfiguration = serde_json::from_value(json!({
            "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupConfiguration", "metadata": {"name": "bc", "namespace": "demo"},
            "spec": {"sessions": [{"name": "frequent", "scheduler": {"schedule": "*/5 * * * *", "jobTemplate": {
                "backoffLimit": 1, "template": {"metadata": {"labels": {"mine": "x"}}, "spec": {"nodeSelector": {"disk": "ssd"}, "serviceAccountName": "other"}},
            }}}]},
        }))
        .unwrap();
        let image = Image { name: "ours:1".to_owned(), pull_policy: "Never".to_owned() };
        let made = |configuration: &BackupConfiguration| {
            let job = cron_job(configuration, &configuration.spec.sessions[0], OwnerReference::default(), &image, &[]).unwrap();
            serde_json::to_value(job).unwrap()
        };
        let job = made(&configuration);
        assert_eq!(job["metadata"]["name"], "trigger-bc-frequent");
        assert_eq!(job["spec"]["schedule"], "*/5 * * * *");
        assert_eq!(job["spec"]["suspend"], false);
        let spec = &job["spec"]["jobTemplate"]["spec"];
        assert_eq!(spec["backoffLimit"], 1);
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(pod["nodeSelector"], json!({"disk": "ssd"}));
        assert_eq!(pod["serviceAccountName"], "trigger-bc-frequent", "it may make BackupSessions and nothing else, whatever the template says");
        let container = &pod["containers"][0];
        assert_eq!((&container["name"], &container["image"]), (&json!("trigger"), &json!("ours:1")));
        assert_eq!(
            container["args"],
            json!(["trigger-backup", "--invoker-name=bc", "--invoker-kind=BackupConfiguration", "--session-name=frequent"])
        );
        assert_eq!(spec["template"]["metadata"]["labels"]["mine"], "x");
        assert_eq!(spec["template"]["metadata"]["labels"]["kubestash.com/invoker-name"], "bc");
        configuration.spec.paused = Some(true);
        assert_eq!(made(&configuration)["spec"]["suspend"], true);
    }
}
