//! Carrying a tree out.

use serde_json::Value;

use super::{
    TemplateError, functions,
    parser::{Node, Operand, Pipeline},
    wrong,
};

/// Longest result, and most that a function takes or gives, in bytes.
pub const MAX_RESULT: usize = 1 << 20;
/// Lists and dicts stand so deep in each other.
const MAX_DEPTH: usize = 40;

/// Variables of the blocks that are open, the innermost last.
struct Scope<'a> {
    data: &'a Value,
    variables: Vec<(String, Value)>,
    out: String,
}

pub fn render(nodes: &[Node], data: &Value) -> Result<String, TemplateError> {
    let mut scope = Scope { data, variables: Vec::new(), out: String::new() };
    scope.block(nodes)?;
    Ok(scope.out)
}

impl Scope<'_> {
    fn block(&mut self, nodes: &[Node]) -> Result<(), TemplateError> {
        let outer = self.variables.len();
        for node in nodes {
            let line = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    1
                }
                Node::Output(pipeline) => {
                    let value = self.pipeline(pipeline)?;
                    if pipeline.variable.is_none() {
                        self.out.push_str(&functions::text(&value));
                    }
                    pipeline.line
                }
                Node::Choice { condition, then, otherwise } => {
                    let here = self.variables.len();
                    let chosen = if functions::truth(&self.pipeline(condition)?) { then } else { otherwise };
                    self.block(chosen)?;
                    self.variables.truncate(here);
                    condition.line
                }
            };
            if self.out.len() > MAX_RESULT {
                return Err(wrong(line, format!("the result is longer than {MAX_RESULT} bytes")));
            }
        }
        self.variables.truncate(outer);
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Result<Value, TemplateError> {
        let mut result = None;
        for command in &pipeline.commands {
            result = Some(self.command(command, result, pipeline.line)?);
        }
        let result = result.unwrap_or_default();
        let Some(variable) = &pipeline.variable else { return Ok(result) };
        if variable.declared {
            self.variables.push((variable.name.clone(), result.clone()));
            return Ok(result);
        }
        match self.variables.iter_mut().rev().find(|(name, _)| *name == variable.name) {
            Some((_, value)) => value.clone_from(&result),
            None => return Err(wrong(pipeline.line, format!("the variable ${0} is not there; write ${0} := first", variable.name))),
        }
        Ok(result)
    }

    fn command(&mut self, command: &[Operand], piped: Option<Value>, line: usize) -> Result<Value, TemplateError> {
        let (first, arguments) = command.split_first().ok_or_else(|| wrong(line, "a value is missing"))?;
        let Operand::Function(name) = first else { return self.operand(first, line) };
        let mut values = Vec::new();
        let mut size = piped.as_ref().map_or(0, |value| measure(value).0);
        for argument in arguments {
            let value = self.operand(argument, line)?;
            size += measure(&value).0;
            if size > MAX_RESULT {
                return Err(wrong(line, format!("{name} takes {MAX_RESULT} bytes at most")));
            }
            // As Go does, `and` and `or` leave alone what cannot change their result.
            let decided = (name == "and" && !functions::truth(&value)) || (name == "or" && functions::truth(&value));
            values.push(value);
            if decided {
                return call(name, values, line);
            }
        }
        values.extend(piped);
        call(name, values, line)
    }

    fn operand(&mut self, operand: &Operand, line: usize) -> Result<Value, TemplateError> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(name) => call(name, Vec::new(), line),
            Operand::Field(path) => self.summary(path, line),
            Operand::Variable(name, path) if name.is_empty() => self.summary(path, line),
            Operand::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                let value = found.ok_or_else(|| wrong(line, format!("the variable ${name} is not there")))?;
                in_map(value, path, line)
            }
            Operand::Group(pipeline, path) => in_map(self.pipeline(pipeline)?, path, line),
        }
    }

    /// A field of the data, all of whose fields are known.
    fn summary(&self, path: &[String], line: usize) -> Result<Value, TemplateError> {
        let mut value = self.data;
        for (at, name) in path.iter().enumerate() {
            value = value.get(name).ok_or_else(|| {
                let known: Vec<String> = value.as_object().into_iter().flatten().map(|(known, _)| format!(".{known}")).collect();
                let shown = path.iter().take(at + 1).map(String::as_str).collect::<Vec<_>>().join(".");
                let there = if known.is_empty() { "it has no fields".to_owned() } else { format!("there are {}", known.join(", ")) };
                wrong(line, format!("the field .{shown} does not exist; {there}"))
            })?;
        }
        Ok(value.clone())
    }
}

fn call(name: &str, values: Vec<Value>, line: usize) -> Result<Value, TemplateError> {
    let result = functions::call(name, values).map_err(|reason| wrong(line, reason))?;
    match measure(&result) {
        (size, depth) if size > MAX_RESULT || depth > MAX_DEPTH => Err(wrong(line, format!("{name} makes too much"))),
        _ => Ok(result),
    }
}

/// About how many bytes a value has, and how deep it is. No value is deeper than one level more than is allowed.
fn measure(value: &Value) -> (usize, usize) {
    let add = |(size, depth): (usize, usize), (more, below): (usize, usize)| (size.saturating_add(more), depth.max(below + 1));
    match value {
        Value::String(text) => (text.len(), 0),
        Value::Array(items) => items.iter().map(measure).fold((items.len() * 32, 1), add),
        Value::Object(fields) => {
            let sized = fields.iter().map(|(key, value)| {
                let (size, depth) = measure(value);
                (size + key.len() + 32, depth)
            });
            sized.fold((0, 1), add)
        }
        _ => (8, 0),
    }
}

/// A field of a `dict`, which has the value nil where it is not there.
fn in_map(mut value: Value, path: &[String], line: usize) -> Result<Value, TemplateError> {
    for name in path {
        value = match value {
            Value::Object(mut fields) => fields.remove(name).unwrap_or_default(),
            _ => return Err(wrong(line, format!("the field .{name} is asked of a value that has no fields"))),
        };
    }
    Ok(value)
}
