//! A machine of its own: its network, mounts and processes are nobody else's, and all of them end with it.
//!
//! It is a set of the kernel's namespaces, held open by one process. Whatever runs in it has that process for its `init`, so
//! the kernel ends all of it at once, also what put itself into the background, and unmounts what was mounted.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::Process;
use crate::{RigError, home};

/// The machine is there within this.
const START: Duration = Duration::from_secs(20);

/// Ends when the rig does: the pipe is closed then.
const INIT: &str = "ip link set lo up && echo 'the machine is there' && exec cat";
const UP: &str = "the machine is there";

/// A machine of its own. Dropping it ends all that runs in it.
#[derive(Debug)]
pub struct Machine {
    holder: Process,
    folder: PathBuf,
}

impl Machine {
    /// A new machine, with nothing but loopback.
    ///
    /// # Errors
    /// When the kernel does not let this user make namespaces, or `unshare` and `nsenter` (util-linux) are missing.
    pub fn start() -> Result<Self, RigError> {
        let folder = home::new_folder("machine")?;
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", INIT]);
        let holder = Process::start("the machine", &command, &folder.join("machine.log"))?;
        holder.ready("its loopback", START, || holder.said().contains(UP).then_some(()))?;
        Ok(Self { holder, folder })
    }

    /// A folder for what belongs to it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program to be started in it. Its working folder is the root.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let of = |kind: &str| format!("/proc/{}/ns/{kind}", self.holder.pid());
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", of("net")))
            .arg(format!("--mount={}", of("mnt")))
            .arg(format!("--pid={}", of("pid_for_children")))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs a few lines of shell in it, and gives what they print.
    ///
    /// # Errors
    /// When one of them fails: with what it says.
    pub fn shell(&self, lines: &str) -> Result<String, RigError> {
        let output = self.command("sh").args(["-euc", lines]).output();
        let output = output.map_err(RigError::io("starting nsenter, which comes with util-linux"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(RigError::Refused {
            what: lines.to_owned(),
            answer: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Lets this process reach an address of the machine.
    ///
    /// # Errors
    /// When its network cannot be opened, or no port is free.
    pub fn forward(&self, to: SocketAddr) -> Result<Forward, RigError> {
        let path = format!("/proc/{}/ns/net", self.holder.pid());
        let network = File::open(&path).map_err(RigError::io(format!("opening {path}")))?;
        Forward::start(network, to)
    }
}

/// Connections to an address of this process go on to one in a machine. Dropping it takes no more of them.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl Forward {
    fn start(network: File, to: SocketAddr) -> Result<Self, RigError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(RigError::io("listening on loopback"))?;
        let address = listener.local_addr().map_err(RigError::io("listening on loopback"))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let network = Arc::new(network);
        let ends = Arc::clone(&is_over);
        let accept = move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let network = Arc::clone(&network);
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || join(&network, &stream, to));
            }
        };
        std::thread::spawn(accept);
        Ok(Self { address, is_over })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.address));
    }
}

/// Connects from within the network, and carries bytes both ways. The thread stays in that network, and ends behind this.
fn join(network: &File, outside: &TcpStream, to: SocketAddr) {
    if move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).is_err() {
        return;
    }
    // Whoever asked sees that its connection ends, as with any server that is not there.
    let Ok(inside) = TcpStream::connect(to) else { return };
    drop((outside.set_nodelay(true), inside.set_nodelay(true)));
    std::thread::scope(|scope| {
        scope.spawn(|| carry(outside, &inside));
        carry(&inside, outside);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    drop(std::io::copy(&mut from, &mut to));
    drop((to.flush(), to.shutdown(Shutdown::Write)));
}
