//! ServiceAccounts: the token Secrets that a controller listed are not carried over.

use serde_json::Value;

use super::{at, at_mut, remove};

/// Drops generated token and registry Secrets from the account's list; what a person listed stays.
pub fn prepare(object: &mut Value) {
    let Some(account) = at(object, &["metadata", "name"]).and_then(Value::as_str).map(str::to_owned) else { return };
    for list in ["secrets", "imagePullSecrets"] {
        let Some(Value::Array(secrets)) = at_mut(object, &[list]) else { continue };
        let before = secrets.len();
        secrets.retain(|secret| !at(secret, &["name"]).and_then(Value::as_str).is_some_and(|name| is_generated(&account, name)));
        if secrets.is_empty() && before > 0 {
            remove(object, &[], list);
        }
    }
}

/// Whether a Secret's name is one that a controller made for an account: `NAME-token-x7k2p`, `NAME-dockercfg-x7k2p`.
pub fn is_generated(account: &str, secret: &str) -> bool {
    secret.strip_prefix(account).is_some_and(|rest| {
        ["-token-", "-dockercfg-"].iter().any(|middle| {
            rest.strip_prefix(middle).is_some_and(|end| end.len() == 5 && end.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::restore::transforms::table::prepared;

    #[test]
    fn service_account_secrets() {
        let account = json!({"metadata": {"name": "bot"}, "secrets": [{"name": "bot-token-x7k2p"}, {"name": "mine"}, {"name": "bot-token-long"}], "imagePullSecrets": [{"name": "bot-dockercfg-aaaaa"}]});
        assert_eq!(
            prepared("serviceaccounts", account),
            json!({"metadata": {"name": "bot"}, "secrets": [{"name": "mine"}, {"name": "bot-token-long"}]})
        );
    }
}
