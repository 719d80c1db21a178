//! One object: the request, and what to do about the answer.

use serde_json::Value;

use super::{
    FIELD_MANAGER, Mode, Run,
    ask::{Refusal, passing},
    fields,
    patience::Wait,
    remove,
};
use crate::{
    cluster::{ApiError, Method, Passing, collection_path, percent_encode},
    object::{GroupResource, yaml},
    restore::{
        Reason,
        api::{self, Answer, Call},
        plan::{Action, Existing, Step},
        report::Outcome,
        transforms::{self, at},
        trial::is_with_ourselves,
        update,
    },
};

/// What a refusal of a step's object is waited for; nothing for one that is final.
fn wait(error: &ApiError, step: &Step) -> Option<Wait> {
    let message = error.to_string();
    let says = |text: &str| message.contains(text);
    match error.status() {
        409 if error.reason() == "AlreadyExists" && says("object is being deleted") => Some(Wait::Settling),
        409 if error.reason() == "AlreadyExists" => None,
        // Two writers of one quota: the server's own advice is to try again. An apply conflict is a person's to decide.
        409 if step.action.makes() => Some(Wait::For(Passing::Undecided)),
        // Controllers make the default ServiceAccount a moment after the namespace.
        403 if says("error looking up service account") => Some(Wait::Settling),
        404 if says("could not find the requested resource") || says("page not found") => Some(Wait::Settling),
        _ => passing(error),
    }
}

/// Whether the object is there already.
fn exists_already(error: &ApiError) -> bool {
    error.status() == 409 && error.reason() == "AlreadyExists"
}

/// Whether a Service is refused for addresses that are taken.
fn wants_other_addresses(error: &ApiError, step: &Step) -> bool {
    let is_service = step.kind.group.is_empty() && step.kind.resource == "services";
    error.status() == 422 && is_service && transforms::is_address_taken(&error.to_string())
}

/// Writes one object.
pub async fn write(run: &Run, step: &Step) -> Result<Outcome, String> {
    let item = step.item.ok_or("the plan does not say where it is in the snapshot")?;
    if !run.plan.options.fields.is_empty() && step.action == Action::Update {
        return fields::write(run, step, item).await;
    }
    let mut object = run.source.edited_value(item, &step.kind, &run.plan.options.edits).await.map_err(|error| chain(&error))?;
    let warnings = prepare(run, step, &mut object);
    run.report(|report| report.warn(step, warnings.into_iter().chain(step.warnings.iter().cloned())));
    match step.action {
        Action::Update => update(run, step, &mut object).await,
        Action::Recreate => remove::recreate(run, step, &mut object).await,
        _ if step.live.as_ref().is_some_and(|live| live.deleting) => {
            if run.mode == Mode::ServerDryRun {
                return Ok(Outcome::NotCheckable("an old one is being deleted".to_owned()));
            }
            remove::wait_until_gone(run, step).await?;
            create(run, step, &mut object).await
        }
        _ => create(run, step, &mut object).await,
    }
}

/// Creates an object; where it is there already, the policy for existing objects holds.
pub async fn create(run: &Run, step: &Step, object: &mut Value) -> Result<Outcome, String> {
    match send(run, step, object).await? {
        Sent::Answer(answer) => {
            note(run, step, answer);
            Ok(Outcome::Created)
        }
        Sent::Exists => exists(run, step, object).await,
    }
}

async fn update(run: &Run, step: &Step, object: &mut Value) -> Result<Outcome, String> {
    match send(run, step, object).await? {
        Sent::Answer(answer) => {
            settle_surplus(run, step, &answer, object).await?;
            note(run, step, answer);
            Ok(Outcome::Updated)
        }
        Sent::Exists => exists(run, step, object).await,
    }
}

/// Notes what an answer tells: the uid, and the server's warnings.
fn note(run: &Run, step: &Step, answer: Answer) {
    remember(run, step, &answer);
    run.report(|report| report.warn(step, answer.warnings));
}

fn prepare(run: &Run, step: &Step, object: &mut Value) -> Vec<String> {
    let relink = |uid: &str| run.uids.relink(&step.owners, uid);
    let kind = step.kind.group_resource();
    if step.action == Action::Update {
        return update::prepare(&kind, object, &relink);
    }
    // The addresses of what moved are those of the original.
    let keep_addresses = run.plan.options.keeps_addresses() && step.from.is_none();
    let context = transforms::Context { keep_addresses, keep_volume: step.keep_volume, relink: &relink };
    transforms::prepare(&kind, object, &context)
}

enum Sent {
    Answer(Answer),
    Exists,
}

