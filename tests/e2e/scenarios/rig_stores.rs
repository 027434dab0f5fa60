//! The rig's stores and HTTP: the S3 server, the schema registry, and a proxy that breaks HTTP.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use tocsin_e2e::{HttpProxy, HttpRule, S3, SchemaRegistry, http};

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn the_s3_server_keeps_objects() {
    let started = Instant::now();
    let s3 = S3::start().unwrap();
    println!("the S3 server was ready after {:?}", started.elapsed());
    s3.create_bucket("snapshots").unwrap();
    s3.put("snapshots", "a/1 ä", b"one").unwrap();
    s3.put("snapshots", "b/2", b"two").unwrap();
    assert_eq!(s3.get("snapshots", "a/1 ä").unwrap(), b"one");
    assert_eq!(s3.list("snapshots", "b/").unwrap(), ["b/2"]);
    s3.delete("snapshots", "b/2").unwrap();
    assert!(s3.get("snapshots", "b/2").unwrap_err().to_string().contains("404"));
    // Nobody comes in without the key.
    assert_eq!(
        http::request(s3.address(), "GET", "/snapshots", &[], &[])
            .unwrap()
            .status(),
        403
    );
}

#[test]
fn the_schema_registry_gives_back_a_schema_by_its_id() {
    let started = Instant::now();
    let registry = SchemaRegistry::start().unwrap();
    println!("the schema registry was ready after {:?}", started.elapsed());
    let schema = r#"{"type":"record","name":"Alert","fields":[{"name":"service","type":"string"}]}"#;
    let id = registry.register("alerts-value", schema).unwrap();
    assert_eq!(registry.register("alerts-value", schema).unwrap(), id);
    assert!(registry.schema(id).unwrap().contains("service"));
    assert!(registry.schema(id + 100).is_err());
}

#[test]
fn http_is_answered_delayed_cut_and_dropped_as_the_rules_say() {
    let upstream = HttpProxy::receiver().unwrap();
    let proxy = HttpProxy::before(upstream.address()).unwrap();
    let post = |path: &str| http::request(proxy.address(), "POST", path, &[("X-Id", "7")], b"body");

    assert_eq!(post("/passes").unwrap().status(), 200);
    let [seen] = upstream.seen().try_into().unwrap();
    assert_eq!(
        (seen.request.target(), seen.request.header("x-id")),
        ("/passes", Some("7"))
    );
    assert_eq!(seen.request.text(), "body");

    let refuse = proxy.add(
        HttpRule::nth(2)
            .method("POST")
            .path("/busy")
            .answer(503, &[("Retry-After", "3")], b"no"),
    );
    assert_eq!(post("/busy").unwrap().status(), 200);
    let answer = post("/busy").unwrap();
    assert_eq!(
        (answer.status(), answer.header("retry-after"), answer.text()),
        (503, Some("3"), "no".to_owned())
    );
    assert_eq!(post("/busy").unwrap().status(), 200);
    assert_eq!(refuse.hits(), 1);
    assert_eq!(upstream.seen().len(), 3, "one was answered by the proxy");

    proxy.add(HttpRule::every().path("/cut").cut_before());
    post("/cut").unwrap_err();
    assert_eq!(upstream.seen().len(), 3);
    proxy.add(HttpRule::every().path("/half").cut_answer_after(12));
    post("/half").unwrap_err();
    proxy.add(HttpRule::every().path("/dropped").drop_answer());
    post("/dropped").unwrap_err();
    assert_eq!(upstream.seen().len(), 5, "the work was done twice without an answer");
    assert!(!proxy.seen().last().unwrap().answered);

    let delay = Duration::from_millis(300);
    proxy.add(HttpRule::every().path("/late").delay(delay));
    let started = Instant::now();
    post("/late").unwrap();
    assert!(started.elapsed() >= delay);

    let held = proxy.add(HttpRule::every().path("/held").hold());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| post("/held").unwrap().status());
        held.wait_for(1, PATIENCE).unwrap();
        assert!(!asking.is_finished());
        held.release();
        assert_eq!(asking.join().unwrap(), 200);
    });
}
