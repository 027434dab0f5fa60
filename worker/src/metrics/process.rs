//! What the kernel says of this process.

use std::time::Duration;

/// What the kernel says of this process; nothing of what cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// CPU time, in the program and in the kernel.
    pub cpu: Option<Duration>,
    /// Bytes of memory that are in RAM.
    pub memory: Option<u64>,
    /// Open files and connections.
    pub files: Option<u64>,
}

pub(super) fn look() -> Process {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let files = std::fs::read_dir("/proc/self/fd").map(|folder| folder.count() as u64);
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let (cpu, pages) = parse(&stat).unzip();
    Process {
        cpu: cpu.map(|cpu| Duration::from_secs_f64(cpu as f64 / ticks as f64)),
        memory: pages.map(|pages| pages.saturating_mul(rustix::param::page_size() as u64)),
        files: files.ok(),
    }
}

/// CPU time in ticks and memory in pages. The program's name, in parentheses, may have any characters.
fn parse(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some((number(11)?.saturating_add(number(12)?), number(21)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_is_passed_over() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 4194560 5 0 0 0 250 50 0 0 20 0 9 0 1000 900000 777 18446744073709551615";
        assert_eq!(parse(stat), Some((300, 777)));
        assert_eq!(parse("42 (a) S 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let process = look();
        assert!(process.memory > Some(1 << 20) && process.files > Some(0) && process.cpu.is_some());
    }
}
