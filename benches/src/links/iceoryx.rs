//! iceoryx2 publish-subscribe between two processes, polled, with loans and in place: its fast path.

use std::fs;
use std::path::{Path as FsPath, PathBuf};

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

use crate::link::{Incoming, LinkError, Outgoing, Spinning, sum};
use crate::links::limit::Side;
use crate::raw;

/// Begins the name of every file iceoryx2 makes for us, followed by the process id of the measuring side.
const PREFIX: &str = "feuerbird_bench_";
/// Messages a subscriber holds before its publisher waits.
const DEPTH: usize = 32;

/// A connection; the node comes last, because ports go before their node.
pub type Iceoryx = Spinning<Out, In>;

/// The publishing half.
pub struct Out {
    publisher: Publisher<ipc::Service, [u64], ()>,
    words: usize,
}

/// The subscribing half, which also keeps the node.
pub struct In {
    subscriber: Subscriber<ipc::Service, [u64], ()>,
    _node: Node<ipc::Service>,
}

/// Opens one side of the connection `name` for messages of `bytes`; `owner` is the measuring process.
///
/// # Errors
/// [`LinkError::Transport`] where iceoryx2 refuses, with its reason on the standard error stream.
pub fn open(name: &str, owner: u32, bytes: usize, side: Side) -> Result<Iceoryx, LinkError> {
    set_log_level(LogLevel::Error);
    build(name, owner, bytes, side).map_err(|reason| {
        eprintln!("iceoryx2: {reason}");
        LinkError::Transport(std::io::ErrorKind::Other)
    })
}

fn build(name: &str, owner: u32, bytes: usize, side: Side) -> Result<Iceoryx, Box<dyn std::error::Error>> {
    let mut config = Config::default();
    let prefix = format!("{PREFIX}{owner}_");
    config.global.prefix = FileName::new(prefix.as_bytes()).map_err(|e| format!("{e:?}"))?;
    let node = NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()?;
    let (out, back) = if side == Side::First { ("out", "back") } else { ("back", "out") };
    let service = |direction: &str| -> Result<_, Box<dyn std::error::Error>> {
        Ok(node
            .service_builder(&format!("{name}/{direction}").as_str().try_into()?)
            .publish_subscribe::<[u64]>()
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(DEPTH)
            .subscriber_max_borrowed_samples(2)
            .open_or_create()?)
    };
    let subscriber = service(back)?.subscriber_builder().create()?;
    let publisher = service(out)?
        .publisher_builder()
        .initial_max_slice_len(bytes / 8)
        .max_loaned_samples(2)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()?;
    let (outgoing, incoming) = (Out { publisher, words: bytes / 8 }, In { subscriber, _node: node });
    Ok(Spinning { outgoing, incoming })
}

/// Removes what a measurement of process `owner` would leave behind if it ended here.
pub fn sweep(owner: u32) {
    let root = PathBuf::from(Config::default().global.root_path().to_string());
    let nodes: Vec<PathBuf> = entries(&root.join("nodes")).collect();
    let folders = [PathBuf::from("/dev/shm"), root.join("services"), root.clone()];
    for folder in folders.iter().chain(&nodes) {
        sweep_folder(folder, &format!("{PREFIX}{owner}_"));
    }
}

/// Removes the files in `folder` that are ours, and a node's folder with the last of them.
fn sweep_folder(folder: &FsPath, prefix: &str) {
    let ours =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let mut swept = false;
    for path in entries(folder).filter(ours) {
        // A file that is gone already is what we want.
        let _ = fs::remove_file(path);
        swept = true;
    }
    if swept && folder.parent().is_some_and(|parent| parent.ends_with("nodes")) {
        // Fails where it is not empty: then it is somebody else's too.
        let _ = fs::remove_dir(folder);
    }
}

fn entries(folder: &FsPath) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

impl Outgoing for Out {
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        let Ok(sample) = self.publisher.loan_slice_uninit(self.words) else { return Ok(false) };
        let sample = raw::fill_sample(sample, stamp);
        sample.send().map(|_| true).map_err(|_| LinkError::Disconnected)
    }
}

impl Incoming for In {
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        match self.subscriber.receive() {
            Ok(sample) => Ok(sample.map(|sample| sum(sample.payload()))),
            Err(_) => Err(LinkError::Disconnected),
        }
    }
}
