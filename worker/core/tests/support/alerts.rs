//! Alerts, as a producer may send them.

use proptest::prelude::*;

/// Step of the time, service, host, value, whether it is critical, and where it stands.
type Said = (i64, u8, u8, Option<u32>, bool, usize);

/// A service or NULL, a value with a fraction or NULL, and a severity, as JSON has them; the severity without quotes.
pub fn words(service: u8, value: Option<u32>, critical: bool) -> (&'static str, String, &'static str) {
    let service = ["\"a\"", "\"b\"", "\"c\"", "null"][usize::from(service)];
    let value = value.map_or_else(|| "null".to_owned(), |value| format!("{value}.5"));
    (service, value, if critical { "CRITICAL" } else { "MINOR" })
}

/// Times that are at most 5 s out of order, unless `late`, and what the records say.
pub fn records(late: bool) -> impl Strategy<Value = Vec<(String, usize)>> {
    let step = if late {
        prop_oneof![8 => -5i64..8, 1 => -120i64..0, 1 => 0i64..60].boxed()
    } else {
        (-4i64..8).boxed()
    };
    let record = (
        step,
        0..4u8,
        0..3u8,
        prop::option::of(0..100u32),
        any::<bool>(),
        0..12usize,
    );
    prop::collection::vec(record, 1..150).prop_map(|records| {
        let mut now = 1_000_000i64;
        let line = |(id, (step, service, host, value, critical, at)): (usize, Said)| {
            let time = now + step;
            now = now.max(time);
            let (service, value, severity) = words(service, value, critical);
            // No two at the same time: one shard would take them as they come.
            let time = time * 1_000 + id as i64;
            let text = format!(
                "{{\"ts\":{time},\"id\":{id},\"service\":{service},\"host\":\"h{host}\",\"ms\":{value},\
                 \"severity\":\"{severity}\"}}"
            );
            (text, at)
        };
        records.into_iter().enumerate().map(line).collect()
    })
}
