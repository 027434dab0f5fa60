//! Child processes that die with this one, also when it is killed.
//!
//! The kernel ends them when the *thread* that spawned them ends (`PR_SET_PDEATHSIG`). Test threads end with each test;
//! so all children come from one thread that lives as long as the process.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::RigError;
use crate::wait::until;

/// Ends at once if the parent died before the kernel knew that the child is to follow it.
const GUARD: &str = r#"[ "$PPID" = "$0" ] || exit 1; exec "$@""#;

/// How much of a log goes into an error.
const LAST_LINES: usize = 30;

type Spawned = std::io::Result<Child>;
type Order = (Command, SyncSender<Spawned>);

static SPAWNER: OnceLock<Mutex<SyncSender<Order>>> = OnceLock::new();

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    pid: u32,
    child: Mutex<Child>,
    pipe: Option<ChildStdin>,
}

impl Process {
    /// Starts a program. Its standard output and error are appended to `log`; its standard input is a pipe that stays
    /// open until it is dropped.
    ///
    /// # Errors
    /// When the program or `setpriv` (util-linux) cannot be started, or the log cannot be written.
    pub fn start(name: &str, command: &Command, log: &Path) -> Result<Self, RigError> {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .map_err(RigError::io(format!("opening {}", log.display())))
        };
        let mut wrapped = Command::new("setpriv");
        wrapped
            .args(["--pdeathsig", "KILL", "sh", "-c", GUARD])
            .arg(std::process::id().to_string())
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(open()?)
            .stderr(open()?);
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        let mut child = spawn(wrapped).map_err(RigError::io(format!(
            "starting {name} through setpriv, which comes with util-linux"
        )))?;
        Ok(Self {
            name: name.to_owned(),
            log: log.to_owned(),
            pid: child.id(),
            pipe: child.stdin.take(),
            child: Mutex::new(child),
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Closes the process's standard input.
    pub fn close_input(&mut self) {
        self.pipe = None;
    }

    /// Sends a signal, if the process has not ended.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), RigError> {
        // Held while the signal is sent: until it is waited for, the number is this process's and no other's.
        let mut child = self.child.lock();
        if matches!(child.try_wait(), Ok(Some(_))) {
            return Ok(());
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        kill_process(pid, signal).map_err(|error| RigError::Io {
            what: format!("sending {signal:?} to {}", self.name),
            source: error.into(),
        })
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// When the kernel cannot say.
    pub fn ended(&self) -> Result<Option<ExitStatus>, RigError> {
        self.child
            .lock()
            .try_wait()
            .map_err(RigError::io(format!("waiting for {}", self.name)))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// [`RigError::TimedOut`] when it still runs.
    pub fn wait(&self, within: Duration) -> Result<ExitStatus, RigError> {
        until(&format!("the end of {}", self.name), within, || self.ended())
    }

    /// Kills and waits for the end.
    ///
    /// # Errors
    /// As [`Process::signal`] and [`Process::wait`].
    pub fn kill(&self) -> Result<(), RigError> {
        self.signal(Signal::KILL)?;
        self.wait(Duration::from_secs(20)).map(drop)
    }

    /// Processor time used so far, of all threads, in the kernel and out of it.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu_time(&self) -> Result<Duration, RigError> {
        let path = format!("/proc/{}/stat", self.pid);
        let text = std::fs::read_to_string(&path).map_err(RigError::io(format!("reading {path}")))?;
        // Fields are counted from behind the name, which may hold spaces: state is the first, utime and stime the
        // twelfth and thirteenth.
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|field| field.parse::<u64>().ok());
        match (ticks(11), ticks(12)) {
            (Some(user), Some(system)) => Ok(Duration::from_secs(user + system)
                / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)),
            _ => Err(RigError::Misused(format!("{path} has another form than proc(5) says"))),
        }
    }

    /// Bytes of memory that it holds now.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resident_memory(&self) -> Result<u64, RigError> {
        self.memory("VmRSS:")
    }

    /// The most bytes of memory that it ever held.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn most_resident_memory(&self) -> Result<u64, RigError> {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> Result<u64, RigError> {
        let path = format!("/proc/{}/status", self.pid);
        let text = std::fs::read_to_string(&path).map_err(RigError::io(format!("reading {path}")))?;
        let line = text.lines().find_map(|line| line.strip_prefix(which));
        let kibibytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let other = || RigError::Misused(format!("{path} has no {which} as proc(5) says"));
        Ok(kibibytes.ok_or_else(other)? << 10)
    }

    /// Fails when the process has ended.
    ///
    /// # Errors
    /// [`RigError::Ended`], with the end of the log.
    pub fn check(&self) -> Result<(), RigError> {
        match self.ended()? {
            Some(status) => Err(RigError::Ended {
                what: self.name.clone(),
                status: status.to_string(),
                log: self.last_lines(),
            }),
            None => Ok(()),
        }
    }

    /// Asks again and again until there is a value.
    ///
    /// # Errors
    /// When the process ends meanwhile or there is no value in time; the error carries the end of the log.
    pub fn ready<T>(&self, what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T, RigError> {
        let asked = until(what, within, || {
            self.check()?;
            Ok(ask())
        });
        asked.map_err(|error| match error {
            RigError::TimedOut { within, .. } => RigError::NotReady {
                what: format!("{} ({what})", self.name),
                within,
                log: self.last_lines(),
            },
            other => other,
        })
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of the log.
    pub fn last_lines(&self) -> String {
        last_lines(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// The last lines of a file; empty if it cannot be read.
fn last_lines(path: &Path) -> String {
    const BYTES: u64 = 16_384;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Spawns from the one thread that lives as long as the process.
fn spawn(command: Command) -> Spawned {
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = sync_channel::<Order>(16);
        let run = move || {
            for (mut command, answer) in inbox {
                drop(answer.send(command.spawn()));
            }
        };
        // Without a thread the orders' channel is closed, and `send` says so below.
        drop(std::thread::Builder::new().name("spawner".to_owned()).spawn(run));
        Mutex::new(orders)
    });
    let (answer, spawned) = sync_channel(1);
    let gone = |_| std::io::Error::other("the thread that starts processes is gone");
    spawner.lock().send((command, answer)).map_err(|_| gone(()))?;
    spawned.recv().map_err(|_| gone(()))?
}
