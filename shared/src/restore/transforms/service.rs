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
fn without_addresses(object: &mut Value) {
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

/// Drops the addresses that a refusal names as taken. Returns them in words, none where the Service has no such address.
///
/// A refusal names fields: `spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated`.
pub fn without_taken(object: &mut Value, message: &str) -> Vec<String> {
    let mut dropped = Vec::new();
    for (index, port) in at_mut(object, &["spec", "ports"]).and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        if message.contains(&format!("spec.ports[{index}].nodePort")) {
            dropped.extend(remove(port, &[], "nodePort").map(|port| format!("node port {port}")));
        }
    }
    let headless = at(object, &["spec", "clusterIP"]).and_then(Value::as_str) == Some("None");
    if message.contains("spec.clusterIP") && !headless {
        remove(object, &["spec"], "clusterIPs");
        dropped.extend(remove(object, &["spec"], "clusterIP").and_then(|ip| Some(format!("cluster IP {}", ip.as_str()?))));
    }
    dropped
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
    fn only_what_is_taken_is_given_up() {
        let service = json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081}]}});
        let rows = [
            (
                "spec.ports[1].nodePort: Invalid value: 30081: provided port is already allocated",
                vec!["node port 30081"],
                ["/spec/ports/1/nodePort"].as_slice(),
            ),
            (
                "spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: failed to allocate IP 10.0.0.1: provided IP is already allocated",
                vec!["cluster IP 10.0.0.1"],
                &["/spec/clusterIP", "/spec/clusterIPs"],
            ),
            ("spec.ports[7].nodePort: Invalid value: 1: provided port is already allocated", vec![], &[]),
        ];
        for (message, dropped, gone) in rows {
            let mut object = service.clone();
            assert_eq!(without_taken(&mut object, message), dropped, "{message}");
            for path in ["/spec/clusterIP", "/spec/clusterIPs", "/spec/ports/0/nodePort", "/spec/ports/1/nodePort"] {
                assert_eq!(object.pointer(path).is_none(), gone.contains(&path), "{message}: {path}");
            }
        }
        let mut headless = json!({"spec": {"clusterIP": "None"}});
        assert!(without_taken(&mut headless, "spec.clusterIPs: already allocated").is_empty());
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
