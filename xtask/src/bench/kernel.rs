//! `bench kernel`: how many instructions each path through the kernel takes, beside another kernel's, and a gate on growth.
//!
//! The emulator counts instructions, so that the figures say nothing about cycles, and are the same on every machine. They depend on the
//! compiler: the file that keeps them names the one they were made with, and another one has some play.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::account;
use crate::context::{Context, Failure};
use crate::qemu;
use crate::run;

/// Where the figures are kept, from the root.
const KEPT: &str = "kernel/paths.txt";

/// What `bench kernel` says about the comparison.
const RULES: &str = "\
Instructions from ring 3 to ring 3, counted by the emulator (-icount shift=0): one processor, the lowest of nine.
seL4: 16.0.0-dev with sel4bench, gcc -O3, fast path on, the same emulator. The same is checked on the way: the right, the kind and the
badge of the capability, that the other side lives and waits; another address space; a reply that can be revoked and works once.
A revocation is the whole call: unusable at once, then everything below is swept and its holders are told before it returns.
";

/// A path that has something to be compared with.
struct Peer {
    /// As the program in ring 3 names it.
    path: &'static str,
    sel4: Option<u64>,
    target: Option<u64>,
    /// So many of them in what was counted.
    per: u64,
}

const fn peer(path: &'static str, sel4: u64, target: u64) -> Peer {
    Peer { path, sel4: Some(sel4), target: Some(target), per: 1 }
}

const fn page(path: &'static str, sel4: Option<u64>, target: Option<u64>) -> Peer {
    Peer { path, sel4, target, per: 512 }
}

const PEERS: [Peer; 17] = [
    peer("null call", 28, 28),
    peer("call, 0 words", 188, 110),
    peer("reply and wait, after 0 words", 215, 120),
    peer("round trip, 0 words", 403, 230),
    peer("call, 10 words", 867, 190),
    peer("send without reply", 770, 150),
    peer("notify, no switch", 416, 70),
    peer("notify and switch", 699, 220),
    peer("an exception, to its handler and back", 1351, 120),
    page("map 512 pages in one call", Some(796), Some(60)),
    page("protect 512 pages in one call", Some(796), Some(60)),
    page("unmap 512 pages in one call", None, None),
    peer("derive a capability", 1039, 150),
    Peer { path: "message over a ring, sent", sel4: None, target: Some(40), per: 1 },
    Peer { path: "message over a ring, received", sel4: None, target: Some(40), per: 1 },
    Peer { path: "revoke, 1 below", sel4: None, target: Some(120), per: 1 },
    Peer { path: "revoke, 100 below", sel4: None, target: Some(120), per: 1 },
];

/// A path, and how many instructions it took.
pub(super) type Count = (String, u64);

/// Counts, prints, writes the rows, and compares with what is kept; or keeps what was counted.
pub(super) fn bench(context: &Context, out: &Path, bless: bool) -> Result<(), Failure> {
    let counts = count(context)?;
    let kept = read(context)?;
    run::print(&table(&counts, &kept.counts));
    std::fs::create_dir_all(out)
        .map_err(|error| Failure::io("cannot make the folder for the rows", &error))?;
    let file = out.join("kernel.json");
    let rows = Value::Array(counts.iter().map(row).collect());
    std::fs::write(&file, format!("{rows:#}\n"))
        .map_err(|error| Failure::io("cannot write the rows", &error))?;
    eprintln!("rows written to {}", file.display());
    if bless {
        keep(context, &counts)?;
        return account::keep(context, &unreached(&counts));
    }
    judge(context, &counts, &kept)
}

/// Prints the account of one path, and before it the instructions if that is asked for.
pub(super) fn print_account(context: &Context, path: &str, has_listing: bool) -> Result<(), Failure> {
    let kept = read(context)?.counts;
    if !kept.iter().any(|(it, _)| it == path) {
        let names: Vec<_> = kept.iter().map(|(path, _)| format!("  {path}")).collect();
        return Err(Failure::Usage(format!(
            "there is no path '{path}'; these are there:\n{}",
            names.join("\n")
        )));
    }
    let counts: Vec<_> = count(context)?.into_iter().filter(|(it, _)| it == path).collect();
    run::print(&account::accounts(context, &counts, has_listing)?);
    Ok(())
}

