//! What the fuzz targets check, on vectors that are bent and on bytes that are nothing at all.

use std::fs;
use std::io;
use std::path::Path;

use meshguard_differential::fuzz;
use proptest::prelude::*;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 4] =
    [("policy", fuzz::policy), ("input", fuzz::input), ("bundle", fuzz::bundle), ("manifest", fuzz::manifest)];

/// What the targets start from.
fn corpus(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(fs::read).collect()
}

#[test]
fn each_target_has_a_corpus_that_passes() {
    for (name, target) in TARGETS {
        let corpus = corpus(name).unwrap();
        assert!(corpus.len() >= 5, "{name}");
        corpus.iter().for_each(|bytes| target(bytes));
    }
}

/// A change of a file: at a place, so many bytes give way to others.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    let printable = prop::collection::vec(prop_oneof![b' '..=b'~', any::<u8>()], 0..4);
    prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, printable), 1..5)
}

fn bent(bytes: &[u8], changes: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, removed, added) in changes {
        let start = place.index(bytes.len() + 1);
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, added.iter().copied());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bent_files_are_answered_or_refused(at in any::<prop::sample::Index>(), changes in changes()) {
        for (name, target) in TARGETS {
            let corpus = corpus(name).unwrap();
            let bytes: &Vec<u8> = at.get(&corpus);
            target(&bent(bytes, &changes));
        }
    }

    #[test]
    fn any_bytes_are_answered_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}
