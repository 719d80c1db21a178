//! How far a Job is, as much as a decision needs.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, Client, api::ListParams};

use crate::resources::namespaced;

/// A Pod that waits for so long is told of.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// State of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// There is none.
    Absent,
    /// It has not ended; what it waits for, if that takes long.
    Running {
        /// Why its Pod does not run, in a sentence.
        waits_for: Option<String>,
    },
    /// Its Pod ended well.
    Succeeded,
    /// Its Pod did not.
    Failed {
        /// Why, in a sentence.
        message: String,
    },
}

/// The state of a Job and its Pods.
pub fn state_of(job: Option<&Job>, pods: &[Pod], now: Timestamp) -> JobState {
    let Some(job) = job.filter(|job| job.metadata.deletion_timestamp.is_none()) else { return JobState::Absent };
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    for condition in conditions.filter(|condition| condition.status == "True") {
        match condition.type_.as_str() {
            "Complete" | "SuccessCriteriaMet" => return JobState::Succeeded,
            "Failed" | "FailureTarget" => {
                let said = condition.message.clone().or_else(|| condition.reason.clone()).unwrap_or_else(|| "the Job failed".to_owned());
                let message = pods.iter().filter_map(ended).next().map_or(said, |pod| pod);
                return JobState::Failed { message };
            }
            _ => {}
        }
    }
    JobState::Running { waits_for: waits_for(job, pods, now) }
}

/// Why a Pod ended otherwise than well.
fn ended(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    if let Some(reason) = status.reason.as_deref().filter(|reason| !reason.is_empty()) {
        return Some(format!("Pod {name} ended: {reason}: {}", status.message.as_deref().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().chain(status.container_statuses.iter()).flatten();
    let state = containers.filter_map(|container| container.state.as_ref()?.terminated.as_ref()).find(|state| state.exit_code != 0)?;
    let reason = state.reason.as_deref().unwrap_or("Error");
    Some(format!("Pod {name} ended with exit code {} ({reason}); `kubectl logs {name}` may say more", state.exit_code))
}

fn waits_for(job: &Job, pods: &[Pod], now: Timestamp) -> Option<String> {
    let since = job.status.as_ref().and_then(|status| status.start_time.as_ref()).or(job.metadata.creation_timestamp.as_ref())?.0;
    if now.duration_since(since) < PATIENCE {
        return None;
    }
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let Some(pod) = pods.iter().find(|pod| pod.metadata.deletion_timestamp.is_none()) else {
        return Some(format!("Job {name} has no Pod yet; `kubectl describe job {name}` says why"));
    };
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Pending") {
        return None;
    }
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let containers = status.init_container_statuses.iter().chain(status.container_statuses.iter()).flatten();
    let waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref()).next();
    let unscheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let why = match (unscheduled, waiting) {
        (Some(condition), _) => condition.message.clone().or_else(|| condition.reason.clone()),
        (None, Some(waiting)) => {
            let parts = [waiting.reason.as_deref(), waiting.message.as_deref()];
            Some(parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
        }
        (None, None) => None,
    };
    Some(format!("Pod {pod_name} is pending: {}", why.unwrap_or_else(|| "no reason is known".to_owned())))
}

/// Asks for a Job and its Pods.
///
/// # Errors
/// The API server's.
pub async fn observe(client: &Client, namespace: &str, name: &str, now: Timestamp) -> kube::Result<JobState> {
    let job = namespaced::<Job>(client, namespace).get_opt(name).await?;
    if job.is_none() {
        return Ok(JobState::Absent);
    }
    let pods: Api<Pod> = namespaced(client, namespace);
    // A label holds 63 characters, as the Job controller cuts it; our names are never longer.
    let pods = pods.list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"))).await?;
    Ok(state_of(job.as_ref(), &pods.items, now))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state(job: Value, pod: Value) -> JobState {
        let mut job = job;
        job["metadata"] = json!({"name": "j", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let job: Job = serde_json::from_value(job).unwrap();
        let pods: Vec<Pod> = if pod.is_null() { Vec::new() } else { vec![serde_json::from_value(pod).unwrap()] };
        state_of(Some(&job), &pods, "2026-01-01T00:02:00Z".parse().unwrap())
    }

    #[test]
    fn states_of_jobs() {
        assert_eq!(state_of(None, &[], Timestamp::UNIX_EPOCH), JobState::Absent);
        let done =
            |type_: &str| json!({"status": {"conditions": [{"type": type_, "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]}});
        assert_eq!(state(done("Complete"), Value::Null), JobState::Succeeded);
        assert_eq!(state(done("Failed"), Value::Null), JobState::Failed { message: "m".to_owned() });
        let killed = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [
            {"name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
        ]}});
        let JobState::Failed { message } = state(done("Failed"), killed) else { panic!("it failed") };
        assert!(message.contains("exit code 137 (OOMKilled)"), "{message}");
        let evicted = json!({"metadata": {"name": "p"}, "status": {"reason": "Evicted", "message": "disk pressure"}});
        assert_eq!(state(done("Failed"), evicted), JobState::Failed { message: "Pod p ended: Evicted: disk pressure".to_owned() });
    }

    #[test]
    fn what_a_job_waits_for() {
        let reason = |pod: Value| match state(json!({"status": {}}), pod) {
            JobState::Running { waits_for } => waits_for,
            other => panic!("{other:?}"),
        };
        assert!(reason(Value::Null).unwrap().contains("has no Pod yet"));
        assert_eq!(reason(json!({"metadata": {"name": "p"}, "status": {"phase": "Running"}})), None);
        let pull = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        ]}});
        assert_eq!(reason(pull).unwrap(), "Pod p is pending: ImagePullBackOff: no such image");
        let full = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"},
        ]}});
        assert_eq!(reason(full).unwrap(), "Pod p is pending: 0/1 nodes are available");
    }
}
