//! A real kubectl judges the canonical YAML: it must read every string as it was, and print the same bytes.
//!
//! No cluster is needed: see `kubestash_tests::kubectl`.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use kubestash::object::yaml;
use kubestash_tests::{
    awkward,
    differences::{Place, Reason, may_differ, order_is_ours},
    kubectl,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

/// One object with every string as value, nested value, key and item of a list.
fn holding(name: &str, strings: &[String]) -> Value {
    let below = |string: &String| json!({"nested": {"deep": string}, "list": [string, [string], {"item": string, string: 1}], "value": string});
    let keys: Map<String, Value> = strings.iter().map(|string| (string.clone(), below(string))).collect();
    kubectl::object(name, json!({"keys": keys, "list": strings}))
}

fn canonical(object: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    yaml::write_value(object, &mut out).unwrap();
    out
}

/// The strings that kubectl does not read back, with what came instead. Many strings go into one object, and into halves of it only where
/// something is wrong.
fn misread(strings: &[String]) -> Vec<(String, String)> {
    let object = holding("strings", strings);
    let read = kubectl::read(&canonical(&object));
    match (read, strings) {
        (Ok(back), _) if back == object => Vec::new(),
        (read, [one]) => vec![(one.clone(), read.map_or_else(|error| error, |back| back.to_string()))],
        _ => {
            let (left, right) = strings.split_at(strings.len() / 2);
            [misread(left), misread(right)].concat()
        }
    }
}

#[test]
fn kubectl_reads_every_awkward_string_back() {
    let strings = awkward::strings();
    let wrong = misread(&strings);
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), strings.len());
}

/// Text of all kinds, with the characters that decide about YAML more often than chance would have them.
fn arbitrary_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,40}",
        "[ -~]{0,200}",
        "[a-c:#\\-?*&!|>%@`'\",\\[\\]{} \n\t\r\\\\]{0,12}",
        "[-+]?[0-9_.:eExXbBoOaAfFT -]{1,12}",
        "[19][0-9]{3}-[01]?[0-9]-[0-3]?[0-9]([Tt ]{1,2}[0-2]?[0-9]:[0-5]?[0-9]:[0-5]?[0-9]([.,][0-9]{0,3})?(Z|[-+][0-2][0-9]:[0-6][0-9])?)?",
        "([a-é]{1,12} {0,3}){0,40}",
        "([ -~é\u{85}\u{2028}\u{feff}\u{7f}😀]{0,30}\n{0,2}){0,4}",
    ]
}

/// Strings of one call, and few calls: a call costs about 100 ms.
const BATCH: std::ops::Range<usize> = 200..300;
const CALLS: u32 = 10;

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CALLS, max_shrink_iters: 60, failure_persistence: None, ..Config::default() })
}

#[test]
fn kubectl_reads_any_text_back() {
    let strategy = proptest::collection::vec(arbitrary_text(), BATCH);
    let result = runner().run(&strategy, |strings| {
        let wrong = misread(&strings);
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
        Ok(())
    });
    result.unwrap();
}

/// One object that holds one string in one place.
fn alone(name: String, string: &str, place: Place) -> Value {
    let more = match place {
        Place::Value => json!({"value": string, "nested": {"deep": string}, "list": [string, [string], {"item": string}]}),
        Place::Key => json!({"key": {string: 1}, "list": [{string: "a"}, [{string: [1]}]], "map": {string: {string: {}}}}),
    };
    kubectl::object(&name, more)
}

