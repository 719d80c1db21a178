//! One backed-up object: identity, canonical YAML, parts, and the splitter of LIST bodies.
//!
//! ```text
//! LIST body ──list──▶ item (raw JSON) ──json──▶ tree ──parts──▶ manifest · status · server (· redacted)   canonical YAML
//! ```
//! Everything here is synchronous and pure: bytes in, bytes out. No typed struct of Kubernetes is involved, so no field gets lost.

mod identity;
mod json;
mod kind_names;
mod list;
mod parts;
pub mod yaml;

pub use identity::{GroupResource, KindInfo, MAX_FILE_NAME, ObjectId, directory_name, file_name, is_shortened, push_file_name, shortened_head};
pub use kind_names::{names_kind, short_names};
pub use list::{ListMeta, ListSplitter, MAX_ITEM_BYTES, scan_identity};
pub use parts::{Parts, Sensitivity, TypeMeta, merge, merged_len, split, with_status};

/// What can be wrong with an object's bytes.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The bytes are not the JSON that an API server sends.
    #[error("not valid JSON at byte {at}: {what}")]
    Json {
        /// Offset of the first byte that does not fit.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// The text is not YAML, or not the kind of YAML expected.
    #[error("not valid YAML: {reason}")]
    Yaml {
        /// The parser's own words; never holds values.
        reason: String,
    },
    /// A LIST body is not a list.
    #[error("the answer is not a list: {what}")]
    NotAList {
        /// What was found instead.
        what: String,
    },
    /// An object without a name cannot be stored.
    #[error("an item has no metadata.name")]
    NoName,
    /// One object is larger than any API server stores.
    #[error("an item is larger than {limit} bytes")]
    ItemTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// No name of an API object that people use comes near this.
    #[error("its namespace and name have {length} bytes, above the maximum of {limit}")]
    NameTooLong {
        /// Bytes of `namespace/name`.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The path does not name an object of a mounted snapshot.
    #[error("{path} is not the path of an object in a mounted snapshot (namespaces/NAMESPACE/RESOURCE/NAME.yaml or cluster/RESOURCE/NAME.yaml)")]
    NotAMountPath {
        /// The path as given.
        path: String,
    },
}
