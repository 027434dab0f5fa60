//! Certificates: an authority of the rig's own, good ones, and ones that must be refused.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use super::options::ServerCertificate;
use crate::RigError;
use crate::authority::{Issuer, issuer};

/// The certificate that a client shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Of the rig's authority; its name is `CN=tocsin-client`.
    Good,
    /// The same, run out years ago.
    Expired,
    /// Of an authority that no broker trusts.
    Foreign,
}

/// PEM files in a folder.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes all certificates into a folder.
    ///
    /// # Errors
    /// When one cannot be made or written.
    pub fn make(folder: &Path) -> Result<Self, RigError> {
        let made = Self {
            folder: folder.to_owned(),
        };
        let authority = issuer("Tocsin test authority")?;
        let foreign = issuer("Foreign test authority")?;
        made.write("authority.pem", &authority.pem())?;
        made.write("foreign-authority.pem", &foreign.pem())?;
        let localhost = ["localhost", "127.0.0.1"];
        made.issue(&authority, "server", &localhost, false)?;
        made.issue(&authority, "server-expired", &localhost, true)?;
        made.issue(&foreign, "server-foreign", &localhost, false)?;
        made.issue(&authority, "server-other-host", &["other.example"], false)?;
        made.issue(&authority, "client", &[], false)?;
        made.issue(&authority, "client-expired", &[], true)?;
        made.issue(&foreign, "client-foreign", &[], false)?;
        Ok(made)
    }

    /// The certificate of the authority that brokers and clients trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The certificate of an authority that nobody trusts, for a client that is to refuse a good broker.
    pub fn foreign_authority(&self) -> PathBuf {
        self.folder.join("foreign-authority.pem")
    }

    /// A broker's key and certificate in one file.
    pub fn broker(&self, certificate: ServerCertificate) -> PathBuf {
        let name = match certificate {
            ServerCertificate::Good => "server",
            ServerCertificate::Expired => "server-expired",
            ServerCertificate::Foreign => "server-foreign",
            ServerCertificate::OtherHost => "server-other-host",
        };
        self.folder.join(format!("{name}.both.pem"))
    }

    /// A client's certificate and its key.
    pub fn client(&self, certificate: ClientCertificate) -> (PathBuf, PathBuf) {
        let name = match certificate {
            ClientCertificate::Good => "client",
            ClientCertificate::Expired => "client-expired",
            ClientCertificate::Foreign => "client-foreign",
        };
        (
            self.folder.join(format!("{name}.pem")),
            self.folder.join(format!("{name}.key.pem")),
        )
    }

    fn issue(&self, issuer: &Issuer, name: &'static str, hosts: &[&str], expired: bool) -> Result<(), RigError> {
        let failed = |source| RigError::Certificate { name, source };
        let key = KeyPair::generate().map_err(failed)?;
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("tocsin-{name}"));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = if expired {
            date_time_ymd(2021, 1, 1)
        } else {
            date_time_ymd(2120, 1, 1)
        };
        let certificate = params.signed_by(&key, issuer).map_err(failed)?;
        self.write(&format!("{name}.pem"), &certificate.pem())?;
        self.write(&format!("{name}.key.pem"), &key.serialize_pem())?;
        self.write(
            &format!("{name}.both.pem"),
            &format!("{}{}", key.serialize_pem(), certificate.pem()),
        )
    }

    fn write(&self, name: &str, text: &str) -> Result<(), RigError> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).map_err(RigError::io(format!("writing {}", path.display())))
    }
}
