//! Tests of the sinks, with real files and a real pipe.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{self, Read};
use std::path::Path;

use super::*;

/// Rows as they come from an encoder.
fn rows(rows: &[&str]) -> (Vec<u8>, Vec<usize>) {
    let mut ends = Vec::new();
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend_from_slice(row.as_bytes());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn write(sink: &mut dyn Sink, stream: &str, texts: &[&str]) -> Result<(), SinkError> {
    let (bytes, ends) = rows(texts);
    sink.write(&EncodedRows {
        stream,
        bytes: &bytes,
        ends: &ends,
    })
}

fn check_file(name: &str, unpack: impl Fn(Vec<u8>) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(
        &path,
        "what an earlier run left, which must not stay behind the new rows",
    )
    .unwrap();
    let mut sink = Box::new(FileSink::create(&path).unwrap());
    write(sink.as_mut(), "kpis", &["{\"a\":1}", "{}"]).unwrap();
    write(sink.as_mut(), "kpis", &[]).unwrap();
    sink.flush().unwrap();
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(200_000));
    write(sink.as_mut(), "kpis", &[&large]).unwrap();
    sink.close().unwrap();
    assert_eq!(
        unpack(std::fs::read(&path).unwrap()),
        format!("{{\"a\":1}}\n{{}}\n{large}\n")
    );
}

#[test]
fn a_file_has_a_line_per_row_and_is_compressed_by_its_name() {
    check_file("out.jsonl", |bytes| String::from_utf8(bytes).unwrap());
    check_file("out.jsonl.zst", |bytes| {
        String::from_utf8(zstd::decode_all(bytes.as_slice()).unwrap()).unwrap()
    });
    check_file("out.jsonl.gz", |bytes| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        text
    });
}

#[test]
fn flushed_rows_can_be_read_while_the_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["out", "out.gz", "out.zst"] {
        let path = folder.path().join(name);
        let mut sink = FileSink::create(&path).unwrap();
        write(&mut sink, "kpis", &["{\"a\":1}"]).unwrap();
        sink.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut text = vec![0; 8];
        let mut reader: Box<dyn Read> = match name {
            "out" => Box::new(bytes.as_slice()),
            "out.gz" => Box::new(flate2::read::GzDecoder::new(bytes.as_slice())),
            _ => Box::new(zstd::stream::read::Decoder::new(bytes.as_slice()).unwrap()),
        };
        reader.read_exact(&mut text).unwrap();
        assert_eq!(text, b"{\"a\":1}\n", "{name}");
    }
}

fn check_create(path: &Path, expected: &str) {
    let error = FileSink::create(path).err().unwrap();
    let folder = path.parent().unwrap().parent().unwrap().display().to_string();
    assert_eq!(error.to_string().replace(&folder, "DIR"), expected);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("sub/dir")).unwrap();
    check_create(
        &folder.path().join("none/out.jsonl"),
        "cannot write DIR/none/out.jsonl: there is no folder DIR/none; make it first",
    );
    check_create(
        &folder.path().join("sub/dir"),
        "cannot write DIR/sub/dir: it is a folder; name a file in it",
    );
}

#[test]
fn a_full_disk_is_named() {
    let mut sink = FileSink::create(Path::new("/dev/full")).unwrap();
    write(&mut sink, "kpis", &["{}"]).unwrap();
    let error = sink.flush().unwrap_err();
    assert!(matches!(error, SinkError::NoSpace { .. }) && !error.is_closed());
    assert!(
        error
            .to_string()
            .starts_with("cannot write /dev/full: no space is left"),
        "{error}"
    );
}

#[test]
fn a_closed_pipe_ends_cleanly() {
    let (reader, writer) = io::pipe().unwrap();
    let mut sink = SharedStdout::of_writer(writer).sink();
    write(&mut sink, "kpis", &["{}"]).unwrap();
    sink.flush().unwrap();
    drop(reader);
    write(&mut sink, "kpis", &["{}"]).unwrap();
    let error = sink.flush().unwrap_err();
    assert!(error.is_closed(), "{error:?}");
}

#[test]
fn sinks_that_share_standard_output_keep_the_order_of_rows() {
    let (mut reader, writer) = io::pipe().unwrap();
    let out = SharedStdout::of_writer(writer);
    let (mut first, mut second, mut plain) = (out.named_sink("pager"), out.named_sink("a\"b"), out.sink());
    write(&mut first, "incidents", &["{\"a\":1}", "{}"]).unwrap();
    write(&mut second, "incidents", &["{\"a\":2}"]).unwrap();
    write(&mut plain, "incidents", &["{\"a\":3}"]).unwrap();
    for sink in [first, second, plain] {
        Box::new(sink).close().unwrap();
    }
    drop(out);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let expected = "{\"_sink\":\"pager\",\"a\":1}\n{\"_sink\":\"pager\"}\n{\"_sink\":\"a\\\"b\",\"a\":2}\n{\"a\":3}\n";
    assert_eq!(text, expected);
}

#[test]
fn memory_keeps_rows_with_their_stream() {
    let mut sink = MemorySink::default();
    let kept = sink.rows();
    write(&mut sink, "kpis", &["{\"a\":1}"]).unwrap();
    write(&mut sink, "late", &["{}"]).unwrap();
    assert_eq!(
        kept.take(),
        [
            ("kpis".to_owned(), "{\"a\":1}".to_owned()),
            ("late".to_owned(), "{}".to_owned())
        ]
    );
    assert_eq!(kept.take(), []);
    Box::new(sink).close().unwrap();
}

#[test]
fn ends_that_lie_cost_rows_but_no_panic() {
    let sink = &mut MemorySink::default();
    sink.write(&EncodedRows {
        stream: "s",
        bytes: b"{}",
        ends: &[2, 9, 1],
    })
    .unwrap();
    assert_eq!(sink.rows().take().len(), 3);
}