/// Compares our print of each string in each place with kubectl's. Gives those that differ, for a reason known before.
fn compare_prints(strings: &[String]) -> BTreeMap<Reason, BTreeSet<(Place, String)>> {
    let places = strings.iter().flat_map(|string| [(Place::Value, string), (Place::Key, string)]);
    let cases: Vec<_> = places.enumerate().map(|(at, (place, string))| (place, string, alone(format!("string-{at}"), string, place))).collect();
    let objects: Vec<Value> = cases.iter().map(|(_, _, object)| object.clone()).collect();
    let mut known: BTreeMap<Reason, BTreeSet<(Place, String)>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for ((place, string, object), printed) in cases.iter().zip(kubectl::print(&objects)) {
        let ours = String::from_utf8(canonical(object)).unwrap();
        match (may_differ(string, *place), printed) {
            (Some(reason), printed) => {
                let cannot = matches!(reason, Reason::KubectlCannotPrint | Reason::KubectlCannotPrintKey);
                if cannot == printed.is_some() {
                    wrong.push(format!("{string:?} as {place:?}, {reason:?}: kubectl prints {printed:?}"));
                }
                if printed.as_ref() != Some(&ours) {
                    known.entry(reason).or_default().insert((*place, (*string).clone()));
                }
            }
            (None, Some(printed)) if printed == ours => {}
            (None, printed) => wrong.push(format!("{string:?}\nkubectl:\n{}\nours:\n{ours}", printed.as_deref().unwrap_or("(nothing)"))),
        }
    }
    assert!(wrong.is_empty(), "{} differ, among them\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    known
}

#[test]
fn kubectl_prints_the_same_bytes() {
    let strings = awkward::strings();
    let known = compare_prints(&strings);
    for (reason, differing) in &known {
        println!("{reason:?}: {} of {}", differing.len(), 2 * strings.len());
    }
    // Each reason is there for a string that is really printed differently.
    let reasons = [
        Reason::KubectlCannotPrint,
        Reason::KubectlCannotPrintKey,
        Reason::KubectlLosesText,
        Reason::LineSeparator,
        Reason::MergeKey,
        Reason::NumberForOthers,
        Reason::ByteOrderMark,
        Reason::KeyOfSeveralLines,
    ];
    assert_eq!(known.keys().copied().collect::<Vec<_>>(), reasons);
}

#[test]
fn kubectl_prints_any_text_the_same() {
    let strategy = proptest::collection::vec(arbitrary_text(), BATCH);
    let result = runner().run(&strategy, |strings| {
        compare_prints(&strings);
        Ok(())
    });
    result.unwrap();
}

/// The items of a list that kubectl prints otherwise than we do: theirs and ours.
fn printed_otherwise(list: Vec<Value>) -> Vec<(String, String)> {
    let object = |(at, item)| kubectl::object(&format!("item-{at}"), json!({"item": item}));
    let objects: Vec<Value> = list.into_iter().enumerate().map(object).collect();
    let printed = kubectl::print(&objects).into_iter().map(|printed| printed.expect("kubectl prints it"));
    printed.zip(objects.iter().map(|object| String::from_utf8(canonical(object)).unwrap())).filter(|(theirs, ours)| theirs != ours).collect()
}

#[test]
fn kubectl_prints_keys_in_the_same_order() {
    let pair = ("[abAB019._/:-]{1,5}", "[abAB019._/:-]{1,5}").prop_filter("two keys", |(a, b)| a != b && !order_is_ours(a, b));
    let related = ("[a1.-]{0,3}", "[0-9]{1,24}[a.]?", "[0-9]{1,24}[-.]?").prop_map(|(head, a, b)| (format!("{head}{a}"), format!("{head}{b}")));
    let related = related.prop_filter("two keys within Go's integers", |(a, b)| a != b && !order_is_ours(a, b) && a.len() < 18 && b.len() < 18);
    let strategy = proptest::collection::vec(prop_oneof![pair, related], BATCH);
    let result = runner().run(&strategy, |pairs| {
        let otherwise = printed_otherwise(pairs.iter().map(|(a, b)| json!({a: 1, b: 2})).collect());
        prop_assert!(otherwise.is_empty(), "{:#?}", otherwise);
        Ok(())
    });
    result.unwrap();
    assert_eq!(printed_otherwise(vec![json!({"a10": 1, "a1b": 2})]).len(), 1, "kubectl has an order now: follow it");
}

#[test]
fn kubectl_prints_numbers_the_same() {
    // Whole numbers above the signed ones are floats for kubectl and for API servers, which so never send one.
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        (-1e7..1e7).prop_map(Value::from),
        (-30..30_i32, 1..10_i32).prop_map(|(exponent, digit)| Value::from(f64::from(digit) * 10_f64.powi(exponent))),
    ];
    let result = runner().run(&proptest::collection::vec(number, BATCH), |numbers| {
        let otherwise = printed_otherwise(numbers);
        prop_assert!(otherwise.is_empty(), "{:#?}", otherwise);
        Ok(())
    });
    result.unwrap();
}
