//! Hooks, as far as they can be thought: what a HookTemplate with its parameters asks for, when it runs, in which Pods, and where a request
//! goes. Pure; the operator carries it out.
//!
//! ```text
//! HookInfo ─┐                       ┌─ exec ────── Pods that the selector and the owner pick
//! template ─┼─▶ params ─▶ templates ─┼─ request ─── the Pod's address, or the host that is named
//! Summary ──┘                       ├─ socket ──── as a request
//!                                   └─ Function ── a Job
//! ```
//! - `${name}` is a parameter. In commands, names that are no parameters are left to the shell.
//! - Behind that, commands and the body of a POST request are templates over the [`Summary`].

pub mod endpoint;
pub mod plan;
pub mod pods;
pub mod summary;
pub mod template;

pub use self::{
    plan::{Action, Executor, HookError, Plan, runs},
    summary::Summary,
};
