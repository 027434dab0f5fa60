//! Figures: turns what a benchmark printed into `bench/results/`, with the machine and the commit that it was measured on.
//!
//! Measures nothing itself.
//!
//! A benchmark prints **result lines**: JSON objects with `name`, `value` and `unit`, and whatever else explains the
//! figure (`note`, `low`, `high`).

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};

const RESULTS: &str = "bench/results";

/// Prints what Criterion has left in its folder as result lines: the median time, and what it makes a second.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn criterion(folder: &str) -> anyhow::Result<()> {
    let mut files = Vec::new();
    find_measurements(Path::new(folder), &mut files)?;
    files.sort();
    for file in files {
        let read = |name: &str| -> anyhow::Result<Value> {
            let path = file.join(name);
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            serde_json::from_str(&text).with_context(|| path.display().to_string())
        };
        println!(
            "{}",
            criterion_line(&read("benchmark.json")?, &read("estimates.json")?)?
        );
    }
    Ok(())
}

/// Reads result lines from standard input and writes them as `NAME-COMMIT.json` and `.md`.
///
/// # Errors
/// When there is no result line, one is none, or a file cannot be written.
pub fn record(name: &str) -> anyhow::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let results = parse_lines(&input)?;
    ensure!(!results.is_empty(), "{name} printed no result");

    let machine = machine()?;
    let stem = format!("{name}-{}", commit_in_a_name(&machine));
    std::fs::create_dir_all(RESULTS)?;
    let document = json!({ "name": name, "machine": machine, "results": results });
    std::fs::write(
        format!("{RESULTS}/{stem}.json"),
        serde_json::to_string_pretty(&document)? + "\n",
    )?;
    std::fs::write(format!("{RESULTS}/{stem}.md"), markdown(name, &machine, &results))?;
    println!("{RESULTS}/{stem}.md");
    Ok(())
}

fn find_measurements(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.ends_with("new") && path.join("estimates.json").is_file() {
            found.push(path);
        } else if path.is_dir() {
            find_measurements(&path, found)?;
        }
    }
    Ok(())
}

fn criterion_line(benchmark: &Value, estimates: &Value) -> anyhow::Result<Value> {
    let median = &estimates["median"];
    let nanoseconds = |value: &Value| value.as_f64().context("estimates.json has no median");
    let middle = nanoseconds(&median["point_estimate"])?;
    let low = nanoseconds(&median["confidence_interval"]["lower_bound"])?;
    let high = nanoseconds(&median["confidence_interval"]["upper_bound"])?;
    let name = benchmark["full_id"].as_str().context("benchmark.json has no full_id")?;
    let mut line = json!({ "name": name });
    let throughput = benchmark["throughput"]
        .as_object()
        .and_then(|throughput| throughput.iter().next());
    match throughput.and_then(|(kind, amount)| Some((kind, amount.as_f64()?))) {
        // More a second is a shorter time: the bounds change places.
        Some((kind, amount)) => {
            let per_second = |time: f64| amount * 1e9 / time;
            let unit = format!("{}/s", kind.to_lowercase());
            set(&mut line, per_second(middle), per_second(high), per_second(low), &unit);
        }
        None => set(&mut line, middle, low, high, "ns"),
    }
    Ok(line)
}

fn set(line: &mut Value, value: f64, low: f64, high: f64, unit: &str) {
    line["value"] = json!(value);
    line["unit"] = json!(unit);
    line["low"] = json!(low);
    line["high"] = json!(high);
}

/// Lines that begin with `{`; a benchmark may talk on others.
fn parse_lines(input: &str) -> anyhow::Result<Vec<Value>> {
    let mut results = Vec::new();
    for line in input.lines().filter(|line| line.starts_with('{')) {
        let result: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        for (field, is_right) in [
            ("name", result["name"].is_string()),
            ("value", result["value"].is_number()),
            ("unit", result["unit"].is_string()),
        ] {
            ensure!(is_right, "a result line without a right `{field}`: {line}");
        }
        results.push(result);
    }
    Ok(results)
}

