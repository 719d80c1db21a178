//! The one place that talks to a Kubernetes API server.
