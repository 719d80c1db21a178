//! One backed-up object: identity, canonical YAML, parts.
