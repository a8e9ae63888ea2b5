//! `bench` as a script uses it. How long anything takes is nobody's promise: no time is asserted.

use crate::common::program::{has_vulkan, json, run, stderr};
use serde_json::Value;

fn bench(arguments: &[&str]) -> Value {
    json(&[&["bench", "--rounds", "2"], arguments].concat())
}

fn positive(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!(number.is_finite() && number > 0.0, "{number}");
    number
}

/// Quantiles of so many samples.
fn timing(value: &Value, n: u64) -> f64 {
    let [p10, median, p90] = ["p10", "median", "p90"].map(|field| positive(&value[field]));
    assert!(p10 <= median && median <= p90, "{value}");
    assert_eq!(value["n"], n);
    median
}

/// What holds of every result, beside the plan that the program itself prints.
fn check(result: &Value, control: &Value, adapter: &str) {
    let (batch, plan) = (result["batch_size"].to_string(), result["plan"].as_str().unwrap());
    let arguments = ["plan", "--json", "--adapter", adapter, "--plan", plan, "--batch-size", &batch];
    let plan: Value = serde_json::from_slice(&run(&arguments).stdout).unwrap();
    for field in ["model", "batch_size", "plan", "launches_per_step", "flops_per_step"] {
        assert_eq!(result[field], plan[field], "{field}");
    }
    let step = timing(&result["train_step_us"], 2);
    timing(&result["forward_us"], 2);
    timing(&result["eval_us_per_pair"], 2);
    for field in ["upload_gb_s", "gflops", "gb_s"] {
        positive(&result[field]);
    }
    for field in ["gflops", "gb_s"] {
        positive(&result["ceiling"][field]);
    }
    let (found, expected) = (positive(&result["gflops"]), positive(&plan["flops_per_step"]) / step / 1e3);
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} GFLOP/s, not {expected}");
    let kernels = result["kernels"].as_array().unwrap();
    assert_eq!(kernels.len() as u64, plan["launches_per_step"].as_u64().unwrap());
    for (kernel, step) in kernels.iter().zip(plan["steps"].as_array().unwrap()) {
        for field in ["op", "entry", "layer"] {
            assert_eq!(kernel[field], step[field]);
        }
        assert_eq!(kernel["us"]["n"], 2);
        assert!(kernel["us"]["median"].as_f64().unwrap() >= 0.0);
        assert!(kernel["gflops"].as_f64().unwrap() >= 0.0);
        assert!(["timestamps", "wall clock"].contains(&kernel["source"].as_str().unwrap()));
    }
    for field in ["adapter", "model", "batch_size", "plan"] {
        assert_eq!(control[field], result[field]);
    }
    timing(&control["ratio"], 2);
}

#[test]
fn the_cpu_is_timed() {
    let found = bench(&["--adapter", "cpu", "--batch-size", "8"]);
    let ([result], [control]) =
        (&found["results"].as_array().unwrap()[..], &found["controls"].as_array().unwrap()[..])
    else {
        panic!("one result: {found}")
    };
    check(result, control, "cpu");
    assert_eq!(result["adapter"]["backend"], "cpu");
    assert!(result["record_us"].is_null());
    for kernel in result["kernels"].as_array().unwrap() {
        positive(&kernel["us"]["median"]);
        assert_eq!(kernel["source"], "wall clock");
    }
}

#[test]
fn every_combination_is_timed() {
    if !has_vulkan() {
        return;
    }
    let found = bench(
        &[
            &["--adapter", "cpu", "--adapter", "vulkan", "--plan", "unfused", "--plan", "blocked"][..],
            &["--batch-size", "8"],
        ]
        .concat(),
    );
    let (results, controls) = (found["results"].as_array().unwrap(), found["controls"].as_array().unwrap());
    assert_eq!((results.len(), controls.len()), (4, 4));
    let mut expected = Vec::new();
    for backend in ["cpu", "vulkan"] {
        for plan in ["unfused", "blocked"] {
            expected.push(format!("{backend} 8 {plan}"));
        }
    }
    let name = |result: &Value| {
        let words = [&result["adapter"]["backend"], &result["plan"]].map(|word| word.as_str().unwrap());
        format!("{} {} {}", words[0], result["batch_size"], words[1])
    };
    assert_eq!(results.iter().map(name).collect::<Vec<_>>(), expected);
    for (result, control) in results.iter().zip(controls) {
        let backend = result["adapter"]["backend"].as_str().unwrap();
        check(result, control, backend);
        if backend == "vulkan" {
            timing(&result["record_us"], 2);
        }
    }
}

/// A network for other images than MNIST's, at its own size and at another.
#[test]
fn images_have_the_size_that_the_network_wants() {
    for (model, input) in [("sircnn", None), ("resnet-small", Some("3x32x32"))] {
        let given = ["--adapter", "cpu", "--model", model, "--batch-size", "2", "--rounds", "1"];
        let input: Vec<&str> = input.iter().flat_map(|input| ["--input", input]).collect();
        let found = run(&[&["bench", "--json"], &given[..], &input].concat());
        assert!(found.status.success(), "{}", stderr(&found));
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        let size = if input.is_empty() { "1x105x105" } else { input[1] };
        let plan = run(&[
            "plan",
            "--json",
            "--adapter",
            "cpu",
            "--model",
            model,
            "--batch-size",
            "2",
            "--input",
            size,
        ]);
        let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
        assert_eq!(found["results"][0]["flops_per_step"], plan["flops_per_step"], "{model}");
    }
    let huge = run(&["bench", "--adapter", "cpu", "--input", "3x4096x4096"]);
    assert_eq!(huge.status.code(), Some(2), "{}", stderr(&huge));
}

#[test]
fn people_get_a_table() {
    let output = run(&["bench", "--adapter", "cpu", "--batch-size", "8", "--rounds", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].starts_with("adapter") && rows[0].ends_with("control"), "{table}");
    assert!(rows[1].contains("(cpu)") && rows[1].contains("unfused"), "{table}");
    assert_eq!(rows[0].chars().count(), rows[1].chars().count(), "{table}");
    assert!(stderr(&output).contains("round 1 of 1"));
}

#[test]
fn nonsense_is_refused() {
    for (arguments, code, words) in [
        (&["--rounds", "0"][..], 2, "--rounds"),
        (&["--batch-size", "0"], 2, "--batch-size"),
        (&["--batch-size", "1"], 2, "norm"),
        (&["--batch-size", "many"], 2, "--batch-size"),
        (&["--model", "resnet"], 2, "the models are: sn-lenet5"),
        (&["--plan", "magic"], 2, "fused"),
        (&["--adapter", "cpu", "--adapter", "no such card"], 4, "no adapter matches \"no such card\""),
    ] {
        let cpu: &[&str] = if arguments.contains(&"cpu") { &[] } else { &["--adapter", "cpu"] };
        let output = run(&[&["bench"], arguments, cpu].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.contains(words) && !message.contains("panicked"), "{arguments:?}: {message}");
    }
}
