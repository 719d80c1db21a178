//! JSON text to a light borrowed tree, keys in the order kubectl prints them.
//!
//! Strings and numbers stay slices of the input; only strings with escapes are copied. Children of all containers lie in two
//! arenas, so parsing an object costs a handful of allocations.

use std::{borrow::Cow, cmp::Ordering, ops::Range};

use super::ObjectError;

/// Deeper nesting than this is refused. API servers refuse far less.
const MAX_DEPTH: usize = 512;

/// The memory of documents, without what was in it: taken from the one before, most objects need no allocation at all.
#[derive(Debug, Default)]
pub(super) struct Arenas {
    elements: Vec<Node<'static>>,
    members: Vec<(Cow<'static, str>, Node<'static>)>,
    open_elements: Vec<Node<'static>>,
    open_members: Vec<(Cow<'static, str>, Node<'static>)>,
}

/// Memory is nothing to copy.
impl Clone for Arenas {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is kept of an arena's memory, in elements: an exceptional object shall not hold memory for ever.
const KEPT: usize = 16 << 10;

/// An empty vector with the memory of another, whose elements borrow from something else: collecting into the same layout happens in place.
fn emptied<T, U>(mut old: Vec<T>) -> Vec<U> {
    old.clear();
    old.shrink_to(KEPT);
    old.into_iter().filter_map(|_| None).collect()
}

/// One value. Containers hold ranges of the document's arenas.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// The number as it was written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Range<usize>),
    Map(Range<usize>),
}

