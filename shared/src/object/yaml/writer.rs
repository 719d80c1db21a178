//! The emitter: a tree to kubectl's layout.

use super::{number, plain::resolves_to_other};
use crate::object::json::{Document, Node};

/// Longer lines of folded text are broken at the next single blank.
const WIDTH: usize = 80;
/// kubectl writes longer keys in the `? key` form.
const MAX_SIMPLE_KEY: usize = 128;

/// How a string can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Block,
}

/// Writes nodes of one document.
pub(in crate::object) struct Writer<'d, 'a, 'o> {
    pub(in crate::object) document: &'d Document<'a>,
    pub(in crate::object) out: &'o mut Vec<u8>,
}

impl Writer<'_, '_, '_> {
    /// A whole document.
    pub(in crate::object) fn root(&mut self, node: &Node<'_>) {
        match node {
            Node::Map(range) if !range.is_empty() => {
                for (key, value) in self.document.map(range) {
                    self.member(key, value, 0);
                }
            }
            Node::List(range) if !range.is_empty() => self.elements(node, 0),
            scalar => {
                self.scalar(scalar, 2, 0);
                self.line();
            }
        }
    }

    fn line(&mut self) {
        if self.out.last() != Some(&b'\n') {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, by: usize) {
        self.out.resize(self.out.len() + by, b' ');
    }

    /// `key: value` at the given indent, from the start of a line to the end of one.
    pub(in crate::object) fn member(&mut self, key: &str, value: &Node<'_>, indent: usize) {
        self.indent(indent);
        self.member_here(key, value, indent);
    }

    /// The same where the indent is already written.
    fn member_here(&mut self, key: &str, value: &Node<'_>, indent: usize) {
        let style = key_style(key);
        if key.len() > MAX_SIMPLE_KEY {
            self.out.extend_from_slice(b"? ");
            self.text(key, style, indent + 2, indent + 2);
            self.out.push(b'\n');
            self.indent(indent);
            self.out.extend_from_slice(b": ");
            return self.inline(value, indent + 2);
        }
        let start = self.out.len();
        // Keys are never folded: as if the line had no end.
        self.unfolded(key, style);
        self.out.push(b':');
        match value {
            Node::Map(range) if !range.is_empty() => {
                self.out.push(b'\n');
                for (key, value) in self.document.map(range) {
                    self.member(key, value, indent + 2);
                }
            }
            Node::List(range) if !range.is_empty() => {
                self.out.push(b'\n');
                self.elements(value, indent);
            }
            scalar => {
                self.out.push(b' ');
                let column = indent + columns(self.out.get(start..).unwrap_or_default());
                self.scalar(scalar, indent + 2, column);
                self.line();
            }
        }
    }

    /// `- element` for each, at the given indent.
    fn elements(&mut self, list: &Node<'_>, indent: usize) {
        let Node::List(range) = list else { return };
        for (at, element) in self.document.list(range).iter().enumerate() {
            if at > 0 || self.out.last().is_none_or(|&byte| byte == b'\n') {
                self.indent(indent);
            }
            self.out.extend_from_slice(b"- ");
            self.inline(element, indent + 2);
        }
    }

    /// A value behind `- ` or `: `, its own lines at `indent`.
    fn inline(&mut self, value: &Node<'_>, indent: usize) {
        match value {
            Node::Map(range) if !range.is_empty() => {
                for (at, (key, value)) in self.document.map(range).iter().enumerate() {
                    if at > 0 {
                        self.indent(indent);
                    }
                    self.member_here(key, value, indent);
                }
            }
            Node::List(range) if !range.is_empty() => self.elements(value, indent),
            scalar => {
                self.scalar(scalar, indent, indent);
                self.line();
            }
        }
    }

    fn scalar(&mut self, node: &Node<'_>, indent: usize, column: usize) {
        match node {
            Node::Null => self.out.extend_from_slice(b"null"),
            Node::Bool(true) => self.out.extend_from_slice(b"true"),
            Node::Bool(false) => self.out.extend_from_slice(b"false"),
            Node::Number(text) => number::write(text, self.out),
            Node::Map(_) => self.out.extend_from_slice(b"{}"),
            Node::List(_) => self.out.extend_from_slice(b"[]"),
            Node::Text(text) => self.text(text, value_style(text), indent, column),
        }
    }

    fn unfolded(&mut self, text: &str, style: Style) {
        match style {
            Style::Plain => self.out.extend_from_slice(text.as_bytes()),
            Style::Single => self.single_quoted(text, None),
            Style::Double | Style::Block => self.double_quoted(text, None),
        }
    }

    fn text(&mut self, text: &str, style: Style, indent: usize, column: usize) {
        let fold = Some((indent, column));
        match style {
            Style::Plain if text.len() + column <= WIDTH => self.out.extend_from_slice(text.as_bytes()),
            Style::Plain => self.folded(text, indent, column),
            Style::Single => self.single_quoted(text, fold),
            Style::Double => self.double_quoted(text, fold),
            Style::Block => self.block(text, indent),
        }
    }

    /// Breaks at a single blank once the line is longer than [`WIDTH`].
    fn folded(&mut self, text: &str, indent: usize, mut column: usize) {
        let mut previous_blank = false;
        let bytes = text.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            let blank = byte == b' ';
            if blank && !previous_blank && column > WIDTH && bytes.get(at + 1) != Some(&b' ') {
                self.break_line(indent);
                column = indent;
            } else {
                self.out.push(byte);
                column += usize::from(is_char_start(byte));
            }
            previous_blank = blank;
        }
    }

    fn break_line(&mut self, indent: usize) {
        self.out.push(b'\n');
        self.indent(indent);
    }

    fn single_quoted(&mut self, text: &str, fold: Option<(usize, usize)>) {
        self.out.push(b'\'');
        let bytes = text.as_bytes();
        let mut column = fold.map_or(0, |(_, column)| column + 1);
        let mut previous_blank = false;
        for (at, &byte) in bytes.iter().enumerate() {
            let blank = byte == b' ';
            match fold {
                Some((indent, _))
                    if blank && !previous_blank && column > WIDTH && at > 0 && at + 1 < bytes.len() && bytes.get(at + 1) != Some(&b' ') =>
                {
                    self.break_line(indent);
                    column = indent;
                }
                _ => {
                    if byte == b'\'' {
                        self.out.push(b'\'');
                        column += 1;
                    }
                    self.out.push(byte);
                    column += usize::from(is_char_start(byte));
                }
            }
            previous_blank = blank;
        }
        self.out.push(b'\'');
    }

    fn double_quoted(&mut self, text: &str, fold: Option<(usize, usize)>) {
        self.out.push(b'"');
        // Words and times, mostly: nothing to escape, and no line to break.
        if !text.bytes().any(|byte| matches!(byte, b'"' | b'\\' | b' ' | 0..0x20 | 0x7F..)) {
            self.out.extend_from_slice(text.as_bytes());
            return self.out.push(b'"');
        }
        let mut column = fold.map_or(0, |(_, column)| column + 1);
        let mut previous_blank = false;
        for (at, character) in text.char_indices() {
            let before = self.out.len();
            let blank = character == ' ';
            match fold {
                Some((indent, _)) if blank && !previous_blank && column > WIDTH && at > 0 && at + 1 < text.len() => {
                    self.break_line(indent);
                    column = indent;
                    if text.as_bytes().get(at + 1) == Some(&b' ') {
                        self.out.push(b'\\');
                        column += 1;
                    }
                }
                _ if needs_escape(character) => {
                    self.escape(character);
                    column += self.out.len() - before;
                }
                _ => {
                    self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    column += 1;
                }
            }
            previous_blank = blank;
        }
        self.out.push(b'"');
    }

    fn escape(&mut self, character: char) {
        let short = match character {
            '\0' => b'0',
            '\u{7}' => b'a',
            '\u{8}' => b'b',
            '\t' => b't',
            '\n' => b'n',
            '\u{b}' => b'v',
            '\u{c}' => b'f',
            '\r' => b'r',
            '\u{1b}' => b'e',
            '"' => b'"',
            '\\' => b'\\',
            '\u{85}' => b'N',
            '\u{a0}' => b'_',
            '\u{2028}' => b'L',
            '\u{2029}' => b'P',
            _ => 0,
        };
        let code = u32::from(character);
        let spelled = match code {
            _ if short != 0 => return self.out.extend_from_slice(&[b'\\', short]),
            0..=0xFF => format!("\\x{code:02X}"),
            0x100..=0xFFFF => format!("\\u{code:04X}"),
            _ => format!("\\U{code:08X}"),
        };
        self.out.extend_from_slice(spelled.as_bytes());
    }

    fn block(&mut self, text: &str, indent: usize) {
        self.out.push(b'|');
        if text.starts_with([' ', '\n']) {
            self.out.push(b'2');
        }
        match text.strip_suffix('\n') {
            None => self.out.push(b'-'),
            Some("") => self.out.push(b'+'),
            Some(head) if head.ends_with('\n') => self.out.push(b'+'),
            Some(_) => {}
        }
        self.out.push(b'\n');
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                self.indent(indent);
            }
            self.out.extend_from_slice(line.as_bytes());
        }
        self.line();
    }
}

