//! What must be there before waves begin: namespaces that nobody holds, and definitions that are served.
//!
//! Discovery follows seconds later, but nothing here needs it: an established kind takes requests. With several API servers one may
//! know a kind before the other; creating objects is retried for that.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{Mode, Run};
use crate::cluster::Method;
use crate::restore::{
    api::{self, Call},
    order::Stage,
    plan::{Action, Step},
    transforms::at,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Looks at the same time.
const PARALLEL: usize = 8;

/// Waits until every new definition is established; what does not get there in time is reported, and its objects are not
/// attempted one by one.
pub async fn definitions(run: &Run) {
    let end = Instant::now() + run.patience.settle;
    let created: Vec<&Step> =
        run.plan.steps().filter(|step| step.action == Action::Create && Stage::of(&step.kind.group_resource()) == Stage::Definitions).collect();
    let outcomes: Vec<(&Step, Result<(), String>)> =
        stream::iter(created).map(|step| async move { (step, established(run, step, end).await) }).buffer_unordered(PARALLEL).collect().await;
    for (step, outcome) in outcomes {
        if let Err(why) = outcome {
            run.breaks(step);
            run.report(|report| report.warn(step, [format!("not served: {why}")]));
        }
    }
}

/// Makes the namespaces that the plan wants bare; what cannot be made is reported, and what would live in it is not attempted.
pub async fn namespaces(run: &Run) {
    if run.mode != Mode::Write {
        return;
    }
    for name in &run.plan.bare_namespaces {
        if run.stopped() {
            return;
        }
        match make_namespace(run, name).await {
            Ok(true) => run.report(|report| {
                report.created += 1;
                report.warnings.push(format!("namespaces/{name}: the snapshot does not hold it; it was made without labels and annotations"));
            }),
            Ok(false) => {}
            Err(why) => {
                run.broken.lock().unwrap_or_else(PoisonError::into_inner).namespaces.insert(name.clone());
                run.report(|report| report.warnings.push(format!("namespaces/{name}: cannot be made: {why}")));
            }
        }
    }
}

/// Whether it was made, or was there already.
async fn make_namespace(run: &Run, name: &str) -> Result<bool, String> {
    let end = Instant::now() + run.patience.retry;
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string().into_bytes();
    loop {
        run.report(|report| report.write_requests += 1);
        let call = Call { method: Method::Post, path: "/api/v1/namespaces".to_owned(), body: body.clone(), metadata_only: false };
        match api::call(&run.cluster, call).await {
            Ok(_) => return Ok(true),
            Err(error) if error.status() == 409 => return Ok(false),
            Err(error) if error.is_passing() && Instant::now() < end && !run.stopped() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}

async fn established(run: &Run, step: &Step, end: Instant) -> Result<(), String> {
    loop {
        let state = match api::call(&run.cluster, Call::get(api::object(&step.kind, &step.id()))).await.and_then(|answer| answer.value()) {
            Ok(value) => match condition(&value) {
                None => return Ok(()),
                Some(waiting) => waiting,
            },
            // It was not created: reported already.
            Err(error) if error.status() == 404 => return Ok(()),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= end || run.stopped() {
            return Err(state);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a definition still waits for; nothing when it is served.
fn condition(definition: &Value) -> Option<String> {
    let conditions = at(definition, &["status", "conditions"]).and_then(Value::as_array);
    let text = |one: &Value, key: &str| at(one, &[key]).and_then(Value::as_str).unwrap_or_default().to_owned();
    for wanted in ["NamesAccepted", "Established"] {
        match conditions.into_iter().flatten().find(|one| text(one, "type") == wanted) {
            Some(one) if text(one, "status") == "True" => {}
            Some(one) => return Some(format!("{wanted} is {}: {}", text(one, "status"), text(one, "message"))),
            None => return Some(format!("{wanted} is not reported yet")),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_is_served_when_both_conditions_hold() {
        let with = |names: &str, established: &str| json!({"status": {"conditions": [{"type": "NamesAccepted", "status": names, "message": "taken"}, {"type": "Established", "status": established, "message": "wait"}]}});
        assert_eq!(condition(&with("True", "True")), None);
        assert_eq!(condition(&with("False", "False")).as_deref(), Some("NamesAccepted is False: taken"));
        assert_eq!(condition(&with("True", "False")).as_deref(), Some("Established is False: wait"));
        assert_eq!(condition(&json!({})).as_deref(), Some("NamesAccepted is not reported yet"));
    }
}
