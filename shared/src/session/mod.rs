//! What the operator and its Jobs think: parameters, variables, the Jobs to make. Pure: no client, no clock.

pub mod hooks;
pub mod job;
pub mod names;
pub mod objects;
pub mod parameters;
pub mod schedule;
pub mod scope;
pub mod trigger;
pub mod variables;
