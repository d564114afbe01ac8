//! Texts of labels and annotations: Go templates over the labels and the value of an alert.
//!
//! `$labels`, `$value`, `$externalLabels`, `$externalURL`, Go's own functions, and Prometheus' `humanize`,
//! `humanize1024`, `humanizeDuration`, `humanizePercentage`, `humanizeTimestamp`, `title`, `toUpper`, `toLower`,
//! `match`, `reReplaceAll`, `stripPort`, `stripDomain`, `parseDuration`, `safeHtml`, and, of a query of the store,
//! `query`, `first`, `value`, `label`, `strvalue`, `sortByLabel`, `args`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use gotmpl::{FuncMap, Template, TemplateError, Value};

use super::asking::{self, Asked};
use super::{go, humanize, parse_duration};

/// Stands behind every text: a stray `{{ end }}` ends a template early without an error, and so is seen.
const END: char = '\u{1}';

const PREAMBLE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
    {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// Bytes of a text of which only simple actions are taken.
const SIMPLE_BYTES: usize = 4096;

/// Which templates are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Templates {
    /// All: the file is the operator's own.
    All,
    /// A label, `$value` or `$externalURL`, and formats of it: whoever sends the file may not make the program run long, or
    /// grow, as templates that call each other or add up texts can.
    Simple,
}

impl Templates {
    pub(super) fn parse(self, text: &str) -> Result<Text, TemplateError> {
        if self == Self::Simple {
            if text.len() > SIMPLE_BYTES {
                return Err(TemplateError::Exec(format!("a text of more than {SIMPLE_BYTES} bytes is not taken here")));
            }
            let mut rest = text;
            while let Some(start) = rest.find("{{") {
                let length = go::action_end(&rest[start..]).unwrap_or(rest.len() - start);
                let action = &rest[start..start + length];
                if !is_simple(action) {
                    let what = "only a label, $value and their formats are taken here";
                    return Err(TemplateError::Exec(format!("{action}: {what}")));
                }
                rest = &rest[start + length..];
            }
        }
        Text::parse(text)
    }
}

fn is_simple(action: &str) -> bool {
    const VALUE: &str = r"(?:\$labels\.\w+|\$externalLabels\.\w+|\.Labels\.\w+|\$value|\.Value|\$externalURL)";
    const FORMAT: &str =
        "(?:humanize(?:1024|Duration|Percentage|Timestamp)?|title|toUpper|toLower|stripPort|stripDomain)";
    const PRINTED: &str = r#"printf\s+"%(?:\.\d)?[a-z]%{0,2}""#;
    static SIMPLE: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        let first = format!(r"(?:(?:{FORMAT}|{PRINTED})\s+)?{VALUE}");
        let then = format!(r"(?:\s*\|\s*(?:{FORMAT}|{PRINTED}))*");
        regex::Regex::new(&format!(r"^\{{\{{-?\s*{first}{then}\s*-?\}}\}}$")).ok()
    });
    SIMPLE.as_ref().is_some_and(|simple| simple.is_match(action))
}

/// A text that may be a template.
#[derive(Clone)]
pub struct Text {
    source: String,
    template: Option<Arc<Template>>,
    asks: bool,
}

/// What a text is made for.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// Of the series, before the rule's own.
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) value: f64,
    pub(super) external_url: &'a str,
    pub(super) external_labels: &'a BTreeMap<String, String>,
    pub(super) asked: Asked<'a>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Text {
    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn plain(text: &str) -> Self {
        Self { source: text.to_owned(), template: None, asks: false }
    }

    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.contains("{{") {
            return Ok(Self::plain(text));
        }
        go::check_depth(text).map_err(TemplateError::Exec)?;
        let body = go::rewritten(text);
        let template = Template::new("text").funcs(functions()).parse(&format!("{PREAMBLE}{body}{END}"))?;
        // What is not there shows only when it is run; what else fails may be for want of real labels.
        match template.execute_to_string(&data(&BTreeMap::new(), 0.0, "", &BTreeMap::new())) {
            Err(
                error @ (TemplateError::UndefinedFunction(_)
                | TemplateError::UndefinedTemplate(_)
                | TemplateError::UndefinedVariable(_)),
            ) => Err(error),
            Ok(text) if !text.ends_with(END) => Err(TemplateError::Exec("unexpected {{end}}".to_owned())),
            _ => Ok(Self { source: text.to_owned(), template: Some(Arc::new(template)), asks: body.contains("query") }),
        }
    }

    /// The text for an alert; where the template fails, the text says so, as Prometheus' does.
    pub(super) fn render(&self, of: &Context<'_>) -> String {
        let Some(template) = &self.template else { return self.source.clone() };
        let data = data(of.labels, of.value, of.external_url, of.external_labels);
        let made =
            if self.asks { asking::execute(template, &data, of.asked) } else { template.execute_to_string(&data) };
        match made {
            // Labels are text to Go, so one that is not there is empty.
            Ok(text) => text.trim_end_matches(END).replace("<no value>", ""),
            Err(error) => format!("<error expanding template: {error}>"),
        }
    }
}

