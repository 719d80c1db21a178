//! The native repository: encrypted, deduplicated, append-only.
