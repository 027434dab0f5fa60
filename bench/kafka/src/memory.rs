//! Memory of the machine.

use anyhow::Context as _;

/// The most bytes of memory that a process has held.
pub fn most_held(pid: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = kibibytes.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<usize>().ok());
    Ok(kibibytes.with_context(|| format!("{path} has another form than proc(5) says"))? << 10)
}

/// Takes so many bytes of memory and gives them back: what a virtual machine's host has taken back of free memory comes only
/// when it is used, at 1 GB/s or so.
pub fn warm(bytes: usize) {
    const PAGE: usize = 4096;
    let mut memory = vec![0u8; bytes];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}
