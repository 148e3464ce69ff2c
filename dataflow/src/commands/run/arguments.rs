//! Arguments of the job: each setting of the first level is a flag.

use std::path::PathBuf;

use clap::Args;

use crate::commands::WrongUse;
use crate::commands::common::set_flags;
use crate::config::{self, Config};

/// Arguments of the job. Every setting is a flag, too; `--set` reaches those of a section.
#[derive(Args, Clone, Debug)]
pub struct RunArguments {
    /// Worker threads of each process
    #[arg(short, long, default_value_t = 1, value_name = "N")]
    pub workers: usize,
    /// Processes; without -p this one starts the others
    #[arg(short = 'n', long, default_value_t = 1, value_name = "N")]
    pub processes: usize,
    /// Which of the processes this one is, from 0
    #[arg(short = 'p', long, value_name = "I")]
    pub process: Option<usize>,
    /// File with host:port of every process, one a line
    #[arg(long, value_name = "FILE")]
    pub hostfile: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where messages come from: scenario:NAME, file:PATH or kafka://HOST:PORT/TOPIC
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// Where results go: sqlite:PATH, scylla://HOST:PORT/KEYSPACE or null
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// What makes vectors of states: projection, ollama://HOST:PORT/MODEL or none
    #[arg(long, value_name = "URL")]
    pub embedder: Option<String>,
    /// Forget what the store holds and begin at the beginning
    #[arg(long)]
    pub fresh: bool,
    /// Do not ask before results are forgotten
    #[arg(long)]
    pub yes: bool,
    /// One JSON object on stdout at the end, no progress
    #[arg(long)]
    pub json: bool,
    /// How log lines on stderr look
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    pub log_format: String,
    /// Width of the windows, such as 60s
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub window: Option<String>,
    /// How far the watermark stays behind a partition's newest reading
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub lateness: Option<String>,
    /// Event times further beyond the broker's are dead letters
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub max_future: Option<String>,
    /// Event times further before the broker's are dead letters
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub max_age: Option<String>,
    /// What a late reading does to the state of its window: keep or correct
    #[arg(long, value_name = "WHAT", help_heading = "Settings")]
    pub late: Option<String>,
    /// How long after its window a late reading still corrects
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub correct_within: Option<String>,
    /// Where a live topic is begun at the first start: earliest, latest or a time
    #[arg(long, value_name = "WHERE", help_heading = "Settings")]
    pub from: Option<String>,
    /// Go on where messages of a live topic are gone before they were read
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Settings")]
    pub accept_loss: Option<String>,
    /// End when all partitions of a live topic have been idle for so long
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub until_idle: Option<String>,
    /// How often a live topic is asked for new partitions
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub partition_refresh: Option<String>,
    /// Consumer group that is told how far the job is
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    pub group: Option<String>,
    /// Topic for messages that can't be used
    #[arg(long, value_name = "TOPIC", help_heading = "Settings")]
    pub dead_letter_topic: Option<String>,
    /// Topic for the transitions of incidents
    #[arg(long, value_name = "TOPIC", help_heading = "Settings")]
    pub anomaly_topic: Option<String>,
    /// After so long without anything a live partition stops holding the others up
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub idle: Option<String>,
    /// Longest message in bytes
    #[arg(long, value_name = "BYTES", help_heading = "Settings")]
    pub max_message_bytes: Option<String>,
    /// Most devices a partition
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub max_devices: Option<String>,
    /// Most metrics a device
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub max_metrics: Option<String>,
    /// Wall time between checkpoints
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub checkpoint_interval: Option<String>,
    /// How long a job that is asked to stop may take to come to rest
    #[arg(long, value_name = "DURATION", help_heading = "Settings")]
    pub drain_timeout: Option<String>,
    /// Windows under way between reading and the store
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub ahead_windows: Option<String>,
    /// Rows under way between reading and the store
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub ahead_rows: Option<String>,
    /// Serve pages and figures here; a finished replay then goes on serving until ctrl-c
    #[arg(long, num_args = 0..=1, default_missing_value = super::http::DEFAULT, value_name = "HOST:PORT", help_heading = "Settings")]
    pub http: Option<String>,
    /// Lets those who send it write over HTTP; better given as PLENUM__HTTP_TOKEN
    #[arg(long, value_name = "TOKEN", help_heading = "Settings")]
    pub http_token: Option<String>,
    /// What stands for a metric in the metrics map: mean or last
    #[arg(long, value_name = "WHICH", help_heading = "Settings")]
    pub aggregate: Option<String>,
    /// Where the devices' clocks are, such as America/Chicago
    #[arg(long, value_name = "ZONE", help_heading = "Settings")]
    pub time_zone: Option<String>,
    /// Any other setting, such as detectors.warm_up_windows=120
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Settings")]
    pub set: Vec<String>,
    /// host:port of every process, separated by commas; given by the process that started this one
    #[arg(long, hide = true, value_delimiter = ',')]
    pub addresses: Vec<String>,
}

impl RunArguments {
    /// Defaults, file, environment and flags joined.
    ///
    /// # Errors
    /// [`WrongUse`] with the place and the key.
    pub fn load_config(&self) -> anyhow::Result<Config> {
        Ok(self.load_as_written()?.0)
    }

    /// The same, and all settings as they were written: what may be shown, once it is masked.
    ///
    /// # Errors
    /// As [`RunArguments::load_config`].
    pub fn load_as_written(&self) -> anyhow::Result<(Config, toml::Table)> {
        let mut flags: Vec<(String, String)> = [
            ("source", &self.source),
            ("store", &self.store),
            ("embedder", &self.embedder),
            ("window", &self.window),
            ("lateness", &self.lateness),
            ("max_future", &self.max_future),
            ("max_age", &self.max_age),
            ("late", &self.late),
            ("correct_within", &self.correct_within),
            ("from", &self.from),
            ("accept_loss", &self.accept_loss),
            ("until_idle", &self.until_idle),
            ("partition_refresh", &self.partition_refresh),
            ("group", &self.group),
            ("dead_letter_topic", &self.dead_letter_topic),
            ("anomaly_topic", &self.anomaly_topic),
            ("idle", &self.idle),
            ("max_message_bytes", &self.max_message_bytes),
            ("max_devices", &self.max_devices),
            ("max_metrics", &self.max_metrics),
            ("checkpoint_interval", &self.checkpoint_interval),
            ("drain_timeout", &self.drain_timeout),
            ("ahead_windows", &self.ahead_windows),
            ("ahead_rows", &self.ahead_rows),
            ("aggregate", &self.aggregate),
            ("time_zone", &self.time_zone),
            ("http", &self.http),
            ("http_token", &self.http_token),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.clone().map(|value| (key.to_owned(), value)))
        .collect();
        flags.extend(set_flags(&self.set)?);
        config::load_as_written(self.config.as_deref(), std::env::vars(), &flags)
            .map_err(|error| WrongUse(format!("{error:#}")).into())
    }
}
