//! The header `Range` of one range of bytes.

/// What is asked for of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Everything: no range, or one that is not understood, which is then ignored.
    All,
    /// From the first to behind the last.
    Part(u64, u64),
    /// Nothing of it is there.
    Nothing,
}

/// Reads `bytes=FIRST-LAST`, `bytes=FIRST-` and `bytes=-LENGTH`.
pub(super) fn read(header: Option<&str>, length: u64) -> Asked {
    let Some(text) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Asked::All };
    // Several ranges would be an answer of several parts: all of it is as right.
    let Some((first, last)) = text.split_once('-').filter(|_| !text.contains(',')) else { return Asked::All };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Some(0) => Asked::Nothing,
            Some(_) if length == 0 => Asked::Nothing,
            Some(count) => Asked::Part(length - count.min(length), length),
            None => Asked::All,
        },
        (first, last) => {
            let end = if last.is_empty() { Some(u64::MAX) } else { number(last).map(|last| last.saturating_add(1)) };
            match number(first).zip(end) {
                Some((first, end)) if first < end && first < length => Asked::Part(first, end.min(length)),
                Some((first, end)) if first < end => Asked::Nothing,
                _ => Asked::All,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_range_then_it_is_read_as_http_means_it() {
        for (header, asked) in [
            (None, Asked::All),
            (Some("bytes=0-9"), Asked::Part(0, 10)),
            (Some("bytes=10-19"), Asked::Part(10, 20)),
            (Some("bytes=90-"), Asked::Part(90, 100)),
            (Some("bytes=90-500"), Asked::Part(90, 100)),
            (Some("bytes=-10"), Asked::Part(90, 100)),
            (Some("bytes=-500"), Asked::Part(0, 100)),
            (Some("bytes=100-"), Asked::Nothing),
            (Some("bytes=-0"), Asked::Nothing),
            (Some("bytes=9-0"), Asked::All),
            (Some("bytes=a-b"), Asked::All),
            (Some("bytes=0-1,5-6"), Asked::All),
            (Some("lines=0-1"), Asked::All),
            (Some("bytes=18446744073709551615-18446744073709551615"), Asked::All),
        ] {
            assert_eq!(read(header, 100), asked, "{header:?}");
        }
        assert_eq!(read(Some("bytes=-5"), 0), Asked::Nothing);
    }
}
