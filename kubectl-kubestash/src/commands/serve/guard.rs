//! Who may ask: anybody on this machine, or whoever knows the password.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// The name that readers log in with.
pub const USER: &str = "kubestash";

/// What is wrong with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No password, or a wrong one.
    Login,
    /// A page of another site has the user's browser ask here.
    Host,
}

/// Checks requests.
#[derive(Debug)]
pub struct Guard {
    /// Hash of what a browser sends for name and password. Hashes are compared in the same time wherever they differ.
    login: Option<blake3::Hash>,
}

impl Guard {
    /// With or without a password.
    pub fn new(password: Option<&str>) -> Self {
        Self { login: password.map(|password| blake3::hash(format!("{USER}:{password}").as_bytes())) }
    }

    /// Whether a request may be answered.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(login) = self.login else {
            // A browser sends the name that the user's page knows, which may have been made to mean this machine.
            return if text(header::HOST).is_some_and(is_this_machine) { Ok(()) } else { Err(Refusal::Host) };
        };
        let given = text(header::AUTHORIZATION).and_then(|value| {
            let (scheme, encoded) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(encoded.trim()).ok())?
        });
        if given.is_some_and(|given| blake3::hash(&given) == login) { Ok(()) } else { Err(Refusal::Login) }
    }
}

/// Whether a Host header names the machine itself.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn without_a_password_only_this_machine_is_meant() {
        let guard = Guard::new(None);
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "127.8.9.1", "[::1]:80", "LOCALHOST:1"] {
            assert_eq!(guard.check(&headers(header::HOST, host)), Ok(()), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1:8080", "", "[fe80::1]:1"] {
            assert_eq!(guard.check(&headers(header::HOST, host)), Err(Refusal::Host), "{host}");
        }
        assert_eq!(guard.check(&HeaderMap::new()), Err(Refusal::Host));
    }

    #[test]
    fn with_a_password_nobody_gets_in_without() {
        let guard = Guard::new(Some("säcret:1"));
        // kubestash:säcret:1
        for right in ["Basic a3ViZXN0YXNoOnPDpGNyZXQ6MQ==", "basic a3ViZXN0YXNoOnPDpGNyZXQ6MQ=="] {
            assert_eq!(guard.check(&headers(header::AUTHORIZATION, right)), Ok(()), "{right}");
        }
        for wrong in ["Basic a3ViZXN0YXNoOng=", "Bearer a3ViZXN0YXNoOnPDpGNyZXQ6MQ==", "Basic", "Basic %%%", ""] {
            assert_eq!(guard.check(&headers(header::AUTHORIZATION, wrong)), Err(Refusal::Login), "{wrong}");
        }
        assert_eq!(guard.check(&headers(header::HOST, "localhost")), Err(Refusal::Login));
    }
}
