//! Jobs: the server refuses the selector and labels it generated for another uid.

use serde_json::Value;

use super::{at, remove, remove_if_empty};

/// Labels the Job controller generates, in their old and new spelling.
const GENERATED: [&str; 4] = ["controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"];

/// Drops the generated selector and labels, unless the Job says that its selector is a person's (`manualSelector`).
pub fn prepare(object: &mut Value) {
    if at(object, &["spec", "manualSelector"]).and_then(Value::as_bool) == Some(true) {
        return;
    }
    remove(object, &["spec"], "selector");
    for label in GENERATED {
        remove(object, &["metadata", "labels"], label);
        remove(object, &["spec", "template", "metadata", "labels"], label);
    }
    remove_if_empty(object, &["metadata"], "labels");
    remove_if_empty(object, &["spec", "template", "metadata"], "labels");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::restore::transforms::table::prepared;

    #[test]
    fn job_selector_and_labels() {
        let generated = json!({"metadata": {"labels": {"app": "x", "controller-uid": "u"}}, "spec": {
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {"metadata": {"labels": {"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u", "job-name": "j", "batch.kubernetes.io/job-name": "j"}}, "spec": {}}}});
        assert_eq!(
            prepared("jobs.batch", generated),
            json!({"metadata": {"labels": {"app": "x"}}, "spec": {"template": {"metadata": {}, "spec": {}}}})
        );
        let manual = json!({"metadata": {"labels": {"controller-uid": "mine"}}, "spec": {"manualSelector": true, "selector": {"matchLabels": {"controller-uid": "mine"}}}});
        assert_eq!(prepared("jobs.batch", manual.clone()), manual);
    }

    #[test]
    fn a_cron_job_comes_back_as_it_is() {
        let nightly = json!({"metadata": {"name": "nightly", "labels": {"job-name": "mine"}}, "spec": {
            "schedule": "0 3 * * *", "suspend": true, "jobTemplate": {"spec": {"template": {"metadata": {"labels": {"job-name": "mine"}}}}}}});
        assert_eq!(prepared("cronjobs.batch", nightly.clone()), nightly);
    }
}