/// A parsed document.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) root: Node<'a>,
    elements: Vec<Node<'a>>,
    members: Vec<(Cow<'a, str>, Node<'a>)>,
    open_elements: Vec<Node<'a>>,
    open_members: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Document<'a> {
    /// Parses one JSON value; keys of every map come out sorted by [`compare_keys`], the last of equal ones kept, as Go does.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, ObjectError> {
        Self::parse_in(text, Arenas::default())
    }

    /// The memory, for the next document.
    pub(super) fn into_arenas(self) -> Arenas {
        Arenas {
            elements: emptied(self.elements),
            members: emptied(self.members),
            open_elements: emptied(self.open_elements),
            open_members: emptied(self.open_members),
        }
    }

    /// As [`Document::parse`], in the memory of an earlier document.
    pub(super) fn parse_in(text: &'a [u8], arenas: Arenas) -> Result<Self, ObjectError> {
        let text = std::str::from_utf8(text).map_err(|error| ObjectError::Json { at: error.valid_up_to(), what: "UTF-8 text" })?;
        let mut parser = Parser {
            text,
            bytes: text.as_bytes(),
            at: 0,
            elements: arenas.elements,
            members: arenas.members,
            open_elements: arenas.open_elements,
            open_members: arenas.open_members,
        };
        let root = parser.value(0)?;
        parser.blank();
        if parser.at < parser.bytes.len() {
            return Err(parser.wrong("the end"));
        }
        let Parser { elements, members, open_elements, open_members, .. } = parser;
        Ok(Self { root, elements, members, open_elements, open_members })
    }

    pub(super) fn list(&self, range: &Range<usize>) -> &[Node<'a>] {
        self.elements.get(range.clone()).unwrap_or_default()
    }

    pub(super) fn map(&self, range: &Range<usize>) -> &[(Cow<'a, str>, Node<'a>)] {
        self.members.get(range.clone()).unwrap_or_default()
    }

    pub(super) fn map_mut(&mut self, range: &Range<usize>) -> &mut [(Cow<'a, str>, Node<'a>)] {
        self.members.get_mut(range.clone()).unwrap_or_default()
    }

    pub(super) fn list_mut(&mut self, range: &Range<usize>) -> &mut [Node<'a>] {
        self.elements.get_mut(range.clone()).unwrap_or_default()
    }

    /// Members of the root, empty where the root is no map.
    pub(super) fn top(&self) -> &[(Cow<'a, str>, Node<'a>)] {
        match &self.root {
            Node::Map(range) => self.map(range),
            _ => &[],
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    elements: Vec<Node<'a>>,
    members: Vec<(Cow<'a, str>, Node<'a>)>,
    open_elements: Vec<Node<'a>>,
    open_members: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Parser<'a> {
    fn wrong(&self, what: &'static str) -> ObjectError {
        ObjectError::Json { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, ObjectError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("less nesting"));
        }
        self.blank();
        match self.peek() {
            Some(b'"') => Ok(Node::Text(self.string()?)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.wrong("a value")),
        }
    }

    fn word(&mut self, word: &'static str, node: Node<'a>) -> Result<Node<'a>, ObjectError> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return Err(self.wrong("true, false or null"));
        }
        self.at += word.len();
        Ok(node)
    }

    fn number(&mut self) -> Result<Node<'a>, ObjectError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = self.slice(start..self.at);
        if text.parse::<f64>().is_err() || text.starts_with('+') {
            return Err(ObjectError::Json { at: start, what: "a number" });
        }
        Ok(Node::Number(text))
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>, ObjectError> {
        self.at += 1;
        let base = self.open_members.len();
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Map(0..0));
        }
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key"));
            }
            let key = self.string()?;
            self.blank();
            if self.peek() != Some(b':') {
                return Err(self.wrong("a colon"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            self.open_members.push((key, value));
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.wrong("a comma or a closing brace")),
            }
        }
        self.at += 1;
        let start = self.members.len();
        self.members.extend(self.open_members.drain(base..));
        let own = self.members.get_mut(start..).unwrap_or_default();
        if !own.is_sorted_by(|a, b| compare_keys(&a.0, &b.0) == Ordering::Less) {
            own.sort_by(|a, b| compare_keys(&a.0, &b.0));
            self.drop_repeated(start);
        }
        Ok(Node::Map(start..self.members.len()))
    }

    /// Keeps the last of equal neighbours from `start` on.
    fn drop_repeated(&mut self, start: usize) {
        let mut kept: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        for member in self.members.drain(start..) {
            match kept.last_mut() {
                Some(last) if last.0 == member.0 => *last = member,
                _ => kept.push(member),
            }
        }
        self.members.append(&mut kept);
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>, ObjectError> {
        self.at += 1;
        let base = self.open_elements.len();
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::List(0..0));
        }
        loop {
            let value = self.value(depth + 1)?;
            self.open_elements.push(value);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.wrong("a comma or a closing bracket")),
            }
        }
        self.at += 1;
        let start = self.elements.len();
        self.elements.extend(self.open_elements.drain(base..));
        Ok(Node::List(start..self.elements.len()))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ObjectError> {
        self.at += 1;
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        match special(rest) {
            Some(length) if rest.get(length) == Some(&b'"') => {
                self.at = start + length + 1;
                Ok(Cow::Borrowed(self.slice(start..start + length)))
            }
            Some(length) => {
                self.at = start + length;
                let mut out = String::with_capacity(length + 64);
                out.push_str(self.slice(start..self.at));
                self.escaped(out)
            }
            None => Err(self.wrong("a closing quote")),
        }
    }

    fn escaped(&mut self, mut out: String) -> Result<Cow<'a, str>, ObjectError> {
        loop {
            let start = self.at;
            let rest = self.bytes.get(start..).unwrap_or_default();
            let run = special(rest).ok_or_else(|| self.wrong("a closing quote"))?;
            out.push_str(self.slice(start..start + run));
            self.at = start + run;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => self.escape(&mut out)?,
                _ => return Err(self.wrong("an escaped control character")),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), ObjectError> {
        let letter = self.bytes.get(self.at + 1).copied();
        self.at += 2;
        out.push(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(out),
            _ => return Err(self.wrong("a known escape")),
        });
        Ok(())
    }

    /// Half a surrogate pair becomes U+FFFD, as in Go.
    fn unicode_escape(&mut self, out: &mut String) -> Result<(), ObjectError> {
        let first = self.hex4()?;
        if (0xD800..0xDC00).contains(&first) && self.bytes.get(self.at..self.at + 2) == Some(br"\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Ok(());
            }
            self.at = back;
        }
        out.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, ObjectError> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .ok_or_else(|| self.wrong("four hex digits"))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| self.wrong("four hex digits"))
    }
}

/// The first byte that may not stand for itself in a string.
fn special(text: &[u8]) -> Option<usize> {
    static SPECIAL: [bool; 256] = {
        let mut special = [false; 256];
        let mut at = 0;
        while at < 256 {
            special[at] = at < 0x20 || at as u8 == b'"' || at as u8 == b'\\';
            at += 1;
        }
        special
    };
    text.iter().position(|&byte| SPECIAL[usize::from(byte)])
}

