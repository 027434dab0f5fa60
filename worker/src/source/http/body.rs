//! The body of a request into records: one JSON object, an array of them, or JSON lines.
//!
//! One value and an array are taken whole or not at all: their syntax is checked here. Of JSON lines each line is a
//! record of its own, and one that is not valid becomes a dead letter in the engine, as in a file. What a record means
//! is not looked at.

use std::io::Read;

use serde::de::IgnoredAny;
use serde_json::Deserializer;
use tocsin_worker_core::decode::Span;

use crate::source::framing::{Framer, Framing};
use crate::source::{Block, HEAD_BYTES, TooLong};

/// Records of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// The records; their offsets count from 0.
    pub(super) block: Block,
    /// How many offsets they take.
    pub(super) n_offsets: u64,
}

impl Batch {
    /// How many records there are, with those that are too long.
    pub(super) fn len(&self) -> usize {
        self.block.spans.len() + self.block.too_long.len()
    }
}

/// Why a body is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// Not valid.
    Invalid {
        /// Byte in the (unpacked) body.
        position: usize,
        /// What is wrong there.
        what: String,
    },
    /// Unpacked, it is larger than the limit.
    TooLarge,
    /// Packed in a way that is not read.
    Encoding(String),
}

/// Unpacks a body by its `Content-Encoding`.
pub(super) fn unpack(body: Vec<u8>, encoding: Option<&str>, limit: usize) -> Result<Vec<u8>, BadBody> {
    let reader: Box<dyn Read + '_> = match encoding.map(str::trim) {
        None | Some("" | "identity") if !body.starts_with(&[0x1f, 0x8b]) => return Ok(body),
        None | Some("" | "identity" | "gzip" | "x-gzip") => {
            Box::new(flate2::read::MultiGzDecoder::new(body.as_slice()))
        }
        Some("zstd") => Box::new(zstd::stream::read::Decoder::new(body.as_slice()).map_err(|error| damaged(&error))?),
        Some(other) => return Err(BadBody::Encoding(other.chars().take(40).collect())),
    };
    let mut plain = Vec::new();
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| damaged(&error))?;
    if plain.len() > limit {
        Err(BadBody::TooLarge)
    } else {
        Ok(plain)
    }
}

fn damaged(error: &std::io::Error) -> BadBody {
    BadBody::Invalid {
        position: 0,
        what: format!("the compressed body is damaged: {error}"),
    }
}

/// Splits a body into records. `is_lines`: the client says that it is JSON lines.
pub(super) fn split(body: Vec<u8>, is_lines: bool, record_limit: usize) -> Result<Batch, BadBody> {
    let first = body.iter().position(|b| !b.is_ascii_whitespace());
    match first.map(|at| (at, body[at])) {
        _ if is_lines => Ok(lines(body, record_limit)),
        None => Err(BadBody::Invalid {
            position: 0,
            what: "the body is empty".into(),
        }),
        Some((start, b'[')) => array(body, start, record_limit),
        Some((start, _)) => value_or_lines(body, start, record_limit),
    }
}

fn lines(body: Vec<u8>, record_limit: usize) -> Batch {
    let mut block = Block {
        bytes: body,
        ..Block::default()
    };
    let mut framer = Framer::new(Framing::Lines, record_limit);
    framer.split(&mut block, true);
    Batch {
        n_offsets: framer.lines() + 1,
        block,
    }
}

