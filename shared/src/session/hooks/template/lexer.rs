//! Text and actions, and the words of actions.

use serde_json::{Number, Value};

use super::{TemplateError, wrong};

/// A stretch of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    Action(Action),
}

/// What stands between two pairs of braces.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub line: usize,
    pub tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// `.` or `.A.B`
    Field(Vec<String>),
    /// `$`, `$x` or `$x.A`
    Variable(String, Vec<String>),
    /// A keyword or a function.
    Word(String),
    Literal(Value),
    Open,
    /// `)`, and the fields that follow without a blank
    Close(Vec<String>),
    Pipe,
    Declare,
    Assign,
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

/// Splits a template, and applies the marks that take blanks away.
pub fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut reader = Reader { rest: text, line: 1 };
    let mut all = Vec::new();
    let mut trim_next = false;
    loop {
        let Some(at) = reader.rest.find("{{") else {
            let text = if trim_next { reader.rest.trim_start() } else { reader.rest };
            all.push(Piece::Text(text.to_owned()));
            return Ok(all);
        };
        let mut before = reader.take(at);
        reader.take(2);
        if trim_next {
            before = before.trim_start();
        }
        let behind_dash = reader.rest.strip_prefix('-');
        if behind_dash.is_some_and(|rest| rest.starts_with(blank)) {
            before = before.trim_end();
            reader.take(1);
        }
        all.push(Piece::Text(before.to_owned()));
        let line = reader.line;
        let tokens = reader.action(&mut trim_next)?;
        if let Some(tokens) = tokens {
            all.push(Piece::Action(Action { line, tokens }));
        }
    }
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl<'a> Reader<'a> {
    /// The next bytes, which end between two characters.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn error(&self, reason: impl Into<String>) -> TemplateError {
        wrong(self.line, reason)
    }

    /// The words up to the closing braces; none of a comment.
    fn action(&mut self, trim_next: &mut bool) -> Result<Option<Vec<Token>>, TemplateError> {
        let mut tokens = Vec::new();
        self.take_while(blank);
        let comment = self.rest.starts_with("/*");
        if comment {
            let end = self.rest.find("*/").ok_or_else(|| self.error("a comment is not closed"))?;
            self.take(end + 2);
        }
        loop {
            let blanks = self.take_while(blank);
            let closing = !blanks.is_empty() && self.rest.starts_with("-}}");
            if closing || self.rest.starts_with("}}") {
                self.take(if closing { 3 } else { 2 });
                *trim_next = closing;
                return Ok((!comment).then_some(tokens));
            }
            if comment {
                return Err(self.error("a comment stands in braces of its own"));
            }
            if !blanks.is_empty() || tokens.is_empty() || matches!(tokens.last(), Some(Token::Open | Token::Pipe | Token::Declare | Token::Assign)) {
                tokens.push(self.token()?);
                continue;
            }
            // Without a blank only signs follow each other.
            match self.rest.chars().next() {
                Some('|' | ')' | ':' | '=') => tokens.push(self.token()?),
                Some('(') => return Err(self.error("a blank is missing before (")),
                Some(c) => return Err(self.error(format!("{c:?} is not expected here"))),
                None => return Err(self.error("the braces of an action are not closed")),
            }
        }
    }

    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        while self.rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(letter)) {
            self.take(1);
            path.push(self.take_while(letter).to_owned());
        }
        path
    }

    fn token(&mut self) -> Result<Token, TemplateError> {
        let first = self.rest.chars().next().ok_or_else(|| self.error("the braces of an action are not closed"))?;
        Ok(match first {
            '.' => {
                let path = self.path();
                if path.is_empty() {
                    self.take(1);
                }
                Token::Field(path)
            }
            '$' => {
                self.take(1);
                let name = self.take_while(letter).to_owned();
                Token::Variable(name, self.path())
            }
            '(' => {
                self.take(1);
                Token::Open
            }
            ')' => {
                self.take(1);
                Token::Close(self.path())
            }
            '|' => {
                self.take(1);
                Token::Pipe
            }
            ':' if self.rest.starts_with(":=") => {
                self.take(2);
                Token::Declare
            }
            '=' => {
                self.take(1);
                Token::Assign
            }
            '"' => Token::Literal(Value::String(self.quoted()?)),
            '`' => {
                self.take(1);
                let end = self.rest.find('`').ok_or_else(|| self.error("a text in ` is not closed"))?;
                let text = self.take(end).to_owned();
                self.take(1);
                Token::Literal(Value::String(text))
            }
            c if c.is_ascii_digit() || c == '-' || c == '+' => Token::Literal(Value::Number(self.number()?)),
            c if letter(c) => match self.take_while(letter) {
                "true" => Token::Literal(Value::Bool(true)),
                "false" => Token::Literal(Value::Bool(false)),
                "nil" => Token::Literal(Value::Null),
                word => Token::Word(word.to_owned()),
            },
            c => return Err(self.error(format!("{c:?} is not expected here"))),
        })
    }

    fn number(&mut self) -> Result<Number, TemplateError> {
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'));
        let whole = text.trim_start_matches('+').parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
        number.ok_or_else(|| self.error(format!("{text:?} is no number")))
    }

    fn quoted(&mut self) -> Result<String, TemplateError> {
        self.take(1);
        let mut out = String::new();
        loop {
            let c = self.rest.chars().next().ok_or_else(|| self.error("a text in \" is not closed"))?;
            self.take(c.len_utf8());
            match c {
                '"' => return Ok(out),
                '\n' => return Err(self.error("a text in \" ends on its line; use ` for several lines")),
                '\\' => {
                    let escaped = self.rest.chars().next().ok_or_else(|| self.error("a text in \" is not closed"))?;
                    self.take(escaped.len_utf8());
                    out.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        '"' | '\\' | '\'' => escaped,
                        'x' => self.code(2)?,
                        'u' => self.code(4)?,
                        'U' => self.code(8)?,
                        other => return Err(self.error(format!("\\{other} is no escape; write \\\\ for a backslash"))),
                    });
                }
                c => out.push(c),
            }
        }
    }

    fn code(&mut self, digits: usize) -> Result<char, TemplateError> {
        let text = self.take(digits);
        let number = u32::from_str_radix(text, 16).ok();
        number.and_then(char::from_u32).ok_or_else(|| self.error(format!("{text:?} is no character's number")))
    }
}
