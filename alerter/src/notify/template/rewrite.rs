//! Makes of a parsed template one that the engine can run: the engine knows neither methods nor bounds of work.
//!
//! `.Alerts.Firing` and `.StartsAt.Format "15:04"` become calls of a function that follows the path; what is printed
//! goes through one that writes it as Go does; and what may be repeated goes through one that counts. Functions and
//! variables that are not there are found on the way, as Go finds them when it parses.

use std::collections::BTreeSet;
use std::sync::Arc;

use gotmpl::parse::{ActionNode, BranchNode, CommandNode, DefineNode, Expr, ListNode, Node, Parser, PipeNode, Pos};

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
    let rewritten = |body: ListNode| {
        let mut walk = Walk { functions, variables: vec!["$".into()], calls: BTreeSet::new() };
        let body = walk.list(body)?;
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

impl Walk<'_> {
    fn list(&mut self, list: ListNode) -> Result<ListNode, String> {
        let nodes = list.nodes.into_iter().map(|node| self.node(node)).collect::<Result<_, _>>()?;
        Ok(ListNode { nodes, ..list })
    }

    fn node(&mut self, node: Node) -> Result<Node, String> {
        Ok(match node {
            Node::List(list) => Node::List(self.list(list)?),
            Node::Action(ActionNode { pos, pipe }) => {
                let mut pipe = self.pipe(pipe)?;
                let is_escaped = pipe.commands.last().and_then(function).is_some_and(|name| ESCAPERS.contains(&name));
                if pipe.decl.is_empty() && !is_escaped {
                    pipe.commands.push(call(pos, PRINT, Vec::new()));
                }
                Node::Action(ActionNode { pos, pipe })
            }
            Node::If(branch) => Node::If(self.branch(branch)?),
            Node::With(branch) => Node::With(self.branch(branch)?),
            Node::Range(branch) => Node::Range(self.branch(branch)?),
            Node::Template(mut called) => {
                self.calls.insert(called.name.to_string());
                let pipe = called.pipe.map(|pipe| self.pipe(pipe)).transpose()?;
                let value = pipe.map_or(Expr::Nil(called.pos), |pipe| Expr::Pipe(called.pos, pipe));
                let command = call(called.pos, COUNT, vec![value]);
                called.pipe =
                    Some(PipeNode { pos: called.pos, decl: Vec::new(), commands: vec![command], is_assign: false });
                Node::Template(called)
            }
            Node::Text(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => node,
        })
    }

    /// Variables of the condition are known in both bodies; those of a body end with it.
    fn branch(&mut self, branch: BranchNode) -> Result<BranchNode, String> {
        let before = self.variables.len();
        let pipe = self.pipe(branch.pipe)?;
        let within = self.variables.len();
        let body = self.list(branch.body)?;
        self.variables.truncate(within);
        let else_body = branch.else_body.map(|body| self.list(body)).transpose()?;
        self.variables.truncate(before);
        Ok(BranchNode { pos: branch.pos, pipe, body, else_body })
    }

    fn pipe(&mut self, pipe: PipeNode) -> Result<PipeNode, String> {
        let commands = pipe.commands.into_iter().map(|command| self.command(command)).collect::<Result<_, _>>()?;
        if pipe.is_assign {
            pipe.decl.iter().try_for_each(|name| self.is_declared(name))?;
        } else {
            self.variables.extend(pipe.decl.iter().map(ToString::to_string));
        }
        Ok(PipeNode { commands, ..pipe })
    }

    fn is_declared(&self, name: &str) -> Result<(), String> {
        let is = |known: &String| known.trim_start_matches('$') == name.trim_start_matches('$');
        if self.variables.iter().any(is) { Ok(()) } else { Err(format!("undefined variable {name:?}")) }
    }

    /// Arguments of a method go to the function that follows the path to it.
    fn command(&mut self, command: CommandNode) -> Result<CommandNode, String> {
        let mut arguments = command.args.into_iter();
        let Some(first) = arguments.next() else { return Err("an empty command".to_owned()) };
        let rest = arguments.map(|argument| self.expr(argument)).collect::<Result<Vec<_>, _>>()?;
        let mut args = match self.expr(first)? {
            Expr::Pipe(_, PipeNode { commands, decl, .. })
                if decl.is_empty() && commands.len() == 1 && commands.first().and_then(function) == Some(FOLLOW) =>
            {
                commands.into_iter().flat_map(|command| command.args).collect()
            }
            other => vec![other],
        };
        args.extend(rest);
        Ok(CommandNode { pos: command.pos, args })
    }

    fn expr(&mut self, expr: Expr) -> Result<Expr, String> {
        Ok(match expr {
            Expr::Field(pos, path) => follow(pos, Expr::Dot(pos), &path.join(".")),
            Expr::Variable(pos, name, path) => {
                self.is_declared(&name)?;
                let variable = Expr::Variable(pos, name, Vec::new());
                if path.is_empty() { variable } else { follow(pos, variable, &path.join(".")) }
            }
            Expr::Chain(pos, inner, path) => {
                let inner = self.expr(*inner)?;
                follow(pos, inner, &path.join("."))
            }
            Expr::Pipe(pos, pipe) => Expr::Pipe(pos, self.pipe(pipe)?),
            Expr::Identifier(_, ref name) => {
                if !self.functions.contains(&**name) && !BUILTINS.contains(&&**name) {
                    return Err(format!("function {name:?} not defined"));
                }
                expr
            }
            Expr::Dot(_) | Expr::String(..) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => expr,
        })
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
