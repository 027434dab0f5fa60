//! Text that means harm, and text that means nothing.

use expect_test::expect;
use proptest::prelude::*;

use super::*;

#[test]
fn aliases_and_merges_are_written_out() {
    let text = spoilt(
        "eventTime: {field: ts}",
        "eventTime: &time {field: ts, unit: Seconds}\n  - {name: more, stdin: {}, eventTime: {<<: *time, field: at}}",
    );
    let pipeline = parse_pipeline(&text).unwrap();
    let time = &pipeline.spec.sources[1].event_time;
    assert_eq!(
        (time.field.as_str(), time.unit),
        ("at", Some(crate::pipeline::source::TimeUnit::Seconds))
    );
    check(
        &spoilt("field: ts", "field: *nobody"),
        expect![[r#"
            line 8, column 24: this is no YAML: while parsing node, found unknown anchor
                8 |     eventTime: {field: *nobody}
                  |                        ^
        "#]],
    );
    check(
        &spoilt("[service]", "&a [*a]"),
        expect![[r#"
        line 12, column 24: the alias stands inside of what it names
            12 |     escalate: {by: &a [*a], count: 3, within: 1h}
               |                        ^
    "#]],
    );
}

#[test]
fn what_a_map_says_itself_wins_over_what_it_merges() {
    for map in [
        "{<<: *time, field: at}",
        "{field: at, <<: *time}",
        "{<<: [{unit: Nanoseconds}, *time], field: at}",
    ] {
        let text = spoilt(
            "{field: ts}",
            &format!("&time {{field: ts, unit: Seconds}}\n  - {{name: b, stdin: {{}}, eventTime: {map}}}"),
        );
        let pipeline = parse_pipeline(&text).unwrap_or_else(|problems| panic!("{}", report(&problems)));
        let time = &pipeline.spec.sources[1].event_time;
        assert_eq!(time.field, "at", "{map}");
        assert_eq!(
            time.unit == Some(crate::pipeline::source::TimeUnit::Nanoseconds),
            map.contains("Nano"),
            "{map}"
        );
    }
}

#[test]
fn a_long_word_repeated_by_aliases_is_refused_before_it_fills_the_memory() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(100_000));
    let problems = parse_pipeline(&text).unwrap_err();
    assert!(problems[0].message.contains("200000 values"), "{}", problems[0]);
}

#[test]
fn a_map_of_sixty_thousand_keys_is_read_in_one_go() {
    let fields: String = (0..60_000).map(|at| format!("  k{at}: 1\n")).collect();
    let merge = format!("x: &x {{a: 1}}\ny:\n  <<: *x\n{fields}");
    for text in [format!("{GOOD}{fields}"), merge] {
        assert!(parse_pipeline(&text).is_err());
    }
}

#[test]
fn an_alias_bomb_is_refused_before_it_goes_off() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let problems = parse_pipeline(&text).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("200000 values"), "{}", problems[0]);
}

fn nested(levels: usize) -> String {
    (0..levels).map(|level| format!("{}a:\n", " ".repeat(level))).collect()
}

#[test]
fn deep_nesting_and_huge_files_are_refused() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(50_000),
        nested(500),
    ] {
        let problems = parse_pipeline(&text).unwrap_err();
        assert_eq!(problems.len(), 1, "{}", report(&problems));
    }
    check(
        &format!("{GOOD}#{}", " ".repeat(MAX_TEXT)),
        expect![[r#"
        the file has 1048882 bytes; at most 1048576 are read
    "#]],
    );
}

#[test]
fn a_file_with_thousands_of_problems_names_the_first_hundred() {
    let many: String = (0..5_000).map(|at| format!("  x{at}: 1\n")).collect();
    let problems = parse_pipeline(&format!("{GOOD}{many}")).unwrap_err();
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].to_string(), "and 4900 more problems");
}

#[test]
fn bytes_that_are_no_text_are_found() {
    let problem = text_of(b"a: b\nc: \xff").unwrap_err();
    expect!["line 2, column 4: the file is no text in UTF-8\n    save it as UTF-8"].assert_eq(&problem.to_string());
    assert_eq!(text_of("a: ü".as_bytes()).unwrap(), "a: ü");
    assert!(parse_pipeline(&format!("\u{feff}{GOOD}")).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 2))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\n\u{0}\u{85}é]{0,200}") {
        _ = parse(&text);
    }

    #[test]
    fn no_spoilt_file_makes_the_reader_panic(at in 0..GOOD.len(), junk in "[\\[\\]{}:,&*!|>'\"%@`#\\-\n\t ?<~0-9a-z]{0,6}", cut in 0..6_usize) {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{junk}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.is_empty());
        }
    }
}
