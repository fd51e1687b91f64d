//! Writes the seeds of all targets: `seeds FOLDER` makes `FOLDER/TARGET/NUMBER`.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| "corpus".into()));
    for (target, _) in feuerbird_serialization_fuzz::TARGETS {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in feuerbird_serialization_fuzz::seeds::seeds(target).iter().enumerate() {
            fs::write(folder.join(number.to_string()), seed)?;
        }
    }
    Ok(())
}
