//! Authorities of certificates, made for a test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::RigError;

/// Signs certificates.
pub type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A new authority.
///
/// # Errors
/// When it cannot be made.
pub fn issuer(name: &'static str) -> Result<Issuer, RigError> {
    let failed = |source| RigError::Certificate { name, source };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)
}
