//! Writing single fields of an object that exists: a merge patch of exactly the version that was read.

use serde_json::{Value, json};

use super::{FIELD_MANAGER, Mode, Run, write};
use crate::{
    cluster::Method,
    restore::{
        api::{self, Call},
        edits::Edits,
        patch,
        plan::Step,
        report::Outcome,
        transforms::at,
    },
};

/// Reads and patches again, where others write at the same time.
const TRIES: usize = 5;

/// Puts the plan's fields into the object as it is now.
pub async fn write(run: &Run, step: &Step, item: usize) -> Result<Outcome, String> {
    let stored = run.source.edited_value(item, &step.kind, &Edits::default()).await.map_err(|error| write::chain(&error))?;
    let (mut tries, mut unsure) = (0, false);
    loop {
        let live = run.ask(step, &Call::get(api::object(&step.kind, &step.id()))).await.map_err(|refusal| refusal.explain(step))?;
        let live = live.value().map_err(|error| write::explain(&error, step))?;
        let Some(body) = body(&stored, &live, run).map_err(|error| error.to_string())? else {
            // A patch of which no answer came has done it.
            return Ok(if unsure { Outcome::Updated } else { Outcome::Unchanged });
        };
        let dry_run = if run.mode == Mode::ServerDryRun { "&dryRun=All" } else { "" };
        let path = format!("{}?fieldManager={FIELD_MANAGER}&fieldValidation=Warn{dry_run}", api::object(&step.kind, &step.id()));
        match run.ask(step, &Call::write(Method::Merge, path, body.to_string().into_bytes())).await {
            Ok(answer) => {
                run.report(|report| report.warn(step, answer.warnings));
                return Ok(Outcome::Updated);
            }
            Err(refusal) if refusal.status() == 409 && tries < TRIES => {
                tries += 1;
                unsure |= refusal.unsure;
            }
            Err(refusal) => return Err(refusal.explain(step)),
        }
    }
}

/// The patch that brings the fields to the stored state, bound to the version that it was made for; nothing where they are in it.
fn body(stored: &Value, live: &Value, run: &Run) -> Result<Option<Value>, crate::restore::FieldError> {
    let mut wanted = live.clone();
    for field in &run.plan.options.fields {
        field.transplant(stored, &mut wanted)?;
    }
    let Some(mut body) = patch::merge_patch(live, &wanted) else { return Ok(None) };
    let version = at(live, &["metadata", "resourceVersion"]).cloned().unwrap_or_default();
    match body.get_mut("metadata").and_then(Value::as_object_mut) {
        Some(metadata) => drop(metadata.insert("resourceVersion".to_owned(), version)),
        None => drop(body.as_object_mut().map(|body| body.insert("metadata".to_owned(), json!({"resourceVersion": version})))),
    }
    Ok(Some(body))
}
