//! Autoscalers of `autoscaling/v2beta1`: a measurement and its aim become objects of their own.

use serde_json::{Map, Value, json};

use super::known;
use crate::restore::transforms::{at, at_mut, map_mut};

/// Brings one to `v2beta2`, which `v2` equals.
pub fn convert(object: &mut Value) {
    follow_target(object);
    let metrics = at_mut(object, &["spec", "metrics"]).and_then(Value::as_array_mut);
    for metric in metrics.into_iter().flatten() {
        for source in ["resource", "containerResource", "pods", "object", "external"] {
            if let Some(map) = map_mut(metric, &[source]) {
                convert_source(map);
            }
        }
    }
}

/// What it scales may stand in it under a version that has been removed.
fn follow_target(object: &mut Value) {
    let text = |key: &str| at(object, &["spec", "scaleTargetRef", key]).and_then(Value::as_str).unwrap_or_default();
    if let Some(new) = known::renamed(text("apiVersion"), text("kind"))
        && let Some(target) = map_mut(object, &["spec", "scaleTargetRef"])
    {
        target.insert("apiVersion".to_owned(), json!(new));
    }
}

fn convert_source(source: &mut Map<String, Value>) {
    // The object that is measured was called a target, which is now the aim.
    if let Some(object) = source.remove("target") {
        source.insert("describedObject".to_owned(), object);
    }
    if let Some(name) = source.remove("metricName") {
        let mut metric = Map::from_iter([("name".to_owned(), name)]);
        if let Some(selector) = source.remove("selector").or_else(|| source.remove("metricSelector")) {
            metric.insert("selector".to_owned(), selector);
        }
        source.insert("metric".to_owned(), Value::Object(metric));
    }
    let value = source.remove("targetValue");
    let average = source.remove("targetAverageValue").or_else(|| source.remove("averageValue"));
    let target = match (source.remove("targetAverageUtilization"), average, value) {
        (Some(percent), ..) => json!({"type": "Utilization", "averageUtilization": percent}),
        (None, Some(average), _) => json!({"type": "AverageValue", "averageValue": average}),
        (None, None, Some(value)) => json!({"type": "Value", "value": value}),
        (None, None, None) => return,
    };
    source.insert("target".to_owned(), target);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_and_aims_become_objects() {
        let rows = [
            (
                json!({"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 80}}),
                json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}),
            ),
            (
                json!({"type": "Pods", "pods": {"metricName": "requests", "selector": {"matchLabels": {"a": "b"}}, "targetAverageValue": "10"}}),
                json!({"type": "Pods", "pods": {"metric": {"name": "requests", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "10"}}}),
            ),
            (
                json!({"type": "Object", "object": {"metricName": "hits", "target": {"kind": "Service", "name": "web"}, "targetValue": "5"}}),
                json!({"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": {"kind": "Service", "name": "web"}, "target": {"type": "Value", "value": "5"}}}),
            ),
            (
                json!({"type": "External", "external": {"metricName": "queue", "metricSelector": {}, "targetAverageValue": "3"}}),
                json!({"type": "External", "external": {"metric": {"name": "queue", "selector": {}}, "target": {"type": "AverageValue", "averageValue": "3"}}}),
            ),
        ];
        let scaled = |api_version: &str, metric: &Value| json!({"spec": {"scaleTargetRef": {"apiVersion": api_version, "kind": "Deployment", "name": "web"}, "metrics": [metric]}});
        for (old, new) in rows {
            let mut object = scaled("extensions/v1beta1", &old);
            convert(&mut object);
            assert_eq!(object, scaled("apps/v1", &new));
        }
    }
}
