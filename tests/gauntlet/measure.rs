//! What a process and its threads use, and what it may.

use std::time::Duration;

/// CPU time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    time_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of all threads together.
pub(crate) fn process_time() -> Duration {
    time_of(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn time_of(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the C library writes into a place that is ours")]
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "no such clock");
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Limits this process, for good.
pub(crate) fn limit(address_space: u64, cpu_seconds: u64) {
    for (resource, limit) in [(libc::RLIMIT_AS, address_space), (libc::RLIMIT_CPU, cpu_seconds), (libc::RLIMIT_CORE, 0)]
    {
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        #[expect(unsafe_code, reason = "the C library reads from a place that is ours")]
        let result = unsafe { libc::setrlimit(resource, &limits) };
        assert_eq!(result, 0, "can't set a limit");
    }
}

/// Resident memory in KiB.
pub(crate) fn resident() -> u64 {
    of_status("VmRSS:")
}

/// The most resident memory since [`forget_peak`], in KiB.
pub(crate) fn peak() -> u64 {
    of_status("VmHWM:")
}

pub(crate) fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn of_status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
