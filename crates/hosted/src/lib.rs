//! The Linux home: Machine and Gate over memfd, futex, pidfd and Unix sockets, and the supervisor.

pub mod os;
