//! The custom resources of KubeStash and the YAML files of its backend tree, in its shape.
//!
//! A file per kind, with its spec, its status and the pure functions that compute its phase. What several kinds share stands in files of its
//! own. Everything is re-exported here, but for the constants of `conditions` and `labels`.
//!
//! Whatever KubeStash accepts is accepted: optional fields stay absent when they are, and a field that this program ignores is kept. Defaults
//! stand in the schemas, so an object that comes from an API server has them; an object that comes from elsewhere may not.

mod addon;
mod addon_info;
mod backend;
mod backup_batch;
mod backup_blueprint;
mod backup_configuration;
mod backup_session;
mod backup_storage;
mod backup_verification_session;
mod backup_verifier;
mod condition;
pub mod conditions;
mod defaults;
mod deletion;
mod driver;
mod driver_stats;
mod duration;
mod function;
mod hook;
mod hook_template;
mod invoker_status;
pub mod labels;
mod manifest_options;
mod names;
mod parameter;
mod phase;
mod pod_template;
mod reference;
mod repository;
mod restore_session;
mod restore_status;
mod retention_policy;
mod runtime_settings;
mod scheduler;
mod schema;
mod session;
mod snapshot;
mod snapshot_phase;
mod storage;
mod usage_policy;
mod volume;
mod words;

pub use addon::*;
pub use addon_info::*;
pub use backend::*;
pub use backup_batch::*;
pub use backup_blueprint::*;
pub use backup_configuration::*;
pub use backup_session::*;
pub(crate) use backup_storage::object_rules as storage_object_rules;
pub use backup_storage::*;
pub use backup_verification_session::*;
pub use backup_verifier::*;
pub use condition::*;
pub use defaults::*;
pub use deletion::*;
pub use driver::*;
pub use driver_stats::*;
pub use duration::{DurationError, parse_duration};
pub use function::*;
pub use hook::*;
pub use hook_template::*;
pub use invoker_status::*;
pub use manifest_options::*;
pub use names::{format_size, go_duration, join_name, parse_size, sanitize_name, time_name};
pub use parameter::*;
pub use phase::*;
pub use pod_template::*;
pub use reference::*;
pub use repository::*;
pub use restore_session::*;
pub use restore_status::*;
pub use retention_policy::*;
pub use runtime_settings::*;
pub use scheduler::*;
pub use schema::{Params, parameter_text};
pub(crate) use schema::{VALIDATIONS, for_each_schema, rules};
pub use session::*;
pub use snapshot::*;
pub use storage::{StorageError, find_repositories};
pub use usage_policy::*;
pub use volume::*;