/// One value, or JSON lines if the first value ends with its line and others follow.
fn value_or_lines(body: Vec<u8>, start: usize, record_limit: usize) -> Result<Batch, BadBody> {
    let mut values = Deserializer::from_slice(&body[start..]).into_iter::<IgnoredAny>();
    if let Some(Err(error)) = values.next() {
        let first = &body[start..];
        let is_one_line = first.trim_ascii_end().iter().all(|b| *b != b'\n');
        let hint = if is_one_line {
            ""
        } else {
            "; JSON lines are sent as Content-Type: application/x-ndjson"
        };
        return Err(invalid(&body, start, &error, hint));
    }
    let end = start + values.byte_offset();
    let Some(next) = body[end..]
        .iter()
        .position(|b| !b.is_ascii_whitespace())
        .map(|at| end + at)
    else {
        return Ok(pack(body, &[(start, end)], record_limit));
    };
    let spans_lines = body[start..end].contains(&b'\n') || !body[end..next].contains(&b'\n');
    if spans_lines {
        let what = "a second value; several are sent as an array, or each on a line of its own".into();
        return Err(BadBody::Invalid { position: next, what });
    }
    Ok(lines(body, record_limit))
}

fn array(body: Vec<u8>, start: usize, record_limit: usize) -> Result<Batch, BadBody> {
    serde_json::from_slice::<IgnoredAny>(&body[start..]).map_err(|error| invalid(&body, start, &error, ""))?;
    let elements = elements(&body, start);
    Ok(pack(body, &elements, record_limit))
}

/// Where the elements of a well-formed array stand, without the white space around them.
fn elements(body: &[u8], start: usize) -> Vec<(usize, usize)> {
    let mut elements = Vec::new();
    let (mut depth, mut in_string, mut is_escaped) = (0usize, false, false);
    let mut begun = start + 1;
    for (at, byte) in body.iter().enumerate().skip(start) {
        if in_string {
            in_string = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 1 => depth -= 1,
            b',' | b']' if depth == 1 => {
                let element = &body[begun..at];
                let end = begun + element.trim_ascii_end().len();
                let first = end - body[begun..end].trim_ascii_start().len();
                if first < end {
                    elements.push((first, end));
                }
                begun = at + 1;
                if *byte == b']' {
                    break;
                }
            }
            _ => {}
        }
    }
    elements
}