fn data(
    labels: &BTreeMap<String, String>,
    value: f64,
    external_url: &str,
    external_labels: &BTreeMap<String, String>,
) -> Value {
    Value::from(BTreeMap::from([
        ("Labels".to_owned(), asking::labels(labels)),
        ("ExternalLabels".to_owned(), asking::labels(external_labels)),
        ("ExternalURL".to_owned(), Value::from(external_url)),
        ("Value".to_owned(), Value::Float(value)),
    ]))
}

fn number(arguments: &[Value]) -> Result<f64, TemplateError> {
    match arguments {
        [Value::Float(value)] => Ok(*value),
        [Value::Int(value)] => Ok(*value as f64),
        [Value::Uint(value)] => Ok(*value as f64),
        [Value::String(text)] => text.parse().map_err(|_| TemplateError::Exec(format!("«{text}» is not a number"))),
        _ => Err(TemplateError::Exec("one number is needed".to_owned())),
    }
}

fn strings<const N: usize>(arguments: &[Value]) -> Result<[&str; N], TemplateError> {
    let wrong = || TemplateError::Exec(format!("{N} strings are needed"));
    let texts: Vec<&str> = arguments.iter().map(|a| a.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?;
    texts.try_into().map_err(|_| wrong())
}

fn regex(pattern: &str) -> Result<regex::Regex, TemplateError> {
    regex::Regex::new(pattern).map_err(|error| TemplateError::Exec(error.to_string()))
}

/// Go's `strings.Title`: words begin behind everything that is no letter, digit or underscore; beyond ASCII, behind white
/// space.
fn title(text: &str) -> String {
    let mut start = true;
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        let ends = if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { c.is_whitespace() };
        if std::mem::replace(&mut start, ends) { titled.extend(c.to_uppercase()) } else { titled.push(c) }
    }
    titled
}

type OfNumber = fn(f64) -> String;
type OfText = fn(&str) -> String;

