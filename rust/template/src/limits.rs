//! What this process may use. Set before a byte of a template is looked at, and never lifted. The engine counts steps; what it forgets to count ends here.

const MEMORY: libc::rlim_t = 256 << 20; // address space, so also what is asked for and never touched
const CPU_SECONDS: libc::rlim_t = 1;

/// Memory and processor time; no files, no core dumps. Who exceeds one is ended by the system, and the parent says so.
pub fn confine() -> std::io::Result<()> {
    let limits = [
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_FSIZE, 0),
        (libc::RLIMIT_NOFILE, 0),
        (libc::RLIMIT_AS, MEMORY),
        (libc::RLIMIT_CPU, CPU_SECONDS),
    ];
    for (what, most) in limits {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: the pointer is to a whole rlimit that lives through the call.
        if unsafe { libc::setrlimit(what, &limit) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}
