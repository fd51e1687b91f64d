//! The system calls that a sandboxed program may make, as two BPF programs.
//!
//! Everything not listed is answered with EPERM. Killing would be stricter and no safer, and would turn every new version
//! of the C library into a crash.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Stands for the pid of the program, which is known only after the fork. No pid (22 bits) and no other constant.
const PID: u32 = 0x5eed_f1d0;
/// `jeq #k` (linux/bpf_common.h: BPF_JMP | BPF_JEQ | BPF_K).
const JUMP_IF_EQUAL: u16 = 0x15;

/// Bits of `open`'s flags that change something: not read-only, create, truncate, append, temporary file.
const OPEN_TO_WRITE: u64 = (libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_TRUNC
    | libc::O_APPEND
    | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u64;
const THREAD: u64 = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64;
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Allowed with any arguments.
const ALLOWED: &[i64] = &[
    // Bytes, through descriptors that the program was given or could open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    // Looking at files; landlock says at which.
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_memfd_create,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    // Threads, waiting, signals to oneself.
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // `clone3` takes a pointer, which a filter cannot look behind: the other filter says that it does not exist, and the
    // C library takes `clone`. Allowed here, for of two answers the first filter's would otherwise lose.
    libc::SYS_clone3,
    // Time, chance, and who am I.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    // Beginning and end. A filter cannot count to one `execve`; landlock leaves only the program itself to be executed.
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Older names of the above, which only this architecture still has.
#[cfg(target_arch = "x86_64")]
const ALLOWED_OLD: &[i64] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_getrlimit,
    libc::SYS_lstat,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_OLD: &[i64] = &[];

/// `fcntl` without those that make the kernel send signals (`F_SETOWN`, `F_SETSIG`) and without leases and locks.
const FCNTL: [i32; 8] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];
/// `ioctl` without those that put characters into somebody's terminal (`TIOCSTI`).
const IOCTL: [u64; 5] = [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIOCLEX, libc::FIONBIO];
/// `PR_SET_VMA` names memory for `/proc/<pid>/maps`.
const PRCTL: [i32; 3] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];

/// The two programs, in the order they have to be installed.
#[derive(Debug)]
pub(super) struct Filters {
    /// Says that `clone3` does not exist.
    pub(super) absent: BpfProgram,
    /// The list. Not complete before [`Filters::set_pid`].
    pub(super) allowed: BpfProgram,
}

impl Filters {
    pub(super) fn compile() -> Result<Self, BackendError> {
        let arch = std::env::consts::ARCH.try_into()?;
        let absent = SeccompFilter::new(
            BTreeMap::from([(libc::SYS_clone3, vec![])]),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS as u32),
            arch,
        )?;
        let allowed = SeccompFilter::new(
            rules()?,
            SeccompAction::Errno(libc::EPERM as u32),
            SeccompAction::Allow,
            arch,
        )?;
        Ok(Self { absent: absent.try_into()?, allowed: allowed.try_into()? })
    }

    /// Allows signals to the process `pid`. Allocates nothing.
    pub(super) fn set_pid(&mut self, pid: u32) {
        for instruction in &mut self.allowed {
            if instruction.code == JUMP_IF_EQUAL && instruction.k == PID {
                instruction.k = pid;
            }
        }
    }
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    // No rule for a call means: with any arguments. Several mean: one of them.
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(ALLOWED_OLD).map(|&call| (call, vec![])).collect();
    let read_only = |index| one(index, SeccompCmpOp::MaskedEq(OPEN_TO_WRITE), 0);
    rules.insert(libc::SYS_openat, vec![read_only(2)?]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, vec![read_only(1)?]);
    rules.insert(libc::SYS_clone, vec![one(0, SeccompCmpOp::MaskedEq(THREAD | NAMESPACES), THREAD)?]);
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![one(0, SeccompCmpOp::Eq, u64::from(PID))?]);
    }
    rules.insert(libc::SYS_fcntl, any_of(1, FCNTL.map(|command| command as u64))?);
    rules.insert(libc::SYS_ioctl, any_of(1, IOCTL)?);
    rules.insert(libc::SYS_prctl, any_of(0, PRCTL.map(|option| option as u64))?);
    rules.insert(libc::SYS_sched_setaffinity, vec![one(0, SeccompCmpOp::Eq, 0)?]);
    // Only to the peer a socket is connected to, and only asking about one's own limits.
    rules.insert(libc::SYS_sendto, vec![SeccompRule::new(vec![null(4)?])?]);
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![own, null(2)?])?]);
    Ok(rules)
}

/// A rule on the low half of one argument; the kernel, too, takes these arguments for ints.
fn one(index: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?])
}

fn any_of<const N: usize>(index: u8, values: [u64; N]) -> Result<Vec<SeccompRule>, BackendError> {
    values.into_iter().map(|value| one(index, SeccompCmpOp::Eq, value)).collect()
}

fn null(index: u8) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_is_compared_in_kill_and_tgkill_only() {
        let mut filters = Filters::compile().unwrap();
        let places =
            |filters: &Filters, k| filters.allowed.iter().filter(|instruction| instruction.k == k).count();
        assert_eq!(places(&filters, PID), 2);
        filters.set_pid(0x3f_fff1);
        assert_eq!((places(&filters, PID), places(&filters, 0x3f_fff1)), (0, 2));
    }
}