/// What `scripts/machine.sh` prints, as an object.
fn machine() -> anyhow::Result<Value> {
    let output = Command::new("scripts/machine.sh")
        .output()
        .context("scripts/machine.sh")?;
    if !output.status.success() {
        bail!("scripts/machine.sh: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout)?;
    let fields = text.lines().filter_map(|line| line.split_once(": "));
    Ok(Value::Object(
        fields
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect::<Map<_, _>>(),
    ))
}

/// `1a2b3c` or, when something was not committed, `1a2b3c-with-changes`.
fn commit_in_a_name(machine: &Value) -> String {
    machine["commit"].as_str().unwrap_or("unknown").replace(' ', "-")
}

fn markdown(name: &str, machine: &Value, results: &[Value]) -> String {
    let mut text = format!("# {name}\n\n");
    for (field, value) in machine.as_object().into_iter().flatten() {
        text += &format!("- {field}: {}\n", value.as_str().unwrap_or_default());
    }
    text += "\n| what | figure | from | to | note |\n|---|---:|---:|---:|---|\n";
    for result in results {
        let number = |field: &str| result[field].as_f64().map(readable).unwrap_or_default();
        let word = |field: &str| result[field].as_str().unwrap_or_default();
        let (value, unit) = (number("value"), word("unit"));
        text += &format!(
            "| {} | {value} {unit} | {} | {} | {} |\n",
            word("name"),
            number("low"),
            number("high"),
            word("note")
        );
    }
    text
}

/// Three digits and a word for the rest, as a person would say it.
fn readable(value: f64) -> String {
    let scales = [(1e9, " billion"), (1e6, " million"), (1e3, " thousand")];
    let (divided, word) = scales
        .iter()
        .find(|(scale, _)| value.abs() >= *scale)
        .map_or((value, ""), |(scale, word)| (value / scale, *word));
    match divided.abs() {
        size if size >= 100.0 => format!("{divided:.0}{word}"),
        size if size >= 10.0 => format!("{divided:.1}{word}"),
        _ => format!("{divided:.2}{word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimates(median: f64, low: f64, high: f64) -> Value {
        json!({ "median": { "point_estimate": median, "confidence_interval": { "lower_bound": low, "upper_bound": high } } })
    }

    #[test]
    fn a_throughput_has_its_bounds_the_right_way_round() {
        let benchmark = json!({ "full_id": "decode/strict", "throughput": { "Elements": 1000 } });
        let line = criterion_line(&benchmark, &estimates(1000.0, 500.0, 2000.0)).unwrap();
        assert_eq!(
            line,
            json!({ "name": "decode/strict", "value": 1e9, "unit": "elements/s", "low": 5e8, "high": 2e9 })
        );
    }

    #[test]
    fn a_measurement_without_a_throughput_is_a_time() {
        let benchmark = json!({ "full_id": "merge", "throughput": null });
        let line = criterion_line(&benchmark, &estimates(12.0, 11.0, 13.0)).unwrap();
        assert_eq!(
            line,
            json!({ "name": "merge", "value": 12.0, "unit": "ns", "low": 11.0, "high": 13.0 })
        );
    }

    #[test]
    fn a_result_line_without_a_unit_is_refused_and_talk_is_skipped() {
        assert_eq!(
            parse_lines("warming up\n{\"name\":\"a\",\"value\":1,\"unit\":\"s\"}\n")
                .unwrap()
                .len(),
            1
        );
        let refused = parse_lines("{\"name\":\"a\",\"value\":1}\n").unwrap_err().to_string();
        assert!(refused.contains("`unit`"), "{refused}");
    }

    #[test]
    fn a_figure_is_written_as_a_person_would_say_it() {
        assert_eq!(readable(5_213_000.0), "5.21 million");
        assert_eq!(readable(118.4), "118");
        assert_eq!(readable(0.042), "0.04");
    }
}
