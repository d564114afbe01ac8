//! Where in a text the words and patterns of a query stand.

use std::collections::VecDeque;
use std::ops::Range;

use weir_service::terminal;

use super::text::TextTest;
use super::{Leaf, Matcher, Node};
use crate::words::each_word_at;

/// Most stretches of one text.
const MOST: usize = 1000;

impl Matcher {
    /// The stretches of a text, in bytes of its UTF-8, that the words and patterns in the query match: in order, apart
    /// from each other, a thousand at most.
    pub fn highlights(&self, text: &str) -> Vec<Range<usize>> {
        let shown = terminal::shown_text(text);
        let mut found = Vec::new();
        of_node(self.root(), &shown, &mut found);
        found.sort_by_key(|range| (range.start, range.end));
        found.dedup_by(|next, kept| {
            let is_within = next.start < kept.end;
            kept.end = if is_within { kept.end.max(next.end) } else { kept.end };
            is_within
        });
        if shown.len() == text.len() { found } else { in_whole(&found, &terminal::shown_stretches(text.as_bytes())) }
    }
}

fn of_node(node: &Node, shown: &str, found: &mut Vec<Range<usize>>) {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().for_each(|node| of_node(node, shown, found)),
        Node::Leaf(Leaf::Text(test)) => of_test(test, shown, found),
        Node::Leaf(Leaf::Field(test)) => test.text().into_iter().for_each(|test| of_test(test, shown, found)),
        // What must not be there is nowhere.
        Node::All | Node::Not(_) | Node::Leaf(Leaf::Severity(..) | Leaf::Time(..)) => {}
    }
}

fn of_test(test: &TextTest, shown: &str, found: &mut Vec<Range<usize>>) {
    let mut add = |range: Range<usize>| {
        if found.len() < MOST && !range.is_empty() {
            found.push(range);
        }
    };
    let mut words = |is_wanted: &dyn Fn(&str) -> bool| {
        each_word_at(shown, |range, word| {
            if is_wanted(word) {
                add(range);
            }
        });
    };
    match test {
        TextTest::AnyWord(wanted) => words(&|word| wanted.contains(word)),
        TextTest::Word(pattern) => words(&|word| pattern.is_match(word)),
        TextTest::Near(near) if near.is_in(shown) => words(&|word| near.words().iter().any(|wanted| wanted == word)),
        TextTest::Near(_) => {}
        TextTest::Phrase(phrase) => {
            let wanted = phrase.words();
            let mut row: VecDeque<(Range<usize>, String)> = VecDeque::new();
            each_word_at(shown, |range, word| {
                if row.len() == wanted.len() {
                    row.pop_front();
                }
                row.push_back((range.clone(), word.to_owned()));
                if row.iter().map(|(_, word)| word).eq(wanted) {
                    add(row.front().map_or(range.start, |(first, _)| first.start)..range.end);
                }
            });
        }
        TextTest::Literal(text) => {
            // Letters of another length in lowercase would shift what is found.
            let lower = shown.to_lowercase();
            if lower.len() == shown.len() {
                lower.match_indices(text.as_str()).for_each(|(at, text)| add(at..at + text.len()));
            }
        }
        TextTest::Expression(expression) => expression.find_iter(shown).take(MOST).for_each(|one| add(one.range())),
    }
}

/// Stretches of what is shown, as stretches of the whole text.
fn in_whole(found: &[Range<usize>], kept: &[Range<usize>]) -> Vec<Range<usize>> {
    let place = |shown: usize, is_end: bool| {
        let mut before = 0;
        for stretch in kept {
            if shown < before + stretch.len() || (is_end && shown == before + stretch.len()) {
                return stretch.start + shown - before;
            }
            before += stretch.len();
        }
        kept.last().map_or(0, |stretch| stretch.end)
    };
    found.iter().map(|range| place(range.start, false)..place(range.end, true)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Matcher;
    use crate::parse;

    fn marked(query: &str, text: &str) -> String {
        let matcher = Matcher::new(&parse(query).unwrap(), 0).unwrap();
        let (mut out, mut at) = (String::new(), 0);
        for range in matcher.highlights(text) {
            out.extend([&text[at..range.start], "<", &text[range.clone()], ">"]);
            at = range.end;
        }
        out + &text[at..]
    }

    #[test]
    fn given_a_query_then_what_it_found_is_marked() {
        for (query, text, expected) in [
            ("reset", "Connection RESET, reset", "Connection <RESET>, <reset>"),
            ("\"connection reset\"", "x Connection  reset y", "x <Connection  reset> y"),
            ("超时", "请求超时了", "请求<超时>了"),
            ("re*", "retry of x", "<retry> of x"),
            ("/time(d|out)/ NOT x", "a timed b x", "a <timed> b x"),
            ("a OR b AND service:c", "a b c", "<a> <b> c"),
            ("\"b a\"~2", "a b", "<a> <b>"),
            ("error", "\x1b[31mERR\x1b[1mOR\x1b[0m disk", "\x1b[31m<ERR\x1b[1mOR>\x1b[0m disk"),
            ("body.msg:up", r#"{"msg":"up"}"#, r#"{"msg":"<up>"}"#),
            ("é显x", "É显 x", "<É显 x>"),
        ] {
            assert_eq!(marked(query, text), expected, "{query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn stretches_lie_within_the_text(query in "[a-c显é*?\" ]{1,8}", text in "[a-cA-C显é \x1b\\[m0]{0,20}") {
            let Ok(query) = parse(&query) else { return Ok(()) };
            let Ok(matcher) = Matcher::new(&query, 0) else { return Ok(()) };
            let mut end = 0;
            for range in matcher.highlights(&text) {
                proptest::prop_assert!(range.start >= end && range.end > range.start && text.get(range.clone()).is_some());
                end = range.end;
            }
        }
    }
}
