//! The live page of a run on this machine.

use tocsin_worker::live::Outcome;
use tocsin_worker::page::{Page as Server, PageOptions, Watcher};
use tocsin_worker::run::Summary;
use tocsin_worker_core::plan::Plan;

use crate::failure::{Failure, note};

/// The page of a run.
pub struct Page {
    server: Server,
    watcher: Watcher,
}

impl Page {
    /// Serves the page of a plan that is about to run.
    pub fn serve(plan: &Plan, port: u16, extra: axum::Router) -> Result<Self, Failure> {
        let watcher = Watcher::new(plan);
        let options = PageOptions {
            port,
            extra: Some(extra),
        };
        let server = Server::start(options, watcher.live()).map_err(|error| Failure::Io(error.to_string()))?;
        if let Some(taken) = server.taken_port() {
            note(format!("port {taken} is taken"));
        }
        Ok(Self { server, watcher })
    }

    /// Where the page is.
    pub fn address(&self) -> String {
        self.server.url()
    }

    /// What feeds it.
    pub fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// Says that the run is over.
    pub fn finish(&self, summary: &Summary) {
        self.watcher.finish(if summary.interrupted {
            Outcome::Stopped
        } else {
            Outcome::Finished
        });
    }
}
