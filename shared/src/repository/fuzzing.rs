//! Decoders of the repository's files and blocks, with what they promise: see [`crate::fuzzing`].
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is what is looked for")]

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{
    Catalog, Part, Root,
    format::{
        BlockId, content as codec, hex,
        pack::{decode_entries, decode_index, encode_entries, encode_index, footer_length},
        segment as rows, top,
    },
    keys::{KeyFile, unwrap_keys},
    read_config,
    snapshot::{check_layers, decode_segment},
    supported, write_config,
};
use crate::api::{RepositoryEntry, snapshot_yaml};

thread_local! {
    /// A new one takes longer than what it does here.
    static COMPRESSOR: RefCell<codec::Compressor> = RefCell::new(codec::Compressor::new().unwrap());
}

const DICTIONARY: &[u8] = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ";

/// The file, and its first line with sums that fit: nobody guesses those.
pub(crate) fn config(bytes: &[u8]) {
    let _ = read_config(bytes);
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    if let Ok(parsed) = read_config(write_config(line, "00").as_bytes()) {
        assert_eq!(parsed.line, line.split('\n').next().unwrap());
        let _ = supported(&parsed.config, "fuzz");
    }
}

/// The file; its header with sums that fit; and behind a zero byte the keys that it wraps.
pub(crate) fn key(bytes: &[u8]) {
    let _ = KeyFile::decode(bytes, "r");
    let (line, plain) = bytes.split_at(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    if let Ok(line) = std::str::from_utf8(line) {
        let sealed = hex(plain);
        let sum = blake3::hash(format!("{line}\n{sealed}\n").as_bytes()).to_hex();
        let _ = KeyFile::decode(format!("{line}\n{sealed}\n{sum}\n").as_bytes(), "r");
    }
    if let Ok(ring) = unwrap_keys(plain.get(1..).unwrap_or_default()) {
        assert!(!ring.general.is_empty());
    }
}

/// The last bytes of a pack, and its footer.
pub(crate) fn pack(bytes: &[u8]) {
    let _ = footer_length(bytes);
    if let Ok(entries) = decode_entries(bytes) {
        assert_eq!(decode_entries(&encode_entries(&entries)).unwrap(), entries);
    }
}

/// An index file.
pub(crate) fn index(bytes: &[u8]) {
    if let Ok(packs) = decode_index(bytes) {
        assert_eq!(decode_index(&encode_index(&packs)).unwrap(), packs);
    }
}

/// What is sealed, with and without a dictionary; and parts of objects, sealed and opened.
pub(crate) fn content(bytes: &[u8]) {
    COMPRESSOR.with_borrow_mut(|compressor| {
        assert_eq!(codec::decode(&compressor.encode_objects(bytes, None), None).unwrap(), bytes);
    });
    let _ = codec::dictionary(bytes);
    for dictionary in [None, Some(DICTIONARY)] {
        if let Ok(raw) = codec::decode(bytes, dictionary) {
            assert_eq!(codec::decode(&codec::encode_raw(&raw), None).unwrap(), raw);
        }
    }
}

/// The table of a layer.
pub(crate) fn table(bytes: &[u8]) {
    if let Ok(table) = top::decode(bytes) {
        assert_eq!(top::decode(&top::encode(&table)).unwrap(), table);
    }
}

/// A segment of a catalog.
pub(crate) fn segment(bytes: &[u8]) {
    if let Ok(decoded) = rows::decode(bytes) {
        assert_eq!(rows::decode(&rows::encode(&decoded)).unwrap(), decoded);
    }
}

/// A catalog of two layers: two tables, and a segment that all their segments are. Each is preceded by its length, two bytes.
pub(crate) fn catalog(bytes: &[u8]) {
    let (lower, rest) = piece(bytes);
    let (upper, segment) = piece(rest);
    let tops: Vec<_> = [lower, upper].into_iter().filter_map(|bytes| top::decode(bytes).ok()).map(Arc::new).collect();
    let segment = Bytes::copy_from_slice(segment);
    let mut load = |wanted: &top::SegmentRef| decode_segment(wanted, &HashMap::from([(wanted.block, segment.clone())]));
    let Ok(catalog) = Catalog::build(&tops, &mut load) else { return };
    assert_eq!(catalog.rows().count(), catalog.len() as usize);
    for row in catalog.rows() {
        for part in [Part::Manifest, Part::Status, Part::Server, Part::Redacted] {
            let _ = catalog.place(row.number, part).map(|place| super::slice(&segment, place));
        }
        let _ = (row.id().mount_path(), catalog.find(&row.id()));
    }
    let _: Option<&BlockId> = catalog.blocks().first();
}

fn piece(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return (&[], &[]) };
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).unwrap_or((rest, &[]))
}

