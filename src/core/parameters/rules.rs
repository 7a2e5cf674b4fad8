//! What holds between parameters: rules that no single value can break.
//!
//! Invariant: each rule is a pure function of the parameters and of what is known of the model; the table [`RULES`] is all of them.

use super::{PARAMETERS, seconds};
use crate::proto::{BackendKind, Parameters};

/// What is known of the model that the parameters are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    pub kind: Option<BackendKind>,
    /// The context in force unless the parameters say another, in tokens.
    pub context: Option<u32>,
    /// What the model was trained for, in tokens.
    pub context_max: Option<u32>,
}

/// Something that a person should know of a set of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The backend would refuse it; else it is sent, and does not do what it seems to.
    pub refused: bool,
    /// The keys that it is about.
    pub keys: Vec<&'static str>,
    pub text: String,
}

/// The parameters in the eyes of a rule.
struct Case<'a> {
    set: &'a Parameters,
    facts: Facts,
}

impl Case<'_> {
    fn has(&self, key: &str) -> bool {
        self.set.0.contains_key(key)
    }
    fn number(&self, key: &str) -> Option<f64> {
        self.set.number(key)
    }
    fn integer(&self, key: &str) -> Option<i64> {
        self.set.integer(key)
    }
    fn is(&self, kind: BackendKind) -> bool {
        self.facts.kind == Some(kind)
    }
    fn thinks(&self) -> bool {
        self.set.text("thinking").is_some_and(|word| word != "off")
    }
    fn context(&self) -> Option<i64> {
        let taken = self.facts.kind.is_none_or(|kind| super::find("context").is_some_and(|p| p.kinds.contains(&kind)));
        self.integer("context").filter(|_| taken).or(self.facts.context.map(i64::from))
    }
    /// Those of `keys` that are set.
    fn set_of(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| self.has(key)).collect()
    }
}

type Rule = fn(&Case<'_>) -> Option<Problem>;

/// Every rule.
const RULES: &[Rule] = &[
    one_shape,
    shaped_tools,
    room_for_the_prompt,
    beyond_training,
    batch_beyond_context,
    greedy,
    mirostat_alone,
    mirostat_off,
    dry_off,
    xtc_off,
    dynamic,
    no_window,
    endless,
    budget_beyond_answer,
    budget_without_thinking,
    anthropic_temperature,
    anthropic_thinking,
    anthropic_budget,
    anthropic_both,
    many_stops,
    gone_at_once,
];

/// What is wrong between these parameters, for what is known of their model. What its kind does not take comes first, and is
/// not looked at further.
#[must_use]
pub fn problems(set: &Parameters, facts: Facts) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut taken = set.clone();
    if let Some(kind) = facts.kind {
        for parameter in PARAMETERS.iter().filter(|p| set.0.contains_key(p.key) && !p.kinds.contains(&kind)) {
            taken.0.remove(parameter.key);
            let text = format!("{} is set and not sent: {} does not take it.", parameter.key, kind.word());
            problems.push(Problem { refused: false, keys: vec![parameter.key], text });
        }
    }
    let case = Case { set: &taken, facts };
    problems.extend(RULES.iter().filter_map(|rule| rule(&case)));
    problems
}

fn warn(keys: Vec<&'static str>, text: impl Into<String>) -> Option<Problem> {
    Some(Problem { refused: false, keys, text: text.into() })
}