async fn send(run: &Run, step: &Step, object: &mut Value) -> Result<Sent, String> {
    let mut force = run.plan.options.force;
    loop {
        let body = serde_json::to_vec(object).map_err(|_| "cannot be written as JSON".to_owned())?;
        let call = request(step, body, run.mode, force);
        let refusal = match run.ask_unless(Some(step), &call, |error| wait(error, step)).await {
            Ok(answer) => return Ok(Sent::Answer(answer)),
            Err(refusal) => refusal,
        };
        // What refuses a second request may be what the first one made: the object itself, its addresses, its share of a quota.
        if refusal.unsure
            && step.action.makes()
            && let Some(answer) = own(run, step, object).await
        {
            return Ok(Sent::Answer(answer));
        }
        if exists_already(&refusal.error) {
            return Ok(Sent::Exists);
        }
        if !force && is_with_ourselves(&refusal.error) {
            force = true;
            continue;
        }
        if wants_other_addresses(&refusal.error, step) {
            let dropped = transforms::without_taken(object, &refusal.error.to_string());
            if !dropped.is_empty() {
                run.report(|report| report.warn(step, [format!("{} cannot be had, a new one is assigned ({refusal})", dropped.join(", "))]));
                continue;
            }
        }
        return Err(refusal.explain(step));
    }
}

async fn get(run: &Run, step: &Step) -> Result<Answer, Refusal> {
    run.ask(step, &Call::get(api::object(&step.kind, &step.id()))).await
}

/// The object that a request made of which no answer came; nothing where it made none, or somebody else did.
async fn own(run: &Run, step: &Step, wanted: &Value) -> Option<Answer> {
    let answer = get(run, step).await.ok()?;
    let managers = answer.value().ok().and_then(|found| at(&found, &["metadata", "managedFields"]).cloned());
    let name = step.manager.as_ref().map_or(FIELD_MANAGER, |manager| &manager.name);
    let is_ours = |entry: &Value| at(entry, &["manager"]).and_then(Value::as_str) == Some(name);
    let written = managers.as_ref().and_then(Value::as_array).is_some_and(|managers| managers.iter().any(is_ours));
    (written || is_as_wanted(step, &answer, wanted)).then_some(answer)
}

/// Whether what is there is what a step wants.
fn is_as_wanted(step: &Step, answer: &Answer, wanted: &Value) -> bool {
    let kind = step.kind.group_resource();
    let Some(mut found) = manifest(step, answer).ok().and_then(|manifest| yaml::read(&manifest).ok()) else { return false };
    let mut wanted = wanted.clone();
    transforms::comparable(&kind, &mut found, false);
    transforms::comparable(&kind, &mut wanted, false);
    found == wanted
}

/// The object came into being between plan and execution: the policy for existing objects holds, but for what is there already.
async fn exists(run: &Run, step: &Step, wanted: &Value) -> Result<Outcome, String> {
    let answer = get(run, step).await.map_err(|refusal| refusal.explain(step))?;
    remember(run, step, &answer);
    if is_as_wanted(step, &answer, wanted) {
        return Ok(Outcome::Unchanged);
    }
    match run.plan.options.existing.of(&step.kind.group_resource()) {
        _ if step.if_missing => Ok(Outcome::Skipped(Reason::Exists)),
        Existing::Skip => Ok(Outcome::Skipped(Reason::Exists)),
        Existing::Update | Existing::Recreate | Existing::Fail => Err("was created by someone else since the plan was made; plan again".to_owned()),
    }
}

fn request(step: &Step, body: Vec<u8>, mode: Mode, force: bool) -> Call {
    let dry = if mode == Mode::ServerDryRun { "&dryRun=All" } else { "" };
    let id = step.id();
    let manager = step.manager.as_ref();
    let named = |name: &str| format!("fieldManager={}&fieldValidation=Warn{dry}", percent_encode(name));
    match (step.action, manager) {
        (Action::Update, _) => update::request(&step.kind, &id, body, force, mode == Mode::ServerDryRun),
        // Applied under its own manager the object is owned as it was, in one request.
        (_, Some(manager)) if manager.apply => Call::write(Method::Apply, format!("{}?{}", api::object(&step.kind, &id), named(&manager.name)), body),
        (_, manager) => {
            let name = manager.map_or(FIELD_MANAGER, |manager| &manager.name);
            Call::write(Method::Post, format!("{}?{}", collection_path(&step.kind, id.namespace.as_deref()), named(name)), body)
        }
    }
}

/// The manifest part of an object that the server sent.
pub fn manifest(step: &Step, answer: &Answer) -> Result<Vec<u8>, String> {
    Ok(answer.parts(&step.kind).map_err(|error| error.to_string())?.manifest)
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
    let found = yaml::read(&manifest(step, answer)?).map_err(|error| error.to_string())?;
    let Some(surplus) = update::surplus(&step.kind.group_resource(), &found, wanted) else { return Ok(()) };
    if !run.plan.options.force {
        run.report(|report| report.warn(step, [surplus.kept]));
        return Ok(());
    }
    let dry = if run.mode == Mode::ServerDryRun { "&dryRun=All" } else { "" };
    let body = serde_json::to_vec(&surplus.removal).map_err(|_| "cannot be written as JSON".to_owned())?;
    let path = format!("{}?fieldManager={FIELD_MANAGER}{dry}", api::object(&step.kind, &step.id()));
    run.ask(step, &Call::write(Method::Merge, path, body)).await.map_err(|refusal| refusal.explain(step))?;
    Ok(())
}

