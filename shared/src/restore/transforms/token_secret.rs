//! Secrets of type service-account-token that a person made: the controller fills them anew.

use serde_json::Value;

use super::{at, remove, remove_annotations, remove_if_empty};

/// Type of a Secret that holds a ServiceAccount's token.
pub const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";

/// Drops the token, its CA and the uid of the account it was signed for.
pub fn prepare(object: &mut Value) {
    if at(object, &["type"]).and_then(Value::as_str) != Some(TOKEN_TYPE) {
        return;
    }
    for key in ["token", "ca.crt", "namespace"] {
        remove(object, &["data"], key);
    }
    remove_if_empty(object, &[], "data");
    remove_annotations(object, &["kubernetes.io/service-account.uid"]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::restore::transforms::table::prepared;

    #[test]
    fn token_secret_is_emptied_and_others_stay() {
        let token = json!({"type": "kubernetes.io/service-account-token", "data": {"token": "eA==", "ca.crt": "eA==", "namespace": "eA=="},
            "metadata": {"annotations": {"kubernetes.io/service-account.uid": "u", "kubernetes.io/service-account.name": "bot"}}});
        assert_eq!(
            prepared("secrets", token),
            json!({"type": "kubernetes.io/service-account-token", "metadata": {"annotations": {"kubernetes.io/service-account.name": "bot"}}})
        );
        let opaque = json!({"type": "Opaque", "data": {"token": "eA=="}, "metadata": {}});
        assert_eq!(prepared("secrets", opaque.clone()), opaque);
    }
}
