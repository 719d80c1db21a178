//! Strings that YAML writers and readers get wrong, by family.
//!
//! Most are words that YAML 1.1, which kubectl reads, takes for something else than YAML 1.2 does. The rest breaks layouts: indicators,
//! blanks and line ends at the edges, characters that cannot be printed, and text longer than a line.

use std::collections::BTreeSet;

/// All of them, each once.
pub fn strings() -> Vec<String> {
    let families = [words(), numbers(), times(), indicators(), syntax(), blanks(), characters(), long()];
    families.into_iter().flatten().collect::<BTreeSet<String>>().into_iter().collect()
}

fn owned(words: &str) -> impl Iterator<Item = String> {
    words.split(' ').map(str::to_owned)
}

/// Null, bools, merge and the floats that have names; in the spellings that count and in some that do not.
fn words() -> Vec<String> {
    let plain = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", "+.inf", "-.inf", ".nan", "inf", "nan", "infinity", "none"];
    let spelled = plain.iter().flat_map(|word| {
        let mut capital = word.to_string();
        if let Some(at) = capital.find(|c: char| c.is_ascii_alphabetic()) {
            capital[at..=at].make_ascii_uppercase();
        }
        let last_upper = format!("{}{}", &word[..word.len() - 1], word[word.len() - 1..].to_uppercase());
        [word.to_string(), capital, word.to_uppercase(), last_upper, format!("{word}s"), format!(" {word}"), format!("{word}:")]
    });
    spelled.chain(owned("~ ~~ << <<: = .NaN")).collect()
}

fn numbers() -> Vec<String> {
    let integers = "0 -0 +0 00 1 -1 +1 42 012 -012 +012 08 09 0o17 0O17 0o8 0o -0o7 0x1F 0X1F 0x1f 0xg 0x -0x1F +0x1F 0x1p3 0b1 0B1 0b2 0b -0b1 +0b1";
    let underscored =
        "1_000 1__0 1_0.0 1_ 0_ _1 +_1 -_1 0x_1F 0x1_F 0b_1 0b1_ 0o_7 0_7 0_8 685_230.15 685.230_15e+03 ._1 .1_0 .1_ .1__0 .1_e3 1_e3 _ __ 1_000_000";
    let wide = "9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616 \
                +18446744073709551615 0xFFFFFFFFFFFFFFFF 0x10000000000000000 0X1_0000_0000_0000_0000 \
                0o7777777777777777777777777 0b11111111111111111111111111111111111111111111111111111111111111111 -0x8000000000000001 +0xFFFFFFFFFFFFFFFF 12345678901234567890123456789";
    let floats = "1. .5 +.5 -.5 . .. ... 1.5 1.5. 1.2.3 1e3 1E3 1e+3 1e-3 1e 1e+ e1 .e1 1.e1 .5e1 -2E+05 0. 0.0 -0.0 4e4 1e21 1e400 -1e400 1e-400 12e03 \
                  1,000 1.0f 100m 1Gi 10% 0x1.8p1 1.5e3.5";
    [integers, underscored, wide, floats].into_iter().flat_map(owned).filter(|word| !word.is_empty()).collect()
}

fn times() -> Vec<String> {
    let dates = "2001-01-01 2001-1-1 2001-12-14T21:59:43Z 2001-12-14t21:59:43.10-05:00 2001-12-14T21:59:43,1Z 2001-13-01 2001-02-30 2000-02-29 \
                 2001-12-14T25:00:00Z 2001-12-14T1:2:3Z 2001-12-14T21:59:43+24:60 2001-12-14T21:59:43+25:00 2001-12-14T21:59:43 0000-01-01 20011-01-01 \
                 1:30 1:30:00 190:20:30 190:20:30.15 -190:20:30 1:60 1:99 01:02 1_0:30 1:3: :30 12:30:45.67 1:2:3:4 23:59 10:00";
    let spaced = ["2001-12-14 21:59:43", "2001-12-14 21:59:43.10 -5", "2001-12-14   21:59:43", "2001-12-14 21:59:43Z", "2001-01-01 "];
    owned(dates).filter(|word| !word.is_empty()).chain(spaced.map(str::to_owned)).collect()
}

