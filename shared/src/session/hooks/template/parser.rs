//! From words to a tree.

use serde_json::Value;

use super::{
    TemplateError, functions,
    lexer::{Action, Piece, Token},
    wrong,
};

/// Blocks and groups may stand so deep in each other.
const MAX_DEPTH: usize = 40;

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Text(String),
    Output(Pipeline),
    Choice { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
}

/// Commands, each of which gets the result of the one before as its last argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub line: usize,
    pub variable: Option<Variable>,
    pub commands: Vec<Vec<Operand>>,
}

/// The variable that takes a pipeline's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    pub name: String,
    /// A new one of the block, or the one that is there.
    pub declared: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    Group(Pipeline, Vec<String>),
}

/// How a block ended.
enum Close {
    Text,
    End,
    Else,
    ElseIf(Action),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
}

pub fn parse(pieces: Vec<Piece>) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser { pieces: pieces.into_iter() };
    let (nodes, end, line) = parser.block(0, 1)?;
    match end {
        Close::Text => Ok(nodes),
        Close::End => Err(wrong(line, "{{ end }} without an {{ if }}")),
        Close::Else | Close::ElseIf(_) => Err(wrong(line, "{{ else }} without an {{ if }}")),
    }
}

impl Parser {
    /// Nodes up to the end of a block, what ended it, and where.
    fn block(&mut self, depth: usize, mut line: usize) -> Result<(Vec<Node>, Close, usize), TemplateError> {
        if depth > MAX_DEPTH {
            return Err(wrong(line, format!("more than {MAX_DEPTH} blocks stand in each other")));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action) => action,
            };
            line = action.line;
            let word = |at: usize| match action.tokens.get(at) {
                Some(Token::Word(word)) => Some(word.as_str()),
                _ => None,
            };
            match (word(0), word(1)) {
                (Some("end"), _) if action.tokens.len() == 1 => return Ok((nodes, Close::End, line)),
                (Some("else"), _) if action.tokens.len() == 1 => return Ok((nodes, Close::Else, line)),
                (Some("else"), Some("if")) => {
                    let tokens = action.tokens.get(1..).unwrap_or_default().to_vec();
                    return Ok((nodes, Close::ElseIf(Action { line, tokens }), line));
                }
                (Some("end" | "else"), _) => return Err(wrong(line, "nothing but {{ end }}, {{ else }} and {{ else if … }} is known")),
                (Some("if"), _) => nodes.push(self.choice(action, depth)?),
                (Some(word @ ("range" | "with" | "define" | "template" | "block" | "break" | "continue")), _) => {
                    return Err(wrong(line, format!("{word} is not supported; a hook's template knows if, else and end")));
                }
                _ => nodes.push(Node::Output(pipeline(&action.tokens, line)?)),
            }
        }
        Ok((nodes, Close::Text, line))
    }

    fn choice(&mut self, action: Action, depth: usize) -> Result<Node, TemplateError> {
        let condition = pipeline(action.tokens.get(1..).unwrap_or_default(), action.line)?;
        let (then, end, line) = self.block(depth + 1, action.line)?;
        let unclosed = || wrong(action.line, "this {{ if }} has no {{ end }}");
        let otherwise = match end {
            Close::Text => return Err(unclosed()),
            Close::End => Vec::new(),
            Close::ElseIf(next) => vec![self.choice(next, depth + 1)?],
            Close::Else => match self.block(depth + 1, line)? {
                (nodes, Close::End, _) => nodes,
                (_, Close::Text, _) => return Err(unclosed()),
                (_, _, line) => return Err(wrong(line, "a second {{ else }} of the same {{ if }}")),
            },
        };
        Ok(Node::Choice { condition, then, otherwise })
    }
}

/// Reads a whole action.
fn pipeline(tokens: &[Token], line: usize) -> Result<Pipeline, TemplateError> {
    let mut words = Words { tokens, at: 0, line };
    let read = words.pipeline(0)?;
    match words.next() {
        None => Ok(read),
        Some(_) => Err(wrong(line, "a ) without its (")),
    }
}

struct Words<'a> {
    tokens: &'a [Token],
    at: usize,
    line: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn variable(&mut self) -> Option<Variable> {
        let declared = match self.tokens.get(self.at + 1) {
            Some(Token::Declare) => true,
            Some(Token::Assign) => false,
            _ => return None,
        };
        match self.tokens.get(self.at) {
            Some(Token::Variable(name, path)) if path.is_empty() && !name.is_empty() => {
                self.at += 2;
                Some(Variable { name: name.clone(), declared })
            }
            _ => None,
        }
    }

    /// Up to the end, or to a parenthesis that closes.
    fn pipeline(&mut self, depth: usize) -> Result<Pipeline, TemplateError> {
        if depth > MAX_DEPTH {
            return Err(wrong(self.line, format!("more than {MAX_DEPTH} parentheses stand in each other")));
        }
        let variable = self.variable();
        let mut commands = Vec::new();
        let mut command: Vec<Operand> = Vec::new();
        loop {
            let operand = match self.next() {
                None => break,
                Some(Token::Close(_)) => {
                    self.at -= 1;
                    break;
                }
                Some(Token::Pipe) => {
                    commands.push(self.checked(std::mem::take(&mut command), commands.is_empty())?);
                    continue;
                }
                Some(Token::Open) => {
                    let inner = self.pipeline(depth + 1)?;
                    match self.next() {
                        Some(Token::Close(path)) => Operand::Group(inner, path),
                        _ => return Err(wrong(self.line, "a ( without its )")),
                    }
                }
                Some(Token::Declare | Token::Assign) => return Err(wrong(self.line, "before := and = stands one variable, as in $x := …")),
                Some(Token::Field(path)) => Operand::Field(path),
                Some(Token::Variable(name, path)) => Operand::Variable(name, path),
                Some(Token::Literal(value)) => Operand::Literal(value),
                Some(Token::Word(name)) if functions::is_known(&name) => Operand::Function(name),
                Some(Token::Word(name)) => {
                    let known = functions::NAMES.join(", ");
                    return Err(wrong(self.line, format!("the function {name} is not known; there are {known}")));
                }
            };
            command.push(operand);
        }
        commands.push(self.checked(command, commands.is_empty())?);
        Ok(Pipeline { line: self.line, variable, commands })
    }

    fn checked(&self, command: Vec<Operand>, first: bool) -> Result<Vec<Operand>, TemplateError> {
        match command.first() {
            None => Err(wrong(self.line, "a value is missing")),
            Some(Operand::Function(_)) => Ok(command),
            Some(_) if command.len() > 1 => Err(wrong(self.line, "values stand beside each other; behind a blank only a function takes values")),
            Some(_) if !first => Err(wrong(self.line, "behind | stands a function")),
            Some(_) => Ok(command),
        }
    }
}
