//! Free ports that stay free: reserved among all test processes of this user, until this process ends.
//!
//! They lie below the range from which the kernel takes the ports of clients, so that no connection takes one while a
//! broker that used it is down.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use parking_lot::Mutex;

use crate::RigError;
use crate::wait::until;

const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A process that was started runs its program within this.
const LET_GO: Duration = Duration::from_secs(2);

/// Locked files, one a port; the kernel unlocks them at the end of this process.
static RESERVED: Mutex<Vec<(u16, File)>> = Mutex::new(Vec::new());

/// Reserves a port of 127.0.0.1.
///
/// # Errors
/// When the folder of locks cannot be written, or no port is free.
pub fn reserve() -> Result<u16, RigError> {
    let folder = std::env::temp_dir().join(format!("tocsin-e2e-ports-{}", rustix::process::geteuid().as_raw()));
    std::fs::create_dir_all(&folder).map_err(RigError::io(format!("making {}", folder.display())))?;
    let mut reserved = RESERVED.lock();
    // Processes start in different places, or each would try all ports of the one before it.
    let start = u64::from(std::process::id()) * 97 + 7 * reserved.len() as u64;
    for step in 0..u64::from(COUNT) {
        let port = FIRST + u16::try_from((start + step) % u64::from(COUNT)).unwrap_or_default();
        if reserved.iter().any(|(taken, _)| *taken == port) {
            continue;
        }
        let path = folder.join(port.to_string());
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(RigError::io(format!("opening {}", path.display())))?;
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            reserved.push((port, file));
            return Ok(port);
        }
    }
    Err(RigError::Misused(format!("no port from {FIRST} on is free")))
}

/// Listens on a port that is reserved. One that was let go just now is taken for a moment more where another thread starts a process
/// meanwhile: that has the listener until it runs its program.
///
/// # Errors
/// When somebody else listens there.
pub fn listen(port: u16) -> Result<TcpListener, RigError> {
    until(&format!("port {port}"), LET_GO, || {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(RigError::io(format!("listening on port {port}"))(error)),
        }
    })
}
