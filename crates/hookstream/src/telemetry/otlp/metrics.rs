//! Metrics for the collector, converted from the text of `/metrics`: the same instruments, names and labels, counted once.
//!
//! The registry can be read in no other way than by its encoders. A counter keeps the suffix `_total`, and an info is a gauge of 1
//! with the suffix `_info`, so that queries and alert rules are the same behind a collector.

use std::collections::BTreeMap;

use hookstream_cli::clock::since_1970;
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric::Data, number_data_point::Value,
    },
};

use super::{tracer::nanos, values};

/// Conversion of the metrics of a process, whose counters began with it.
pub(super) struct Conversion {
    start: u64,
}

/// Metric that the text describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Described<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    unit: &'a str,
}

/// Line with a value.
struct Sample<'a> {
    /// Name behind that of the metric, such as `_bucket`.
    suffix: &'a str,
    labels: Vec<(&'a str, String)>,
    value: &'a str,
}

impl Conversion {
    /// Begins at the present, a moment after the start of the process.
    pub(super) fn start() -> Self {
        Self { start: nanos(since_1970()) }
    }

    /// Converts a text in the OpenMetrics format.
    pub(super) fn convert(&self, text: &str) -> Vec<Metric> {
        let now = nanos(since_1970());
        let mut metrics = Vec::new();
        let mut described = Described { name: "", kind: "", help: "", unit: "" };
        let mut samples = Vec::new();
        for line in text.lines() {
            let Some(comment) = line.strip_prefix("# ") else {
                samples.extend(sample(line, described.name));
                continue;
            };
            let mut words = comment.splitn(3, ' ');
            let (word, name, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
            if name != described.name {
                metrics.extend(self.metric(described, std::mem::take(&mut samples), now));
                described = Described { name, kind: "", help: "", unit: "" };
            }
            match word {
                "HELP" => described.help = rest,
                "TYPE" => described.kind = rest,
                "UNIT" => described.unit = rest,
                _ => {}
            }
        }
        metrics.extend(self.metric(described, samples, now));
        metrics
    }

    fn metric(&self, described: Described<'_>, samples: Vec<Sample<'_>>, now: u64) -> Option<Metric> {
        let (name, data) = match described.kind {
            _ if samples.is_empty() => return None,
            "histogram" => {
                let data_points = histogram(samples, self.start, now);
                let aggregation_temporality = AggregationTemporality::Cumulative.into();
                (described.name.to_owned(), Data::Histogram(Histogram { data_points, aggregation_temporality }))
            }
            "counter" => {
                let data_points = numbers(samples, self.start, now);
                let aggregation_temporality = AggregationTemporality::Cumulative.into();
                (format!("{}_total", described.name), Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }))
            }
            "info" => (format!("{}_info", described.name), Data::Gauge(Gauge { data_points: numbers(samples, 0, now) })),
            "gauge" => (described.name.to_owned(), Data::Gauge(Gauge { data_points: numbers(samples, 0, now) })),
            _ => return None,
        };
        let unit = match described.unit {
            "seconds" => "s",
            "bytes" => "By",
            other => other,
        };
        Some(Metric { name, description: described.help.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() })
    }
}

/// Returns the number of points of metrics.
pub(super) fn points(metrics: &[Metric]) -> usize {
    let of = |metric: &Metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(_) | Data::Summary(_)) | None => 0,
    };
    metrics.iter().map(of).sum()
}

fn numbers(samples: Vec<Sample<'_>>, start: u64, now: u64) -> Vec<NumberDataPoint> {
    let point = |sample: Sample<'_>| {
        let whole = sample.value.parse().map(Value::AsInt);
        let value = whole.or_else(|_| sample.value.parse().map(Value::AsDouble)).ok()?;
        let attributes = attributes(sample.labels);
        Some(NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: now,
            value: Some(value),
            ..NumberDataPoint::default()
        })
    };
    samples.into_iter().filter_map(point).collect()
}

