//! Deleting objects: what only the cluster has, and what is created anew because a field of it cannot be changed.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Mode, Run, write};
use crate::{
    cluster::Method,
    object::yaml,
    restore::{
        api::{self, Answer, Call},
        plan::Step,
        report::Outcome,
        transforms::{self, Context, Relink, at},
    },
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What becomes of the objects that a deleted one owns.
#[derive(Debug, Clone, Copy)]
enum Owned {
    /// They go, too.
    Go,
    /// They stay, without this owner.
    Stay,
}

/// Removes an object that the snapshot lacks, with what it owns.
pub async fn remove(run: &Run, step: &Step) -> Result<Outcome, String> {
    delete(run, step, Owned::Go).await?;
    Ok(Outcome::Removed)
}

/// Deletes an object, but nothing that it owns, and creates it as the snapshot has it. When that is refused, what was there is put back.
pub async fn recreate(run: &Run, step: &Step, object: &mut Value) -> Result<Outcome, String> {
    if run.mode == Mode::ServerDryRun {
        delete(run, step, Owned::Stay).await?;
        return Ok(Outcome::NotCheckable("it is deleted before it is created anew".to_owned()));
    }
    let before = run.ask(step, &Call::get(api::object(&step.kind, &step.id()))).await.map_err(|refusal| refusal.explain(step))?;
    delete(run, step, Owned::Stay).await?;
    wait_until_gone(run, step).await?;
    match write::create(run, step, object).await {
        Ok(Outcome::Created) => Ok(Outcome::Recreated),
        Ok(other) => Ok(other),
        Err(why) => Err(match put_back(run, step, &before).await {
            Ok(()) => format!("{why}; what was there before was put back"),
            Err(again) => format!("{why}; what was there before is deleted and cannot be put back ({again}): restore it again"),
        }),
    }
}

async fn delete(run: &Run, step: &Step, owned: Owned) -> Result<(), String> {
    let policy = match owned {
        Owned::Go => "Background",
        Owned::Stay => "Orphan",
    };
    let uid = step.live.as_ref().map(|live| live.uid.clone());
    // All options stand in the body: where there is one, the API server does not look at the query, a dry run in it included.
    let dry_run: &[&str] = if run.mode == Mode::ServerDryRun { &["All"] } else { &[] };
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy, "preconditions": {"uid": uid}, "dryRun": dry_run,
    });
    let call = Call::write(Method::Delete, api::object(&step.kind, &step.id()), options.to_string().into_bytes());
    match run.ask(step, &call).await {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.status() == 404 => Ok(()),
        Err(refusal) if refusal.status() == 409 => Err("is another object of this name since the plan was made; plan again".to_owned()),
        Err(refusal) => Err(refusal.explain(step)),
    }
}

/// Waits until the object that the plan saw is gone, or another one of its name is there. It goes on when the restore is stopped: what was
/// deleted to be created anew must come back.
pub async fn wait_until_gone(run: &Run, step: &Step) -> Result<(), String> {
    let Some(seen) = &step.live else { return Ok(()) };
    let call = Call::get(api::object(&step.kind, &step.id()));
    // Time in which the API server does not answer is not counted.
    let mut waited = Duration::ZERO;
    loop {
        let found = match run.ask(step, &call).await {
            Err(refusal) if refusal.status() == 404 => return Ok(()),
            other => other.map_err(|refusal| refusal.explain(step))?.value().map_err(|error| write::explain(&error, step))?,
        };
        let uid = at(&found, &["metadata", "uid"]).and_then(Value::as_str);
        if uid.is_some_and(|uid| uid != seen.uid) {
            return Ok(());
        }
        if waited >= run.patience.settle {
            let finalizers = at(&found, &["metadata", "finalizers"]).and_then(Value::as_array);
            let names: Vec<&str> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
            let waits = if names.is_empty() { String::new() } else { format!(", it waits for {}", names.join(", ")) };
            return Err(format!("the old one is not gone after {} s{waits}; restore it again when it is", run.patience.settle.as_secs()));
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}

/// Nothing of it has changed but that it is not there.
fn as_it_was(step: &Step, object: &mut Value) {
    let keep = Context { keep_addresses: true, keep_volume: true, relink: &|_| Relink::Keep };
    transforms::prepare(&step.kind.group_resource(), object, &keep);
}

async fn put_back(run: &Run, step: &Step, before: &Answer) -> Result<(), String> {
    let manifest = write::manifest(step, before)?;
    let mut object = yaml::read(&manifest).map_err(|error| error.to_string())?;
    as_it_was(step, &mut object);
    // Under no manager of the snapshot's: it is not the snapshot's state.
    let own = Step { manager: None, uid: None, ..step.clone() };
    write::create(run, &own, &mut object).await.map(drop)
}
