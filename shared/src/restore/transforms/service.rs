//! Services: addresses that a server assigned are kept only where they can still be free.

use serde_json::Value;

use super::{at, at_mut, remove};

/// Drops assigned addresses unless `keep`. A headless Service (`clusterIP: None`) was made so by a person and stays.
pub fn prepare(object: &mut Value, keep: bool) {
    if !keep {
        without_addresses(object);
    }
}

/// Drops cluster IPs, node ports and the health check port.
pub fn without_addresses(object: &mut Value) {
    let headless = at(object, &["spec", "clusterIP"]).and_then(Value::as_str) == Some("None");
    if !headless {
        remove(object, &["spec"], "clusterIP");
        remove(object, &["spec"], "clusterIPs");
    }
    remove(object, &["spec"], "healthCheckNodePort");
    if let Some(Value::Array(ports)) = at_mut(object, &["spec", "ports"]) {
        for port in ports {
            remove(port, &[], "nodePort");
        }
    }
}

/// Whether a refusal means that an address of the Service cannot be had, so that the request is worth repeating without it.
///
/// The API server answers 422 with one of these sentences (pkg/registry/core/service/storage/alloc.go and portallocator).
pub fn is_address_taken(message: &str) -> bool {
    ["provided IP is already allocated", "provided port is already allocated", "not in the valid range", "is already allocated"]
        .iter()
        .any(|sentence| message.contains(sentence))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::restore::transforms::table::prepared;

    #[test]
    fn service_addresses() {
        let rows = [
            (
                "assigned",
                json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ports": [{"port": 80, "nodePort": 30080}], "type": "NodePort"}}),
                json!({"spec": {"ipFamilies": ["IPv4"], "ports": [{"port": 80}], "type": "NodePort"}}),
            ),
            (
                "headless",
                json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
                json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
            ),
            (
                "external",
                json!({"spec": {"externalName": "a.b", "type": "ExternalName"}}),
                json!({"spec": {"externalName": "a.b", "type": "ExternalName"}}),
            ),
            ("health check", json!({"spec": {"healthCheckNodePort": 31000, "type": "LoadBalancer"}}), json!({"spec": {"type": "LoadBalancer"}})),
        ];
        for (name, input, expected) in rows {
            assert_eq!(prepared("services", input), expected, "{name}");
        }
        let kept = json!({"spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080}]}});
        let mut same = kept.clone();
        prepare(&mut same, true);
        assert_eq!(same, kept);
    }

    #[test]
    fn refusals_about_addresses_are_told_from_others() {
        assert!(is_address_taken(
            "spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: provided IP is already allocated"
        ));
        assert!(is_address_taken("spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated"));
        assert!(!is_address_taken("spec.ports[0].port: Required value"));
    }
}