fn refuse(keys: &[&'static str], text: impl Into<String>) -> Option<Problem> {
    Some(Problem { refused: true, keys: keys.to_vec(), text: text.into() })
}

/// `a`, `a and b`, `a, b and c`.
fn list(keys: &[&'static str]) -> String {
    match keys {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// With the verb that goes with how many there are.
fn have_no_effect(keys: &[&'static str]) -> String {
    format!("{} {} no effect", list(keys), if keys.len() == 1 { "has" } else { "have" })
}

/// As llama-server (build 10068) does it, which refuses neither.
fn shaped_tools(case: &Case<'_>) -> Option<Problem> {
    let shape = ["grammar", "json_schema"].into_iter().find(|shape| case.has(shape)).filter(|_| case.has("tools"))?;
    warn(vec!["tools", shape], format!("tools and {shape} exclude each other with many servers: an answer of that shape calls no tool."))
}

fn one_shape(case: &Case<'_>) -> Option<Problem> {
    let schema = case.set.0.get("json_schema").filter(|_| case.has("grammar"))?;
    let loses = if schema.as_object().is_some_and(|fields| fields.is_empty()) { "json_schema {}" } else { "grammar" };
    warn(vec!["grammar", "json_schema"], format!("grammar and json_schema exclude each other: {loses} has no effect beside the other."))
}

fn room_for_the_prompt(case: &Case<'_>) -> Option<Problem> {
    let (most, context) = (case.integer("max_tokens")?, case.context()?);
    if most < context {
        return None;
    }
    warn(
        vec!["max_tokens", "context"],
        format!("The answer may take {most} tokens and the context is {context}: nothing is left for the prompt."),
    )
}

fn beyond_training(case: &Case<'_>) -> Option<Problem> {
    let (context, trained) = (case.integer("context")?, i64::from(case.facts.context_max?));
    if context <= trained {
        return None;
    }
    let then = if case.is(BackendKind::Embedded) { "the engine takes that instead" } else { "beyond it answers fall apart" };
    warn(vec!["context"], format!("The model was trained for {trained} tokens of context; {then}."))
}

fn batch_beyond_context(case: &Case<'_>) -> Option<Problem> {
    let (batch, context) = (case.integer("batch")?, case.context()?);
    if batch > context { warn(vec!["batch", "context"], "batch is larger than the context: it is cut to that.") } else { None }
}

fn greedy(case: &Case<'_>) -> Option<Problem> {
    if case.number("temperature") != Some(0.0) {
        return None;
    }
    let idle = case.set_of(&["top_p", "top_k", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "dynatemp_range", "seed"]);
    if idle.is_empty() {
        None
    } else {
        warn(idle.clone(), format!("At temperature 0 {}: the likeliest token is taken.", have_no_effect(&idle)))
    }
}

fn mirostat_alone(case: &Case<'_>) -> Option<Problem> {
    if case.integer("mirostat").unwrap_or(0) == 0 {
        return None;
    }
    let idle = case.set_of(&["top_p", "top_k", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "samplers"]);
    if idle.is_empty() { None } else { warn(idle.clone(), format!("With mirostat {}.", have_no_effect(&idle))) }
}

fn mirostat_off(case: &Case<'_>) -> Option<Problem> {
    if case.integer("mirostat").unwrap_or(0) != 0 {
        return None;
    }
    let idle = case.set_of(&["mirostat_tau", "mirostat_eta"]);
    if idle.is_empty() { None } else { warn(idle.clone(), format!("Without mirostat {}.", have_no_effect(&idle))) }
}

fn dry_off(case: &Case<'_>) -> Option<Problem> {
    if case.number("dry_multiplier").unwrap_or(0.0) != 0.0 {
        return None;
    }
    let idle = case.set_of(&["dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"]);
    if idle.is_empty() { None } else { warn(idle.clone(), format!("Without dry_multiplier {}.", have_no_effect(&idle))) }
}

fn xtc_off(case: &Case<'_>) -> Option<Problem> {
    let on = case.number("xtc_probability").unwrap_or(0.0) > 0.0;
    match case.number("xtc_threshold") {
        Some(_) if !on => warn(vec!["xtc_threshold"], "Without xtc_probability xtc_threshold has no effect."),
        Some(threshold) if threshold > 0.5 => warn(
            vec!["xtc_probability", "xtc_threshold"],
            "No two tokens can be likelier than 0.5: with this xtc_threshold XTC does nothing.",
        ),
        _ => None,
    }
}

fn dynamic(case: &Case<'_>) -> Option<Problem> {
    let range = case.number("dynatemp_range").unwrap_or(0.0);
    if range == 0.0 && case.has("dynatemp_exponent") {
        return warn(vec!["dynatemp_exponent"], "Without dynatemp_range dynatemp_exponent has no effect.");
    }
    let temperature = case.number("temperature")?;
    if temperature > 0.0 && range > temperature {
        return warn(
            vec!["temperature", "dynatemp_range"],
            "dynatemp_range is larger than the temperature: it moves down to 0 at the most.",
        );
    }
    None
}

fn no_window(case: &Case<'_>) -> Option<Problem> {
    if case.integer("repeat_last_n") != Some(0) {
        return None;
    }
    let idle = case.set_of(&["repeat_penalty", "presence_penalty", "frequency_penalty"]);
    if idle.is_empty() { None } else { warn(idle.clone(), format!("With repeat_last_n 0 {}.", have_no_effect(&idle))) }
}

fn endless(case: &Case<'_>) -> Option<Problem> {
    let endless = case.set.text("ignore_eos") == Some("on") && !case.has("max_tokens");
    if endless {
        warn(vec!["ignore_eos", "max_tokens"], "With ignore_eos and without max_tokens an answer ends with the context only.")
    } else {
        None
    }
}

fn budget_beyond_answer(case: &Case<'_>) -> Option<Problem> {
    let (budget, most) = (case.integer("thinking_budget")?, case.integer("max_tokens")?);
    if budget < most {
        return None;
    }
    let text = format!("thinking_budget ({budget}) must be smaller than max_tokens ({most}), of which thinking is a part.");
    warn(vec!["thinking_budget", "max_tokens"], text)
}

fn budget_without_thinking(case: &Case<'_>) -> Option<Problem> {
    let idle = case.has("thinking_budget") && case.set.text("thinking") == Some("off");
    if idle { warn(vec!["thinking_budget", "thinking"], "Without thinking thinking_budget has no effect.") } else { None }
}

fn anthropic_temperature(case: &Case<'_>) -> Option<Problem> {
    let hot = case.is(BackendKind::Anthropic) && case.number("temperature").is_some_and(|t| t > 1.0);
    if hot { refuse(&["temperature"], "Anthropic takes a temperature from 0 to 1.") } else { None }
}

/// In the words of the backend, which leaves them out: a preview says so once.
fn anthropic_thinking(case: &Case<'_>) -> Option<Problem> {
    if !case.is(BackendKind::Anthropic) || !case.thinks() {
        return None;
    }
    let narrow = case.number("top_p").is_some_and(|p| p < 0.95);
    let idle = case.set_of(&["temperature", "top_k"]).into_iter().next().or(narrow.then_some("top_p"))?;
    warn(vec![idle, "thinking"], format!("{idle} is set and not sent: it cannot be chosen while the model thinks."))
}

fn anthropic_budget(case: &Case<'_>) -> Option<Problem> {
    let small = case.is(BackendKind::Anthropic) && case.integer("thinking_budget").is_some_and(|n| n < 1024);
    if small { warn(vec!["thinking_budget"], "Anthropic takes a thinking_budget of 1024 tokens or more: 1024 are sent.") } else { None }
}

fn anthropic_both(case: &Case<'_>) -> Option<Problem> {
    let both = case.is(BackendKind::Anthropic) && case.has("temperature") && case.has("top_p");
    if both { warn(vec!["temperature", "top_p"], "Newer models of Anthropic take temperature or top_p, not both.") } else { None }
}

fn many_stops(case: &Case<'_>) -> Option<Problem> {
    let many = case.is(BackendKind::OpenAi) && case.set.list("stop").len() > 4;
    if many { warn(vec!["stop"], "OpenAI takes up to 4 texts in stop; other servers often take more.") } else { None }
}

fn gone_at_once(case: &Case<'_>) -> Option<Problem> {
    let at_once = case.set.text("keep_alive").and_then(seconds) == Some(Some(0));
    if at_once { warn(vec!["keep_alive"], "With keep_alive 0 the model is loaded for every answer anew.") } else { None }
}
