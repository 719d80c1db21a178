//! Random digits as API servers and controllers make them, the same for a name at every run.

/// A UUID.
pub fn uuid(name: &str) -> String {
    let hash = hash(name);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups.map(|group| hash.get(group).unwrap_or_default().to_owned()).join("-")
}

/// A hash of 256 bits.
pub fn hash(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex().to_string()
}
