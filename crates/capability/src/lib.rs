//! Capabilities: rights, trust, badges, capability spaces, derivation and revocation.
#![no_std]
