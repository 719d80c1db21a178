//! What to do about an error, for who reads it in a status: there are no flags of a command there, but Secrets, specs and accounts.

use kubestash::{api::StorageError, repository::RepositoryError, store::StoreError};

use super::outcome::one_line;

/// A failure in one line, and what to do about it where that is known.
pub fn explained(error: &anyhow::Error) -> String {
    let text = one_line(error);
    match error.chain().find_map(advice) {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return of_store(error);
    }
    if let Some(StorageError::Store(error)) = cause.downcast_ref::<StorageError>() {
        return of_store(error);
    }
    if is_forbidden(&cause.to_string()) {
        return Some("grant that to the ServiceAccount, or name none in addon.jobTemplate.spec: then one with the rights is made for each run");
    }
    match cause.downcast_ref::<RepositoryError>()? {
        RepositoryError::Store(error) => of_store(error),
        RepositoryError::WrongPassword { .. } => {
            Some("the repository was made with another password: the Secret that encryptionSecret names must hold that one as RESTIC_PASSWORD")
        }
        RepositoryError::Damaged { .. } | RepositoryError::Missing { .. } => {
            Some("`kubectl kubestash check --read-data --repo NAMESPACE/REPOSITORY` lists every snapshot that is hit; all others stay readable")
        }
        RepositoryError::Unsupported { .. } | RepositoryError::ReadOnly { .. } => Some("install a newer version: `kubectl kubestash install`"),
        RepositoryError::Overtaken { .. } => Some("the next backup stores that data anew; no other snapshot is touched"),
        _ => None,
    }
}

/// Whether the API server has refused something to a user, in its own words.
pub fn is_forbidden(text: &str) -> bool {
    text.contains(" is forbidden: User ")
}

fn of_store(error: &StoreError) -> Option<&'static str> {
    match error {
        // A volume is known by its path.
        StoreError::Denied { store, .. } if store.starts_with('/') => {
            Some("say in runtimeSettings.pod.securityContext of the BackupStorage as whom its Pods write there, as runAsUser: 0")
        }
        StoreError::Denied { .. } => {
            Some("check the keys in the Secret that the BackupStorage names, and that they may read, write, list and delete there")
        }
        StoreError::Full { .. } => Some("make room there; nothing that was stored before is lost"),
        StoreError::Timeout { .. } | StoreError::Other { .. } => {
            Some("check endpoint and bucket in spec.storage of the BackupStorage, and that Pods of this cluster reach them")
        }
        StoreError::NotFound { .. } | StoreError::TooShort { .. } | StoreError::TooLarge { .. } | StoreError::Unusable { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn advice_fits_where_it_is_read() {
        let wrong = || RepositoryError::WrongPassword { place: "s3://b/r".to_owned(), keys: 1 };
        let late = || StoreError::Timeout { store: "s3://b".to_owned(), key: "k".to_owned(), seconds: 5 };
        let forbidden =
            r#"secrets is forbidden: User "system:serviceaccount:demo:a" cannot list resource "secrets" in API group "" at the cluster scope"#;
        let table: [(anyhow::Error, &str); 5] = [
            (anyhow::anyhow!(forbidden), "grant that to the ServiceAccount"),
            (wrong().into(), "RESTIC_PASSWORD"),
            (late().into(), "check endpoint and bucket"),
            (RepositoryError::Store(late()).into(), "check endpoint and bucket"),
            (StoreError::Full { store: "/x".to_owned(), key: "k".to_owned() }.into(), "make room"),
        ];
        for (error, wanted) in table {
            let error = Err::<(), _>(error).context("cannot open Repository demo/r").unwrap_err();
            let text = explained(&error);
            let (what, next) = text.split_once("; ").unwrap_or_default();
            assert!(what.starts_with("cannot open Repository demo/r: ") && next.contains(wanted), "{text}");
        }
        assert_eq!(explained(&anyhow::anyhow!("what is that")), "what is that");
    }
}
