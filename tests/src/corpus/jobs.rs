//! CronJobs and the last Jobs they made.

use serde_json::json;

use super::{
    app::{App, Meta},
    kind,
    pods::pod_spec,
};

const CONTROLLER: &str = "kube-controller-manager";

impl App {
    pub(super) fn jobs(&mut self) {
        let name = format!("{}-job", self.name);
        let mut spec = pod_spec(self, self.patch);
        spec["restartPolicy"] = "OnFailure".into();
        let schedule = format!("{} */{} * * *", self.random.below(60), self.random.pick(&[1, 2, 4, 6]));
        let template = json!({"metadata": {"creationTimestamp": null}, "spec": spec});
        let content = json!({
            "spec": {"concurrencyPolicy": "Forbid", "failedJobsHistoryLimit": 1, "jobTemplate": {"metadata": {"creationTimestamp": null},
                "spec": {"template": template}}, "schedule": schedule, "successfulJobsHistoryLimit": 3, "suspend": false},
            "status": {"lastScheduleTime": self.random.time(), "lastSuccessfulTime": self.random.time()}});
        let meta = Meta { status_manager: Some(CONTROLLER), generation: Some(2), ..self.installed() };
        let cron_job = self.add(kind::CRON_JOB, &name, content, meta);
        for _ in 0..3 {
            let (job, uid) = (format!("{name}-{}", 29_400_000 + self.random.below(90_000)), self.random.uid());
            let labels = json!({"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": job, "controller-uid": uid,
                "job-name": job});
            let condition = json!({"lastProbeTime": self.random.time(), "lastTransitionTime": self.random.time(), "message":
                "Reached expected number of succeeded pods", "reason": "CompletionsReached", "status": "True", "type": "Complete"});
            let content = json!({
                "spec": {"backoffLimit": 6, "completionMode": "NonIndexed", "completions": 1, "parallelism": 1, "selector": {"matchLabels":
                    {"batch.kubernetes.io/controller-uid": uid}}, "suspend": false, "template": {"metadata": {"creationTimestamp": null,
                    "labels": labels}, "spec": spec}},
                "status": {"completionTime": self.random.time(), "conditions": [condition], "ready": 0, "startTime": self.random.time(),
                    "succeeded": 1, "terminating": 0, "uncountedTerminatedPods": {}}});
            let meta = Meta {
                labels: Some(labels),
                annotations: Some(json!({"batch.kubernetes.io/cronjob-scheduled-timestamp": self.random.time()})),
                owner: Some(&cron_job),
                manager: CONTROLLER,
                status_manager: Some(CONTROLLER),
                generation: Some(1),
                ..Meta::default()
            };
            self.add(kind::JOB, &job, content, meta);
        }
    }
}
