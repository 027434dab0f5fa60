//! The admission webhook: the API server asks it before it stores a change.

mod answer;
mod certificate;
mod serve;

pub use answer::Admission;
pub use certificate::{ServingCertificate, keep_injected};
pub use serve::serve;

/// Where the API server asks who changed what, to have it written on the object. Behind it stands what only the API server knows:
/// whoever else can reach the webhook gets no signature.
pub const AUDIT: &str = "/audit";
/// Where the API server asks whether a change is taken. The same stands behind it.
pub const VALIDATE: &str = "/validate";
