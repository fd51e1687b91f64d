//! What a program links: typed handles on domains, capabilities and channels, over one small Gate trait.
#![no_std]