/// Each at the start, inside and at the end, with and without blanks around.
fn indicators() -> Vec<String> {
    let each = "-?:,[]{}#&*!|>'\"%@`\\~^$;=+/<().".chars().flat_map(|sign| {
        let shapes = ["X", "XX", "Xa", "X a", "aX", "a X", "aXb", "a X b", "aX b", "a Xb", " X", "X ", "X\ta"];
        shapes.map(|shape| shape.replace('X', &sign.to_string()))
    });
    each.collect()
}

/// Whole pieces of YAML and of other languages.
fn syntax() -> Vec<String> {
    let pieces = [
        "---",
        "--- a",
        "---a",
        "...",
        "... a",
        "--",
        "%YAML 1.1",
        "!!binary aGVsbG8=",
        "!!str a",
        "!<tag:x> a",
        "&a a",
        "*a",
        "key: value",
        "- item",
        "? key",
        "? key\n: value",
        "a: b: c",
        "a #comment",
        "#comment",
        "a#b",
        "{a: b}",
        "[a, b]",
        "{}",
        "[]",
        "{",
        "}",
        "[",
        "]",
        "{{ .Values.a }}",
        "${HOME}",
        "$(date)",
        "%(a)s",
        "@type",
        "`code`",
        "it's",
        "'",
        "''",
        "'a'",
        "a'",
        "\"",
        "\"\"",
        "\"a\"",
        "a\"b",
        "\\",
        "\\n",
        "\\x41",
        "C:\\a\\b",
        "http://a:80/b?c=d&e=f#g",
        "a:b",
        "a:",
        ":a",
        "::",
        "a::b",
        "k:{\"port\":80}",
        "f:metadata",
        "{\"a\":[1,null,\"b\"]}",
        "<html>&amp;</html>",
        "| a",
        "|\n  a",
        ">-\n a",
        "a\n---\nb",
        "---\na",
        "a\n...\n",
        "a\n- b\n# c\n",
        "a: |\n  b",
        "key: 'a\n  b'",
        "a,b",
        "a, b",
        "a]",
        "a}",
        "a|b",
        "a>b",
        "a&b",
        "a*b",
        "a!b",
        "a%b",
        "a@b",
        "a`b",
        "10.0.0.1",
        "10.0.0.0/8",
        "::1",
        "fe80::1%eth0",
        "sha256:abc",
        "0 0 * * *",
        "*/5 * * * *",
        "a=b",
        "=a",
        "=",
    ];
    pieces.map(str::to_owned).into()
}

/// Blanks, tabs and line ends, above all at the edges.
fn blanks() -> Vec<String> {
    let shapes = [
        "",
        " ",
        "  ",
        "   ",
        " a",
        "  a",
        "a ",
        "a  ",
        " a ",
        "a b",
        "a  b",
        "a   b",
        "\t",
        "\t\n",
        "\n\t",
        "\ta",
        "a\t",
        "a\tb",
        " \t a",
        "\n",
        "\n\n",
        "\n\n\n",
        "a\n",
        "a\n\n",
        "a\n\n\n",
        "\na",
        "\n\na",
        " \n",
        "\n ",
        " \na",
        "a\n ",
        "a \n",
        "a \nb",
        "a\n b",
        "a\n  b\n",
        " a\nb",
        "  a\n b\n",
        "a\nb",
        "a\nb\n",
        "a\n\nb",
        "a\n\n\nb\n",
        "a\n \nb",
        "\n a\n",
        "\n\n  a",
        "a\r",
        "\ra",
        "a\rb",
        "a\r\nb",
        "a\r\nb\r\n",
        "\r\n",
        "\r",
        "a\n\r",
        "a\nb\tc\n",
        "\ta\nb\n",
        "a:\n",
        "#\n",
        "# a\nb",
        "- a\n- b\n",
        "a: b\nc: d\n",
        "\u{85}",
        "a\u{85}b",
        "a\u{85}",
        "\u{2028}",
        "a\u{2028}b",
        "\u{2029}a",
        "a\u{2029}\nb",
        "a\u{2028} b",
        "\u{a0}",
        "a\u{a0}b",
        "\u{a0}a",
        "a\u{3000}b",
        "\u{200b}",
        "\u{2003}a",
        "\u{b}",
        "\u{c}a",
        "a\u{85}\nb",
        "\u{85}\n",
    ];
    shapes.map(str::to_owned).into()
}

