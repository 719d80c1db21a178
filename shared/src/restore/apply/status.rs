//! Putting back the status of objects, where it was asked for: after all else, because controllers write it too, and by a request of its own,
//! because a create drops it.

use std::sync::PoisonError;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, Run, write};
use crate::{
    cluster::{ApiError, Method},
    restore::{
        api::{self, Call},
        patch,
        plan::Step,
        report::Outcome,
        transforms::at,
    },
};

/// Requests at the same time.
const PARALLEL: usize = 8;
/// Reads and writes again, where a controller writes at the same time.
const TRIES: usize = 5;

/// Restores the status of every object of the kinds asked for that this restore has written.
pub async fn restore(run: &Run) {
    let failed = run.undone.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let wanted = run.plan.steps().filter(|step| step.restores_status && step.action.writes() && !failed.contains(&step.id()));
    let outcomes = stream::iter(wanted.collect::<Vec<_>>()).map(|step| async move { (step, one(run, step).await) }).buffer_unordered(PARALLEL);
    let count = |(step, outcome): (&Step, Result<bool, String>)| {
        match outcome {
            Ok(written) => run.report(|report| report.statuses += u64::from(written)),
            Err(why) => run.report(|report| report.add(step, Outcome::Failed(format!("its status cannot be restored: {why}")))),
        }
        futures::future::ready(())
    };
    outcomes.for_each(count).await;
}

/// Whether there was a status to write.
async fn one(run: &Run, step: &Step) -> Result<bool, String> {
    let item = step.item.ok_or("the plan does not say where it is in the snapshot")?;
    let Some(status) = run.source.status(item).await.map_err(|error| write::chain(&error))? else { return Ok(false) };
    let mut tries = 0;
    loop {
        if run.stopped() {
            return Err("the restore was stopped before".to_owned());
        }
        let explain = |error: ApiError| write::explain(&error, step);
        let own = api::object(&step.kind, &step.id());
        // A kind without a status of its own keeps it in the object.
        let (path, found) = match api::look(&run.cluster, Call::get(format!("{own}/status"))).await {
            Err(error) if error.status() == 404 => (own.clone(), api::look(&run.cluster, Call::get(own)).await.map_err(explain)?),
            other => (format!("{own}/status"), other.map_err(explain)?),
        };
        let Some(body) = body(&found.value().map_err(explain)?, &status) else { return Ok(false) };
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&fieldValidation=Warn");
        match run.ask(step, &Call::write(Method::Merge, path, body)).await {
            Ok(answer) => {
                run.report(|report| report.warn(step, answer.warnings));
                return Ok(true);
            }
            Err(refusal) if refusal.status() == 409 && tries < TRIES => tries += 1,
            Err(refusal) => return Err(refusal.explain(step)),
        }
    }
}

/// The patch of exactly the version that was read; nothing where the status is as it should be.
fn body(live: &Value, status: &Value) -> Option<Vec<u8>> {
    let found = at(live, &["status"]).cloned().unwrap_or_default();
    let (found, wanted) = (json!({"status": found}), json!({"status": status}));
    let mut body = patch::merge_patch(&found, &wanted)?;
    let version = at(live, &["metadata", "resourceVersion"]).cloned().unwrap_or_default();
    body.as_object_mut()?.insert("metadata".to_owned(), json!({"resourceVersion": version}));
    serde_json::to_vec(&body).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let live = |status: Value| json!({"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {"a": 1}, "status": status});
        let written = |found: Value, wanted: Value| body(&live(found), &wanted).map(|body| serde_json::from_slice::<Value>(&body).unwrap());
        let version = json!({"resourceVersion": "7"});
        assert_eq!(written(json!({"a": 1}), json!({"a": 1})), None);
        assert_eq!(written(json!({"a": 1, "b": 2}), json!({"a": 3})), Some(json!({"metadata": version, "status": {"a": 3, "b": null}})));
        assert_eq!(written(Value::Null, json!({"a": 3})), Some(json!({"metadata": version, "status": {"a": 3}})));
    }
}
