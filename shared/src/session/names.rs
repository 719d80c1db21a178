//! Names, labels and numbers that the operator, its Jobs and what is installed agree on.

/// Ports of the operator.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Metrics and health, plain HTTP.
    pub metrics: u16,
    /// Admission webhook, HTTPS.
    pub webhook: u16,
}

/// Where the operator listens.
pub const OPERATOR_PORTS: Ports = Ports { metrics: 8080, webhook: 8443 };