/// Records that stand at these places of a well-formed body. A record stands on one line: line ends in it are white
/// space by JSON's grammar, and become blanks.
fn pack(mut body: Vec<u8>, places: &[(usize, usize)], limit: usize) -> Batch {
    for byte in &mut body {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    let mut block = Block {
        bytes: body,
        ..Block::default()
    };
    for (offset, (start, end)) in (0u64..).zip(places.iter().copied()) {
        let bytes = end - start;
        if bytes > limit {
            let head = block.bytes[start..start + HEAD_BYTES.min(bytes)].to_vec();
            block.too_long.push(TooLong {
                offset,
                bytes,
                limit,
                head,
            });
        } else {
            block.spans.push(Span { start, end, offset });
        }
    }
    Batch {
        block,
        n_offsets: places.len() as u64,
    }
}

fn invalid(body: &[u8], start: usize, error: &serde_json::Error, hint: &str) -> BadBody {
    // serde_json counts lines and columns from 1.
    let line = error.line().saturating_sub(1);
    let before: usize = body[start..]
        .split_inclusive(|b| *b == b'\n')
        .take(line)
        .map(<[u8]>::len)
        .sum();
    let position = (start + before + error.column().saturating_sub(1)).min(body.len());
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    BadBody::Invalid {
        position,
        what: format!("{what}{hint}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, is_lines: bool, expected: Result<&[&str], usize>) {
        let found = split(body.as_bytes().to_vec(), is_lines, 100);
        let found = found.map(|batch| {
            let records = batch
                .block
                .spans
                .iter()
                .map(|span| &batch.block.bytes[span.start..span.end]);
            records
                .map(|record| String::from_utf8(record.to_vec()).unwrap())
                .collect::<Vec<_>>()
        });
        let found = found.map_err(|bad| match bad {
            BadBody::Invalid { position, .. } => position,
            other => panic!("{other:?}"),
        });
        assert_eq!(
            found,
            expected.map(|records| records.iter().map(|r| r.to_string()).collect()),
            "{body:?}"
        );
    }

    #[test]
    fn one_object_is_one_record_also_over_several_lines() {
        check(r#" {"a":1} "#, false, Ok(&[r#"{"a":1}"#]));
        check("{\n  \"a\": 1\r\n}\n", false, Ok(&["{   \"a\": 1  }"]));
    }

    #[test]
    fn the_elements_of_an_array_are_records() {
        check(
            r#"[{"a":[1,"],\"{"]}, {"b":2} ,3]"#,
            false,
            Ok(&[r#"{"a":[1,"],\"{"]}"#, r#"{"b":2}"#, "3"]),
        );
        check("[]", false, Ok(&[]));
        check(" [ ] ", false, Ok(&[]));
        check("[\n{},\n{}\n]", false, Ok(&["{}", "{}"]));
    }

    #[test]
    fn json_lines_are_a_record_each_and_a_bad_one_is_left_to_the_engine() {
        check(
            "{\"a\":1}\n{\"a\":2}\r\n\n{bad\n",
            false,
            Ok(&["{\"a\":1}", "{\"a\":2}", "{bad"]),
        );
        check("bad\n{}\n", true, Ok(&["bad", "{}"]));
        check("[1]\n[2]", true, Ok(&["[1]", "[2]"]));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_place() {
        check(r#"[{"a":1},{"b":}]"#, false, Err(14));
        check("[{},\n{]", false, Err(6));
        check("[{}", false, Err(2));
        check("[{}] x", false, Err(5));
        check(r#"{"a":"#, false, Err(4));
        check("bad\n{}", false, Err(0));
        check("{\n}\n{}", false, Err(4));
        check("{}{}", false, Err(2));
        check("  \n ", false, Err(0));
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        let batch = split(deep.into_bytes(), false, 1 << 20).unwrap();
        assert_eq!((batch.len(), batch.block.spans.len()), (1, 1));
    }

    #[test]
    fn a_record_over_the_limit_is_reported_and_the_others_stay() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200));
        for (body, is_lines) in [
            (format!("[{{}},{long},{{}}]"), false),
            (format!("{{}}\n{long}\n{{}}"), true),
        ] {
            let batch = split(body.into_bytes(), is_lines, 100).unwrap();
            assert_eq!(batch.block.too_long[0].bytes, long.len());
            assert_eq!(batch.block.too_long[0].offset, 1);
            assert_eq!(
                batch.block.spans.iter().map(|span| span.offset).collect::<Vec<_>>(),
                [0, 2]
            );
        }
    }

    #[test]
    fn packed_bodies_are_unpacked_within_the_limit() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&[b' '; 1_000]).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all([b' '; 1_000].as_slice(), 0).unwrap();
        assert_eq!(unpack(gzip.clone(), Some("gzip"), 1_000).unwrap().len(), 1_000);
        assert_eq!(unpack(gzip.clone(), None, 1_000).unwrap().len(), 1_000);
        assert_eq!(unpack(zstd, Some("zstd"), 1_000).unwrap().len(), 1_000);
        assert_eq!(unpack(gzip.clone(), Some("gzip"), 999), Err(BadBody::TooLarge));
        assert_eq!(unpack(vec![1], Some("br"), 9), Err(BadBody::Encoding("br".into())));
        assert!(matches!(
            unpack(gzip[..20].to_vec(), Some("gzip"), 9_999),
            Err(BadBody::Invalid { .. })
        ));
    }

    proptest! {
        #[test]
        fn elements_are_those_of_serde_json(values in proptest::collection::vec("[\\[\\]{},\"\\\\a ]{0,6}", 0..6), pretty: bool) {
            let array: Vec<serde_json::Value> = values
                .iter()
                .map(|text| serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({ text: [text, 1.5, null] })))
                .collect();
            let body = if pretty { serde_json::to_vec_pretty(&array) } else { serde_json::to_vec(&array) }.unwrap();
            let batch = split(body, false, 1 << 20).unwrap();
            let found: Vec<serde_json::Value> = batch.block.spans.iter()
                .map(|span| serde_json::from_slice(&batch.block.bytes[span.start..span.end]).unwrap())
                .collect();
            prop_assert_eq!(found, array);
        }
    }
}
