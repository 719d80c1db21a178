//! Where a request or a connection goes.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::util::intstr::IntOrString};

use super::HookError;

/// Host and port as a template names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The host; the Pod's own address if absent.
    pub host: Option<String>,
    /// A number, or the name of a port of the container.
    pub port: IntOrString,
    /// The container whose ports have names.
    pub container: Option<String>,
}

/// A place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the host is the address of a Pod and nothing that a person wrote.
    pub is_pod: bool,
}

impl Endpoint {
    /// `host:port`, with brackets around an address of IPv6.
    pub fn authority(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn wrong(reason: impl Into<String>) -> HookError {
    HookError::Template(reason.into())
}

/// The port of a number or a text that is one.
fn number(port: &IntOrString) -> Option<Result<u16, HookError>> {
    let text = match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.trim().to_owned(),
    };
    let number: i64 = text.parse().ok()?;
    Some(u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| wrong(format!("{number} is no port; ports are 1 to 65535"))))
}

impl Address {
    /// Where it is, seen from a Pod, or from the operator where there is none.
    ///
    /// # Errors
    /// What the template must say, and ports that the Pod does not have.
    pub fn resolve(&self, pod: Option<&Pod>) -> Result<Endpoint, HookError> {
        let port = match number(&self.port) {
            Some(port) => port?,
            None => self.named_port(pod)?,
        };
        if let Some(host) = self.host.as_deref().map(str::trim).filter(|host| !host.is_empty()) {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if host.contains(['/', '@', '?', '#', ' ']) {
                return Err(wrong("action…host is a host name or an address; scheme, path and port have fields of their own"));
            }
            return Ok(Endpoint { host: host.to_owned(), port, is_pod: false });
        }
        let Some(pod) = pod else {
            return Err(wrong("action…host is missing; with the executor Operator there is no Pod whose address could be taken"));
        };
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).filter(|address| !address.is_empty());
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let host = address.ok_or_else(|| HookError::Failed(format!("Pod {name} has no address yet")))?;
        Ok(Endpoint { host, port, is_pod: true })
    }

    fn named_port(&self, pod: Option<&Pod>) -> Result<u16, HookError> {
        let IntOrString::String(wanted) = &self.port else { return Err(wrong("action…port is missing")) };
        let Some(pod) = pod else {
            return Err(wrong(format!("action…port is {wanted:?}; with the executor Operator it must be a number, for there is no Pod")));
        };
        let Some(container) = self.container.as_deref() else {
            return Err(wrong(format!("action…port is {wanted:?}; a port's name needs action.containerName, or write its number")));
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let found = containers.iter().find(|found| found.name == container);
        let found = found.ok_or_else(|| no_container(name, container, containers.iter().map(|container| container.name.as_str())))?;
        let ports = found.ports.as_deref().unwrap_or_default();
        let port = ports.iter().find(|port| port.name.as_ref() == Some(wanted));
        let port = port.ok_or_else(|| {
            let known: Vec<&str> = ports.iter().filter_map(|port| port.name.as_deref()).collect();
            let known = if known.is_empty() { "none has a name".to_owned() } else { format!("there are {}", known.join(", ")) };
            wrong(format!("container {container} of Pod {name} has no port {wanted:?}; {known}"))
        })?;
        u16::try_from(port.container_port).map_err(|_| wrong(format!("{} is no port", port.container_port)))
    }
}

/// A Pod lacks the container that a template names.
pub(super) fn no_container<'a>(pod: &str, wanted: &str, known: impl Iterator<Item = &'a str>) -> HookError {
    wrong(format!("Pod {pod} has no container {wanted:?}; there are {}", known.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [
                {"name": "side"},
                {"name": "web", "ports": [{"name": "http", "containerPort": 8080}, {"name": "admin", "containerPort": 9090}]},
            ]},
            "status": {"podIP": "10.0.0.7"},
        }))
        .unwrap()
    }

    fn address(host: Option<&str>, port: serde_json::Value, container: Option<&str>) -> Address {
        Address { host: host.map(str::to_owned), port: serde_json::from_value(port).unwrap(), container: container.map(str::to_owned) }
    }

    #[test]
    fn places() {
        for (address, wanted) in [
            (address(None, json!(80), None), "10.0.0.7:80"),
            (address(Some(""), json!("8443"), None), "10.0.0.7:8443"),
            (address(Some("example.com"), json!(443), None), "example.com:443"),
            (address(Some("::1"), json!(443), None), "[::1]:443"),
            (address(Some("[::1]"), json!(443), None), "[::1]:443"),
            (address(None, json!("admin"), Some("web")), "10.0.0.7:9090"),
            (address(Some("other"), json!("http"), Some("web")), "other:8080"),
        ] {
            assert_eq!(address.resolve(Some(&pod())).unwrap().authority(), wanted);
        }
        let six: Pod = serde_json::from_value(json!({"metadata": {}, "status": {"podIP": "fd00::7"}})).unwrap();
        assert_eq!(address(None, json!(80), None).resolve(Some(&six)).unwrap().authority(), "[fd00::7]:80");
        assert_eq!(address(Some("h"), json!(80), None).resolve(None).unwrap(), Endpoint { host: "h".to_owned(), port: 80, is_pod: false });
    }

    #[test]
    fn what_is_missing_is_named() {
        let there = pod();
        let pending: Pod = serde_json::from_value(json!({"metadata": {"name": "new"}})).unwrap();
        for (address, pod, said) in [
            (address(None, json!(80), None), None, "action…host is missing"),
            (address(Some("h"), json!("http"), Some("web")), None, "it must be a number"),
            (address(None, json!("http"), None), Some(&there), "a port's name needs action.containerName"),
            (address(None, json!("http"), Some("wbe")), Some(&there), "Pod p has no container \"wbe\"; there are side, web"),
            (address(None, json!("grpc"), Some("web")), Some(&there), "has no port \"grpc\"; there are http, admin"),
            (address(None, json!("grpc"), Some("side")), Some(&there), "none has a name"),
            (address(None, json!(0), None), Some(&there), "0 is no port"),
            (address(None, json!("70000"), None), Some(&there), "70000 is no port"),
            (address(Some("http://h"), json!(80), None), Some(&there), "fields of their own"),
            (address(None, json!(80), None), Some(&pending), "Pod new has no address yet"),
        ] {
            let error = address.resolve(pod).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
