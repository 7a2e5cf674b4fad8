//! The tests' scripted server, by hand: `cargo run --example scripted_server -- --port 8080 --rate 50 --tokens 400 --markdown`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use support::scripted::{Accident, Dialect, Script, Scripted};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Speaks {
    Openai,
    LlamaServer,
    Ollama,
}

/// A server of one model, called `scripted`, that does what the options say.
#[derive(Debug, Parser)]
struct Options {
    /// 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    #[arg(long, value_enum, default_value = "openai")]
    speaks: Speaks,
    /// Tokens a second; 0 is as fast as it goes.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// How many tokens an answer has, roughly.
    #[arg(long, default_value_t = 400)]
    tokens: usize,
    /// Answers with headings, lists, tables and code.
    #[arg(long)]
    markdown: bool,
    /// Thinks first.
    #[arg(long)]
    thinking: bool,
    /// Milliseconds until the answer begins.
    #[arg(long, default_value_t = 0)]
    wait_ms: u64,
    /// Milliseconds that reading the prompt takes.
    #[arg(long, default_value_t = 0)]
    read_ms: u64,
    /// Breaks off after so many tokens.
    #[arg(long)]
    disconnect_after: Option<usize>,
    /// Falls silent after so many tokens.
    #[arg(long)]
    hang_after: Option<usize>,
    /// Refuses with this status.
    #[arg(long)]
    status: Option<u16>,
    /// With `--status 429`: seconds to wait.
    #[arg(long)]
    retry_after: Option<u32>,
}

const PROSE: &str = "The river ran slowly past the mill, and nobody on the bank could say where the afternoon had gone. \
    A child counted swallows; an old man counted the years. When the light turned, both had lost count, and both were content.\n\n";

const MARKDOWN: &str = "## A small table\n\n| quantity | value |\n|---|---:|\n| width | 120 |\n| 高さ | 40 |\n\nSome *emphasis*, some **weight**, \
    `inline code`, and a list:\n\n- first\n- second, with a [link](https://example.com)\n  - nested 🦀\n\n```rust\nfn main() {\n    \
    let answer = (1..=9).product::<u32>();\n    println!(\"{answer}\");\n}\n```\n\n> A quotation that goes on for a while, so that it has to \
    be wrapped somewhere in the middle of a narrow terminal.\n\n";

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let piece = if options.markdown { MARKDOWN } else { PROSE };
    // About 4.5 letters a token.
    let letters = options.tokens * 9 / 2;
    let text: String = piece.chars().cycle().take(letters.max(1)).collect();
    let mut script = match options.status {
        Some(status) => Script::refuses(status, "refused by the script"),
        None => Script::says(&text),
    };
    if let Some(seconds) = options.retry_after {
        script = script.with_header("Retry-After", &seconds.to_string());
    }
    if options.thinking {
        script = script.thinks("Let me see. The question is simple, and so is the answer; but it should be put with some care.");
    }
    script = script.at(options.rate).waits(Duration::from_millis(options.wait_ms), Duration::from_millis(options.read_ms));
    if let Some(tokens) = options.disconnect_after {
        script = script.after(tokens, Accident::Disconnect);
    }
    if let Some(tokens) = options.hang_after {
        script = script.after(tokens, Accident::Hang);
    }
    let dialect = match options.speaks {
        Speaks::Openai => Dialect::OpenAi,
        Speaks::LlamaServer => Dialect::LlamaServer,
        Speaks::Ollama => Dialect::Ollama,
    };
    let scripted = Scripted::start_on(options.port, dialect, script)?;
    println!("{}", scripted.url());
    // Until somebody ends it.
    loop {
        std::thread::park();
    }
}