/// What does not reach its target, and is short enough to be told instruction by instruction.
fn unreached(counts: &[Count]) -> Vec<Count> {
    let is_unreached = |(path, count): &&Count| {
        let target = peer_of(path).and_then(|peer| Some(peer.target? * peer.per));
        *count <= account::LONGEST_KEPT && target.is_some_and(|target| *count > target)
    };
    counts.iter().filter(is_unreached).cloned().collect()
}

/// The gate of CI: no path has grown.
pub(crate) fn check(context: &Context) -> Result<(), Failure> {
    judge(context, &count(context)?, &read(context)?)
}

fn count(context: &Context) -> Result<Vec<Count>, Failure> {
    let said = qemu::count_paths(context)?;
    let counts: Vec<_> = said.lines().filter_map(|line| parse(line.strip_prefix("path ")?)).collect();
    if counts.is_empty() { Err(Failure::Failed(format!("nothing was counted:\n{said}"))) } else { Ok(counts) }
}

fn parse(line: &str) -> Option<Count> {
    let (path, count) = line.trim_end().rsplit_once(": ")?;
    Some((path.to_owned(), count.parse().ok()?))
}

/// What is kept, and by which compiler it was made.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    compiler: String,
    counts: Vec<Count>,
}

impl Kept {
    fn parse(text: &str) -> Self {
        let compiler = text.lines().find_map(|line| line.strip_prefix("# rustc "));
        let counts = text.lines().filter(|line| !line.starts_with('#')).filter_map(parse).collect();
        Self { compiler: compiler.unwrap_or_default().to_owned(), counts }
    }
}

fn read(context: &Context) -> Result<Kept, Failure> {
    let text = std::fs::read_to_string(context.root.join(KEPT));
    text.map(|text| Kept::parse(&text)).map_err(|error| Failure::io(format!("cannot read {KEPT}"), &error))
}

fn keep(context: &Context, counts: &[Count]) -> Result<(), Failure> {
    let mut text = format!(
        "# Instructions of each path through the kernel; `cargo xtask bench kernel --bless` writes this file.\n# rustc {}\n",
        compiler(context)?
    );
    for (path, count) in counts {
        // Writing into a string does not fail.
        let _ = writeln!(text, "{path}: {count}");
    }
    std::fs::write(context.root.join(KEPT), text)
        .map_err(|error| Failure::io(format!("cannot write {KEPT}"), &error))
}

fn compiler(context: &Context) -> Result<String, Failure> {
    let said = run::output(context.command("rustc").arg("--version"))?;
    Ok(String::from_utf8_lossy(&said).trim().trim_start_matches("rustc ").to_owned())
}

fn judge(context: &Context, counts: &[Count], kept: &Kept) -> Result<(), Failure> {
    let is_same = compiler(context)? == kept.compiler;
    let grown = grown(counts, &kept.counts, is_same);
    if grown.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "paths through the kernel have grown, or are not in {KEPT}:\n{grown}shorten them, or say why in the commit that keeps them \
         with `cargo xtask bench kernel --bless`"
    )))
}

/// What is longer than it was, one line each. The same compiler gets one instruction in a hundred and four for what differs with where
/// code comes to lie; another one gets a tenth.
fn grown(counts: &[Count], kept: &[Count], is_same_compiler: bool) -> String {
    let mut lines = String::new();
    for (path, now) in counts {
        let before = kept.iter().find(|(it, _)| it == path).map_or(0, |(_, before)| *before);
        let play = if is_same_compiler { before / 100 + 4 } else { before / 10 + 4 };
        if *now > before + play {
            let _ = writeln!(lines, "  {path}: {before} -> {now}");
        }
    }
    lines
}

fn peer_of(path: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.path == path)
}

