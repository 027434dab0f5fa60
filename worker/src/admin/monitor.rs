//! A thread that looks at the run a few times a second: for the CPU quota, and for the live page.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, never, tick};
use tocsin_worker_core::encode::Encoded;

use crate::live::Outcome;
use crate::metrics::{Measures, SourceTotals, StageTotals};
use crate::page::{Totals, Watcher};

const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// The CPU quota is looked at each so many looks.
const LOOKS_PER_SECOND: u64 = 4;

/// Parts of rows that may wait for the page.
const WAITING_ROWS: usize = 1_024;

/// A thread that looks. Ends when dropped, and says to the page that the run is over.
pub struct Monitor {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Looks from now on, for a page if there is one.
    pub fn start(measures: &Arc<Measures>, page: Option<Watcher>) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let rows = match &page {
            None => never(),
            Some(_) => {
                let (sender, rows) = bounded(WAITING_ROWS);
                measures.watch(sender);
                rows
            }
        };
        let measures = Arc::clone(measures);
        let thread = std::thread::Builder::new()
            .name("monitor".to_owned())
            .spawn(move || look(&measures, page.as_ref(), &rows, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn look(measures: &Measures, page: Option<&Watcher>, rows: &Receiver<(usize, Encoded)>, stopped: &Receiver<()>) {
    let ticks = tick(BETWEEN_LOOKS);
    let mut looks = 0_u64;
    loop {
        crossbeam_channel::select! {
            recv(stopped) -> _ => break,
            recv(rows) -> part => if let (Ok((stage, rows)), Some(page)) = (part, page) {
                page.rows(stage, &rows);
            },
            recv(ticks) -> _ => {
                if looks.is_multiple_of(LOOKS_PER_SECOND) {
                    measures.throttling().look(measures.n_threads());
                }
                looks += 1;
                if let Some(page) = page {
                    page.progress(&totals(measures));
                }
            },
        }
    }
    if let Some(page) = page {
        for (stage, part) in rows.try_iter() {
            page.rows(stage, &part);
        }
        page.progress(&totals(measures));
        page.finish(Outcome::Stopped);
    }
}

fn totals(measures: &Measures) -> Totals {
    let all = measures.view().all();
    let source = |totals: &SourceTotals| (totals.records, totals.dead.values().sum());
    let stage = |totals: &StageTotals| (totals.rows_in, totals.rows_out, totals.late);
    Totals {
        sources: all.sources.iter().map(source).collect(),
        stages: all.stages.iter().map(stage).collect(),
        bytes: all.sources.iter().map(|totals| totals.bytes).sum(),
        event_time: all.event_time,
    }
}
