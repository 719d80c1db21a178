//! One object: the request, and what to do about the answer.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{FIELD_MANAGER, Mode, Run};
use crate::{
    cluster::{ApiError, Method, collection_path, percent_encode},
    object::{GroupResource, Parts, Sensitivity, TypeMeta, split, yaml},
    restore::{
        api::{self, Answer, Call},
        patch,
        plan::{Action, Step},
        report::Outcome,
        transforms::{self, at},
    },
};

/// First pause before asking again; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Fields named in a warning about what an update left.
const NAMED: usize = 5;

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Ask again: the server is busy or unreachable. With it, whether the server wants fewer requests.
    Retry { busy: bool },
    /// Ask again until the settle time is over: the old object is being deleted, or a new kind is not served everywhere yet.
    Settle,
    /// The object exists.
    Exists,
    /// Ask again without the addresses of a Service.
    WithoutAddresses,
    /// It will not change its mind.
    GiveUp,
}

/// Decides from a refusal alone.
fn next(error: &ApiError, step: &Step) -> Next {
    let message = error.to_string();
    let says = |text: &str| message.contains(text);
    let is_service = step.kind.group.is_empty() && step.kind.resource == "services";
    match error.status() {
        0 | 502..=504 => Next::Retry { busy: false },
        429 => Next::Retry { busy: true },
        // A webhook that denies answers with its own status; one that cannot be reached makes this sentence.
        500 => Next::Retry { busy: false },
        409 if error.reason() == "AlreadyExists" && says("object is being deleted") => Next::Settle,
        409 if error.reason() == "AlreadyExists" => Next::Exists,
        // Two writers of one quota: the server's own advice is to try again. An apply conflict is a person's to decide.
        409 if step.action == Action::Create => Next::Retry { busy: false },
        // Controllers make the default ServiceAccount a moment after the namespace.
        403 if says("error looking up service account") => Next::Settle,
        404 if says("could not find the requested resource") || says("page not found") => Next::Settle,
        422 if is_service && transforms::is_address_taken(&message) => Next::WithoutAddresses,
        _ => Next::GiveUp,
    }
}

/// Writes one object.
pub async fn write(run: &Run, step: &Step) -> Result<Outcome, String> {
    let manifest = run.source.manifest(step.item).await.map_err(|error| chain(&error))?;
    let mut object = yaml::read(&manifest).map_err(|error| format!("its stored manifest is {error}"))?;
    let update = step.action == Action::Update;
    let warnings = prepare(run, step, &mut object);
    run.report(|report| report.warn(step, warnings));
    let answer = match send(run, step, &mut object).await? {
        Sent::Answer(answer) => answer,
        Sent::Exists => return exists(run, step, &object).await,
    };
    remember(run, step, &answer);
    let warnings: Vec<String> = answer.warnings.clone();
    run.report(|report| report.warn(step, warnings));
    if !update {
        return Ok(Outcome::Created);
    }
    settle_surplus(run, step, &answer, &object).await?;
    Ok(Outcome::Updated)
}

fn prepare(run: &Run, step: &Step, object: &mut Value) -> Vec<String> {
    let update = step.action == Action::Update;
    let context = transforms::Context {
        // A live Service keeps the addresses it has: they cannot be changed.
        keep_addresses: run.plan.options.keeps_addresses() && !update,
        keep_volume: step.keep_volume || update,
        relink: &|uid: &str| run.uids.relink(&step.owners, uid),
    };
    let kind = step.kind.group_resource();
    transforms::map_storage_classes(&kind, object, &run.plan.options.storage_classes);
    transforms::prepare(&kind, object, &context)
}

enum Sent {
    Answer(Answer),
    Exists,
}

