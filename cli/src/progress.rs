//! The progress bar: events, events per second, event time, lag. On a terminal only.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tocsin_worker::page::{Totals, Watcher as PageWatcher};
use tocsin_worker::run::{Progress as RunProgress, Watcher};
use tocsin_worker_core::encode::{Encoded, rfc3339};
use tocsin_worker_core::engine::Engine;

use crate::page::Page;
use crate::run::grouped;

/// Is told rows of a stage, by its number.
type RowsSeen = dyn FnMut(usize, &Encoded);

/// Watches a run for a person.
pub struct Progress {
    bar: ProgressBar,
    page: Option<PageWatcher>,
    /// Events and time at the last look, for the rate.
    last: (u64, Duration),
    rate: f64,
    /// Called with the rows of each stage, besides the page.
    rows: Option<Box<RowsSeen>>,
}

impl Progress {
    /// A bar on standard error if that is a terminal, and the page if there is one.
    pub fn new(page: Option<&Page>) -> Self {
        let target = if std::io::stderr().is_terminal() && !std::io::stdout().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        Self {
            bar,
            page: page.map(Page::watcher),
            last: (0, Duration::ZERO),
            rate: 0.0,
            rows: None,
        }
    }

    /// The same with a bar also where results are not printed as they come.
    pub fn with_rows(page: Option<&Page>, rows: impl FnMut(usize, &Encoded) + 'static) -> Self {
        let mut progress = Self::new(page);
        if std::io::stderr().is_terminal() {
            progress.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        }
        progress.rows = Some(Box::new(rows));
        progress
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watcher for Progress {
    fn rows(&mut self, stage: usize, rows: &Encoded) {
        if let Some(page) = &self.page {
            page.rows(stage, rows);
        }
        if let Some(also) = &mut self.rows {
            also(stage, rows);
        }
    }

    fn progress(&mut self, engine: &Engine, progress: &RunProgress) {
        let (read, total) = progress.bytes;
        if let Some(page) = &self.page {
            page.progress(&Totals::of(engine, read));
        }
        if self.bar.is_hidden() {
            return;
        }
        let sources = engine.source_counters();
        let events: u64 = sources.iter().map(|source| source.records).sum();
        let event_time = engine.event_time();
        let newest = event_time.map(|time| time.newest);
        let seconds = progress.elapsed.saturating_sub(self.last.1).as_secs_f64();
        if seconds > 0.0 {
            let now = events.saturating_sub(self.last.0) as f64 / seconds;
            self.rate = if self.rate == 0.0 {
                now
            } else {
                self.rate * 0.7 + now * 0.3
            };
        }
        self.last = (events, progress.elapsed);
        let template = match total {
            Some(total) => {
                self.bar.set_length(total.max(1));
                self.bar.set_position(read);
                "{bar:24} {percent:>3}%  {msg}"
            }
            None => "{spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        let lag = event_time
            .and_then(|time| Some(time.newest.saturating_sub(time.watermark?)))
            .map(|lag| lag as f64 / 1e6);
        self.bar.set_message(format!(
            "{} events  {}/s  {}  lag {}{}",
            grouped(events),
            grouped(self.rate as u64),
            newest.map_or_else(|| "-".to_owned(), rfc3339),
            lag.map_or_else(|| "-".to_owned(), |lag| format!("{lag:.0} s")),
            if progress.dead > 0 {
                format!("  bad {}", grouped(progress.dead))
            } else {
                String::new()
            },
        ));
        self.bar.tick();
    }
}
