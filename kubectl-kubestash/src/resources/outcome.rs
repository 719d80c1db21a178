//! What became of preparing storages and repositories, as their conditions tell it.

use kube::ResourceExt as _;
use kubestash::api::{BackupStorage, Condition, Repository, RepositoryEntry, TypedObjectReference, conditions, conditions::reason, set_condition};
use kubestash::{object::yaml, repository::RepositoryError};

use super::advice::explained;

/// A failure in one line: everything that led to it. Errors hold no values of Secrets.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.downcast_ref::<kube::Error>().map_or_else(|| cause.to_string(), super::said).replace('\n', " ");
        let text = without_answer(&without_time(&text));
        // Some causes repeat what they were caused by.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// A store's error without how long it took: the same failure shall be the same text, or every look would change a status, and every change of
/// a status would be a reason to look.
fn without_time(text: &str) -> String {
    let parts = text.split_once(" - ").filter(|(head, _)| head.contains("Error performing "));
    let found = parts.and_then(|(head, cause)| Some((head.rsplit_once(" in ")?, cause)));
    match found {
        Some(((what, time), cause)) if time.starts_with(|first: char| first.is_ascii_digit()) => format!("{what}: {cause}"),
        _ => text.to_owned(),
    }
}

/// A store's error with the code and the message of an answer in XML, and nothing else of it: each answer has an id of its own.
fn without_answer(text: &str) -> String {
    let Some((head, answer)) = text.split_once("<?xml") else { return text.to_owned() };
    let part = |tag: &str| answer.split_once(&format!("<{tag}>"))?.1.split('<').next();
    let Some(code) = part("Code") else { return format!("{head}(an answer in XML)") };
    // Azure writes id and time behind the message.
    let message = part("Message").and_then(|message| message.split("RequestId:").next()).unwrap_or_default();
    format!("{head}{code}: {}", message.trim())
}

/// `BackendInitialized`.
pub fn backend_initialised(done: Result<(), &anyhow::Error>) -> Condition {
    match done {
        Ok(()) => {
            Condition::new(conditions::BACKEND_INITIALIZED, true, reason::BACKEND_INITIALIZATION_SUCCEEDED, "Successfully initialized backend.")
        }
        Err(error) => Condition::new(conditions::BACKEND_INITIALIZED, false, reason::BACKEND_INITIALIZATION_FAILED, explained(error)),
    }
}

/// `RepositoryInitialized`.
pub fn repository_initialised(done: Result<(), &anyhow::Error>) -> Condition {
    match done {
        Ok(()) => Condition::new(
            conditions::REPOSITORY_INITIALIZED,
            true,
            reason::REPOSITORY_INITIALIZATION_SUCCEEDED,
            "Successfully initialized repository",
        ),
        Err(error) => Condition::new(conditions::REPOSITORY_INITIALIZED, false, reason::REPOSITORY_INITIALIZATION_FAILED, explained(error)),
    }
}

/// Puts a condition into the status of a storage, and computes its phase anew.
pub fn note_storage(storage: &mut BackupStorage, condition: Condition, now: jiff::Timestamp) {
    let status = storage.status.get_or_insert_default();
    set_condition(&mut status.conditions, condition, now);
    status.phase = Some(status.compute_phase());
}

/// The same for a repository.
pub fn note_repository(repository: &mut Repository, condition: Condition, now: jiff::Timestamp) {
    let status = repository.status.get_or_insert_default();
    set_condition(&mut status.conditions, condition, now);
    status.phase = Some(status.compute_phase());
}

/// What a storage holds of a repository: its entry in `metadata.yaml`, and its `repository.yaml`.
///
/// The status is left out: it changes with each backup, and is made from the Snapshots.
///
/// # Errors
/// None that is known: the object comes from an API server.
pub fn registration(repository: &Repository) -> Result<(RepositoryEntry, Vec<u8>), RepositoryError> {
    let entry = RepositoryEntry {
        name: repository.name_any(),
        namespace: repository.namespace().unwrap_or_default(),
        path: repository.spec.path.clone().unwrap_or_default(),
    };
    let mut stored = Repository::new(&entry.name, repository.spec.clone());
    stored.metadata.namespace = Some(entry.namespace.clone());
    stored.metadata.labels.clone_from(&repository.metadata.labels);
    stored.metadata.creation_timestamp.clone_from(&repository.metadata.creation_timestamp);
    if stored.spec.app_ref.is_none() {
        stored.spec.app_ref = Some(TypedObjectReference::none());
    }
    Ok((entry, to_yaml(&stored)?))
}

/// An object as a file of the backend tree.
///
/// # Errors
/// One that cannot be written, which no object from an API server is.
pub fn to_yaml(object: &impl serde::Serialize) -> Result<Vec<u8>, RepositoryError> {
    let machine = |error: String| RepositoryError::Machine(error);
    let value = serde_json::to_value(object).map_err(|error| machine(error.to_string()))?;
    let mut out = Vec::new();
    yaml::write_value(&value, &mut out).map_err(|error| machine(error.to_string()))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_have_the_words_of_kubestash() {
        let error = anyhow::anyhow!("no bucket");
        for (condition, type_, status, reason) in [
            (backend_initialised(Ok(())), "BackendInitialized", "True", "BackendInitializationSucceeded"),
            (backend_initialised(Err(&error)), "BackendInitialized", "False", "BackendInitializationFailed"),
            (repository_initialised(Ok(())), "RepositoryInitialized", "True", "RepositoryInitializationSucceeded"),
            (repository_initialised(Err(&error)), "RepositoryInitialized", "False", "RepositoryInitializationFailed"),
        ] {
            assert_eq!((condition.type_.as_str(), condition.status.as_str(), condition.reason.as_deref()), (type_, status, Some(reason)));
            assert!(condition.is_true() || condition.message.as_deref().is_some_and(|message| message.contains("no bucket")));
        }
    }

    #[test]
    fn the_same_failure_is_the_same_text() {
        let short = "Error performing GET http://x:1/b: HTTP error: connection refused";
        for time in ["12.3ms", "1.5s", "10s, after 2 retries, max_retries: 2, retry_timeout: 10s "] {
            assert_eq!(without_time(&format!("Error performing GET http://x:1/b in {time} - HTTP error: connection refused")), short);
        }
        let told = "403 Forbidden: <?xml version=\"1.0\"?> <Error><Code>AccessDenied</Code><Message>Access Denied.</Message><RequestId>1F</RequestId></Error>";
        assert_eq!(without_answer(told), "403 Forbidden: AccessDenied: Access Denied.");
        let azure = "409: <?xml version=\"1.0\"?><Error><Code>LeaseLost</Code><Message>It is lost. RequestId:1f Time:2026</Message></Error>";
        assert_eq!(without_answer(azure), "409: LeaseLost: It is lost.");
        assert_eq!(without_answer("502: <?xml version=\"1.0\"?><html/>"), "502: (an answer in XML)");
        for other in ["no folder in sight - after all", "in 5 steps - or more", ""] {
            assert_eq!(without_answer(&without_time(other)), other);
        }
    }
}
