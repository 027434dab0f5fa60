//! Tests of the file source, with real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::source::{Block, Framing, Polled, Source};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(5);

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    // As the command line tool does; without it damage may go unnoticed.
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads to the end: the records with their offsets, and the error if there was one.
fn read(path: &Path, options: InputOptions) -> (Vec<(u64, String)>, Option<SourceError>) {
    let mut source = match open_file(path, options) {
        Ok(source) => source,
        Err(error) => return (vec![], Some(error)),
    };
    let (mut block, mut records) = (Block::default(), vec![]);
    loop {
        match source.poll(&mut block, WAIT) {
            Ok(Polled::Records) => records.extend(block.spans.iter().map(|span| {
                (
                    span.offset,
                    String::from_utf8_lossy(&block.bytes[span.start..span.end]).into_owned(),
                )
            })),
            Ok(Polled::Idle) => {}
            Ok(Polled::End) => {
                assert_eq!(
                    source.poll(&mut block, WAIT).unwrap(),
                    Polled::End,
                    "the end is the end"
                );
                return (records, None);
            }
            Err(error) => {
                assert_eq!(
                    source.poll(&mut block, WAIT).unwrap(),
                    Polled::End,
                    "an error is told once"
                );
                return (records, Some(error));
            }
        }
    }
}

fn lines(name: &str) -> InputOptions {
    InputOptions::new(name, Framing::Lines)
}

fn numbered(n: usize) -> String {
    (0..n).map(|i| format!("{{\"n\":{i}}}\n")).collect()
}

fn check_same(name: &str, bytes: &[u8], plain: &str) {
    let (_folder, path) = write(name, bytes);
    let (records, error) = read(&path, lines("alerts"));
    assert!(error.is_none(), "{error:?}");
    let expected: Vec<_> = (0..).zip(plain.lines().map(str::to_owned)).collect();
    assert!(
        records == expected,
        "{name}: {} records instead of {}",
        records.len(),
        expected.len()
    );
}

fn check_error(path: &Path, expected: &str) {
    let (_, error) = read(path, lines("alerts"));
    let folder = path.parent().unwrap().display().to_string();
    assert_eq!(error.unwrap().to_string().replace(&folder, "DIR"), expected);
}

#[test]
fn a_file_is_read_plain_gzip_and_zstd_whatever_its_name() {
    let plain = numbered(10_000);
    let (first, second) = plain.as_bytes().split_at(12_345);
    check_same("a.jsonl", plain.as_bytes(), &plain);
    check_same("a.jsonl", &gzip(plain.as_bytes()), &plain);
    check_same("a.txt", &zstd(plain.as_bytes()), &plain);
    check_same("two-members", &[gzip(first), gzip(b""), gzip(second)].concat(), &plain);
    check_same(
        "two-frames.gz",
        &[zstd(first), zstd(b""), zstd(second)].concat(),
        &plain,
    );
    let skippable = [
        &[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3],
        zstd(plain.as_bytes()).as_slice(),
    ]
    .concat();
    check_same("skippable.zst", &skippable, &plain);
}

#[test]
fn an_empty_file_is_an_empty_stream() {
    check_same("empty", b"", "");
    check_same("empty.gz", &gzip(b""), "");
    check_same("empty.zst", &zstd(b""), "");
    check_same("one-byte", b"x", "x");
}

#[test]
fn a_source_knows_its_size_and_its_place() {
    let plain = numbered(100);
    for bytes in [plain.clone().into_bytes(), gzip(plain.as_bytes())] {
        let (_folder, path) = write("a", &bytes);
        let mut source = open_file(&path, lines("alerts")).unwrap();
        assert_eq!(source.total_bytes(), Some(bytes.len() as u64));
        let mut block = Block::default();
        while source.poll(&mut block, WAIT).unwrap() != Polled::End {}
        assert_eq!(source.read_bytes(), bytes.len() as u64);
        assert!(!source.is_live() && source.offsets_are_lines());
    }
}

#[test]
fn a_missing_file_is_named_with_what_exists_instead() {
    let (folder, path) = write("alerts.jsonl", b"");
    check_error(
        &folder.path().join("alert.jsonl"),
        "source `alerts`: there is no file DIR/alert.jsonl; did you mean DIR/alerts.jsonl?",
    );
    check_error(&folder.path().join("zzz"), "source `alerts`: there is no file DIR/zzz");
    let below = folder.path().join("no/such/folder");
    let (_, error) = read(&below, lines("alerts"));
    let expected = format!(
        "source `alerts`: there is no file {}; the nearest folder that exists is {}",
        below.display(),
        folder.path().display()
    );
    assert_eq!(error.unwrap().to_string(), expected);
    let through_a_file = path.join("x");
    assert!(matches!(
        read(&through_a_file, lines("a")).1,
        Some(SourceError::NotFound { .. })
    ));
}

