//! How the program ends when something is wrong, and with which code.

use std::fmt;
use std::process::ExitCode;

#[cfg(feature = "kafka")]
use tocsin_contract::names::SNAPSHOTS_NOT_WHOLE;
use tocsin_contract::problem::Problem;
use tocsin_worker::run::RunError;
use tocsin_worker::sink::SinkError;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// The pipeline's file is wrong, with everything that is.
    Pipeline {
        /// The file.
        file: String,
        /// What is wrong in it.
        problems: Vec<Problem>,
    },
    /// Something else was asked for in a way that does not work: what, and what to do.
    Usage(String),
    /// Reading or writing failed.
    Io(String),
    /// A dead record, where a dead record ends the run.
    DeadRecord(String),
    /// Snapshots that cannot be used, whoever reads them.
    #[cfg(feature = "kafka")]
    Snapshots(String),
}

impl Failure {
    /// The exit code: 2 for a wrong command line, 3 for a wrong pipeline, 4 for input and output, 5 for a dead record, 6 for
    /// snapshots that are not whole. `tocsin --help` lists them, and 130, which no failure has.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Pipeline { .. } => 3,
            Self::Io(_) => 4,
            Self::DeadRecord(_) => 5,
            #[cfg(feature = "kafka")]
            Self::Snapshots(_) => SNAPSHOTS_NOT_WHOLE,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Io(message) => write!(f, "error: {message}"),
            #[cfg(feature = "kafka")]
            Self::Snapshots(message) => write!(f, "error: {message}"),
            Self::DeadRecord(message) => {
                write!(
                    f,
                    "error: {message}\n  stopped at the first bad record, as --on-error stop says"
                )
            }
            Self::Pipeline { file, problems } => {
                for problem in problems {
                    writeln!(f, "{file}: {problem}")?;
                }
                let n = problems.len();
                write!(f, "error: {n} problem{} in {file}", if n == 1 { "" } else { "s" })
            }
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::DeadRecord { .. } => Self::DeadRecord(error.to_string()),
            RunError::NoInput { .. } | RunError::OnlyFromKafka { .. } => Self::Usage(error.to_string()),
            RunError::Header { .. } | RunError::Source(_) | RunError::Sink(_) => Self::Io(error.to_string()),
        }
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        Self::Io(error.to_string())
    }
}

/// Prints to standard output. A reader that went away is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Io(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard error. It is for a person: that nobody is there to read it is no error.
pub fn note(text: impl fmt::Display) {
    use std::io::Write;
    // In one piece, so that two threads' lines do not mix.
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// The same as [`print()`] with a line end.
pub fn say(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}
