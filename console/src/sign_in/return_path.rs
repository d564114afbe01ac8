/// Longer addresses of pages are not come back to.
const MAX_PATH: usize = 2048;

/// The page to come back to: a path of this console. Whatever a browser could take for an address of another host is `/`.
pub(super) fn checked(path: &str) -> &str {
    let is_own = path.len() <= MAX_PATH
        && path.starts_with('/')
        && !path.starts_with("//")
        // Browsers take a backslash for a slash, and leave out tabs and line feeds.
        && !path.contains('\\')
        && !path.chars().any(char::is_control);
    if is_own { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_origin_is_come_back_to() {
        for path in ["/", "/logs", "/logs?query=a%20b&start=now-1h#x", "/traces/4bf92f", "/a//b", "/logs?u=http://x"] {
            assert_eq!(checked(path), path);
        }
        for path in [
            "",
            "logs",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "http://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            " /logs",
            "/a\\b",
        ] {
            assert_eq!(checked(path), "/", "{path:?}");
        }
        assert_eq!(checked(&format!("/{}", "x".repeat(MAX_PATH))), "/");
    }
}
