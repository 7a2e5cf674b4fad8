//! Speed of the embedded engine with a real model, beside a llama-server with the same file where there is one.
//!
//!     ARBOUR_BENCH_GGUF=model.gguf [ARBOUR_BENCH_LLAMA_URL=http://127.0.0.1:8080] cargo bench --bench engine
//!
//! `CANDLE_NUM_THREADS` sets the threads (else one core less than there are). Give llama-server as many (`-t`). On a busy machine
//! compare the tokens per CPU second.

#[cfg(feature = "embedded")]
mod bench {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use arbour::backend::embedded::Embedded;
    use arbour::backend::{Backend, Message, Request, Update, channel};
    use arbour::proto::{Figure, Figures, Parameters, Role};
    use serde_json::json;

    const TOKENS: i64 = 100;

    fn request(model: &str, text: String) -> Request {
        let parameters = Parameters(BTreeMap::from([("temperature".to_owned(), json!(0.0)), ("max_tokens".to_owned(), json!(TOKENS))]));
        let messages = vec![Message::new(Role::User, text)];
        Request { model: model.to_owned(), messages, parameters, continues: false, conversation: String::new() }
    }

    async fn ask(engine: &Embedded, request: Request) -> Figures {
        let (sink, mut source) = channel();
        let mut figures = Figures::default();
        let listen = async {
            while let Some(update) = source.next().await {
                if let Update::Figures(more) = update {
                    figures.merge(&more);
                }
            }
        };
        let (result, ()) = tokio::join!(engine.generate(request, sink), listen);
        if let Err(error) = result {
            println!("{}", error.message);
        }
        figures
    }

    fn value(figure: Option<Figure>) -> f64 {
        figure.map_or(f64::NAN, |f| f.value)
    }

    /// Seconds of CPU that a process (None: this one) has taken.
    fn cpu(pid: Option<u32>) -> Option<f64> {
        let path = pid.map_or("/proc/self/stat".to_owned(), |pid| format!("/proc/{pid}/stat"));
        let text = std::fs::read_to_string(path).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Resident memory of this process in MB.
    fn resident() -> f64 {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).map_or(f64::NAN, |kb| kb / 1000.0)
    }

    pub async fn run() {
        let Some(path) = std::env::var_os("ARBOUR_BENCH_GGUF") else {
            println!("SKIPPED: set ARBOUR_BENCH_GGUF to a GGUF file");
            return;
        };
        let engine = Embedded::new("embedded", Vec::new());
        let model = match engine.add_file(path.as_ref()) {
            Ok(model) => model,
            Err(error) => return println!("{}", error.message),
        };
        let long = "The lighthouse stood at the end of the land, and the sea was never still. ".repeat(24);
        for (what, text) in
            [("short prompt", "Tell me a long story.".to_owned()), ("again", "Tell me a long tale.".to_owned()), ("long prompt", long)]
        {
            let before = cpu(None);
            let f = ask(&engine, request(&model, text)).await;
            let spent = before.zip(cpu(None)).map_or(f64::NAN, |(a, b)| b - a);
            println!(
                "{what:>12}: load {:5.0} ms · first token {:5.0} ms · prompt {:4.0} tokens ({:3.0} cached) at {:5.1}/s · {:3.0} written at {:5.1}/s · {:4.1} CPU s · {:4.0} MB resident",
                value(f.load_ms),
                value(f.ttft_ms),
                value(f.prompt_tokens),
                value(f.cached_tokens),
                value(f.prompt_per_s),
                value(f.completion_tokens),
                value(f.tokens_per_s),
                spent,
                resident(),
            );
        }
        // Writing alone, from a warm cache: what processors can be compared by.
        let before = cpu(None);
        let f = ask(&engine, request(&model, "Tell me a long tale.".to_owned())).await;
        let spent = before.zip(cpu(None)).map_or(f64::NAN, |(a, b)| b - a);
        println!(
            "{:>12}: {:5.1} tokens/s, {:5.1} tokens per CPU second",
            "arbour",
            value(f.tokens_per_s),
            value(f.completion_tokens) / spent
        );
        if let Ok(url) = std::env::var("ARBOUR_BENCH_LLAMA_URL") {
            llama(&url).await;
        }
    }

    async fn llama(url: &str) {
        let pid = std::env::var("ARBOUR_BENCH_LLAMA_PID").ok().and_then(|p| p.parse().ok());
        let body = json!({"prompt": "Once upon a time", "n_predict": TOKENS, "temperature": 0, "ignore_eos": true, "cache_prompt": false});
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(300)).build();
        let Ok(client) = client else { return };
        let before = pid.and_then(|p| cpu(Some(p)));
        let started = Instant::now();
        let Ok(response) = client.post(format!("{url}/completion")).body(body.to_string()).send().await else {
            return println!("llama-server does not answer at {url}");
        };
        let text = response.text().await.unwrap_or_default();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let rate = answer["timings"]["predicted_per_second"].as_f64().unwrap_or(TOKENS as f64 / started.elapsed().as_secs_f64());
        let spent = before.zip(pid.and_then(|p| cpu(Some(p)))).map_or(f64::NAN, |(a, b)| b - a);
        println!("{:>12}: {rate:5.1} tokens/s, {:5.1} tokens per CPU second", "llama-server", TOKENS as f64 / spent);
    }
}

fn main() {
    #[cfg(feature = "embedded")]
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(bench::run()),
        Err(error) => println!("no runtime: {error}"),
    }
}