/// Characters on the last line written.
fn columns(line: &[u8]) -> usize {
    line.iter().filter(|&&byte| is_char_start(byte)).count()
}

const fn is_char_start(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// What kubectl's printer escapes, and the two Unicode line breaks, which readers disagree on.
fn needs_escape(character: char) -> bool {
    match character {
        '"' | '\\' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        _ => !(' '..='\u{ffff}').contains(&character),
    }
}

fn key_style(text: &str) -> Style {
    match value_style(text) {
        Style::Block => Style::Double,
        style => style,
    }
}

/// Bytes that never decide anything inside a word; a colon does at its end only.
static SAFE: [bool; 256] = {
    let mut safe = [false; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        safe[at] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'=' | b'+' | b'@' | b'%' | b'(' | b')' | b';' | b'$' | b',' | b'?' | b':');
        at += 1;
    }
    safe
};

fn value_style(text: &str) -> Style {
    let bytes = text.as_bytes();
    let Some(&first) = bytes.first() else {
        return Style::Double;
    };
    let safe = |byte: &u8| SAFE.get(usize::from(*byte)).copied().unwrap_or(false);
    if first.is_ascii_alphabetic() && bytes.last() != Some(&b':') && bytes.iter().all(safe) {
        return if resolves_to_other(text) { Style::Double } else { Style::Plain };
    }
    analyse(text, first)
}