/// The order in which kubectl prints keys: letters by code point, anything else before letters, runs of digits by their value.
///
/// Behind a common digit a letter comes before everything else. kubectl's own rule puts the digit first there, which is no order at all:
/// by it `a10` < `a1b` < `a9` < `a10`, and maps with such keys come out of kubectl in one order or another. Beyond ASCII, letters are
/// those of Unicode's Alphabetic property and digits are none.
/// Source: the behaviour of `keyList.Less` in go.yaml.in/yaml/v2, which kubectl prints through, and its repair in version 3.
pub(super) fn compare_keys(a: &str, b: &str) -> Ordering {
    let (left, right) = (a.as_bytes(), b.as_bytes());
    let common = left.iter().zip(right).take_while(|(x, y)| x == y).count();
    if common == left.len() || common == right.len() {
        return left.len().cmp(&right.len());
    }
    let (x, y) = (left.get(common).copied().unwrap_or(0), right.get(common).copied().unwrap_or(0));
    if x.is_ascii_alphabetic() && y.is_ascii_alphabetic() {
        return x.cmp(&y);
    }
    compare_mixed(a, b, common)
}

fn compare_mixed(a: &str, b: &str, mut common: usize) -> Ordering {
    while !a.is_char_boundary(common) {
        common -= 1;
    }
    let (head, left) = a.split_at_checked(common).unwrap_or_default();
    let right = b.get(common..).unwrap_or_default();
    let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) else {
        return left.len().cmp(&right.len());
    };
    let shared = digits_at_end(head);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (false, false) => {}
        (x_letter, _) => return if x_letter == shared.is_empty() { Ordering::Greater } else { Ordering::Less },
    }
    let (x_run, y_run) = (digits_at_start(left), digits_at_start(right));
    // Numbers of any length: without leading zeros, the longer one is the larger one.
    let leading = |run| if shared.bytes().all(|digit| digit == b'0') { str::trim_start_matches(run, '0') } else { run };
    let (x_value, y_value) = (leading(x_run), leading(y_run));
    x_value.len().cmp(&y_value.len()).then(x_value.cmp(y_value)).then(x_run.len().cmp(&y_run.len())).then(x.cmp(&y))
}

fn digits_at_start(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}

fn digits_at_end(text: &str) -> &str {
    text.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_sort_as_kubectl_prints_them() {
        let sorted = [
            "-x",
            ".",
            "_a",
            "1",
            "2",
            "10",
            "A",
            "a",
            "a-b",
            "a.b",
            "a0",
            "a1",
            "a2",
            "a2b",
            "a2-",
            "a10b",
            "a010",
            "a100",
            "a99999999999999999999",
            "a100000000000000000000",
            "aB",
            "ab",
            "f:a",
            "f:b",
            "k:{\"p\":80}",
            "k:{\"p\":443}",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(compare_keys(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_keys(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    proptest! {
        /// Sorting by anything else may panic.
        #[test]
        fn it_is_an_order(keys in proptest::collection::vec("[019ab.é٣-]{0,6}|[0-9]{18,22}", 3)) {
            let [a, b, c] = keys.as_slice() else { unreachable!() };
            prop_assert_eq!(compare_keys(a, b), compare_keys(b, a).reverse());
            prop_assert_eq!(compare_keys(a, b) == Ordering::Equal, a == b);
            if compare_keys(a, b).is_le() && compare_keys(b, c).is_le() {
                prop_assert!(compare_keys(a, c).is_le(), "{} {} {}", a, b, c);
            }
        }
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        let document = Document::parse(br#"{"b":1,"a":2,"b":3}"#).unwrap();
        let keys: Vec<_> = document.top().iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        assert_eq!(keys, [r#"a=Number("2")"#, r#"b=Number("3")"#]);
    }

    #[test]
    fn damaged_json_is_an_error_with_its_place() {
        for text in ["", "{", "[1,", "{\"a\" 1}", "tru", "\"\\x\"", "\"a\nb\"", "1 2", "{\"a\":}", "\"\\ud80", "+1", "--1"] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(Document::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn escapes_decode_as_in_go() {
        let document = Document::parse(br#"["\u0041\n\ud83d\ude00\ud800x\/"]"#).unwrap();
        let Node::List(range) = &document.root else { panic!("a list") };
        let Some(Node::Text(text)) = document.list(range).first() else { panic!("text") };
        assert_eq!(text, "A\n😀\u{fffd}x/");
    }
}
