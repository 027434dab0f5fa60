//! TLS, with and without a certificate of the client's.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, in PEM.
fn certificate(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn write(folder: &Path, authority: &Authority) {
    let (chain, key) = certificate(authority);
    let files = [("tls.crt", chain), ("tls.key", key), ("ca.crt", authority.pem())];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// Asks as a client that trusts an authority, and may have a certificate.
fn ask(bench: &Bench, trusted: &Authority, own: Option<&(String, String)>, path: &str) -> std::io::Result<Answer> {
    ask_with(bench, trusted, own, path, &[])
}

fn ask_with(
    bench: &Bench,
    trusted: &Authority,
    own: Option<&(String, String)>,
    path: &str,
    headers: &[(&str, &str)],
) -> std::io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = StreamOwned::new(session, bench.connect());
    talk(stream, "localhost", "GET", path, headers, "")
}

fn of_tls(folder: &Path) -> Access {
    Access {
        tls: Some(folder.to_owned()),
        ..Access::default()
    }
}

#[test]
fn a_client_with_a_certificate_is_let_in_and_one_without_to_probes_alone() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    write(folder.path(), &authority);
    let bench = Bench::start(of_tls(folder.path()));
    let client = certificate(&authority);
    for path in ["/livez", "/metrics", "/status"] {
        assert_eq!(
            ask(&bench, &authority, Some(&client), path).unwrap().status,
            200,
            "{path}"
        );
    }
    assert_eq!(ask(&bench, &authority, None, "/livez").unwrap().status, 200);
    for path in ["/metrics", "/status", "/v1/savepoints/s"] {
        assert_eq!(ask(&bench, &authority, None, path).unwrap().status, 401, "{path}");
    }
}

#[test]
fn a_certificate_of_another_authority_ends_the_connection() {
    let (folder, own) = (tempfile::tempdir().unwrap(), authority());
    write(folder.path(), &own);
    let bench = Bench::start(of_tls(folder.path()));
    let foreign = certificate(&authority());
    assert!(ask(&bench, &own, Some(&foreign), "/livez").is_err());
}

#[test]
fn who_does_not_speak_tls_gets_no_answer() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    write(folder.path(), &authority);
    let bench = Bench::start(of_tls(folder.path()));
    assert!(talk(bench.connect(), "localhost", "GET", "/livez", &[], "").is_err());
    assert_eq!(ask(&bench, &authority, None, "/livez").unwrap().status, 200);
}

#[test]
fn a_token_is_as_good_as_a_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    write(folder.path(), &authority);
    let bench = Bench::start(Access {
        token_file: Some(token_file(folder.path())),
        ..of_tls(folder.path())
    });
    let token = format!("Bearer {TOKEN}");
    let with_token = ask_with(&bench, &authority, None, "/status", &[("Authorization", &token)]);
    assert_eq!(with_token.unwrap().status, 200);
    let client = certificate(&authority);
    assert_eq!(ask(&bench, &authority, Some(&client), "/status").unwrap().status, 200);
    assert_eq!(ask(&bench, &authority, None, "/status").unwrap().status, 401);
}

#[test]
fn a_folder_that_lacks_a_file_or_has_a_broken_one_is_named() {
    let authority = authority();
    let check = |change: &dyn Fn(&Path), token: bool, expected: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &authority);
        change(folder.path());
        let opened = tls::Tls::open(folder.path(), !token);
        let error = opened.err().map(|error| error.to_string());
        match (expected, &error) {
            (None, None) => {}
            (Some(expected), Some(error)) => assert!(error.contains(expected), "{error}"),
            _ => panic!("{expected:?}: {error:?}"),
        }
    };
    check(&|_| {}, false, None);
    let remove = |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    check(&remove("ca.crt"), false, Some("ca.crt"));
    check(&remove("ca.crt"), true, None);
    check(&remove("tls.crt"), true, Some("tls.crt"));
    check(&remove("tls.key"), true, Some("tls.key"));
    let spoil = |name: &'static str| move |folder: &Path| std::fs::write(folder.join(name), "no").unwrap();
    check(&spoil("ca.crt"), false, Some("ca.crt"));
    check(&spoil("tls.crt"), false, Some("tls.crt"));
    check(
        &spoil("tls.key"),
        false,
        Some("tls.key: there is no private key in PEM"),
    );
    let other = |folder: &Path| std::fs::write(folder.join("tls.key"), certificate(&authority).1).unwrap();
    check(&other, false, Some("tls.crt"));
}
