//! Quantities as Kubernetes writes them: `500m`, `1.5`, `2Gi`, `1e3`.

/// Powers of ten and of two by their letters; an exponent is written as in `12e6` or `12E6`.
const SUFFIXES: [(&str, f64); 16] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

/// The number, where it is one that is not negative.
pub(super) fn parse(text: &str) -> Option<f64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number = number.parse::<f64>().ok()?;
    let factor = SUFFIXES.iter().find(|(known, _)| *known == suffix).map(|(_, factor)| *factor);
    let exponent = || suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok();
    let value = match factor {
        // A power of ten below one is not exact itself: divided by, it rounds once.
        Some(factor) if factor < 1.0 => number / (1.0 / factor).round(),
        Some(factor) => number * factor,
        None => number * 10_f64.powi(exponent()?),
    };
    (value.is_finite() && value >= 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use proptest::prelude::*;

    #[test]
    fn every_form_that_kubernetes_writes_is_read_and_others_are_not() {
        for (text, value) in [
            ("0", 0.0),
            ("500m", 0.5),
            ("1", 1.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("+2", 2.0),
            ("100u", 1e-4),
            ("7n", 7e-9),
            ("128974848", 128_974_848.0),
            ("129e6", 129e6),
            ("129E6", 129e6),
            ("5e-1", 0.5),
            ("129M", 129e6),
            ("1k", 1e3),
            ("123Mi", 128_974_848.0),
            ("1.5Gi", 1_610_612_736.0),
            ("2E", 2e18),
            ("1Ei", 1_152_921_504_606_846_976.0),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "m", "-1", "1 Gi", "1gi", "1K", "NaN", "inf", "1e999", "1ee3", "e3", "１"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,20}", number in "[0-9.eE+-]{0,12}[a-zA-Z]{0,3}") {
            for text in [text, number] {
                prop_assert!(parse(&text).is_none_or(|value| value.is_finite() && value >= 0.0));
            }
        }
    }
}
