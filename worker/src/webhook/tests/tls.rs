//! Receivers behind TLS: who is believed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tocsin_e2e::kafka::{Certificates, ServerCertificate};
use tocsin_worker_core::delivery::answer::Verdict;

use super::*;

/// Serves one request over TLS with a certificate; answers with the body that came, if one did.
fn serve(certificate: &Path) -> (u16, std::thread::JoinHandle<Option<String>>) {
    let pem = std::fs::read(certificate).unwrap();
    let chain = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(&pem).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (socket, _) = listener.accept().ok()?;
        let session = ServerConnection::new(Arc::new(config)).ok()?;
        let mut stream = BufReader::new(StreamOwned::new(session, socket));
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        stream.get_mut().write_all(answer).ok()?;
        stream.get_mut().conn.send_close_notify();
        stream.get_mut().flush().ok()?;
        String::from_utf8(body).ok()
    });
    (port, thread)
}

#[test]
fn only_a_receiver_that_proves_its_name_gets_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path()).unwrap();
    for (certificate, host, is_good) in [
        (ServerCertificate::Good, "localhost", true),
        (ServerCertificate::Good, "127.0.0.1", true),
        (ServerCertificate::Expired, "localhost", false),
        (ServerCertificate::Foreign, "localhost", false),
        (ServerCertificate::OtherHost, "localhost", false),
    ] {
        let (port, served) = serve(&certificates.broker(certificate));
        let mut settings = settings(&format!("https://{host}:{port}/hook"), &["127.0.0.1"]);
        settings.authorities = Some(std::fs::read(certificates.authority()).unwrap());
        let outcome = send(&Webhook::new(&settings).unwrap(), 1).remove(0);
        assert_eq!(
            outcome.verdict == Verdict::Delivered,
            is_good,
            "{certificate:?}: {outcome:?}"
        );
        assert_eq!(
            served.join().unwrap().is_some_and(|body| body == ROW),
            is_good,
            "{certificate:?}"
        );
        if !is_good {
            assert!(outcome.said.contains("certificate"), "{outcome:?}");
        }
    }
}

#[test]
fn a_receiver_without_tls_gets_nothing() {
    let receiver = tocsin_e2e::HttpProxy::receiver().unwrap();
    let url = format!("https://localhost:{}/", receiver.address().port());
    let outcome = send(&Webhook::new(&settings(&url, &["127.0.0.1"])).unwrap(), 1).remove(0);
    assert_eq!(
        (outcome.verdict, outcome.status),
        (Verdict::Again { rest: None }, None),
        "{outcome:?}"
    );
    assert!(receiver.seen().is_empty());
}
