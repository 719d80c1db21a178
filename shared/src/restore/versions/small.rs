//! Kinds of which one field changed.

use serde_json::{Value, json};

use crate::restore::transforms::{at, at_mut, map_mut};

/// `policy/v1beta1`: an empty selector was for no Pods, as a missing one still is; in `v1` it is for all of them.
pub fn budget(object: &mut Value) {
    let empty = at(object, &["spec", "selector"]).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty);
    if let Some(spec) = map_mut(object, &["spec"]).filter(|_| empty) {
        spec.remove("selector");
    }
}

/// `discovery.k8s.io/v1beta1`: node and zone stood in the topology.
pub fn slice(object: &mut Value) {
    let endpoints = at_mut(object, &["endpoints"]).and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten().filter_map(Value::as_object_mut) {
        let Some(Value::Object(mut topology)) = endpoint.remove("topology") else { continue };
        for (old, new) in [("kubernetes.io/hostname", "nodeName"), ("topology.kubernetes.io/zone", "zone")] {
            if let Some(value) = topology.remove(old) {
                endpoint.entry(new).or_insert(value);
            }
        }
        if !topology.is_empty() {
            endpoint.insert("deprecatedTopology".to_owned(), Value::Object(topology));
        }
    }
}

/// `flowcontrol.apiserver.k8s.io/v1beta1` and `v1beta2`: assured shares are nominal ones.
pub fn priority_level(object: &mut Value) {
    if let Some(limited) = map_mut(object, &["spec", "limited"])
        && let Some(shares) = limited.remove("assuredConcurrencyShares")
    {
        limited.insert("nominalConcurrencyShares".to_owned(), json!(shares));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_changes() {
        type Rule = fn(&mut Value);
        let rows: [(Rule, Value, Value); 4] = [
            (budget, json!({"spec": {"selector": {}, "minAvailable": 1}}), json!({"spec": {"minAvailable": 1}})),
            (budget, json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}), json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}})),
            (
                slice,
                json!({"endpoints": [{"topology": {"kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "z", "rack": "7"}}, {}]}),
                json!({"endpoints": [{"nodeName": "n1", "zone": "z", "deprecatedTopology": {"rack": "7"}}, {}]}),
            ),
            (
                priority_level,
                json!({"spec": {"limited": {"assuredConcurrencyShares": 5}}}),
                json!({"spec": {"limited": {"nominalConcurrencyShares": 5}}}),
            ),
        ];
        for (rule, old, new) in rows {
            let mut object = old;
            rule(&mut object);
            assert_eq!(object, new);
        }
    }
}
