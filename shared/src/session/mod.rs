//! What the operator and its Jobs think: parameters, variables, the Jobs to make. Pure: no client, no clock.

pub mod names;
pub mod parameters;
pub mod variables;
