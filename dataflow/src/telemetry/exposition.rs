//! Families of figures as a scrape reads them: plain data, written by the client library.

use std::fmt;

use connectors::counts::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Name and value of a label.
pub(super) type Label = (&'static str, String);

/// One figure.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Count(u64),
    Counter(f64),
    Gauge(f64),
    Histogram(Histogram),
}

/// Figures with one name.
#[derive(Clone, Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    figures: Vec<(Vec<Label>, Value)>,
}

/// All families, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Families(Vec<Family>);

impl Families {
    /// A family with as many figures as there are, without any, too, so that its name is known. A counter's name has no `_total` here.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        figures: impl IntoIterator<Item = (Vec<Label>, Value)>,
    ) {
        self.0.push(Family { name, help, figures: figures.into_iter().collect() });
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.add(name, help, [(Vec::new(), Value::Gauge(value))]);
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.add(name, help, [(Vec::new(), Value::Count(value))]);
    }

    /// The text format of Prometheus.
    pub(super) fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::prometheus_text::encode(&mut text, &registry).expect("a text takes all");
        text
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in &self.0 {
            let Some((_, first)) = family.figures.first() else { continue };
            let kind = match first {
                Value::Count(_) | Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
                Value::Histogram(_) => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in &family.figures {
                if labels.is_empty() {
                    write(&mut metric, value)?;
                } else {
                    write(&mut metric.encode_family(labels)?, value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(metric: &mut MetricEncoder<'_>, value: &Value) -> Result<(), fmt::Error> {
    match value {
        Value::Count(value) => metric.encode_counter::<NoLabelSet, u64, u64>(value, None),
        Value::Counter(value) => metric.encode_counter::<NoLabelSet, f64, u64>(value, None),
        Value::Gauge(value) => metric.encode_gauge(value),
        Value::Histogram(histogram) => {
            let count = histogram.buckets.iter().map(|(_, count)| count).sum();
            metric.encode_histogram::<NoLabelSet>(histogram.sum, count, &histogram.buckets, None)
        }
    }
}
