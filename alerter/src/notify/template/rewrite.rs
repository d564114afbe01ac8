//! Makes of a parsed template one that the engine can run: the engine knows neither methods nor bounds of work.
//!
//! `.Alerts.Firing` and `.StartsAt.Format "15:04"` become calls of a function that follows the path; what is printed
//! goes through one that writes it as Go does; and what may be repeated goes through one that counts. Functions and
//! variables that are not there are found on the way, as Go finds them when it parses.

use std::collections::BTreeSet;
use std::sync::Arc;

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, DefineNode, Expr, ListNode, Node, Parser, PipeNode, Pos, TemplateNode,
};

use crate::rules::go;

/// Follows a path of fields and methods.
pub(super) const FOLLOW: &str = "weirField";
/// Writes a value as Go does.
pub(super) const PRINT: &str = "weirPrint";
/// Gives its argument, and counts.
pub(super) const COUNT: &str = "weirCount";

/// Of the engine's own functions, those that no other takes the place of.
const BUILTINS: [&str; 13] = ["and", "or", "not", "len", "slice", "call", "eq", "ne", "lt", "le", "gt", "ge", "index"];
/// Of these the HTML engine asks that they are last.
const ESCAPERS: [&str; 3] = ["html", "js", "urlquery"];

/// Stands behind every text: a stray `{{ end }}` ends a template early without an error, and so is seen.
const END: char = '\u{1}';

/// A template, with the names of those that it calls.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) body: ListNode,
    pub(super) calls: BTreeSet<String>,
}

/// Parses a text: its own body, and what it defines, in this order. `functions` are the names of all functions.
pub(super) fn parse(text: &str, functions: &BTreeSet<String>) -> Result<(Tree, Vec<(String, Tree)>), String> {
    go::check_depth(text)?;
    let ended = format!("{text}{END}");
    let (mut body, defines) =
        Parser::new(&ended, "{{", "}}").and_then(Parser::parse).map_err(|error| error.to_string())?;
    let whole = match body.nodes.last_mut() {
        Some(Node::Text(last)) => last.text.strip_suffix(END).map(Arc::from).map(|text: Arc<str>| last.text = text),
        _ => None,
    };
    if whole.is_none() {
        return Err("unexpected {{end}}".to_owned());
    }
    let rewritten = |mut body: ListNode| {
        let mut walk = Walk { functions, variables: vec!["$".into()], calls: BTreeSet::new() };
        walk.list(&mut body)?;
        Ok::<_, String>(Tree { body, calls: walk.calls })
    };
    let body = rewritten(body)?;
    let defines = defines
        .into_iter()
        .map(|DefineNode { name, body, .. }| {
            let tree = rewritten(body).map_err(|error| format!("template {name:?}: {error}"))?;
            Ok((name.to_string(), tree))
        })
        .collect::<Result<_, String>>()?;
    Ok((body, defines))
}

struct Walk<'a> {
    functions: &'a BTreeSet<String>,
    variables: Vec<String>,
    calls: BTreeSet<String>,
}

