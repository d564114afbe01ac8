//! Queries made of queries.

use serde_json::{Map, Value as Json};
use weir_query::ast::Query;
use weir_service::elastic::Fault;

use super::{Compiler, and, missing, or};

/// Most ways to choose as many `should` clauses as `minimum_should_match` asks for.
const MAX_CHOICES: usize = 1024;

impl Compiler {
    pub(super) fn boolean(&mut self, about: &Map<String, Json>) -> Result<Query, Fault> {
        let (mut all, mut should) = (Vec::new(), None);
        let mut has_must = false;
        let mut least = None;
        for (key, json) in about.iter().filter(|(_, json)| !json.is_null()) {
            match key.as_str() {
                "must" | "filter" => {
                    let mut queries = self.list(json)?;
                    has_must |= !queries.is_empty();
                    all.append(&mut queries);
                }
                "must_not" => all.extend(self.list(json)?.into_iter().map(|query| Query::Not(Box::new(query)))),
                "should" => should = Some(self.list(json)?),
                "minimum_should_match" => least = Some(json),
                "boost" | "_name" | "adjust_pure_negative" => {}
                _ => return Err(Fault::parsing(format!("[bool] query does not support [{}]", super::shown(key)))),
            }
        }
        if let Some(should) = should.filter(|should| !should.is_empty()) {
            let least = minimum(least, should.len(), usize::from(!has_must))?;
            all.push(self.at_least(least, should)?);
        }
        Ok(and(all))
    }

    fn list(&mut self, json: &Json) -> Result<Vec<Query>, Fault> {
        match json {
            Json::Array(queries) => queries.iter().map(|query| self.query(query)).collect(),
            query => Ok(vec![self.query(query)?]),
        }
    }

    /// So many of these at least.
    pub(super) fn at_least(&mut self, least: usize, queries: Vec<Query>) -> Result<Query, Fault> {
        match least {
            0 => Ok(Query::All),
            1 => Ok(or(queries)),
            _ if least > queries.len() => Ok(Query::nothing()),
            _ if least == queries.len() => Ok(and(queries)),
            _ => {
                let mut choices: Vec<Vec<usize>> = vec![Vec::new()];
                for _ in 0..least {
                    let longer = choices.iter().flat_map(|chosen| {
                        let from = chosen.last().map_or(0, |last| last + 1);
                        (from..queries.len()).map(|next| [chosen.as_slice(), &[next]].concat())
                    });
                    choices = longer.take(MAX_CHOICES + 1).collect();
                    if choices.len() > MAX_CHOICES {
                        let reason = "minimum_should_match of so many clauses: ask for 1, for all, or of fewer clauses";
                        return Err(Fault::argument(reason));
                    }
                }
                self.count(choices.len() * least)?;
                let of = |chosen: Vec<usize>| and(chosen.into_iter().map(|at| queries[at].clone()).collect());
                Ok(or(choices.into_iter().map(of).collect()))
            }
        }
    }

    /// What is wrapped by a clause that changes only scores.
    pub(super) fn inner(&mut self, name: &str, about: &Map<String, Json>) -> Result<Query, Fault> {
        match about.get("filter").or_else(|| about.get("query")) {
            Some(query) => self.query(query),
            None if name == "function_score" => Ok(Query::All),
            None => Err(missing(name, "query")),
        }
    }

    pub(super) fn any_of(&mut self, name: &str, about: &Map<String, Json>) -> Result<Query, Fault> {
        let queries = about.get("queries").ok_or_else(|| missing(name, "queries"))?;
        Ok(or(self.list(queries)?))
    }
}

/// How many of `count` clauses must match: a number or a percentage, from the end where it is negative; at least `floor`.
pub(super) fn minimum(asked: Option<&Json>, count: usize, floor: usize) -> Result<usize, Fault> {
    let Some(asked) = asked else { return Ok(floor) };
    let wrong = || Fault::parsing("minimum_should_match is a number, or a percentage such as 75%");
    let text = super::scalar(asked).ok_or_else(wrong)?;
    let read = |text: &str| text.trim().parse::<i64>().map_err(|_| wrong());
    let (number, total) = match text.strip_suffix('%') {
        Some(percent) => (read(percent)?.clamp(-100, 100) * count as i64 / 100, count as i64),
        None => (read(&text)?, count as i64),
    };
    let least = if number < 0 { total.saturating_add(number) } else { number };
    Ok(usize::try_from(least).unwrap_or(0).max(floor))
}