/// The long way: which styles would be read back as the same text, and kubectl's choice among them.
fn analyse(text: &str, first: u8) -> Style {
    let bytes = text.as_bytes();
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut lines, mut special, mut break_blank, mut blank_break) = (false, false, false, false);
    let (mut previous_blank, mut previous_break, mut after_white) = (false, false, true);
    indicators |= match first {
        b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@' | b'`' => true,
        b'?' | b':' | b'-' => bytes.get(1).is_none_or(|next| matches!(next, b' ' | b'\t')),
        _ => false,
    };
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b':' => indicators |= bytes.get(at + 1).is_none_or(|next| matches!(next, b' ' | b'\t')),
            b'#' => indicators |= after_white,
            b'\n' => {
                lines = true;
                blank_break |= previous_blank;
            }
            b' ' => break_blank |= previous_break,
            0..0x20 | 0x7F => special = true,
            _ => {}
        }
        previous_blank = byte == b' ';
        previous_break = byte == b'\n';
        after_white = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0);
    }
    special |= !text.is_ascii() && text.chars().any(|c| c > '\u{7f}' && needs_escape(c));
    if special || blank_break {
        return Style::Double;
    }
    let last = bytes.last().copied().unwrap_or(0);
    if lines {
        return if last == b' ' { Style::Double } else { Style::Block };
    }
    if resolves_to_other(text) {
        return Style::Double;
    }
    // A comment sign behind a wide character is none: kubectl looks at the byte before it, as above.
    if break_blank {
        return Style::Double;
    }
    if indicators || first == b' ' || last == b' ' { Style::Single } else { Style::Plain }
}
