//! NUMA topology, placement policy, and parsers for sysfs text and ACPI SRAT/SLIT.
#![no_std]