fn functions() -> FuncMap {
    let mut map = FuncMap::new();
    let numbers: [(&str, OfNumber); 5] = [
        ("humanize", humanize::humanize),
        ("humanize1024", humanize::humanize1024),
        ("humanizeDuration", humanize::duration),
        ("humanizePercentage", humanize::percentage),
        ("humanizeTimestamp", humanize::timestamp),
    ];
    for (name, function) in numbers {
        map.insert(name.to_owned(), Arc::new(move |arguments: &[Value]| Ok(Value::from(function(number(arguments)?)))));
    }
    go::add(&mut map);
    asking::add(&mut map);
    let texts: [(&str, OfText); 6] = [
        ("title", title),
        ("toUpper", str::to_uppercase),
        ("toLower", str::to_lowercase),
        ("safeHtml", str::to_owned),
        ("stripPort", |text| {
            text.rsplit_once(':')
                .filter(|(host, port)| {
                    port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']'))
                })
                .map_or(text, |(host, _)| host.trim_start_matches('[').trim_end_matches(']'))
                .to_owned()
        }),
        ("stripDomain", |text| {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let short =
                if host.parse::<std::net::IpAddr>().is_ok() { host } else { host.split('.').next().unwrap_or(host) };
            port.map_or_else(|| short.to_owned(), |port| format!("{short}:{port}"))
        }),
    ];
    for (name, function) in texts {
        map.insert(
            name.to_owned(),
            Arc::new(move |arguments: &[Value]| {
                let [text] = strings(arguments)?;
                Ok(Value::from(function(text)))
            }),
        );
    }
    map.insert(
        "match".to_owned(),
        Arc::new(|arguments: &[Value]| {
            let [pattern, text] = strings(arguments)?;
            Ok(Value::Bool(regex(pattern)?.is_match(text)))
        }),
    );
    map.insert(
        "reReplaceAll".to_owned(),
        Arc::new(|arguments: &[Value]| {
            let [pattern, by, text] = strings(arguments)?;
            Ok(Value::from(regex(pattern)?.replace_all(text, by).into_owned()))
        }),
    );
    map.insert(
        "parseDuration".to_owned(),
        Arc::new(|arguments: &[Value]| {
            let [text] = strings(arguments)?;
            let millis =
                parse_duration(text).ok_or_else(|| TemplateError::Exec(format!("«{text}» is not a duration")))?;
            Ok(Value::Float(millis as f64 / 1000.0))
        }),
    );
    map
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::series::read::{Data, Labels, MatchOp, Matcher, Read, Series};

    /// Two pods of one GPU.
    struct Pods;

    impl Read for Pods {
        fn each(&self, matchers: &[Matcher], _: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
            for (pod, value) in [("b", 2_000_000.0), ("a", 1.0)] {
                let labels = [("__name__", "used"), ("gpu", "g1"), ("pod", pod)];
                let labels: Labels =
                    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
                let is_asked = matchers.iter().all(|m| m.op == MatchOp::Equal && labels.get(&m.name) == Some(&m.value));
                if is_asked && take(Series { labels, data: Data::Gauge(vec![(end_ms, value)]) }).is_break() {
                    return;
                }
            }
        }
    }

    fn made(text: &Text, labels: &BTreeMap<String, String>, value: f64) -> String {
        let asked = Asked { read: &Pods, time_ms: 1_700_000_000_000 };
        let external_labels = &BTreeMap::new();
        text.render(&Context { labels, value, external_url: "http://weir", external_labels, asked })
    }

    fn render(text: &str) -> String {
        let labels = [("instance", "gpu-1.example.com:9400"), ("pod", "a")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Text::parse(text).map_or_else(|e| format!("error: {e}"), |text| made(&text, &labels, 1234.5))
    }

    #[test]
    fn a_template_asks_the_store() {
        for (text, expected) in [
            ("{{ range query \"used\" }}{{ .Labels.pod }}={{ .Value }};{{ end }}", "a=1;b=2e+06;"),
            ("{{ range $s := query \"sort_desc(used)\" }}{{ $s.Labels.pod }} {{ $s.Value }} {{ end }}", "b 2e+06 a 1 "),
            ("{{ query \"max(used)\" | first | value }}", "2e+06"),
            ("{{ value (index (query \"max(used)\") 0) }}", "2e+06"),
            ("{{ with query \"used > 5\" }}{{ . | first | label \"pod\" }}{{ end }}", "b"),
            ("{{ with query \"gone\" }}some{{ else }}none{{ end }}", "none"),
            ("{{ with printf \"used{pod='%s'}\" \"a\" | query }}{{ len . }}{{ end }}", "1"),
            (
                "{{ range query \"used\" | sortByLabel \"pod\" }}{{ .Labels.gone }}{{ label \"gpu\" . }}{{ end }}",
                "g1g1",
            ),
            ("{{ $v := query \"max(used)\" | first | value }}{{ $v | humanize }}", "2M"),
            ("{{ if query \"max(used)\" | first | value }}yes{{ end }}", "yes"),
            ("{{ printf \"used{pod='%s'}\" $labels.pod | query | first | value }}", "1"),
            ("{{ (query \"used\" | first).Labels.pod }}{{ (query \"used\" | first).Labels.gone }}|", "a|"),
            ("{{ len (query \"used\") }} {{ with args 1 \"x\" }}{{ .arg1 }}{{ end }}", "2 x"),
        ] {
            assert_eq!(render(text), expected, "{text}");
        }
        for (text, why) in [
            ("{{ query \"sum(\" | first | value }}", "query «sum(»"),
            ("{{ query \"gone\" | first | value }}", "found nothing"),
            ("{{ query \"used[1m]\" }}", "gives a vector"),
        ] {
            let made = render(text);
            assert!(made.starts_with("<error expanding template: ") && made.contains(why), "{text}: {made}");
        }
        let many = "{{ len (query \"used + N\") }}".repeat(40);
        let many = (0..40).fold(many, |text, n| text.replacen(" N\"", &format!(" {n}\""), 1));
        assert!(render(&many).contains("at most 32 queries"));
    }

    #[test]
    fn templates_render_as_prometheus_renders_them() {
        for (text, expected) in [
            ("plain", "plain"),
            ("{{ $labels.instance }} at {{ $value }}", "gpu-1.example.com:9400 at 1234.5"),
            ("{{ .Labels.instance }}{{ $labels.nothing }}|", "gpu-1.example.com:9400|"),
            ("{{ $value | humanize }} {{ humanizeDuration $value }}", "1.234k 20m 34s"),
            ("{{ printf \"%.2f\" $value }}", "1234.50"),
            ("{{ $labels.instance | stripPort | toUpper }}", "GPU-1.EXAMPLE.COM"),
            ("{{ stripDomain $labels.instance }}", "gpu-1:9400"),
            ("{{ if gt $value 1000.0 }}high{{ else }}low{{ end }}", "high"),
            ("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}", "gpu-1.example.com"),
            ("{{ if match \"^gpu\" $labels.instance }}gpu{{ end }}", "gpu"),
            ("服务 {{ $labels.instance }} 延迟", "服务 gpu-1.example.com:9400 延迟"),
            ("{{ $externalURL }} {{ title \"a word\" }}", "http://weir A Word"),
        ] {
            assert_eq!(render(text), expected, "{text}");
        }
        for (value, expected) in [
            (21.0, "21"),
            (1_000_000.0, "1e+06"),
            (123_456.0, "123456"),
            (0.000_05, "5e-05"),
            (0.1, "0.1"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            let text = Text::parse("{{ $value }}").unwrap();
            assert_eq!(made(&text, &BTreeMap::new(), value), expected);
        }
        for (text, expected) in [
            ("{{ index $labels \"instance\" }}", "gpu-1.example.com:9400"),
            ("{{ if eq $labels.instance \"x\" }}a{{ else if $labels.nothing }}b{{ else }}c{{ end }}", "c"),
            (
                "{{ range $name, $v := $labels }}{{ $name }}={{ $v }};{{ end }}",
                "instance=gpu-1.example.com:9400;pod=a;",
            ),
            (
                "{{ $value | printf \"%.1f\" }} {{ printf \"%s-%d%%\" $labels.instance 5 }}",
                "1234.5 gpu-1.example.com:9400-5%",
            ),
            ("{{- /* a word */ -}}  {{ .Value | humanizePercentage }}", "1.234e+05%"),
            ("{{ with $labels.instance }}{{ . }}{{ end }}", "gpu-1.example.com:9400"),
            ("{{ $x := 5 }}{{ $x }}", "5"),
            ("{{ humanize1024 2048.0 }} {{ humanizeTimestamp 0.0 }}", "2ki 1970-01-01 00:00:00 +0000 UTC"),
            ("{{ $labels.gone | toUpper }}|{{ toLower .Labels.gone }}|{{ title (index $labels \"gone\") }}|", "|||"),
            ("{{ printf \"<%s> <%5v>\" $labels.gone $labels.gone }}", "<> <     >"),
            ("{{ if $labels.gone }}a{{ else if eq $labels.gone \"\" }}b{{ end }}{{ len $labels.gone }}", "b0"),
            ("{{ with $labels.gone }}x{{ else }}none{{ end }} {{ match \"^$\" $labels.gone }}", "none true"),
            ("{{ \"$labels.gone\" }} {{ `$labels.gone` }}", "$labels.gone $labels.gone"),
            ("{{ $l := $labels.instance }}{{ $l | stripPort }}", "gpu-1.example.com"),
            ("{{ title \"gpu-node_1 über élan o'neil\" }}", "Gpu-Node_1 Über Élan O'Neil"),
            ("{{ printf \"%v %v %d%% %s\" 1000000.0 $value 5 \"x\" }}", "1e+06 1234.5 5% x"),
            ("{{ 2000000.0 | printf \"%10v|%v\" 0.00001 }}", "     1e-05|2e+06"),
            ("{{ print 1000000.0 }} {{ print $value }}", "1e+06 1234.5"),
        ] {
            assert_eq!(render(text), expected, "{text}");
        }
        assert!(render("{{ humanize \"x\" }}").starts_with("<error expanding template:"));
    }

    #[test]
    fn given_a_file_that_anybody_may_send_then_only_simple_actions_are_taken() {
        for text in [
            "plain",
            "{{ $labels.instance }} has {{ $value }}",
            "{{- .Labels.instance | stripPort | toUpper -}}",
            "{{ $value | humanize }}, {{ humanizePercentage $value }}",
            "{{ printf \"%.2f\" $value }} {{ $value | printf \"%.1f%%\" }}",
        ] {
            assert!(Templates::Simple.parse(text).is_ok(), "{text}");
        }
        for text in [
            "{{define \"a\"}}x{{end}}{{template \"a\"}}",
            "{{ $a := \"x\" }}{{ print $a $a }}",
            "{{ range $n, $v := $labels }}{{ $v }}{{ end }}",
            "{{ printf \"%1000000s\" $value }}",
            "{{ reReplaceAll \".\" \"xx\" $labels.instance }}",
            "{{ $labels.instance | js }}",
            "{{ $value",
            "{{ $value }}{{ if true }}x{{ end }}",
            "{{ query \"up\" | first | value }}",
        ] {
            assert!(Templates::Simple.parse(text).is_err(), "{text}");
        }
        assert!(Templates::Simple.parse(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn a_template_that_cannot_work_is_refused_when_loaded() {
        let chain = format!("{{{{ if false }}}}{}{{{{ end }}}}", "{{ else if false }}".repeat(40_000));
        for text in
            [&chain, "{{ $labels.x", "{{ nosuch 1 }}", "{{ $nosuch }}", "{{ query \"up\" | nosuch }}", "{{ end }}"]
        {
            assert!(render(text).starts_with("error: "), "{text}: {}", render(text));
        }
    }
}
