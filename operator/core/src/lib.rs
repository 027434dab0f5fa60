//! The operator's decisions: facts in, decision out. No IO, no clock, no async; time is a parameter.
//!
//! The way of a reconcile through these modules: `validate` makes of what a user asks for a [`pipeline::Pipeline`] that can be
//! built, or problems; `plan` decides what becomes of it by what is there; `build` makes the objects; `status` says what came of
//! it. Beside them stand what the operator as a whole needs: the fair `queue`, `back_off`, and the `lease` by which one
//! of several operators leads.

pub mod admission;
pub mod back_off;
pub mod build;
pub mod canary;
pub mod hash;
pub mod lease;
pub mod names;
pub mod pipeline;
pub mod plan;
pub mod queue;
pub mod status;
pub mod validate;

#[cfg(test)]
mod testing;