/// The JSON of a root, and what is made of it for people.
pub(crate) fn root(bytes: &[u8]) {
    let Ok(root) = serde_json::from_slice::<Root>(bytes) else { return };
    let again: Root = serde_json::from_slice(&serde_json::to_vec(&root).unwrap()).unwrap();
    assert_eq!(again, root);
    let _ = (check_layers(&root).is_ok(), root.is_complete(), root.id.time());
    let entry = RepositoryEntry { name: "r".to_owned(), namespace: "default".to_owned(), path: "r".to_owned() };
    let _ = snapshot_yaml(&root, &entry);
}

/// A structure as it comes out of its seal, taken for each of them.
#[cfg(test)]
pub(crate) fn sealed_structure(encoded: &[u8]) {
    if let Ok(raw) = super::format::structure::decode(encoded) {
        for decoder in [pack, index, table, segment, root] {
            decoder(&raw);
        }
    }
}

#[cfg(test)]
pub(crate) mod seeds {
    use super::super::{
        CommitInfo, Features, KeyCost, Password,
        crypto::KeyRing,
        format::{
            Class, Content, VERSION,
            pack::{PackEntry, PackInfo},
            segment::{Lengths, Place, SegmentRow},
            top::{LayerKind, LayerTop, SegmentRef},
        },
        root::{KindOutcome, KindReport, LayerRef, PackRef, SnapshotId, Stats},
    };
    use super::*;
    use crate::object::KindInfo;

    fn pods() -> KindInfo {
        KindInfo { group: "apps".into(), version: "v1".into(), resource: "pods".into(), kind: "Pod".into(), namespaced: true }
    }

    fn rows_of(names: &[&str]) -> Vec<SegmentRow> {
        let row = |name: &&str| SegmentRow {
            key: (*name).to_owned(),
            sensitive: name.ends_with('c'),
            lengths: Lengths { manifest: 10, status: 3, server: 4, redacted: name.ends_with('c').then_some(5) },
            ..SegmentRow::default()
        };
        let gone = SegmentRow { key: "z/gone".to_owned(), tombstone: true, ..SegmentRow::default() };
        let mut rows: Vec<SegmentRow> = names.iter().map(row).chain([gone]).collect();
        rows[0].rest = Place { block: 1, offset: 2 };
        rows
    }

    fn table_of(rows: u32, whole: bool) -> Vec<u8> {
        let segments = vec![SegmentRef { block: BlockId([3; 32]), rows, first_key: "n/a".to_owned() }];
        let blocks = vec![BlockId([1; 32]), BlockId([2; 32])];
        top::encode(&LayerTop { kinds: vec![LayerKind { info: pods(), whole, segments, blocks }] })
    }

    fn with_length(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
    }

