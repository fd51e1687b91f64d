//! A hundred times SIGKILL at random moments: survivors go on, nothing they had is lost, the pool is whole.
#![allow(clippy::unwrap_used)] // a test may unwrap

use std::{
    sync::atomic::Ordering,
    thread::sleep,
    time::{Duration, Instant},
};

use feuerbird::{
    Domain,
    hosted::{SocketGate, os::clock::now_ns, os::memory::ReaderMemory},
    libos::{Handle, SharedRegion},
    prelude::{Terms, Trust},
    serialization::{
        Layer,
        sample::{SampleMessage, encoded_size},
    },
    zero_copy::{Region, WriteRegion},
};
use feuerbird_tests::numbered::{
    BUFFERS_LOST, NOTICED, PAYLOAD_BYTES, PUBLISHED, Tally, Worker, start, tally,
};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const KILLS: usize = 50;

struct Scene {
    domain: Domain,
    endpoint: Handle<SocketGate>,
    orders: SharedRegion<SocketGate>,
    random: u64,
}

impl Scene {
    fn new() -> Self {
        let seed =
            std::env::var("FEUERBIRD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now_ns)
                | 1;
        println!("FEUERBIRD_SEED={seed} repeats the moments");
        let domain = feuerbird::embedded().unwrap();
        let largest = encoded_size(PAYLOAD_BYTES, Layer::Full) as u32;
        let endpoint = domain.endpoint(Terms::new(largest, 64).unwrap()).unwrap();
        let orders = domain.region(4096).unwrap();
        Self { domain, endpoint, orders, random: seed }
    }

    fn start(&self, role: &str, number: usize) -> Worker {
        start(&self.domain, ACTOR, role, number, &self.endpoint, &self.orders, Trust::USER).unwrap()
    }

    fn stop(&self) {
        self.orders.writer.writable()[0].store(1, Ordering::Release);
    }

    fn random_pause(&mut self) {
        // xorshift64* (Vigna, 2014).
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let micros = (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % 60_000;
        sleep(Duration::from_micros(micros));
    }
}

fn ends_well(worker: &mut Worker) {
    let status = worker.child.wait_timeout(Duration::from_secs(30)).unwrap().expect("a survivor hangs");
    assert!(status.success(), "a survivor failed: {status}");
}

/// Everything that a killed producer had published arrives; its consumers never notice anything but its end.
#[test]
fn killed_producers_harm_nobody() {
    let mut scene = Scene::new();
    // Bound as long as the run lasts, so that consumers do not take a moment without producers for the end.
    let holder = scene.domain.sender::<SampleMessage>(&scene.endpoint).unwrap();
    let mut consumers = [scene.start("consumer", 0), scene.start("consumer", 1)];
    let mut producers = vec![(0, scene.start("producer", 0)), (1, scene.start("producer", 1))];
    let mut published = Vec::new();
    for kill in 0..KILLS {
        scene.random_pause();
        let (number, mut victim) = producers.remove(kill % 2);
        victim.child.process.kill().unwrap();
        victim.child.process.wait().unwrap();
        published.push((number, victim.report.words().load(PUBLISHED)));
        producers.insert(kill % 2, (kill + 2, scene.start("producer", kill + 2)));
    }
    scene.stop();
    for (number, mut producer) in producers {
        ends_well(&mut producer);
        published.push((number, producer.report.words().load(PUBLISHED)));
        assert_eq!(producer.report.words().load(BUFFERS_LOST), 0);
    }
    drop(holder);
    consumers.iter_mut().for_each(ends_well);
    let reports: Vec<ReaderMemory> = consumers.into_iter().map(|consumer| consumer.report).collect();
    let Tally { lost, twice, altered, uncounted, seen } = tally(&published, &reports).unwrap();
    println!("{seen} messages seen, {uncounted} that their producer had no time to count");
    assert!(seen > 1000);
    assert_eq!((lost, twice, altered), (0, 0, 0));
    assert!(uncounted <= KILLS as u64);
}

/// What a killed consumer had not taken goes to another one, once; at most the message in its hand goes with it.
#[test]
fn killed_consumers_take_at_most_one_message_along() {
    let mut scene = Scene::new();
    // A consumer that comes after the last producer has gone would wait for the next one: this one is there to the end.
    let holder = scene.domain.sender::<SampleMessage>(&scene.endpoint).unwrap();
    let mut producers = [scene.start("producer", 0), scene.start("producer", 1)];
    let mut consumers = vec![scene.start("consumer", 0), scene.start("consumer", 1)];
    let mut reports = Vec::new();
    for kill in 0..KILLS {
        scene.random_pause();
        let mut victim = consumers.remove(kill % 2);
        victim.child.process.kill().unwrap();
        victim.child.process.wait().unwrap();
        reports.push(victim.report);
        consumers.insert(kill % 2, scene.start("consumer", kill + 2));
    }
    scene.stop();
    let mut published = Vec::new();
    for (number, producer) in producers.iter_mut().enumerate() {
        ends_well(producer);
        published.push((number, producer.report.words().load(PUBLISHED)));
        assert_eq!(producer.report.words().load(BUFFERS_LOST), 0, "the pool is not whole");
    }
    sleep(Duration::from_millis(300));
    drop(holder);
    consumers.iter_mut().for_each(ends_well);
    reports.extend(consumers.into_iter().map(|consumer| consumer.report));
    let Tally { lost, twice, altered, uncounted, seen } = tally(&published, &reports).unwrap();
    println!("{seen} messages seen, {lost} taken along by {KILLS} killed consumers");
    assert!(seen > 1000);
    assert!(lost <= KILLS as u64, "{lost} lost with {KILLS} consumers");
    assert_eq!((twice, altered, uncounted), (0, 0, 0));
}

/// A survivor that waits is told within 20 ms (the median; the longest may be what a busy machine makes of it), and nothing is
/// left behind.
#[test]
fn waiting_survivors_are_told_in_time_and_nothing_is_left_behind() {
    let files_before = leftovers();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut times = Vec::new();
    let mut before = 0;
    for round in 0..12 {
        let scene = Scene::new();
        // Even rounds: a consumer waits for a producer that is killed. Odd rounds: a producer waits for room.
        let (mut survivor, mut victim) = if round % 2 == 0 {
            (scene.start("consumer", 0), scene.start("producer", 0))
        } else {
            (scene.start("producer", 0), scene.start("consumer", 0))
        };
        sleep(Duration::from_millis(60));
        let killed_at = now_ns();
        victim.child.process.kill().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while survivor.report.words().load(NOTICED) == 0 && Instant::now() < end {
            sleep(Duration::from_micros(200));
        }
        let noticed_at = survivor.report.words().load(NOTICED);
        assert!(noticed_at > 0, "the survivor of round {round} was never told");
        times.push(noticed_at.saturating_sub(killed_at) / 1000);
        ends_well(&mut survivor);
        victim.child.process.wait().unwrap();
        if round == 1 {
            before = descriptors();
        }
    }
    times.sort_unstable();
    println!("survivors were told after {times:?} us");
    assert!(times[times.len() / 2] <= 20_000, "the median is over 20 ms: {times:?} us");
    assert!(times[times.len() - 1] <= 1_000_000, "a survivor hung: {times:?} us");
    // Each round's own supervisor keeps a few; a leak of lanes would be tens per round.
    assert!(descriptors() <= before + 10 * 12, "descriptors leak: {before} to {}", descriptors());
    assert_eq!(leftovers(), files_before, "something was left in the file system");
}

/// Names of ours where shared memory and sockets would be left.
fn leftovers() -> Vec<String> {
    let folders = [std::path::PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let names = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut ours: Vec<_> = names.filter(|name| name.contains("feuerbird")).collect();
    ours.sort();
    ours
}
