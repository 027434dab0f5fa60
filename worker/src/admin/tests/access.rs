//! Who is let in where.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const ALL: [(&str, &str); 7] = [
    ("GET", "/metrics"),
    ("GET", "/status"),
    ("POST", "/v1/savepoints"),
    ("GET", "/v1/savepoints/s1"),
    ("POST", "/v1/drain"),
    ("GET", "/"),
    ("GET", "/no/such/path"),
];

#[test]
fn without_the_token_only_probes_are_answered_and_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start(Access {
        token_file: Some(token_file(folder.path())),
        ..Access::default()
    });
    let almost = format!("Bearer {}", &TOKEN[..TOKEN.len() - 1]);
    let basic = format!("Basic {}", STANDARD.encode("user:wrong-password-here"));
    let in_name = format!("Basic {}", STANDARD.encode(format!("{TOKEN}:")));
    for shown in ["", "Bearer", "Bearer ", TOKEN, almost.as_str(), &basic, &in_name] {
        let headers = [("Authorization", shown)];
        for (method, path) in ALL {
            let answer = bench.ask(method, path, &headers, "");
            assert_eq!(answer.status, 401, "{shown:?}: {method} {path}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(answer.head.contains("www-authenticate: basic"), "{}", answer.head);
        }
        assert_eq!(bench.get("/livez", &headers), 200);
        assert_eq!(bench.get("/readyz", &headers), 503);
    }
    assert!(!bench.interrupt.is_raised());
}

#[test]
fn with_the_token_all_is_answered_also_as_a_browser_sends_it() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start(Access {
        token_file: Some(token_file(folder.path())),
        ..Access::default()
    });
    let basic = format!("Basic {}", STANDARD.encode(format!("anybody:{TOKEN}")));
    for shown in [&format!("Bearer {TOKEN}"), &format!("bearer {TOKEN}"), &basic] {
        let headers = [("Authorization", shown.as_str())];
        assert_eq!(bench.get("/metrics", &headers), 200);
        assert_eq!(bench.get("/status", &headers), 200);
        assert_eq!(bench.get("/v1/savepoints/s1", &headers), 404);
        assert_eq!(bench.get("/no/such/path", &headers), 404);
    }
    let answers = ["/metrics", "/status", "/readyz", "/livez"];
    let headers = [("Authorization", basic.as_str())];
    let shown = |path: &str| bench.ask("GET", path, &headers, "").body.contains(TOKEN);
    assert!(!answers.into_iter().any(shown), "the token is in an answer");
}

#[test]
fn metrics_can_be_opened_and_nothing_else_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start(Access {
        token_file: Some(token_file(folder.path())),
        open_metrics: true,
        ..Access::default()
    });
    assert_eq!(bench.get("/metrics", &[]), 200);
    for (method, path) in ALL.into_iter().filter(|(_, path)| *path != "/metrics") {
        assert_eq!(bench.ask(method, path, &[], "").status, 401, "{path}");
    }
    for path in ["/metrics/", "//metrics", "/metrics/..", "/livez/../status", "/STATUS"] {
        assert_eq!(bench.get(path, &[]), 401, "{path}");
    }
}

#[test]
fn on_loopback_without_a_proof_a_page_of_another_origin_is_not_answered() {
    let bench = Bench::start(Access::default());
    assert_eq!(bench.get("/status", &[]), 200);
    let rebound = [("Host", "evil.example")];
    let foreign = [("Origin", "http://evil.example")];
    for headers in [&rebound[..], &foreign] {
        assert_eq!(bench.get("/status", headers), 403, "{headers:?}");
        assert_eq!(bench.ask("POST", "/v1/drain", headers, "").status, 403, "{headers:?}");
    }
    assert!(!bench.interrupt.is_raised());
}

#[test]
fn an_address_of_the_network_needs_a_proof() {
    let measures = Measures::new(About::default());
    let start = |access| {
        let options = AdminOptions {
            address: ([0, 0, 0, 0], 0).into(),
            access,
        };
        let control = Arc::new(DrainOnly(Interrupt::default()));
        Admin::start(&options, &measures, control, None).map(drop)
    };
    let open = Access {
        open_metrics: true,
        ..Access::default()
    };
    assert!(matches!(start(open), Err(AdminError::Open(_))));
    let folder = tempfile::tempdir().unwrap();
    let with_token = Access {
        token_file: Some(token_file(folder.path())),
        ..Access::default()
    };
    start(with_token).unwrap();
}

#[test]
fn a_client_that_says_nothing_does_not_keep_others_out() {
    let bench = Bench::start(Access::default());
    let _silent: Vec<TcpStream> = (0..8).map(|_| bench.connect()).collect();
    assert_eq!(bench.get("/livez", &[]), 200);
}