    fn a_root() -> Root {
        let info = CommitInfo::new("monday", jiff::Timestamp::UNIX_EPOCH);
        let read = KindOutcome::Read {
            objects: 2,
            bytes: 30,
            left_out: [("filter".to_owned(), 1)].into(),
            not_stored: [("pods/x".to_owned(), "too large".to_owned())].into(),
            resource_version: "7".to_owned(),
            exact: true,
        };
        Root {
            id: SnapshotId(ulid::Ulid::from_parts(1, 2)),
            name: info.name,
            time: info.time,
            cluster: info.cluster,
            filters: serde_json::json!({"a": [1]}),
            resource_version: Some("7".to_owned()),
            kinds: vec![
                KindReport { kind: pods(), outcome: read },
                KindReport { kind: pods(), outcome: KindOutcome::Absent },
                KindReport { kind: pods(), outcome: KindOutcome::Forbidden { message: "no".to_owned() } },
            ],
            failed_groups: vec![("g".to_owned(), "down".to_owned())],
            layers: vec![LayerRef { top: BlockId([1; 32]), rows: 2, packs: vec![PackRef { hash: [2; 32], size: 9 }] }],
            parent: None,
            tags: vec!["t".to_owned()],
            program: "0".to_owned(),
            duration_ms: 1,
            stats: Stats::default(),
        }
    }

    /// Real bytes of a decoder of this module.
    pub(crate) fn repository_seeds(name: &str) -> Vec<Vec<u8>> {
        let entry = PackEntry { id: BlockId([1; 32]), class: Class::general(Content::Rest), dictionary: None, offset: 300, stored: 70, raw: 200 };
        let entries = vec![entry.clone(), PackEntry { dictionary: Some(BlockId([2; 32])), ..entry }];
        let segment = rows::encode(&rows_of(&["n/a", "n/b", "n/c"]));
        let mut compressor = codec::Compressor::new().unwrap();
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n".repeat(4);
        let uuid = "5f0c81d2-07ab-4cde-8f00-112233445566";
        let with_digits = format!("uid: {uuid}\nuid: {uuid}\nimage: sha256:{}\ndata: dGhlIHRleHQgb2YgYSBTZWNyZXQuCg==\n", "0f".repeat(32));
        match name {
            "config" => {
                let config = super::super::Config {
                    version: VERSION,
                    id: "0".repeat(32),
                    created: jiff::Timestamp::UNIX_EPOCH,
                    features: Features::default(),
                };
                let line = serde_json::to_string(&config).unwrap();
                vec![line.clone().into_bytes(), write_config(&line, "00").into_bytes()]
            }
            "key" => {
                let ring = KeyRing::generate().unwrap();
                let file = KeyFile::seal(&ring, &Password::new("p"), KeyCost::CHEAP, ("k", "r"), "laptop", jiff::Timestamp::UNIX_EPOCH).unwrap();
                let header = file.split(|&byte| byte == b'\n').next().unwrap().to_vec();
                let keys = format!(r#"{{"general":[{{"id":"{}","key":"{}"}}],"sensitive":[]}}"#, "01".repeat(16), "02".repeat(32));
                vec![file, [&header[..], b"\0", keys.as_bytes()].concat()]
            }
            "pack" => vec![encode_entries(&entries), [&200_u32.to_le_bytes()[..], b"KSTPACK1"].concat()],
            "index" => vec![encode_index(&[PackInfo { hash: [7; 32], size: 999, entries }]), encode_index(&[])],
            "content" => vec![
                codec::encode_raw(b"raw"),
                compressor.encode(text.as_bytes()),
                compressor.encode_objects(text.as_bytes(), Some((BlockId([5; 32]), super::DICTIONARY))),
                compressor.encode_objects(with_digits.as_bytes(), None),
                compressor.encode_objects(with_digits.as_bytes(), Some((BlockId([5; 32]), super::DICTIONARY))),
                with_digits.clone().into_bytes(),
            ],
            "table" => vec![table_of(4, true), table_of(1, false)],
            "segment" => vec![segment, rows::encode(&rows_of(&["n/a"]))],
            "catalog" => vec![
                [with_length(&table_of(4, true)), with_length(&table_of(4, false)), segment.clone()].concat(),
                [with_length(&table_of(4, true)), with_length(&[]), segment].concat(),
            ],
            "root" => {
                let root = a_root();
                vec![serde_json::to_vec(&root).unwrap(), serde_json::to_vec(&Root { kinds: Vec::new(), ..root }).unwrap()]
            }
            _ => Vec::new(),
        }
    }
}
