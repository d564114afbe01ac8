//! Log lines of a few AI services (OCR, ASR, NLP), in Chinese and English.

use std::fmt::Write as _;

use rand::{Rng, RngExt as _};

/// The services that log, in the order in which files take them.
pub const SERVICES: [&str; 3] = ["ocr", "asr", "nlp"];

/// One log line, before a container runtime wraps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Written to standard error.
    pub stderr: bool,
    /// The text, without a line end; holds `seq=<number>` once.
    pub text: String,
}

/// How a container runtime wraps a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// containerd and CRI-O: `<time> <stream> <F|P> <text>`.
    Cri,
    /// Docker's json-file.
    Docker,
    /// The text alone.
    Plain,
}

const TEMPLATES: [[&str; 4]; 3] = [
    [
        "page recognised boxes={n} model=ocr-v4 latency_ms={ms}",
        "识别完成 页数={n} 模型=ocr-v4 耗时={ms}毫秒",
        "发票字段提取 用户={id} 置信度=0.{n}",
        "image decoded id={id} width={n} height={ms}",
    ],
    [
        "utterance decoded id={id} beams={n} latency_ms={ms}",
        "语音转写完成 会话={id} 时长={n}秒 耗时={ms}毫秒",
        "vad segment id={id} frames={n}",
        "音频流已连接 采样率=16000 会话={id}",
    ],
    [
        "request tokenised id={id} input_tokens={n} latency_ms={ms}",
        "意图识别 结果=查询余额 会话={id} 耗时={ms}毫秒",
        "batch flushed size={n} queue_ms={ms}",
        "向量检索 命中={n} 条 请求={id}",
    ],
];

impl Line {
    /// A line of `SERVICES[service]` (taken modulo their number), filled up to `bytes` where it is shorter.
    pub fn generate(rng: &mut impl Rng, service: usize, seq: u64, bytes: usize) -> Self {
        let service = service % SERVICES.len();
        let dice = rng.random_range(0..100_u32);
        let (level, stderr) = match dice {
            0 => ("ERROR", true),
            1..=4 => ("WARN", true),
            5..=14 => ("DEBUG", false),
            _ => ("INFO", false),
        };
        let mut text = format!("{level} {} seq={seq} ", SERVICES[service]);
        if level == "ERROR" {
            text.push_str(if rng.random_bool(0.5) { "connection reset by upstream " } else { "推理超时 " });
        }
        let template = TEMPLATES[service][rng.random_range(0..4_usize)];
        let filled = template
            .replace("{n}", &rng.random_range(1..100_u32).to_string())
            .replace("{ms}", &rng.random_range(1..2000_u32).to_string())
            .replace("{id}", &format!("{:016x}", rng.next_u64()));
        text.push_str(&filled);
        while text.len() < bytes {
            let left = bytes - text.len();
            let _ = write!(text, " {:016x}", rng.next_u64());
            if left < 17 {
                text.truncate(text.len() - (17 - left));
            }
        }
        Self { stderr, text }
    }

    /// Appends the line to `out` as the runtime writes it, its line end included; `time` is RFC 3339. With `part`, a
    /// CRI line is written in two parts, cut at the first character boundary at or behind that byte.
    pub fn wrap(&self, out: &mut Vec<u8>, format: Format, time: &str, part: Option<usize>) {
        let stream = if self.stderr { "stderr" } else { "stdout" };
        let mut cri = |tag: &str, text: &str| {
            for piece in [time, " ", stream, " ", tag, " ", text, "\n"] {
                out.extend_from_slice(piece.as_bytes());
            }
        };
        match format {
            Format::Cri => {
                let cut = part.map_or(0, |at| self.text.ceil_char_boundary(at));
                let (head, tail) = self.text.split_at(cut);
                if !head.is_empty() {
                    cri("P", head);
                }
                cri("F", tail);
            }
            Format::Docker => {
                let log = format!("{}\n", self.text);
                let json = serde_json::json!({ "log": log, "stream": stream, "time": time });
                out.extend_from_slice(json.to_string().as_bytes());
                out.push(b'\n');
            }
            Format::Plain => {
                out.extend_from_slice(self.text.as_bytes());
                out.push(b'\n');
            }
        }
    }
}

/// The number of a generated line.
pub fn sequence(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("seq=")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_lines_of_the_size_asked_for() {
        let lines = |seed| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            (0..200).map(|n| Line::generate(&mut rng, n as usize, n, 300)).collect::<Vec<_>>()
        };
        assert_eq!(lines(1), lines(1));
        assert_ne!(lines(1), lines(2));
        for (n, line) in lines(3).iter().enumerate() {
            assert_eq!((sequence(&line.text), line.text.len()), (Some(n as u64), 300));
        }
    }

    #[test]
    fn a_line_in_two_parts_is_never_cut_inside_a_character() {
        let line = Line { stderr: false, text: "识别完成 seq=7".into() };
        let mut out = Vec::new();
        line.wrap(&mut out, Format::Cri, "T", Some(4));
        assert_eq!(String::from_utf8(out).unwrap(), "T stdout P 识别\nT stdout F 完成 seq=7\n");
    }

    #[test]
    fn docker_escapes_what_json_asks_for() {
        let mut out = Vec::new();
        Line { stderr: true, text: "a\"b".into() }.wrap(&mut out, Format::Docker, "T", None);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((value["log"].as_str(), value["stream"].as_str()), (Some("a\"b\n"), Some("stderr")));
    }
}
