//! Tells what the instructions of a path through the kernel are: boots it, steps through one run, and adds up by function.
//!
//! `cargo xtask bench kernel --account NAME` builds the images, knows the machine and the figures, and starts this program. It is a
//! package of its own because of what it depends on: nobody who wants another task builds that.
#![forbid(unsafe_code)]

mod groups;
mod image;
mod report;
mod step;
mod stub;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use image::{Image, Images};
use trace::Traced;

#[derive(Parser)]
struct Args {
    /// The kernel, with symbols.
    #[arg(long)]
    kernel: PathBuf,
    /// The program of ring 3, with symbols.
    #[arg(long)]
    programs: PathBuf,
    /// The root of the checkout.
    #[arg(long)]
    root: PathBuf,
    /// A path and its figure.
    #[arg(long = "path", value_name = "NAME=COUNT", value_parser = path, required = true)]
    paths: Vec<(String, usize)>,
    /// Each instruction in the order of execution.
    #[arg(long)]
    listing: bool,
    /// The emulator and its arguments; its stub is at its standard streams.
    #[arg(last = true, required = true)]
    machine: Vec<String>,
}

fn path(text: &str) -> Result<(String, usize), String> {
    let (name, count) = text.rsplit_once('=').ok_or("no figure")?;
    Ok((name.to_owned(), count.parse().map_err(|_| "the figure is no number")?))
}

fn main() -> ExitCode {
    match account(&Args::parse()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn account(args: &Args) -> Result<String, String> {
    let images = Images {
        kernel: Image::read(&args.kernel, &args.root)?,
        programs: Image::read(&args.programs, &args.root)?,
    };
    let (nothing, traced) = trace::trace(&images, &args.paths, &args.machine)?;
    let mut accounts = Vec::new();
    for Traced { path, addresses } in &traced {
        let steps = step::steps(&images, addresses);
        let listing = if args.listing { report::listing(&steps) + "\n" } else { String::new() };
        accounts.push(listing + &report::account(path, nothing, &steps));
    }
    Ok(accounts.join("\n"))
}
