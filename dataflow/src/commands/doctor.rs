//! `doctor`: does one real operation on each service that the job needs, and says what to mend. Nothing stays behind.

mod sample;

use std::process::ExitCode;

use clap::Args;
use connectors::check::{Answer, Checkup, Finding, Verdict};
use connectors::{check_embedder, check_store, kafka, mask_address};
use scenarios::bundled;
use serde_json::{Value as Json, json};

use crate::commands::common::{ConfigLayers, is_colourful, json_pretty, printable};
use crate::commands::run::{Embedder, data_folder, embedder, open_source, outlet_urls};
use crate::config::Config;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow doctor --config plenum.toml
  dataflow doctor --source kafka://localhost:9092/iot-metrics --store sqlite:live.db --write";

/// Arguments of `doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[allow(rustdoc::broken_intra_doc_links, reason = "texts of --help, where brackets are what may be left out")]
pub struct DoctorArguments {
    #[command(flatten)]
    layers: ConfigLayers,
    /// Where messages would come from, as for the job
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Where results would go, as for the job
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// What would make vectors of states: as for the job, or ollama://HOST[:PORT]/MODEL
    #[arg(long, value_name = "NAME")]
    embedder: Option<String>,
    /// Also make a topic on the source's brokers, send a message through it, and remove it
    #[arg(long)]
    write: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was found out about one service.
struct Section {
    service: &'static str,
    address: String,
    findings: Vec<Finding>,
}

impl Section {
    fn new(service: &'static str, address: &str, ask: impl FnOnce(&mut Checkup)) -> Self {
        let mut checkup = Checkup::default();
        ask(&mut checkup);
        Section { service, address: mask_address(address), findings: checkup.findings }
    }

    fn to_json(&self) -> Json {
        let finding = |finding: &Finding| {
            let Answer { verdict, seen, help } = &finding.answer;
            let took_ms = u64::try_from(finding.took.as_millis()).unwrap_or(u64::MAX);
            json!({"check": finding.check, "verdict": verdict.name(), "seen": seen, "help": help, "took_ms": took_ms})
        };
        let findings: Vec<Json> = self.findings.iter().map(finding).collect();
        json!({"service": self.service, "address": self.address, "findings": findings})
    }
}

/// Looks at all services of the settings. The exit code is 1 when the job could not work with one of them.
///
/// # Errors
/// Settings that can't be read.
pub fn run(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    let flags =
        [("source", &arguments.source), ("store", &arguments.store), ("embedder", &arguments.embedder)].into_iter();
    let flags = flags.filter_map(|(key, value)| value.clone().map(|value| (key.to_owned(), value)));
    let config = arguments.layers.load_with(flags)?;
    let mut sections = vec![
        Section::new("source", &config.source, |checkup| source(&config, arguments.write, checkup)),
        Section::new("store", &config.store, |checkup| check_store(&config.store, checkup)),
        Section::new("embedder", &config.embedder, |checkup| vectors(&config.embedder, checkup)),
    ];
    sections.extend(outlets(&config));
    let all = || sections.iter().flat_map(|section| &section.findings);
    let worst = all().map(|finding| finding.answer.verdict).max().unwrap_or(Verdict::Fine);
    if arguments.json {
        let services: Vec<Json> = sections.iter().map(Section::to_json).collect();
        println!("{}", json_pretty(&json!({"verdict": worst.name(), "services": services})));
    } else {
        sections.iter().for_each(print);
        let count = |verdict| all().filter(|finding| finding.answer.verdict == verdict).count();
        let [fine, advice, failed] = [Verdict::Fine, Verdict::Advice, Verdict::Failed].map(count);
        println!("{fine} fine, {advice} with advice, {failed} failed");
    }
    Ok(if worst == Verdict::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn source(config: &Config, write: bool, checkup: &mut Checkup) {
    let is_topic = config.source.starts_with("kafka:");
    if is_topic {
        kafka::check(&config.source, &config.kafka(), write, checkup);
        if checkup.findings.iter().any(|finding| finding.answer.verdict == Verdict::Failed) {
            return;
        }
    }
    let bundled = data_folder().join(bundled::FILE_NAME);
    if config.source == format!("scenario:{}", bundled::NAME) && !bundled.exists() {
        checkup.ask("open", || Ok(((), Answer::fine(format!("{} is made at the first start", bundled.display())))));
        return;
    }
    let opened = checkup.ask(if is_topic { "connect" } else { "open" }, || {
        let opened = open_source(&config.source, &config.kafka(), false)
            .map_err(|error| Answer::failed(format!("{error:#}"), ""))?;
        let partitions = opened.source.partitions().len();
        let seen = match opened.source.messages_total() {
            Some(messages) => format!("{messages} messages in {partitions} partitions"),
            None => format!("{partitions} partitions"),
        };
        Ok((opened.source, Answer::fine(seen)))
    });
    if let Some(source) = opened {
        checkup.ask("readings", || Ok(((), sample::look(&*source, &config.job)?)));
    }
}

fn vectors(name: &str, checkup: &mut Checkup) {
    if name.starts_with("ollama:") {
        return check_embedder(name, checkup);
    }
    checkup.ask("vector", || {
        let made = embedder(name).map_err(|error| Answer::failed(format!("{error:#}"), ""))?;
        let seen = match made {
            Embedder::None | Embedder::Texts(_) => "states get no vectors, `similar` finds nothing".to_owned(),
            Embedder::Vectors(make) => {
                let vector = make().embed(&[1.0, -2.0, 3.0], &["a".to_owned(), "b".to_owned()]);
                let vector = vector.ok_or_else(|| Answer::failed("it makes no vector of three numbers", ""))?;
                format!("{} components, made by this program itself", vector.len())
            }
        };
        Ok(((), Answer::fine(seen)))
    });
}

/// The topics that the job sends to.
fn outlets(config: &Config) -> Vec<Section> {
    let settings = config.kafka();
    match outlet_urls(config) {
        Ok(urls) => ["dead letters", "anomalies"]
            .into_iter()
            .zip(urls)
            .filter_map(|(service, url)| {
                let url = url?;
                Some(Section::new(service, &url, |checkup| kafka::check_outlet(&url, &settings, checkup)))
            })
            .collect(),
        Err(error) => {
            let failed = Answer::failed(format!("{error:#}"), "");
            vec![Section::new("topics", "", |checkup| {
                checkup.ask("settings", || Err::<((), Answer), _>(failed));
            })]
        }
    }
}

fn print(section: &Section) {
    println!("{:<10}{}", section.service, printable(&section.address));
    let colourful = is_colourful();
    for finding in &section.findings {
        let Answer { verdict, seen, help } = &finding.answer;
        let (word, colour) = match verdict {
            Verdict::Fine => ("fine", 32),
            Verdict::Advice => ("advice", 33),
            Verdict::Failed => ("FAILED", 31),
        };
        let word = if colourful { format!("\u{1b}[{colour}m{word:<8}\u{1b}[0m") } else { format!("{word:<8}") };
        println!("  {word}{:<12}{} ({} ms)", finding.check, printable(seen), finding.took.as_millis());
        if !help.is_empty() {
            println!("{:>22}{}", "", printable(help));
        }
    }
    println!();
}
