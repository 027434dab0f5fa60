//! Serves the live page with made-up data, for work on the page and for its tests.
//!
//! `live_page [--scene running|scripted|finished|empty] [--port N]` prints the page's address, and ends when standard
//! input does. `scripted` stands still until a line on standard input says what happens next: `incident KEY`,
//! `resolve KEY`, `alarm KEY`, `advance MINUTES`, `finish`, `fail MESSAGE`.

mod pipeline;
mod world;

use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use tocsin_worker::live::{Outcome, SharedLive};
use tocsin_worker::page::{Page, PageOptions};

use self::world::World;

const STEP: Duration = Duration::from_millis(250);

fn main() -> anyhow::Result<()> {
    let (scene, port) = arguments()?;
    let clock = Clock::started();
    let (mut world, mut state) = match scene.as_str() {
        "finished" => World::replayed(clock.now_ms()),
        "empty" => World::empty(clock.now_ms()),
        _ => World::watched(clock.now_ms()),
    };
    if scene == "finished" {
        state.finish(clock.now_ms(), Outcome::Finished);
    }
    let live = SharedLive::new(state);
    let page = Page::start(PageOptions { port, extra: None }, live.clone())?;
    if let Some(taken) = page.taken_port() {
        eprintln!("port {taken} is taken");
    }
    println!("{}", page.url());
    std::io::stdout().flush()?;

    let lines = standard_input();
    loop {
        match lines.recv_timeout(STEP) {
            Ok(line) => live.with(|state| world.command(state, &line, clock.now_ms())),
            Err(RecvTimeoutError::Timeout) if scene == "running" => {
                live.with(|state| world.step(state, clock.now_ms()));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    page.stop();
    Ok(())
}

fn arguments() -> anyhow::Result<(String, u16)> {
    let (mut scene, mut port) = ("running".to_owned(), 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| anyhow::anyhow!("{name} needs a value"))?;
        match name.as_str() {
            "--scene" => scene = value,
            "--port" => port = value.parse()?,
            _ => anyhow::bail!("unknown argument {name}"),
        }
    }
    let known = ["running", "scripted", "finished", "empty"];
    anyhow::ensure!(
        known.contains(&scene.as_str()),
        "the scene is one of {}",
        known.join(", ")
    );
    Ok((scene, port))
}

/// Lines of standard input; disconnected at its end.
fn standard_input() -> Receiver<String> {
    let (sender, receiver) = sync_channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The time of day at the start, and from then on a clock that does not go back.
struct Clock {
    started: Instant,
    started_ms: i64,
}

impl Clock {
    fn started() -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            started_ms: since_1970.as_millis() as i64,
        }
    }

    fn now_ms(&self) -> i64 {
        self.started_ms + self.started.elapsed().as_millis() as i64
    }
}
