//! A small file system in memory, for a broker's data or snapshots.
//!
//! It is mounted in a mount namespace of its own, which lives as long as the process that holds it: nothing is left
//! behind, also when the test is killed. Other processes see the files through the holder's `/proc/PID/root`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::RigError;
use crate::process::Process;

const HOLD: &str = r#"mount -t tmpfs -o "size=$1" tmpfs "$0" && echo mounted && read -r _"#;
const BALLAST: &str = "ballast";

/// Whether this process may mount: it is root. A test of a small disk says so and ends if it may not.
pub fn may_mount() -> bool {
    rustix::process::geteuid().is_root()
}

/// A mounted file system.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Process,
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts `bytes` over a folder that exists.
    ///
    /// # Errors
    /// When this process is not root.
    pub fn mount(folder: &Path, bytes: u64, log: &Path) -> Result<Self, RigError> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", HOLD]);
        command.arg(folder).arg(bytes.to_string());
        let holder = Process::start("the holder of a small disk (mounting needs root)", &command, log)?;
        let mounted = || holder.last_lines().lines().any(|line| line == "mounted").then_some(());
        holder.ready("the mount", Duration::from_secs(10), mounted)?;
        Ok(Self {
            holder,
            folder: folder.to_owned(),
        })
    }

    /// A command that runs where the file system is mounted.
    pub fn enter(&self) -> Command {
        let [program, arguments @ ..] = self.entering();
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    /// What stands in front of a program that runs where the file system is mounted.
    pub fn entering(&self) -> [String; 3] {
        let mount = format!("--mount=/proc/{}/ns/mnt", self.holder.pid());
        ["nsenter".to_owned(), mount, "--".to_owned()]
    }

    /// The files, as this process sees them.
    pub fn path(&self) -> PathBuf {
        let below = self.folder.strip_prefix("/").unwrap_or(&self.folder);
        Path::new("/proc")
            .join(self.holder.pid().to_string())
            .join("root")
            .join(below)
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// When the kernel cannot say.
    pub fn free(&self) -> Result<u64, RigError> {
        let path = self.path();
        let status = rustix::fs::statvfs(&path).map_err(|error| RigError::Io {
            what: format!("asking for the free bytes of {}", path.display()),
            source: error.into(),
        })?;
        Ok(status.f_bavail * status.f_frsize)
    }

    /// Fills the file system until no more than `leave` bytes are free.
    ///
    /// # Errors
    /// When the file cannot be written for another reason.
    pub fn fill(&self, leave: u64) -> Result<(), RigError> {
        let path = self.path().join(BALLAST);
        let failed = |error| RigError::io(format!("writing {}", path.display()))(error);
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed)?;
        let zeros = vec![0; 65_536];
        let mut rest = self.free()?.saturating_sub(leave);
        while rest > 0 {
            let length = usize::try_from(rest).unwrap_or(usize::MAX).min(zeros.len());
            match file.write(&zeros[..length]) {
                Ok(written) => rest = rest.saturating_sub(written as u64),
                // The broker was quicker: it is full as was asked.
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Removes what [`SmallDisk::fill`] wrote.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn relieve(&self) -> Result<(), RigError> {
        let path = self.path().join(BALLAST);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RigError::io(format!("removing {}", path.display()))(error))
            }
            _ => Ok(()),
        }
    }
}