/// Gathers the lines of each series. Buckets contain those below them in the text, and not in the protocol.
fn histogram(samples: Vec<Sample<'_>>, start: u64, now: u64) -> Vec<HistogramDataPoint> {
    let mut series: BTreeMap<Vec<(&str, String)>, (HistogramDataPoint, u64)> = BTreeMap::new();
    for Sample { suffix, mut labels, value } in samples {
        let bound = labels.iter().position(|(name, _)| *name == "le").map(|place| labels.remove(place).1);
        let (point, below) = series.entry(labels).or_default();
        match (suffix, bound) {
            ("_sum", None) => point.sum = value.parse().ok(),
            ("_count", None) => point.count = value.parse().unwrap_or(0),
            ("_bucket", Some(bound)) => {
                let up_to: u64 = value.parse().unwrap_or(*below);
                point.bucket_counts.push(up_to.saturating_sub(*below));
                point.explicit_bounds.extend(bound.parse::<f64>().ok().filter(|bound| bound.is_finite()));
                *below = up_to;
            }
            _ => {}
        }
    }
    let point = |(labels, (point, _)): (_, (HistogramDataPoint, u64))| HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        ..point
    };
    series.into_iter().map(point).collect()
}

fn attributes(labels: Vec<(&str, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(name, value)| values::attribute(name, values::text(value))).collect()
}

/// Parses a line `name_suffix{label="value"} 1 # exemplar` of a metric.
fn sample<'a>(line: &'a str, metric: &str) -> Option<Sample<'a>> {
    let rest = line.strip_prefix(metric)?;
    let (suffix, rest) = rest.split_at(rest.find(['{', ' '])?);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    Some(Sample { suffix, labels, value: rest.split_whitespace().next()? })
}

/// Parses labels up to the closing brace; returns the rest of the line too.
fn labels(mut text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (place, '"') => break place,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name, value));
        text = &quoted[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP hookstream_attempts Attempts.
# TYPE hookstream_attempts counter
hookstream_attempts_total{outcome="success",error=""} 41
hookstream_attempts_total{outcome="failed",error="a \"b\", {c}\\\n"} 2
# HELP hookstream_wait_seconds Wait.
# TYPE hookstream_wait_seconds histogram
# UNIT hookstream_wait_seconds seconds
hookstream_wait_seconds_sum{until="arrival"} 1.5
hookstream_wait_seconds_count{until="arrival"} 6
hookstream_wait_seconds_bucket{le="0.5",until="arrival"} 1 # {message_id="m"} 0.3
hookstream_wait_seconds_bucket{le="1.0",until="arrival"} 4
hookstream_wait_seconds_bucket{le="+Inf",until="arrival"} 6
# HELP hookstream_build Version.
# TYPE hookstream_build info
hookstream_build_info{version="1"} 1
# HELP process_threads Threads.
# TYPE process_threads gauge
process_threads 7.0
# HELP hookstream_empty Nothing.
# TYPE hookstream_empty gauge
# EOF
"#;

    fn labels_of(attributes: &[KeyValue]) -> Vec<String> {
        let text = |attribute: &KeyValue| format!("{}={:?}", attribute.key, attribute.value.as_ref().and_then(|value| value.value.clone()));
        attributes.iter().map(text).collect()
    }

    #[test]
    fn metrics_keep_their_names_labels_and_values() {
        let metrics = Conversion { start: 5 }.convert(TEXT);
        let names: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
        let expected =
            [("hookstream_attempts_total", ""), ("hookstream_wait_seconds", "s"), ("hookstream_build_info", ""), ("process_threads", "")];
        assert_eq!(names, expected);
        assert_eq!(points(&metrics), 5);
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{:?}", metrics[0]) };
        assert!(sum.is_monotonic && sum.data_points[0].value == Some(Value::AsInt(41)) && sum.data_points[0].start_time_unix_nano == 5);
        assert_eq!(labels_of(&sum.data_points[1].attributes)[1], "error=Some(StringValue(\"a \\\"b\\\", {c}\\\\\\n\"))");
        let Some(Data::Gauge(gauge)) = &metrics[3].data else { panic!("{:?}", metrics[3]) };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(7.0)));
    }

    #[test]
    fn buckets_are_counted_apart() {
        let metrics = Conversion { start: 5 }.convert(TEXT);
        let Some(Data::Histogram(histogram)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
        let [point] = &histogram.data_points[..] else { panic!("{histogram:?}") };
        assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&[1, 3, 2][..], &[0.5, 1.0][..]));
        assert_eq!((point.count, point.sum), (6, Some(1.5)));
        assert_eq!(labels_of(&point.attributes), ["until=Some(StringValue(\"arrival\"))"]);
    }
}
