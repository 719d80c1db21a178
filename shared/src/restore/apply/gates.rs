//! What must be there before waves begin: namespaces that nobody holds.

use std::sync::PoisonError;

use serde_json::json;

use super::{
    Mode, Run,
    ask::{Refusal, passing},
};
use crate::cluster::Method;
use crate::restore::api::Call;

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
async fn make_namespace(run: &Run, name: &str) -> Result<bool, Refusal> {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string().into_bytes();
    match run.ask_unless(None, &Call::write(Method::Post, "/api/v1/namespaces".to_owned(), body), passing).await {
        Ok(_) => Ok(true),
        // One of which no answer came has made it.
        Err(refusal) if refusal.status() == 409 => Ok(refusal.unsure),
        Err(refusal) => Err(refusal),
    }
}
