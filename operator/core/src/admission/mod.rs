//! What the admission webhook says of a change before it is stored: whether it is taken, and who made it.
//!
//! It calls nobody: what it knows of other objects is in the request, or known to the operator already.

pub mod audit;
pub mod verdict;