/// The server's sentence and, where there is one, the way on.
pub fn explain(error: &ApiError, step: &Step) -> String {
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

pub fn chain(error: &dyn std::error::Error) -> String {
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
    use crate::{
        object::{KindInfo, ObjectId},
        restore::Manager,
    };

    fn step(resource: &str, action: Action) -> Step {
        let kind = KindInfo { group: String::new(), version: "v1".into(), resource: resource.into(), kind: "K".into(), namespaced: true };
        let id = ObjectId { kind: kind.group_resource(), namespace: Some("demo".into()), name: "a".into() };
        Step::new(kind, id, action, Reason::Missing)
    }

    fn refused(status: u16, reason: &str, message: &str) -> ApiError {
        ApiError::Refused { status, reason: reason.into(), message: message.into(), retry_after: None }
    }

    #[test]
    fn refusals_are_retried_by_cause() {
        let passes = |passing| Some(Wait::For(passing));
        let rows = [
            (0, "Connection", "reset", passes(Passing::Outage)),
            (429, "TooManyRequests", "", passes(Passing::Busy)),
            (500, "InternalError", "failed calling webhook \"a\": connection refused", passes(Passing::Undecided)),
            (503, "", "", passes(Passing::Outage)),
            (409, "AlreadyExists", "services \"a\" already exists", None),
            (409, "AlreadyExists", "object is being deleted: namespaces \"a\" already exists", Some(Wait::Settling)),
            (409, "Conflict", "Operation cannot be fulfilled on resourcequotas", passes(Passing::Undecided)),
            (403, "Forbidden", "exceeded quota", None),
            (403, "Forbidden", "admission webhook \"x\" denied the request", None),
            (500, "InternalError", "admission webhook \"x\" denied the request", None),
            (403, "Forbidden", "error looking up service account demo/default: serviceaccount \"default\" not found", Some(Wait::Settling)),
            (404, "NotFound", "the server could not find the requested resource", Some(Wait::Settling)),
            (404, "NotFound", "namespaces \"demo\" not found", None),
            (422, "Invalid", "spec.clusterIPs: provided IP is already allocated", None),
            (400, "BadRequest", "", None),
        ];
        for (status, reason, message, expected) in rows {
            let error = if status == 0 { ApiError::Unreachable { reason: message.into() } } else { refused(status, reason, message) };
            assert_eq!(wait(&error, &step("services", Action::Create)), expected, "{status} {message}");
        }
        let conflict = refused(409, "Conflict", "conflict with \"kubectl\"");
        assert_eq!(wait(&conflict, &step("services", Action::Update)), None);
        assert_eq!(explain(&conflict, &step("services", Action::Update)), "conflict with \"kubectl\"; --force-conflicts takes the fields over");
        let leak = refused(422, "Invalid", "data: Invalid value: \"hunter2\"");
        assert!(!explain(&leak, &step("secrets", Action::Create)).contains("hunter2"));
    }

    #[test]
    fn only_a_service_whose_addresses_are_taken_goes_without_them() {
        let taken = "spec.clusterIPs: provided IP is already allocated";
        for (resource, status, message, expected) in [
            ("services", 422, taken, true),
            ("services", 422, "spec.ports: Required value", false),
            ("services", 403, taken, false),
            ("pods", 422, taken, false),
        ] {
            assert_eq!(
                wants_other_addresses(&refused(status, "Invalid", message), &step(resource, Action::Create)),
                expected,
                "{resource} {message}"
            );
        }
    }

    #[test]
    fn refusals_name_the_way_on() {
        let grants = "roles \"a\" is forbidden: user \"jane\" is attempting to grant RBAC permissions not currently held";
        for (error, way_on) in [
            (refused(403, "Forbidden", grants), "; restore it with an account that holds these permissions, or may escalate and bind"),
            (refused(404, "NotFound", "namespaces \"demo\" not found"), "; restore its namespace too"),
            (refused(403, "Forbidden", "exceeded quota: limits"), "exceeded quota: limits"),
        ] {
            let told = explain(&error, &step("roles", Action::Create));
            assert!(told.ends_with(way_on), "{told}");
        }
    }

    #[test]
    fn an_object_is_created_in_one_request_under_the_manager_that_owned_it() {
        let under = |manager: Option<(&str, bool)>, mode| {
            let manager = manager.map(|(name, apply)| Manager { name: name.to_owned(), apply });
            let call = request(&Step { manager, ..step("configmaps", Action::Create) }, Vec::new(), mode, false);
            (call.method, call.path)
        };
        let all = "/api/v1/namespaces/demo/configmaps";
        for (manager, mode, method, path) in [
            (Some(("helm", false)), Mode::Write, Method::Post, format!("{all}?fieldManager=helm&fieldValidation=Warn")),
            (Some(("flux", true)), Mode::Write, Method::Apply, format!("{all}/a?fieldManager=flux&fieldValidation=Warn")),
            (None, Mode::Write, Method::Post, format!("{all}?fieldManager={FIELD_MANAGER}&fieldValidation=Warn")),
            (Some(("a b", false)), Mode::ServerDryRun, Method::Post, format!("{all}?fieldManager=a%20b&fieldValidation=Warn&dryRun=All")),
        ] {
            assert_eq!(under(manager, mode), (method, path));
        }
    }
}
