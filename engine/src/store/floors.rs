//! The lowest revision ever to be accepted again, kept apart from the store.
//!
//! A store that can't be read is moved aside and filled again from the network; if the floor went with it, whoever
//! controls the network could offer an older bundle. So floors also live in two small files, written in turn, each with
//! its own checksum, before the store's batch: a torn write spoils one file and never both.
//!
//! Format, one line: `meshguard-floor 1 <sequence> <key_epoch> <version> <BLAKE3 of what precedes>`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::StoreError;
use crate::bundle::AtLeast;
use crate::digest::Digest;

const NAMES: [&str; 2] = ["floor-a", "floor-b"];
const MAGIC: &str = "meshguard-floor 1";

/// Where the floor of one tenant and scope is kept.
#[derive(Debug)]
pub struct FloorFiles {
    /// None for a store that forgets as well.
    dir: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    sequence: u64,
    floor: AtLeast,
}

impl FloorFiles {
    /// A floor that is forgotten when dropped.
    pub fn in_memory() -> Self {
        Self { dir: None, state: Mutex::default() }
    }

    /// The floor in `dir`, made if there is none. A file that can't be read counts as absent: the other one, or the
    /// store, has it.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|e| StoreError::Io(format!("`{}`: {e}", dir.display())))?;
        let read = |name: &&str| fs::read_to_string(dir.join(name)).ok().and_then(|text| parse(&text));
        let state = NAMES.iter().filter_map(read).max_by_key(|state| state.sequence).unwrap_or_default();
        Ok(Self { dir: Some(dir.to_owned()), state: Mutex::new(state) })
    }

    /// The floor.
    pub fn get(&self) -> AtLeast {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).floor
    }

    /// Raises the floor to `floor`; a lower one changes nothing. When it returns, a power cut doesn't lower it.
    ///
    /// # Errors
    /// The disk refuses; the floor in force is still the old one.
    pub fn raise(&self, floor: AtLeast) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if floor <= state.floor {
            return Ok(());
        }
        let next = State { sequence: state.sequence + 1, floor };
        if let Some(dir) = &self.dir {
            let [a, b] = NAMES;
            let name = if next.sequence.is_multiple_of(2) { a } else { b };
            write_synced(&dir.join(name), &render(next))
                .map_err(|e| StoreError::Io(format!("writing the floor: {e}")))?;
        }
        *state = next;
        Ok(())
    }
}

fn write_synced(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // The name too, the first time.
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

fn render(state: State) -> String {
    let body = format!("{MAGIC} {} {} {}", state.sequence, state.floor.key_epoch, state.floor.version);
    format!("{body} {}\n", Digest::of(body.as_bytes()))
}

fn parse(text: &str) -> Option<State> {
    let (body, digest) = text.trim_end().rsplit_once(' ')?;
    if digest != Digest::of(body.as_bytes()).to_string() {
        return None;
    }
    let mut numbers = body.strip_prefix(MAGIC)?.split_whitespace().map(|n| n.parse().ok());
    let (sequence, key_epoch, version) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(State { sequence, floor: AtLeast { key_epoch, version } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: u64) -> AtLeast {
        AtLeast { key_epoch: 1, version }
    }

    #[test]
    fn never_falls() {
        let dir = tempfile::tempdir().unwrap();
        let floors = FloorFiles::open(dir.path()).unwrap();
        for version in [3, 2, 5, 4] {
            floors.raise(at(version)).unwrap();
        }
        assert_eq!(floors.get(), at(5));
        assert_eq!(FloorFiles::open(dir.path()).unwrap().get(), at(5));
    }

    #[test]
    fn one_spoiled_file_costs_one_step_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let floors = FloorFiles::open(dir.path()).unwrap();
        floors.raise(at(1)).unwrap();
        floors.raise(at(2)).unwrap();
        let whole = fs::read(dir.path().join(NAMES[0])).unwrap();
        for cut in 0..whole.len() - 1 {
            fs::write(dir.path().join(NAMES[0]), &whole[..cut]).unwrap();
            assert_eq!(FloorFiles::open(dir.path()).unwrap().get(), at(1), "cut at {cut}");
        }
        for flip in 0..whole.len() - 1 {
            let mut bytes = whole.clone();
            bytes[flip] ^= 1;
            fs::write(dir.path().join(NAMES[0]), &bytes).unwrap();
            assert_eq!(FloorFiles::open(dir.path()).unwrap().get(), at(1), "flipped at {flip}");
        }
    }
}
