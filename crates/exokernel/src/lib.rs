//! The mechanisms of the exokernel: domains, regions, endpoints, bindings, system calls and audit, over one small Machine trait.
#![no_std]
