//! What fuzzing found, and what somebody who means harm would send: no decoder panics, and none takes much memory for little input.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use super::{DECODERS, decode, memory::measure};

/// What an object of 1 KiB may take, and what of this may be allocated again and again: memory is time.
const MOST_AT_ONCE: usize = 64 << 20;
const MOST_ALTOGETHER: usize = 512 << 20;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name)
}

fn assert_bounded(name: &str, what: &str, bytes: &[u8]) {
    let taken = measure(|| decode(name, bytes));
    assert!(taken.peak <= MOST_AT_ONCE, "{name} takes {} bytes for the {} bytes of {what}", taken.peak, bytes.len());
    assert!(taken.total <= MOST_ALTOGETHER, "{name} allocates {} bytes for the {} bytes of {what}", taken.total, bytes.len());
}

/// The corpus of a decoder, and its seeds.
pub(super) fn inputs(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 2, "{name} has no corpus");
    files.iter().map(|file| std::fs::read(file).unwrap()).chain(super::seeds::seeds(name)).collect()
}

/// A panic names the decoder's line; the number is the last one printed.
#[test]
fn the_corpora_are_decoded() {
    for (name, _) in DECODERS {
        for (number, bytes) in inputs(name).iter().enumerate() {
            println!("{name} {number}");
            assert_bounded(name, &format!("input {number}"), bytes);
        }
    }
}

/// Where libFuzzer begins: real files and blocks.
#[test]
fn every_decoder_reads_something_real() {
    let write = std::env::var_os("KUBESTASH_WRITE_SEEDS").is_some();
    for (name, _) in DECODERS {
        let seeds = super::seeds::seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        for (at, seed) in seeds.iter().enumerate() {
            assert_bounded(name, &format!("seed {at}"), seed);
            let file = corpus(name).join(format!("seed-{at}"));
            if write {
                std::fs::create_dir_all(corpus(name)).unwrap();
                std::fs::write(&file, seed).unwrap();
            }
        }
    }
}

/// At most 1 KiB each, made to take as much as can be.
fn bombs() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut bombs: Vec<(&'static str, String, Vec<u8>)> = Vec::new();
    let mut text = |name, what: &str, text: String| {
        let of_yaml: &[&str] = if name == "yaml" { &["parts", "documents"] } else { &[] };
        for name in of_yaml.iter().copied().chain([name]) {
            bombs.push((name, what.to_owned(), text.as_bytes().to_vec()));
        }
    };
    // A billion laughs, as maps and as lists.
    let mut laughs = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n".to_owned();
    for level in 1..20 {
        let before = format!("*a{}", level - 1);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 7].join(",")));
    }
    text("yaml", "aliases of aliases", laughs[..laughs.rfind('\n').unwrap().min(1000)].rsplit_once('\n').unwrap().0.to_owned());
    text("yaml", "an alias of itself", "a: &a [*a,*a,*a,*a]\n".to_owned());
    text("yaml", "merges", format!("a: &a {{x: 1}}\nb: &b {{<<: [{}]}}\n", ["*a"; 200].join(",")));
    text("yaml", "open lists", "[".repeat(1024));
    text("yaml", "open maps", "{a: ".repeat(256));
    text("yaml", "dashes", "- ".repeat(512));
    text("yaml", "long indents", format!("a:\n{}b: |9\n", " ".repeat(900)));
    text("yaml", "tags and anchors", "!!map &a ".repeat(113));
    text("yaml", "many documents", "---\n".repeat(256));
    text("json", "open lists", "[".repeat(1024));
    text("json", "nested maps with many leaves", format!("{}[{}1]{}", r#"{"a":"#.repeat(100), "1,".repeat(200), "}".repeat(100)));
    text("json", "nested lists", format!("{}{}", "[".repeat(512), "]".repeat(512)));
    text("json", "equal keys", format!("{{{}\"a\":1}}", "\"a\":1,".repeat(160)));
    text("json", "a secret of blanks", format!(r#"{{"data":{{"a":"{}"}}}}"#, "\\n".repeat(400)));
    text("list", "depth", format!("{{\"items\":[{}", "[{".repeat(500)));
    text("list", "empty items", format!("{{\"items\":[{}{{}}]}}", "{},".repeat(330)));
    text("root", "deep filters", format!("{{\"filters\":{}", "[".repeat(1000)));
    text("config", "deep JSON", "[".repeat(1024));
    text("key", "deep JSON", "[".repeat(1024));
    for raw in [32 << 20, 16 << 20, 1 << 20] {
        let zeros = zstd::bulk::compress(&vec![0; raw], 19).unwrap();
        let mut bytes = vec![1];
        bytes.extend_from_slice(&u32::try_from(raw).unwrap().to_le_bytes());
        bytes.extend_from_slice(&zeros);
        if bytes.len() <= 1024 {
            bombs.push(("content", format!("{raw} zeros in {}", bytes.len()), bytes));
        }
    }
    // A text of escapes that repeat one hash again and again, and one in base64.
    for (what, text) in [
        ("hashes", [b"\x01\x01".to_vec(), b"\x01\x03".repeat(131_071)].concat()),
        ("base64", [&b"\x01\x02\x80\x80\x80\x03"[..], &[0; 6 << 20]].concat()),
    ] {
        let frame = zstd::bulk::compress(&text, 19).unwrap();
        let lengths = [8 << 20, text.len() as u32, 32].map(u32::to_le_bytes);
        let bytes = [&[3][..], lengths.as_flattened(), &[9; 32], &frame].concat();
        if bytes.len() <= 1024 {
            bombs.push(("content", format!("{what} in {}", bytes.len()), bytes));
        }
    }
    // Counts that are not there.
    for (name, head) in [("pack", &[][..]), ("index", &[1]), ("table", &[1]), ("segment", &[1]), ("catalog", &[255, 0, 1])] {
        for count in [&[0xFF, 0xFF, 0x3F][..], &[0x80, 0x20], &[0xFF; 9], &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]] {
            for fill in [0_u8, 1, 0x7F, 0xFF] {
                let mut bytes = [head, count].concat();
                bytes.resize(1024, fill);
                bombs.push((name, format!("a count of {count:?} and {fill}"), bytes));
            }
        }
    }
    bombs
}

#[test]
fn a_small_object_takes_little() {
    for (name, what, bytes) in bombs() {
        assert!(bytes.len() <= 1024, "{name} {what}: {}", bytes.len());
        assert_bounded(name, &what, &bytes);
    }
}

/// What is sealed is compressed: a kilobyte may be a large table. It is refused before it is decoded.
#[test]
fn a_small_structure_does_not_become_large() {
    use crate::repository::fuzzing::sealed_structure;

    for (byte, raw) in [(0_u8, 30 << 20), (1, 30 << 20), (0, 8 << 20), (0, 1 << 20)] {
        for head in [&[1_u8][..], &[1, 0x80, 0x80, 0x40], &[0x80, 0x80, 0x40]] {
            let mut bytes = head.to_vec();
            bytes.resize(raw, byte);
            let packed = zstd::bulk::compress(&bytes, 19).unwrap();
            let mut content = vec![1];
            content.extend_from_slice(&u32::try_from(raw).unwrap().to_le_bytes());
            content.extend_from_slice(&packed);
            let taken = measure(|| sealed_structure(&content));
            assert!(content.len() > 1024 || taken.peak <= MOST_AT_ONCE / 8, "{} for {} bytes", taken.peak, content.len());
        }
    }
}