#[test]
fn a_folder_and_a_forbidden_file_are_named() {
    let (folder, path) = write("a", b"");
    fs::create_dir(folder.path().join("sub")).unwrap();
    check_error(
        &folder.path().join("sub"),
        "source `alerts`: DIR/sub is a folder; name a file in it",
    );
    let denied = SourceError::opening("alerts", &path, std::io::ErrorKind::PermissionDenied.into());
    let expected = format!(
        "source `alerts`: no permission to read {}; allow it, or run as a user who may",
        path.display()
    );
    assert_eq!(denied.to_string(), expected);
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (bytes, found) in [
        (b"\xfd7zXZ\0\0\0".as_slice(), "compressed with xz"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\xff\xfe{\0", "text in UTF-16"),
        (b"PAR1....", "a Parquet file"),
    ] {
        let (_folder, path) = write("odd", bytes);
        let (records, error) = read(&path, lines("alerts"));
        assert!(error.unwrap().to_string().contains(found));
        assert_eq!(records, []);
    }
}

fn check_cut_off(bytes: &[u8], cut: usize, compression: &str) {
    let (_folder, path) = write("cut", &bytes[..cut]);
    let (records, error) = read(&path, lines("alerts"));
    let message = error.unwrap().to_string();
    assert!(
        message.contains("is cut off") && message.contains(compression),
        "{message}"
    );
    assert!(message.contains(&format!("at byte {cut}")), "{message}");
    assert!(message.contains(&format!("up to line {}", records.len())), "{message}");
    assert!(records.len() > 1_000, "{}", records.len());
    let expected: Vec<_> = (0..records.len() as u64)
        .map(|i| (i, format!("{{\"n\":{i}}}")))
        .collect();
    assert!(records == expected, "not whole records alone");
}

#[test]
fn of_a_stream_that_is_cut_off_what_can_be_read_is_kept() {
    let plain = numbered(60_000);
    let (gzip, zstd) = (gzip(plain.as_bytes()), zstd(plain.as_bytes()));
    check_cut_off(&gzip, gzip.len() / 2, "gzip");
    check_cut_off(&gzip, gzip.len() - 1, "gzip");
    check_cut_off(&zstd, zstd.len() / 2, "zstd");
    check_cut_off(&zstd, zstd.len() - 1, "zstd");
}

#[test]
fn a_damaged_stream_is_told_with_its_place() {
    let plain = numbered(60_000);
    for (mut bytes, compression) in [(gzip(plain.as_bytes()), "gzip"), (zstd(plain.as_bytes()), "zstd")] {
        let middle = bytes.len() / 2;
        for byte in &mut bytes[middle..middle + 64] {
            *byte = !*byte;
        }
        let (_folder, path) = write("damaged", &bytes);
        let (records, error) = read(&path, lines("alerts"));
        let Some(SourceError::Corrupt { position, lines, .. }) = &error else {
            panic!("{error:?}")
        };
        assert!(
            error
                .as_ref()
                .unwrap()
                .to_string()
                .contains(&format!("its {compression} data is not valid at byte"))
        );
        assert!(*position > 0 && *position <= bytes.len() as u64);
        assert!(*lines >= records.len() as u64, "damage may give blank lines");
        assert!(records.len() > 1_000);
    }
    let trailing = [gzip(plain.as_bytes()), b"what is no second member".to_vec()].concat();
    let (_folder, path) = write("trailing", &trailing);
    let (records, error) = read(&path, lines("alerts"));
    assert_eq!(records.len(), 60_000);
    assert!(matches!(error, Some(SourceError::Corrupt { .. })), "{error:?}");
}

#[test]
fn a_record_of_50_mb_is_one_dead_letter_and_its_neighbours_stay() {
    let mut bytes = b"{\"n\":0}\n{\"x\":\"".to_vec();
    bytes.resize(50 << 20, b'x');
    bytes.extend_from_slice(b"\"}\n{\"n\":2}\n");
    let (_folder, path) = write("large", &bytes);
    let mut source = open_file(&path, lines("alerts")).unwrap();
    let (mut block, mut good, mut too_long, mut most) = (Block::default(), vec![], vec![], 0);
    while source.poll(&mut block, WAIT).unwrap() == Polled::Records {
        good.extend(block.spans.iter().map(|span| span.offset));
        too_long.extend(
            block
                .too_long
                .iter()
                .map(|long| (long.offset, long.bytes, long.head.len())),
        );
        most = most.max(block.bytes.capacity());
    }
    assert_eq!(good, [0, 2]);
    assert_eq!(too_long, [(1, (50 << 20) - 6, HEAD)]);
    assert!(most < 40 << 20, "{most} bytes were held");
}

const HEAD: usize = crate::source::HEAD_BYTES;

#[test]
fn a_file_of_blank_lines_is_not_held_in_memory() {
    let n_blank = 1 << 20;
    let mut bytes = vec![b'\n'; n_blank];
    bytes.extend_from_slice(b"{}\n");
    let (_folder, path) = write("blank", &bytes);
    let options = InputOptions {
        block_bytes: 16 << 10,
        ..lines("alerts")
    };
    let mut source = open_file(&path, options).unwrap();
    let mut block = Block::default();
    assert_eq!(source.poll(&mut block, WAIT).unwrap(), Polled::Records);
    assert_eq!(block.spans[0].offset, n_blank as u64);
    assert!(block.bytes.capacity() < n_blank / 4, "{}", block.bytes.capacity());
}

#[test]
fn an_interrupt_ends_a_file_early_without_an_unfinished_record() {
    let plain = numbered(100_000);
    for bytes in [plain.clone().into_bytes(), gzip(plain.as_bytes())] {
        let (_folder, path) = write("a", &bytes);
        let options = InputOptions {
            block_bytes: 4 << 10,
            ..lines("alerts")
        };
        let mut source = open_file(&path, options).unwrap();
        let mut block = Block::default();
        assert_eq!(source.poll(&mut block, WAIT).unwrap(), Polled::Records);
        source.interrupt().raise();
        let mut last = String::new();
        while source.poll(&mut block, WAIT).unwrap() == Polled::Records {
            let span = block.spans.last().unwrap();
            last = String::from_utf8(block.bytes[span.start..span.end].to_vec()).unwrap();
        }
        assert!(last.is_empty() || last.ends_with('}'), "{last}");
        assert!(source.read_bytes() < bytes.len() as u64);
    }
}

#[test]
fn the_header_of_a_csv_file_is_known_with_its_first_records() {
    let (_folder, path) = write("a.csv", b"\xef\xbb\xbfts,a\r\n1,\"x\r\ny\"\r\n2,z\r\n");
    let options = InputOptions::new("metrics", Framing::Csv);
    let mut source = open_file(&path, options.clone()).unwrap();
    assert_eq!(source.poll(&mut Block::default(), WAIT).unwrap(), Polled::Records);
    assert_eq!(source.header(), Some(b"ts,a".as_slice()));
    assert_eq!(
        read(&path, options).0,
        [(1, "1,\"x\r\ny\"".to_owned()), (3, "2,z".to_owned())]
    );
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_like_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let mut source = open_file(&path, lines("alerts")).unwrap();
    let mut block = Block::default();
    assert_eq!(
        source.poll(&mut block, Duration::from_millis(1)).unwrap(),
        Polled::Idle,
        "nobody writes yet"
    );
    let mut writer = File::options().write(true).open(&path).unwrap();
    writer.write_all(b"{}\n").unwrap();
    assert_eq!(source.poll(&mut block, WAIT).unwrap(), Polled::Records);
    drop(writer);
    assert_eq!(source.poll(&mut block, WAIT).unwrap(), Polled::End);
    assert_eq!(source.total_bytes(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 5))]

    #[test]
    fn the_records_do_not_depend_on_block_size_or_compression(
        text in "([a-z\" ,]{0,9}\r?\n){0,40}[a-z]{0,3}", block_bytes in 1usize..64, csv: bool
    ) {
        let framing = if csv { Framing::Csv } else { Framing::Lines };
        let usual = InputOptions { record_limit: 16, ..InputOptions::new("a", framing) };
        let (_folder, path) = write("plain", text.as_bytes());
        let (expected, error) = read(&path, usual.clone());
        prop_assert!(error.is_none());
        for bytes in [text.clone().into_bytes(), gzip(text.as_bytes()), zstd(text.as_bytes())] {
            let (_folder, path) = write("other", &bytes);
            let (records, error) = read(&path, InputOptions { block_bytes, ..usual.clone() });
            prop_assert!(error.is_none());
            prop_assert_eq!(&records, &expected);
        }
    }
}