async fn send(run: &Run, step: &Step, object: &mut Value) -> Result<Sent, String> {
    let start = Instant::now();
    let mut pause = PAUSE;
    // After a request without an answer, the object that exists may be our own.
    let mut unanswered = false;
    loop {
        let body = serde_json::to_vec(object).map_err(|_| "cannot be written as JSON".to_owned())?;
        let outcome = {
            let _place = run.window.enter().await;
            run.report(|report| report.write_requests += 1);
            api::call(&run.cluster, request(run, step, body)).await
        };
        let error = match outcome {
            Ok(answer) => {
                run.window.answered();
                return Ok(Sent::Answer(answer));
            }
            Err(error) => error,
        };
        let limit = match next(&error, step) {
            Next::Retry { busy } => {
                unanswered |= matches!(error.status(), 0 | 504);
                if busy {
                    run.window.refused();
                }
                run.patience.retry
            }
            Next::Settle => run.patience.settle,
            Next::Exists if unanswered => return own(run, step).await,
            Next::Exists => return Ok(Sent::Exists),
            Next::WithoutAddresses if without_addresses(object) => {
                run.report(|report| report.warn(step, [format!("its addresses are taken and new ones are assigned ({})", error)]));
                continue;
            }
            Next::WithoutAddresses | Next::GiveUp => return Err(explain(&error, step)),
        };
        let wait = error.retry_after().map_or(pause, Duration::from_secs);
        if start.elapsed() + wait > limit || run.stopped() {
            return Err(format!("{} (tried for {} s)", explain(&error, step), start.elapsed().as_secs()));
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The object that a request without an answer created.
async fn own(run: &Run, step: &Step) -> Result<Sent, String> {
    let answer = api::call(&run.cluster, Call::get(api::object(&step.kind, &step.id()))).await.map_err(|error| explain(&error, step))?;
    Ok(Sent::Answer(answer))
}

/// The object came into being between plan and execution: the policy for existing objects holds, but for what is there already.
async fn exists(run: &Run, step: &Step, wanted: &Value) -> Result<Outcome, String> {
    let answer = api::call(&run.cluster, Call::get(api::object(&step.kind, &step.id()))).await.map_err(|error| explain(&error, step))?;
    remember(run, step, &answer);
    let mut parts = Parts::default();
    let meta = TypeMeta { api_version: &step.kind.api_version(), kind: &step.kind.kind };
    let found = split(&answer.body, meta, Sensitivity::Open, &mut parts).ok().and_then(|()| yaml::read(&parts.manifest).ok());
    let (mut found, mut wanted) = (found.unwrap_or(Value::Null), wanted.clone());
    let kind = step.kind.group_resource();
    transforms::comparable(&kind, &mut found, false);
    transforms::comparable(&kind, &mut wanted, false);
    if found == wanted {
        return Ok(Outcome::Unchanged);
    }
    match run.plan.options.existing {
        crate::restore::plan::Existing::Skip => Ok(Outcome::Skipped(crate::restore::Reason::Exists)),
        _ => Err("was created by someone else since the plan was made; plan again".to_owned()),
    }
}

fn request(run: &Run, step: &Step, body: Vec<u8>) -> Call {
    let dry = if run.mode == Mode::ServerDryRun { "&dryRun=All" } else { "" };
    let id = step.id();
    let manager = step.manager.as_ref();
    let named = |name: &str| format!("fieldManager={}&fieldValidation=Warn{dry}", percent_encode(name));
    match (step.action, manager) {
        (Action::Update, _) => {
            let force = if run.plan.options.force { "&force=true" } else { "" };
            Call {
                method: Method::Apply,
                path: format!("{}?{}{force}", api::object(&step.kind, &id), named(FIELD_MANAGER)),
                body,
                metadata_only: false,
            }
        }
        // Applied under its own manager the object is owned as it was, in one request.
        (_, Some(manager)) if manager.apply => {
            Call { method: Method::Apply, path: format!("{}?{}", api::object(&step.kind, &id), named(&manager.name)), body, metadata_only: false }
        }
        (_, manager) => {
            let name = manager.map_or(FIELD_MANAGER, |manager| &manager.name);
            Call {
                method: Method::Post,
                path: format!("{}?{}", collection_path(&step.kind, id.namespace.as_deref()), named(name)),
                body,
                metadata_only: false,
            }
        }
    }
}

/// Notes the uid that an object has now, for those that it owns.
fn remember(run: &Run, step: &Step, answer: &Answer) {
    let new = answer.value().ok().and_then(|value| at(&value, &["metadata", "uid"]).and_then(Value::as_str).map(str::to_owned));
    if let (Some(old), Some(new)) = (step.uid.clone(), new) {
        run.uids.insert(old, new);
    }
}

/// Server-side apply sets what the snapshot has and leaves what others added: with `force` that is removed, without it is named.
async fn settle_surplus(run: &Run, step: &Step, answer: &Answer, wanted: &Value) -> Result<(), String> {
    let mut parts = Parts::default();
    let meta = TypeMeta { api_version: &step.kind.api_version(), kind: &step.kind.kind };
    split(&answer.body, meta, Sensitivity::Open, &mut parts).map_err(|error| error.to_string())?;
    let mut found = yaml::read(&parts.manifest).map_err(|error| error.to_string())?;
    let mut wanted = wanted.clone();
    let kind = step.kind.group_resource();
    transforms::comparable(&kind, &mut found, false);
    transforms::comparable(&kind, &mut wanted, false);
    let surplus = patch::surplus(&found, &wanted, NAMED);
    let Some(body) = patch::merge_patch(&found, &wanted).filter(|_| !surplus.is_empty()) else { return Ok(()) };
    if !run.plan.options.force {
        let named = format!("keeps what the snapshot does not have: {} (removed with --force-conflicts)", surplus.join(", "));
        run.report(|report| report.warn(step, [named]));
        return Ok(());
    }
    let dry = if run.mode == Mode::ServerDryRun { "&dryRun=All" } else { "" };
    let body = serde_json::to_vec(&body).map_err(|_| "cannot be written as JSON".to_owned())?;
    let path = format!("{}?fieldManager={FIELD_MANAGER}{dry}", api::object(&step.kind, &step.id()));
    run.report(|report| report.write_requests += 1);
    api::call(&run.cluster, Call { method: Method::Merge, path, body, metadata_only: false }).await.map_err(|error| explain(&error, step))?;
    Ok(())
}

/// Takes the addresses out; false when none were left to take.
fn without_addresses(object: &mut Value) -> bool {
    let before = object.clone();
    transforms::without_addresses(object);
    *object != before
}

/// The server's sentence and, where there is one, the way on.
fn explain(error: &ApiError, step: &Step) -> String {
    // Refusals of Secrets may quote their values.
    if step.kind.group_resource() == GroupResource::new("", "secrets") && error.status() == 422 {
        return format!("the API server finds the Secret invalid ({})", if error.reason().is_empty() { "422" } else { error.reason() });
    }
    let hint = match (error.status(), error.reason()) {
        (409, "Conflict") if step.action == Action::Update => "; --force-conflicts takes the fields over",
        (403, _) if error.to_string().contains("attempting to grant RBAC permissions not currently held") => {
            "; restore it with an account that holds these permissions, or may escalate and bind"
        }
        (404, _) if error.to_string().contains("namespaces") => "; restore its namespace too",
        _ => "",
    };
    format!("{error}{hint}")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{object::KindInfo, restore::Reason};

    fn step(resource: &str, action: Action) -> Step {
        Step {
            kind: KindInfo { group: String::new(), version: "v1".into(), resource: resource.into(), kind: "K".into(), namespaced: true },
            namespace: Some("demo".into()),
            name: "a".into(),
            item: 0,
            action,
            reason: Reason::Missing,
            detail: None,
            diff: None,
            manager: None,
            uid: None,
            owners: Default::default(),
            keep_volume: false,
        }
    }

    fn refused(status: u16, reason: &str, message: &str) -> ApiError {
        ApiError::Refused { status, reason: reason.into(), message: message.into(), retry_after: None }
    }

    #[test]
    fn refusals_are_retried_by_cause() {
        let rows = [
            (0, "Connection", "reset", Next::Retry { busy: false }),
            (429, "TooManyRequests", "", Next::Retry { busy: true }),
            (500, "InternalError", "failed calling webhook \"a\": connection refused", Next::Retry { busy: false }),
            (503, "", "", Next::Retry { busy: false }),
            (409, "AlreadyExists", "services \"a\" already exists", Next::Exists),
            (409, "AlreadyExists", "object is being deleted: namespaces \"a\" already exists", Next::Settle),
            (409, "Conflict", "Operation cannot be fulfilled on resourcequotas", Next::Retry { busy: false }),
            (403, "Forbidden", "exceeded quota", Next::GiveUp),
            (403, "Forbidden", "admission webhook \"x\" denied the request", Next::GiveUp),
            (403, "Forbidden", "error looking up service account demo/default: serviceaccount \"default\" not found", Next::Settle),
            (404, "NotFound", "the server could not find the requested resource", Next::Settle),
            (404, "NotFound", "namespaces \"demo\" not found", Next::GiveUp),
            (422, "Invalid", "spec.clusterIPs: provided IP is already allocated", Next::WithoutAddresses),
            (422, "Invalid", "spec.ports: Required value", Next::GiveUp),
            (400, "BadRequest", "", Next::GiveUp),
        ];
        for (status, reason, message, expected) in rows {
            let error = if status == 0 { ApiError::Unreachable { reason: message.into() } } else { refused(status, reason, message) };
            assert_eq!(next(&error, &step("services", Action::Create)), expected, "{status} {message}");
        }
        let conflict = refused(409, "Conflict", "conflict with \"kubectl\"");
        assert_eq!(next(&conflict, &step("services", Action::Update)), Next::GiveUp);
        assert_eq!(explain(&conflict, &step("services", Action::Update)), "conflict with \"kubectl\"; --force-conflicts takes the fields over");
        let leak = refused(422, "Invalid", "data: Invalid value: \"hunter2\"");
        assert!(!explain(&leak, &step("secrets", Action::Create)).contains("hunter2"));
    }
}
