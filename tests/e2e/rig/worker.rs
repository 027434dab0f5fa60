//! `tocsin run` as a child process: started, killed, held, ended in order, and asked for what it said.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Process;
use crate::wait::until;
use crate::{RigError, home};

/// Names the program that is tested.
const PROGRAM: &str = "TOCSIN_BIN";

/// What a worker says before the address of its admin server.
const ADMIN: &str = "admin: http://";

/// How a worker is started.
#[derive(Debug, Clone, Default)]
pub struct WorkerOptions {
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// The brokers.
    pub bootstrap: String,
    /// The worker's name.
    pub name: String,
    /// How many threads work.
    pub threads: usize,
    /// The folder with secrets.
    pub secrets: Option<PathBuf>,
    /// Where snapshots are kept.
    pub state: Option<String>,
    /// Further arguments.
    pub further: Vec<String>,
    /// Variables of its environment: keys of a store, say.
    pub variables: Vec<(String, String)>,
    /// What stands in front of the program: how it comes to where a small disk is mounted, say.
    pub through: Vec<String>,
}

/// A worker that was started. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    log: PathBuf,
    name: String,
}

impl Worker {
    /// Starts a worker; it says what it does at the level `info`.
    ///
    /// # Errors
    /// When the program was not built, or cannot be started.
    pub fn start(options: &WorkerOptions) -> Result<Self, RigError> {
        let name = format!("worker {}", options.name);
        let log = home::new_folder(&format!("worker-{}", options.name))?.join("log");
        let program = program()?.into_os_string();
        let mut words = options.through.iter().map(OsString::from).chain([program]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .arg("run")
            .arg(&options.pipeline)
            .args(["--bootstrap", &options.bootstrap, "--worker", &options.name])
            .args(["--threads", &options.threads.to_string()])
            .env("TOCSIN_LOG", "info")
            .env("NO_COLOR", "1");
        if let Some(secrets) = &options.secrets {
            command.arg("--secrets").arg(secrets);
        }
        if let Some(state) = &options.state {
            command.args(["--state", state]);
        }
        command.args(&options.further);
        command.envs(options.variables.iter().cloned());
        Ok(Self {
            process: Process::start(&name, &command, &log)?,
            log,
            name,
        })
    }

    /// Starts another command of the program, which goes on until it is ended.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn command(arguments: &[&str]) -> Result<Self, RigError> {
        let name = format!("tocsin {}", arguments.first().copied().unwrap_or_default());
        let log = home::new_folder("command")?.join("log");
        let mut command = Command::new(program()?);
        command.args(arguments);
        Ok(Self {
            process: Process::start(&name, &command, &log)?,
            log,
            name,
        })
    }

    /// Where its admin server listens, once it does.
    ///
    /// # Errors
    /// As [`Worker::wait_for_line`].
    pub fn admin(&self, within: Duration) -> Result<SocketAddr, RigError> {
        self.wait_for_line(ADMIN, within)?;
        let said = self.said();
        let address = said
            .lines()
            .find_map(|line| line.split_once(ADMIN)?.1.strip_suffix('/'));
        address
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| self.not_ready("the address of its admin server", within))
    }

    /// Number of its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it as a power cut would, and waits for its end.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<(), RigError> {
        self.process.kill()
    }

    /// Holds it: its connections stay open and it does nothing.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pause(&self) -> Result<(), RigError> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn resume(&self) -> Result<(), RigError> {
        self.process.signal(Signal::CONT)
    }

    /// Asks it to leave for good.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn ask_to_end(&self) -> Result<(), RigError> {
        self.process.signal(Signal::TERM)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs; the error carries its last lines.
    pub fn wait(&self, within: Duration) -> Result<ExitStatus, RigError> {
        let ended = self.process.wait(within);
        ended.map_err(|_| self.not_ready("its end", within))
    }

    /// Asks it to leave for good, and waits until it has, in order.
    ///
    /// # Errors
    /// When it still runs, or ends with another code than 0; the error carries its last lines.
    pub fn end(&self, within: Duration) -> Result<(), RigError> {
        self.ask_to_end()?;
        let status = self.wait(within)?;
        if status.success() {
            return Ok(());
        }
        Err(RigError::Ended {
            what: self.name.clone(),
            status: status.to_string(),
            log: self.last_lines(),
        })
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// With its last lines.
    pub fn check(&self) -> Result<(), RigError> {
        self.process.check()
    }

    /// Waits until a line holds this text.
    ///
    /// # Errors
    /// When none does in time, or the worker ends before; the error carries its last lines.
    pub fn wait_for_line(&self, text: &str, within: Duration) -> Result<(), RigError> {
        self.wait_for_lines(text, 1, within)
    }

    /// Waits until so many lines hold this text.
    ///
    /// # Errors
    /// As [`Worker::wait_for_line`].
    pub fn wait_for_lines(&self, text: &str, count: usize, within: Duration) -> Result<(), RigError> {
        let what = format!("{count} lines with '{text}'");
        let found = until(&what, within, || {
            let enough = self.lines_with(text) >= count;
            if !enough {
                self.check()?;
            }
            Ok(enough.then_some(()))
        });
        found.map_err(|error| match error {
            RigError::TimedOut { what, within } => self.not_ready(&what, within),
            other => other,
        })
    }

    /// How many lines hold this text.
    pub fn lines_with(&self, text: &str) -> usize {
        self.said().lines().filter(|line| line.contains(text)).count()
    }

    /// Everything that it wrote on standard output and error.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines that it wrote.
    pub fn last_lines(&self) -> String {
        self.process.last_lines()
    }

    fn not_ready(&self, what: &str, within: Duration) -> RigError {
        RigError::NotReady {
            what: format!("{} ({what})", self.name),
            within,
            log: self.last_lines(),
        }
    }
}

/// Runs the program to its end: its exit code, and what it wrote on standard output and error.
///
/// # Errors
/// When the program was not built, or cannot be started.
pub fn tocsin(arguments: &[&str]) -> Result<(Option<i32>, String), RigError> {
    tocsin_with(&[], arguments)
}

/// The same with variables of its environment.
///
/// # Errors
/// As [`tocsin`].
pub fn tocsin_with(variables: &[(String, String)], arguments: &[&str]) -> Result<(Option<i32>, String), RigError> {
    let variables = variables.iter().map(|(name, value)| (name, value));
    let output = Command::new(program()?).args(arguments).envs(variables).output();
    let output = output.map_err(RigError::io(format!("running tocsin {}", arguments.join(" "))))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

/// The same, which reads this from its standard input.
///
/// # Errors
/// As [`tocsin`].
pub fn tocsin_reading(arguments: &[&str], input: &[u8]) -> Result<(Option<i32>, String), RigError> {
    let failed = || RigError::io(format!("running tocsin {}", arguments.join(" ")));
    let mut child = Command::new(program()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).map_err(failed())?;
    }
    let output = child.wait_with_output().map_err(failed())?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

/// The program that is tested: what the environment names, or what was built beside the test.
fn program() -> Result<PathBuf, RigError> {
    crate::install::built("tocsin", PROGRAM)
}

/// How long a worker took to bring each shard back, by what it said, in order.
pub fn recoveries(said: &str) -> Vec<Duration> {
    let runs = said.lines().filter(|line| line.contains("the shard runs"));
    let seconds = runs.filter_map(|line| line.split("seconds=").nth(1)?.split_whitespace().next()?.parse().ok());
    seconds.map(Duration::from_secs_f64).collect()
}
