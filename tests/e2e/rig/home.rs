//! The temporary folder of this test process, and its end.
//!
//! A static is never dropped, and a killed process drops nothing; so a small shell waits for the end of this process
//! and then removes the folder. It holds nothing but a pipe's reading end.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::RigError;

/// Reads until this process's end of the pipe closes, then removes the folder. Processes of the rig are killed at the
/// same moment and may still write a last file, hence the tries.
const JANITOR: &str = r#"read -r _; tries=0; until rm -rf "$0" 2>/dev/null || [ $tries -ge 100 ]; do tries=$((tries + 1)); sleep 0.1; done"#;

struct Home {
    folder: PathBuf,
    /// Closed by the kernel when this process ends.
    _janitor: ChildStdin,
}

static HOME: OnceLock<Home> = OnceLock::new();
static MAKING: Mutex<()> = Mutex::new(());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new folder in this process's temporary folder. `name` says what it is for.
///
/// # Errors
/// When a folder cannot be made or the process that removes it cannot be started.
pub fn new_folder(name: &str) -> Result<PathBuf, RigError> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = home()?.join(format!("{number}-{name}"));
    std::fs::create_dir_all(&folder).map_err(RigError::io(format!("making {}", folder.display())))?;
    Ok(folder)
}

/// This process's temporary folder, which holds all others.
///
/// # Errors
/// As [`new_folder`].
pub fn home() -> Result<&'static Path, RigError> {
    let _making = MAKING.lock();
    if let Some(home) = HOME.get() {
        return Ok(&home.folder);
    }
    let folder = tempfile::Builder::new()
        .prefix("tocsin-e2e-")
        .tempdir()
        .map_err(RigError::io("making a temporary folder"))?
        .keep();
    let mut janitor = Command::new("setsid")
        .args(["sh", "-c", JANITOR])
        .arg(&folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(RigError::io("starting setsid, which comes with util-linux"))?;
    let Some(pipe) = janitor.stdin.take() else {
        return Err(RigError::Misused("the janitor has no pipe".to_owned()));
    };
    let home = HOME.get_or_init(|| Home { folder, _janitor: pipe });
    Ok(&home.folder)
}
