//! Raw, Cap'n Proto Lite and Cap'n Proto Full behind one trait, chosen by trust.
#![no_std]