/// What cannot be printed, and what hardly can.
fn characters() -> Vec<String> {
    let controls = (0..=0x1F).chain(0x7F..=0x9F);
    let special = [0xA0, 0xAD, 0x300, 0x5D0, 0x200D, 0x200E, 0x202E, 0x2060, 0xD7FF, 0xE000, 0xFDD0, 0xFEFF, 0xFFF9, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF];
    let wide = [0x1_0000, 0x1_F600, 0x1_FFFE, 0xE_0001, 0x10_FFFD, 0x10_FFFF];
    let each = controls.chain(special).chain(wide).filter_map(char::from_u32);
    let shapes = each.flat_map(|c| [c.to_string(), format!("a{c}b"), format!("{c} #a"), format!("é{c}: a\nb{c}\n")]);
    let text = [
        "é",
        "日本語",
        "日本語: テキスト",
        "a é #b",
        "é#b",
        "é #b",
        "👩‍👩‍👧",
        "ﷺ",
        "\u{feff}a",
        "a\u{feff}",
        "naïve café",
        "\u{1b}[31mred\u{1b}[0m",
        "ｙｅｓ",
        "١٢٣",
    ];
    shapes.chain(text.map(str::to_owned)).collect()
}

/// Longer than a line, longer than a key may be, longer than buffers.
fn long() -> Vec<String> {
    let mut texts = Vec::new();
    for length in [79, 80, 81, 82, 127, 128, 129, 130, 1023, 1024, 1025, 5000] {
        texts.push("k".repeat(length));
        texts.push("é".repeat(length / 2));
        // Blanks on and around the edge of a line.
        texts.push(format!("{} b c", "a".repeat(length)));
        texts.push(format!("{}  b", "a".repeat(length)));
    }
    for piece in [
        "word ",
        "two  blanks ",
        "it's ",
        "a: b ",
        "tab\t ",
        "q\" ",
        "\\ ",
        "é日 ",
        "line\n",
        "long line of text\n",
        "a  ",
        "#c ",
        "😀 ",
        "\u{2028} ",
        "1 ",
        "- ",
    ] {
        texts.push(piece.repeat(40));
        texts.push(piece.repeat(40).trim_end().to_owned());
        texts.push(format!("x{}", piece.repeat(90)));
    }
    texts.push(" ".repeat(200));
    texts.push(format!("{}\n", "a".repeat(300)));
    texts.push(format!("{}\n{}", "a b ".repeat(50), "c d ".repeat(50)));
    texts
}

#[cfg(test)]
mod tests {
    use kubestash::object::yaml;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn our_own_reader_reads_each_back_as_value_and_key() {
        let wrong: Vec<String> = strings()
            .into_iter()
            .filter_map(|string| {
                let object: Value = json!({"value": string, "list": [string, {&string: 1}], "key": {&string: {&string: [&string]}}});
                let mut text = Vec::new();
                yaml::write_value(&object, &mut text).unwrap();
                let back = yaml::read(&text);
                (!back.as_ref().is_ok_and(|back| *back == object)).then(|| format!("{string:?}: {back:?}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
    }

    #[test]
    fn every_family_is_there() {
        let strings = strings();
        assert!(strings.len() > 1000, "{}", strings.len());
        for text in [
            "No",
            "OFF",
            "Y",
            "0X1F",
            "0x_1F",
            "1_000",
            "1__0",
            "1_0.0",
            "1_",
            "0_",
            "+_1",
            "0b_1",
            "685_230.15",
            "685.230_15e+03",
            "012",
            "<<",
            "1e400",
        ] {
            assert!(strings.iter().any(|own| own == text), "{text}");
        }
        for text in ["\t\n", "\u{7f}", "\u{85}", "\u{fffe}", "\u{ffff}", "\u{feff}", "\u{2028}", "\r", ""] {
            assert!(strings.iter().any(|own| own == text), "{text:?}");
        }
    }
}
