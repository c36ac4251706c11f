//! The text format that Prometheus scrapes (version 0.0.4), written by hand: families, samples, escaped labels.

use std::fmt::{Display, Write};

/// The type of a family of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
}

/// A text under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// The values of one histogram.
#[derive(Debug, Clone, Copy)]
pub struct Histogram<'a> {
    /// The upper bounds of the buckets, in seconds.
    pub bounds: &'a [f64],
    /// Observations per bucket, not cumulative, with one more bucket for those beyond the last bound.
    pub counts: &'a [u64],
    /// The sum of all observations, in seconds.
    pub sum: f64,
}

impl Exposition {
    /// The media type of the text.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Starts a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Adds a sample of the family.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            self.text.push(if n == 0 { '{' } else { ',' });
            self.push(format_args!("{label}=\""));
            for c in text.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    /// Adds a family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Adds the samples of one histogram.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: Histogram<'_>) {
        let Histogram { bounds, counts, sum } = histogram;
        let mut all = 0;
        let bucket = format!("{name}_bucket");
        for (n, count) in counts.iter().enumerate() {
            all += count;
            let bound = bounds.get(n).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), all);
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, all);
    }

    /// Returns the text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _infallible = self.text.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Histogram, Kind};

    #[test]
    fn labels_are_escaped_and_buckets_cumulate() {
        let mut out = Exposition::default();
        out.family("a_total", Kind::Counter, "What it is.");
        out.sample("a_total", &[("x", "q\"\\\n"), ("y", "1")], 7);
        out.family("b_seconds", Kind::Histogram, "How long.");
        let histogram = Histogram { bounds: &[0.5, 1.0], counts: &[1, 2, 3], sum: 4.5 };
        out.histogram("b_seconds", &[("x", "1")], histogram);
        assert_eq!(
            out.finish(),
            "# HELP a_total What it is.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n\",y=\"1\"} 7\n\
             # HELP b_seconds How long.\n# TYPE b_seconds histogram\n\
             b_seconds_bucket{x=\"1\",le=\"0.5\"} 1\nb_seconds_bucket{x=\"1\",le=\"1\"} 3\n\
             b_seconds_bucket{x=\"1\",le=\"+Inf\"} 6\nb_seconds_sum{x=\"1\"} 4.5\nb_seconds_count{x=\"1\"} 6\n"
        );
    }
}
