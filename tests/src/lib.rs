//! Harness for tests against real clusters, stores and mounts.
