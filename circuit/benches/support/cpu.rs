//! CPU time and memory of this process, from the kernel's accounting.

// Every benchmark takes from here what it needs.
#![allow(dead_code)]

/// CPU seconds of this process so far, all threads, from the fields `utime` and `stime` in ticks of 10 ms.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux accounts for processes");
    let after_name = &stat[stat.rfind(')').expect("the name is in parentheses") + 2..];
    let ticks: f64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().expect("tick counts are numbers"))
        .sum();
    ticks / 100.0
}

/// What the work gives, and the CPU seconds that it takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = cpu_seconds();
    let value = work();
    (value, cpu_seconds() - start)
}

/// The most memory that this process ever held, in MiB.
pub(crate) fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux accounts for memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes = kibibytes.and_then(|count| count.trim().parse::<u64>().ok());
    kibibytes.expect("the line has a number of kB") / 1024
}