/// In place, so that a deep template needs little of the stack.
impl Walk<'_> {
    fn list(&mut self, list: &mut ListNode) -> Result<(), String> {
        list.nodes.iter_mut().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &mut Node) -> Result<(), String> {
        match node {
            Node::List(list) => self.list(list),
            Node::Action(ActionNode { pos, pipe }) => {
                self.pipe(pipe)?;
                let is_escaped = pipe.commands.last().and_then(function).is_some_and(|name| ESCAPERS.contains(&name));
                if pipe.decl.is_empty() && !is_escaped {
                    pipe.commands.push(call(*pos, PRINT, Vec::new()));
                }
                Ok(())
            }
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => self.branch(branch),
            Node::Template(called) => self.template(called),
            Node::Text(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
        }
    }

    fn template(&mut self, called: &mut TemplateNode) -> Result<(), String> {
        self.calls.insert(called.name.to_string());
        let pos = called.pos;
        let value = match called.pipe.take() {
            Some(mut pipe) => {
                self.pipe(&mut pipe)?;
                Expr::Pipe(pos, pipe)
            }
            None => Expr::Nil(pos),
        };
        let commands = vec![call(pos, COUNT, vec![value])];
        called.pipe = Some(PipeNode { pos, decl: Vec::new(), commands, is_assign: false });
        Ok(())
    }

    /// Variables of the condition are known in both bodies; those of a body end with it.
    fn branch(&mut self, branch: &mut BranchNode) -> Result<(), String> {
        let before = self.variables.len();
        self.pipe(&mut branch.pipe)?;
        let within = self.variables.len();
        self.list(&mut branch.body)?;
        self.variables.truncate(within);
        if let Some(body) = &mut branch.else_body {
            self.list(body)?;
        }
        self.variables.truncate(before);
        Ok(())
    }

    fn pipe(&mut self, pipe: &mut PipeNode) -> Result<(), String> {
        pipe.commands.iter_mut().try_for_each(|command| self.command(command))?;
        if pipe.is_assign {
            return pipe.decl.iter().try_for_each(|name| self.is_declared(name));
        }
        self.variables.extend(pipe.decl.iter().map(ToString::to_string));
        Ok(())
    }

    fn is_declared(&self, name: &str) -> Result<(), String> {
        let is = |known: &String| known.trim_start_matches('$') == name.trim_start_matches('$');
        if self.variables.iter().any(is) { Ok(()) } else { Err(format!("undefined variable {name:?}")) }
    }

    fn command(&mut self, command: &mut CommandNode) -> Result<(), String> {
        command.args.iter_mut().try_for_each(|argument| self.expr(argument))?;
        // Arguments of a method go to the function that follows the path to it.
        if let Some(Expr::Pipe(_, PipeNode { commands, .. })) = command.args.first_mut()
            && let [followed] = commands.as_mut_slice()
            && function(followed) == Some(FOLLOW)
        {
            let followed = std::mem::take(&mut followed.args);
            command.args.splice(..1, followed);
        }
        Ok(())
    }

    fn expr(&mut self, expr: &mut Expr) -> Result<(), String> {
        match expr {
            Expr::Field(pos, path) => *expr = follow(*pos, Expr::Dot(*pos), &path.join(".")),
            Expr::Variable(pos, name, path) => {
                self.is_declared(name)?;
                if !path.is_empty() {
                    *expr = follow(*pos, Expr::Variable(*pos, name.clone(), Vec::new()), &path.join("."));
                }
            }
            Expr::Chain(pos, inner, path) => {
                self.expr(inner)?;
                let inner = std::mem::replace(&mut **inner, Expr::Nil(*pos));
                *expr = follow(*pos, inner, &path.join("."));
            }
            Expr::Pipe(_, pipe) => self.pipe(pipe)?,
            Expr::Identifier(_, name) => {
                if !self.functions.contains(&**name) && !BUILTINS.contains(&&**name) {
                    return Err(format!("function {name:?} not defined"));
                }
            }
            Expr::Dot(_) | Expr::String(..) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => {}
        }
        Ok(())
    }
}

/// The name of the function that a command calls.
fn function(command: &CommandNode) -> Option<&str> {
    match command.args.first() {
        Some(Expr::Identifier(_, name)) => Some(name),
        _ => None,
    }
}

fn call(pos: Pos, function: &'static str, arguments: Vec<Expr>) -> CommandNode {
    let args = std::iter::once(Expr::Identifier(pos, function.into())).chain(arguments).collect();
    CommandNode { pos, args }
}

fn follow(pos: Pos, from: Expr, path: &str) -> Expr {
    let command = call(pos, FOLLOW, vec![from, Expr::String(pos, path.into())]);
    Expr::Pipe(pos, PipeNode { pos, decl: Vec::new(), commands: vec![command], is_assign: false })
}
