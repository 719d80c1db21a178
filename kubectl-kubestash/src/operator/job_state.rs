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
    /// It has not ended.
    Running {
        /// Why its Pod does not run, in a sentence, and what to do about it.
        waits_for: Option<String>,
        /// Whether it has waited for so long that somebody should know.
        long: bool,
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
    let since = job.status.as_ref().and_then(|status| status.start_time.as_ref()).or(job.metadata.creation_timestamp.as_ref());
    let long = since.is_some_and(|since| now.duration_since(since.0) >= PATIENCE);
    JobState::Running { waits_for: waits_for(job, pods), long }
}

/// Why a Pod ended otherwise than well, in its own last words if it had any.
fn ended(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    if let Some(reason) = status.reason.as_deref().filter(|reason| !reason.is_empty()) {
        return Some(format!("Pod {name} ended: {reason}: {}", status.message.as_deref().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().chain(status.container_statuses.iter()).flatten();
    let state = containers.filter_map(|container| container.state.as_ref()?.terminated.as_ref()).find(|state| state.exit_code != 0)?;
    let reason = state.reason.as_deref().unwrap_or("Error");
    let said = match state.message.as_deref().and_then(last_words) {
        _ if reason == "OOMKilled" => ": it needs more memory; raise resources.limits.memory of the container".to_owned(),
        Some(words) => format!(": {words}"),
        None => format!("; `kubectl logs {name}` may say more"),
    };
    Some(format!("Pod {name} ended with exit code {} ({reason}){said}", state.exit_code))
}

/// Longest last words, in characters.
const MAX_WORDS: usize = 600;

/// What a container said last, in one line. The kubelet keeps the end of the log of one that failed.
///
/// Our own program ends with `error:`, `cause:` and `hint:`; of others it is the last line that is not empty.
fn last_words(log: &str) -> Option<String> {
    let mut parts: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let begin = parts.iter().rposition(|line| line.starts_with("error: ")).unwrap_or(parts.len().saturating_sub(1));
    let own = parts.split_off(begin);
    let words: String = own
        .iter()
        .map(|line| match line.split_once(": ") {
            Some(("error", text)) => text.to_owned(),
            Some(("cause", text)) => format!(": {text}"),
            Some(("hint", text)) => format!("; {text}"),
            _ => format!(" {line}"),
        })
        .collect();
    let words: String = words.trim().chars().take(MAX_WORDS).collect();
    (!words.is_empty()).then_some(words)
}

fn waits_for(job: &Job, pods: &[Pod]) -> Option<String> {
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
    let waiting = containers.filter_map(|container| Some((container, container.state.as_ref()?.waiting.as_ref()?))).next();
    let unscheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let (why, next) = match (unscheduled, waiting) {
        (Some(condition), _) => {
            let said = condition.message.clone().or_else(|| condition.reason.clone()).unwrap_or_default();
            let next = if said.contains("persistentvolumeclaim") {
                "create the claim in the namespace of the Pod"
            } else {
                "make room on a node, or change nodeSelector, tolerations or resources of the Pod"
            };
            (said, Some(next))
        }
        (None, Some((container, waiting))) => {
            let parts = [waiting.reason.as_deref(), waiting.message.as_deref()];
            let said = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
            match waiting.reason.as_deref() {
                Some("ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName") => (
                    format!("its image {} cannot be had: {said}", container.image),
                    Some(
                        "check name and registry of the image, and whether it needs imagePullSecrets; `kubectl kubestash install --image` names another",
                    ),
                ),
                Some("CreateContainerConfigError") => (said, Some("create what is missing in the namespace of the Pod")),
                // Of the node's own troubles, as a runtime that does not answer, the Pod's Events tell.
                _ => (said, None),
            }
        }
        (None, None) => ("no reason is known".to_owned(), None),
    };
    let next = next.map_or_else(|| format!("; `kubectl describe pod {pod_name}` may say more"), |next| format!("; {next}"));
    Some(format!("Pod {pod_name} is pending: {why}{next}"))
}

/// Whether a Job was made for an object of this uid. One that has no owner is known by its name alone.
fn is_for(job: &Job, owner: Option<&str>) -> bool {
    let mut owners = job.metadata.owner_references.iter().flatten().filter(|reference| reference.controller == Some(true));
    owner.is_none_or(|uid| owners.all(|reference| reference.uid == uid))
}

/// Asks for a Job and its Pods. A Job whose owner has another uid than `owner` is of an object of the same name that was deleted: it goes soon,
/// and tells nothing.
///
/// # Errors
/// The API server's.
pub async fn observe(client: &Client, namespace: &str, name: &str, owner: Option<&str>, now: Timestamp) -> kube::Result<JobState> {
    let job = namespaced::<Job>(client, namespace).get_opt(name).await?.filter(|job| is_for(job, owner));
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
        assert!(message.contains("exit code 137 (OOMKilled): it needs more memory"), "{message}");
        let evicted = json!({"metadata": {"name": "p"}, "status": {"reason": "Evicted", "message": "disk pressure"}});
        assert_eq!(state(done("Failed"), evicted), JobState::Failed { message: "Pod p ended: Evicted: disk pressure".to_owned() });
    }

    #[test]
    fn a_job_of_another_object_of_the_same_name_is_none() {
        let job = |owners: Value| serde_json::from_value::<Job>(json!({"metadata": {"name": "j", "ownerReferences": owners}})).unwrap();
        let owner = |uid: &str, controller: bool| json!({"apiVersion": "v1", "kind": "K", "name": "n", "uid": uid, "controller": controller});
        assert!(is_for(&job(json!([owner("new", true)])), Some("new")));
        assert!(!is_for(&job(json!([owner("old", true)])), Some("new")));
        assert!(is_for(&job(json!([owner("other", false), owner("new", true)])), Some("new")));
        assert!(is_for(&job(json!([owner("old", true)])), None), "nobody asks");
        assert!(is_for(&job(json!([])), Some("new")));
    }

    #[test]
    fn the_last_words_of_a_container() {
        let log = "2026-01-01T00:00:00Z  INFO x: begins\nerror: cannot read Secret demo/s\n  cause: it does not exist\n  hint: create it\n";
        for (log, words) in [
            (log, Some("cannot read Secret demo/s: it does not exist; create it")),
            ("first\n\nsh: psql: not found\n", Some("sh: psql: not found")),
            ("\n \n", None),
            ("", None),
        ] {
            assert_eq!(last_words(log).as_deref(), words, "{log:?}");
        }
        assert_eq!(last_words(&"x".repeat(5000)).unwrap().len(), MAX_WORDS);
        let pod = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [
            {"name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {"terminated": {"exitCode": 1, "reason": "Error", "message": log}}},
        ]}});
        let failed = state(json!({"status": {"conditions": [{"type": "Failed", "status": "True", "message": "m"}]}}), pod);
        let message = "Pod p ended with exit code 1 (Error): cannot read Secret demo/s: it does not exist; create it".to_owned();
        assert_eq!(failed, JobState::Failed { message });
    }

    #[test]
    fn what_a_job_waits_for() {
        let reason = |pod: Value| match state(json!({"status": {}}), pod) {
            JobState::Running { waits_for, long: true } => waits_for,
            other => panic!("{other:?}"),
        };
        let young = json!({"status": {"startTime": "2026-01-01T00:01:59Z"}});
        assert!(matches!(state(young, Value::Null), JobState::Running { waits_for: Some(_), long: false }));
        assert!(reason(Value::Null).unwrap().contains("has no Pod yet"));
        assert_eq!(reason(json!({"metadata": {"name": "p"}, "status": {"phase": "Running"}})), None);
        let pull = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "ready": false, "restartCount": 0, "image": "a/b:1", "imageID": "", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        ]}});
        let text = reason(pull).unwrap();
        assert!(text.starts_with("Pod p is pending: its image a/b:1 cannot be had: ImagePullBackOff: no such image; check name"), "{text}");
        let full = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"},
        ]}});
        let text = reason(full).unwrap();
        assert!(text.starts_with("Pod p is pending: 0/1 nodes are available; make room"), "{text}");
        let slow = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {"waiting": {"reason": "ContainerCreating"}}},
        ]}});
        assert_eq!(reason(slow).unwrap(), "Pod p is pending: ContainerCreating; `kubectl describe pod p` may say more");
        let claim = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "persistentvolumeclaim \"x\" not found"},
        ]}});
        assert!(reason(claim).unwrap().ends_with("create the claim in the namespace of the Pod"));
    }
}
