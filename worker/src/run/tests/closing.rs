//! Every sink is closed at the end of a run.

use std::io::{Error, ErrorKind};

use crate::run::close_all;
use crate::sink::{EncodedRows, FileSink, Sink, SinkError};

/// Cannot be closed, for this reason.
struct Failing(ErrorKind);

impl Sink for Failing {
    fn write(&mut self, _: &EncodedRows<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), SinkError> {
        Err(SinkError::writing("failing", Error::from(self.0)))
    }
}

#[test]
fn a_sink_that_fails_to_close_leaves_no_other_unclosed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.jsonl");
    let kinds = [ErrorKind::BrokenPipe, ErrorKind::StorageFull, ErrorKind::Other];
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    for kind in kinds {
        sinks.push(Box::new(Failing(kind)));
    }
    let mut last = FileSink::create(&file).unwrap();
    let rows = EncodedRows {
        stream: "rows",
        bytes: b"{}",
        ends: &[2],
    };
    last.write(&rows).unwrap();
    sinks.push(Box::new(last));
    let closed = close_all(sinks);
    assert!(
        matches!(closed, Err(SinkError::NoSpace { .. })),
        "the first error that is one"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n");
}