fn table(counts: &[Count], kept: &[Count]) -> String {
    let mut text =
        format!("{RULES}\n{:<52} {:>9} {:>7} {:>8}  reached  kept\n", "path", "ours", "seL4", "target");
    for (path, count) in counts {
        let peer = peer_of(path);
        let per = peer.map_or(1, |peer| peer.per);
        let show = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let ours = if per == 1 { count.to_string() } else { format!("{:.1}", *count as f64 / per as f64) };
        let name = if per == 1 { path.clone() } else { format!("{path}, each") };
        let reached = match peer.and_then(|peer| peer.target) {
            Some(target) if *count <= target * per => "yes",
            Some(_) => "NO",
            None => "-",
        };
        let before = kept.iter().find(|(it, _)| it == path).map(|(_, before)| *before);
        let change = match before {
            Some(before) if before == *count => "same".to_owned(),
            Some(before) => format!("{:+}", *count as i64 - before as i64),
            None => "new".to_owned(),
        };
        let (sel4, target) = (show(peer.and_then(|peer| peer.sel4)), show(peer.and_then(|peer| peer.target)));
        let _ = writeln!(text, "{name:<52} {ours:>9} {sel4:>7} {target:>8}  {reached:7}  {change}");
    }
    text
}

/// A row as the other groups have them.
fn row((path, count): &Count) -> Value {
    let peer = peer_of(path);
    let per = peer.map_or(1, |peer| peer.per);
    let value = *count as f64 / per as f64;
    let target = peer.and_then(|peer| peer.target);
    let rivals: serde_json::Map<_, _> =
        peer.and_then(|peer| peer.sel4).map(|sel4| ("seL4".to_owned(), json!(sel4))).into_iter().collect();
    json!({
        "group": "kernel",
        "case": path,
        "unit": "instructions",
        "better": "lower",
        "value": value,
        "target": target,
        "reached": target.map(|target| value <= target as f64),
        "rivals": rivals,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> Vec<Count> {
        pairs.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect()
    }

    #[test]
    fn what_grows_is_named_and_what_shrinks_is_not() {
        let kept = counts(&[("a", 100), ("b", 1000), ("c", 50)]);
        let now = counts(&[("a", 105), ("b", 1014), ("c", 60), ("new", 9)]);
        assert_eq!(grown(&now, &kept, true), "  c: 50 -> 60\n  new: 0 -> 9\n");
        assert_eq!(grown(&now, &kept, false), "  c: 50 -> 60\n  new: 0 -> 9\n");
        assert_eq!(grown(&counts(&[("b", 1100)]), &kept, false), "");
        assert_eq!(grown(&counts(&[("b", 1100)]), &kept, true), "  b: 1000 -> 1100\n");
        assert_eq!(grown(&counts(&[("a", 1)]), &kept, true), "");
    }

    #[test]
    fn names_may_have_colons_and_the_file_says_its_compiler() {
        let kept = Kept::parse("# words\n# rustc 1.95.0 (x)\ncall: 0 words: 12\nno number\n");
        assert_eq!(
            kept,
            Kept { compiler: "1.95.0 (x)".to_owned(), counts: counts(&[("call: 0 words", 12)]) }
        );
    }

    #[test]
    fn batches_are_shown_by_the_page() {
        let text = table(&counts(&[("map 512 pages in one call", 16384)]), &[]);
        assert!(text.contains("map 512 pages in one call, each") && text.contains(" 32.0 "), "{text}");
        assert_eq!(row(&counts(&[("map 512 pages in one call", 16384)])[0])["reached"], json!(true));
    }

    #[test]
    fn what_does_not_reach_its_target_has_an_account_of_the_figure_that_is_kept() {
        let context = Context::new(true);
        assert_eq!(account::kept(&context), unreached(&read(&context).unwrap().counts));
    }

    #[test]
    fn every_figure_that_is_kept_is_of_a_path_and_every_peer_is_counted() {
        let kept = read(&Context::new(true)).unwrap();
        assert!(kept.counts.len() >= PEERS.len() && !kept.compiler.is_empty());
        let missing: Vec<_> =
            PEERS.iter().filter(|peer| !kept.counts.iter().any(|(it, _)| it == peer.path)).collect();
        assert!(missing.is_empty(), "{:?}", missing.iter().map(|it| it.path).collect::<Vec<_>>());
    }
}
