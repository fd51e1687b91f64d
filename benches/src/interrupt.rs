//! Ctrl-C: the answering process ends with us (see [`peer`](crate::peer)), and what iceoryx2 keeps in files goes too.

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::links::iceoryx;

/// The answering process, 0 while there is none.
static PEER: AtomicI32 = AtomicI32::new(0);

/// How long a killed process may take to be gone.
const GRACE: Duration = Duration::from_millis(20);

/// Remembers the answering process; `None` forgets it.
pub fn remember(peer: Option<u32>) {
    PEER.store(peer.map_or(0, |pid| pid as i32), Ordering::SeqCst);
}

/// Starts the thread that waits for a signal to end by.
///
/// # Errors
/// What the system said.
pub fn clean_up_on_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            if let Some(peer) = Pid::from_raw(PEER.load(Ordering::SeqCst)) {
                // Gone already is what we want.
                let _ = kill_process(peer, Signal::KILL);
            }
            std::thread::sleep(GRACE);
            iceoryx::sweep(std::process::id());
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}
