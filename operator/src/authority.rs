//! Authorities of certificates: the operator's own, and one for each Kafka that it runs.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, date_time_ymd};
use secrecy::{ExposeSecret, SecretString};

/// An authority lives longer than what it is for is likely to.
const AUTHORITY_YEARS: i64 = 20;
/// A certificate is made anew when a third of its life is left.
const CERTIFICATE_DAYS: i64 = 90;
/// It is made anew so many days before it ends.
pub const RENEWED_BEFORE_DAYS: i64 = 30;

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate with its key.
pub struct Certificate {
    /// The certificate, in PEM.
    pub chain: String,
    /// Its key, in PEM.
    pub key: SecretString,
    /// When it ends.
    pub ends: Timestamp,
}

/// What a certificate shows of whoever has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The name of its holder.
    pub name: &'a str,
    /// The host names under which its holder serves; one that only asks has none.
    pub hosts: Vec<String>,
}

impl Authority {
    /// A new authority: its certificate and key, in PEM.
    ///
    /// # Errors
    /// If there are no random numbers to be had.
    pub fn make(name: &str, now: Timestamp) -> Result<(String, SecretString), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(name);
        (params.not_before, params.not_after) = (day(now, -1), day(now, AUTHORITY_YEARS * 365));
        let certificate = params.self_signed(&key)?.pem();
        Ok((certificate, SecretString::from(key.serialize_pem())))
    }

    /// The authority of this name with this certificate and key.
    ///
    /// # Errors
    /// If the key is none.
    pub fn read(name: &str, certificate: String, key: &SecretString) -> Result<Self, rcgen::Error> {
        // All that a signature needs of the certificate besides its key; the rest is the same in each.
        let issuer = Issuer::new(params(name), KeyPair::from_pem(key.expose_secret())?);
        Ok(Self {
            issuer,
            pem: certificate,
        })
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for this holder.
    ///
    /// # Errors
    /// If a host name is none.
    pub fn sign(&self, holder: Holder<'_>, now: Timestamp) -> Result<Certificate, rcgen::Error> {
        let key = KeyPair::generate()?;
        let serves = !holder.hosts.is_empty();
        let mut params = CertificateParams::new(holder.hosts)?;
        params.distinguished_name.push(DnType::CommonName, holder.name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if serves {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        // Clocks of machines differ.
        (params.not_before, params.not_after) = (day(now, -1), day(now, CERTIFICATE_DAYS));
        let chain = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Certificate {
            chain,
            key: SecretString::from(key.serialize_pem()),
            ends: later(now, CERTIFICATE_DAYS),
        })
    }
}

/// Whether a certificate that ends then is good for a while.
pub fn is_good(ends: Timestamp, now: Timestamp) -> bool {
    ends.duration_since(now) > jiff::SignedDuration::from_hours(24 * RENEWED_BEFORE_DAYS)
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn later(now: Timestamp, days: i64) -> Timestamp {
    now.checked_add((days * 24).hours()).unwrap_or(now)
}

/// The beginning of the day so many days from now.
fn day(now: Timestamp, days: i64) -> time::OffsetDateTime {
    let date = later(now, days).to_zoned(TimeZone::UTC).date();
    let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
    date_time_ymd(i32::from(date.year()), month, day)
}
