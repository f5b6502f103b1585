//! The report as people and programs get it: what it says, what it never does, and that nothing makes it fall over.

mod sample;

use rehearsal::report::{self, RehearsalReport, RehearsalVerdict};
use serde_json::Value;
use std::path::PathBuf;

/// Whether an element of the page holds this text, tags aside.
fn contains_text(page: &str, text: &str) -> bool {
    let mut plain = String::new();
    let mut is_tag = false;
    for char in page.chars() {
        match char {
            '<' => is_tag = true,
            '>' => is_tag = false,
            char if !is_tag => plain.push(char),
            _ => {}
        }
    }
    plain.contains(text)
}

#[test]
fn the_verdict_is_the_first_thing_that_the_page_says() {
    for (report, sentence) in [
        (sample::kept(), "Every promise was kept."),
        (sample::broken(), "2 promises were broken: units, recorded."),
        (sample::unjudged(), "Not judged: the instance has not answered for 45 s."),
    ] {
        let page = report::render_html(&report);
        let heading = page.split_once("<h1>").expect("a heading").1;
        assert!(heading.starts_with(&format!("{sentence}</h1>")), "{sentence}");
        assert_eq!(page.matches("<h1>").count(), 1);
        assert!(page.contains(&format!("<title>Rehearsal: {sentence}</title>")));
    }
    let one = RehearsalReport {
        verdict: RehearsalVerdict::Broken { promises: vec!["units".to_owned()] },
        ..sample::kept()
    };
    assert_eq!(one.verdict_sentence(), "1 promise was broken: units.");
}

#[test]
fn the_page_needs_nothing_from_outside_and_runs_nothing() {
    for (name, report) in sample::all() {
        let page = report::render_html(&report);
        assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'"), "{name}");
        // The one address is that of an instance, as text.
        let page = page.replace("http://drop.example.test", "");
        for outside in
            ["http:", "https:", "src=", "href=", "<script", "<link", "@import", "<iframe", "javascript:"]
        {
            assert!(!page.contains(outside), "{name} holds {outside}");
        }
        assert_eq!(page.matches("url(").count(), page.matches("url(#").count(), "{name}");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{name}");
    }
}

#[test]
fn what_an_instance_said_is_text_and_never_markup() {
    let mut report = sample::broken();
    let foul = "\"><script>alert(1)</script>";
    report.command = format!("doorbuster rehearse --like '{foul}'");
    report.seed = 7;
    report.program = foul.to_owned();
    report.started_at = foul.to_owned();
    report.outcomes[0].name = foul.to_owned();
    report.refusals[0].name = foul.to_owned();
    report.crowd[0].name = foul.to_owned();
    report.latency[0].name = foul.to_owned();
    report.settings[0].name = foul.to_owned();
    report.settings[0].value = foul.to_owned();
    report.faults[0].what = foul.to_owned();
    let page = report::render_html(&report);
    assert!(!page.contains("<script"), "it got out");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    report.verdict = RehearsalVerdict::Unjudged { reason: format!("{foul}\u{1b}[2J") };
    let text = report::render_text(&report, &[], 80, false);
    assert!(!text.contains('\u{1b}'), "a reply cleared the terminal");
}

#[test]
fn the_page_shows_promises_charts_and_the_command() {
    let page = report::render_html(&sample::broken());
    for text in [
        "What the buyers were shown",
        "12,345×",
        "a reply confirmed the 1,001st unit",
        "01935d2a-77ab-7001-9b00-000c21bb4ac2",
        "40213",
        "Throughput",
        "refusals by code".to_uppercase().to_lowercase().as_str(),
        "clock jumps by 3600 s",
        "What the ledger shows",
        "2718281828",
    ] {
        assert!(
            contains_text(&page, text) || contains_text(&page.to_lowercase(), text),
            "the page does not say {text}"
        );
    }
    // Arrivals, throughput, latency and stock, for wide and for narrow pages; no buyer waited in line.
    assert_eq!(page.matches("role=\"img\"").count(), 8);
    assert_eq!(
        page.matches("aria-label=\"Stock, units, stacked. At the end: 1,000 sold, 0 in carts").count(),
        2
    );
    assert!(contains_text(&page, "No buyer was seen waiting in line."));
}

#[test]
fn empty_reports_are_written_too() {
    let empty = sample::unjudged();
    let mut one_slot = empty.clone();
    one_slot.timeline = sample::kept().timeline[25..26].to_vec();
    let mut all_zero = sample::kept();
    for slot in &mut all_zero.timeline {
        let at_ms = slot.at_ms;
        *slot = rehearsal::report::TimelineSlot {
            at_ms,
            arrivals: 0,
            sent: 0,
            accepted: 0,
            refused: 0,
            unanswered: 0,
            p50_ms: 0.0,
            p90_ms: 0.0,
            p99_ms: 0.0,
            max_ms: 0.0,
        };
    }
    let mut never_started = sample::kept();
    never_started.start_ms = u64::MAX;
    let mut no_slots_length = sample::kept();
    no_slots_length.slot_ms = 0;
    let mut wild = sample::kept();
    wild.timeline[3].max_ms = f64::INFINITY;
    wild.timeline[4].p50_ms = f64::NAN;
    wild.stock[2].sold = u32::MAX;
    for (name, report) in [
        ("empty", empty),
        ("one slot", one_slot),
        ("all zero", all_zero),
        ("never started", never_started),
        ("no length", no_slots_length),
        ("wild", wild),
    ] {
        let page = report::render_html(&report);
        assert!(page.ends_with("</html>"), "{name}");
        let drawn = page.split("<path").skip(1).map(|path| path.split('>').next().unwrap_or_default());
        for path in drawn {
            assert!(!path.contains("NaN") && !path.contains("inf"), "{name}: {path}");
        }
        assert!(!report::render_json(&report).is_empty(), "{name}");
        assert!(!report::render_text(&report, &[], 80, false).is_empty(), "{name}");
    }
}

#[test]
fn a_page_of_an_hour_can_still_be_mailed() {
    let size = report::render_html(&sample::long()).len();
    assert!(size < 1_500_000, "{size} bytes");
}

#[test]
fn the_document_has_the_names_that_programs_know() {
    let document: Value = serde_json::from_str(&report::render_json(&sample::broken())).expect("JSON");
    assert_eq!(document["verdict"]["word"], "broken");
    assert_eq!(document["verdict"]["promises"][1], "recorded");
    assert_eq!(document["told"][0]["name"], "units");
    assert_eq!(document["told"][0]["first"]["event"], 40_213);
    assert_eq!(document["faults"][0]["sort"], "killed");
    assert_eq!(document["requests"]["repeated"], 8_114);
    assert_eq!(document["latency"][0]["p999Ms"], 933.0);
    assert_eq!(document["timeline"][1]["atMs"], 100);
    let names: Vec<&str> = document.as_object().expect("an object").keys().map(String::as_str).collect();
    for name in [
        "startedAt",
        "program",
        "instance",
        "seed",
        "command",
        "settings",
        "durationS",
        "startMs",
        "quantity",
        "crowd",
        "outcomes",
        "refusals",
        "slotMs",
        "stock",
        "notes",
        "cpu",
        "ledger",
    ] {
        assert!(names.contains(&name), "{name} is missing");
    }
    let word = |report| -> Value { serde_json::from_str(&report::render_json(&report)).expect("JSON") };
    assert_eq!(word(sample::kept())["verdict"], serde_json::json!({ "word": "kept" }));
    assert_eq!(word(sample::unjudged())["verdict"]["word"], "unjudged");
}

#[test]
fn the_text_ends_with_the_verdict_and_keeps_to_its_width() {
    let files = [PathBuf::from("rehearsals/rehearsal.html")];
    for width in [60, 80, 120] {
        let text = report::render_text(&sample::kept(), &files, width, false);
        assert!(text.ends_with("\nEvery promise was kept."));
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("report      rehearsals/rehearsal.html\n"));
    }
    let text = report::render_text(&sample::broken(), &files, 110, false);
    let (found, _) = text.split_once("recorded").expect("the next promise");
    let expected =
        "  BROKEN  units                   1,000        1   Never more units confirmed than are on sale.
          first offence: a reply confirmed the 1,001st unit though the sale has 1,000
          buyer 01935d2a-77aa-7c31-8b52-5d0b12aa90ff
          order 01935d2a-77ab-7001-9b00-000c21bb4ac2
          event 40213
";
    assert!(found.contains(expected), "{found}");
    assert!(text.ends_with("2 promises were broken: units, recorded."));
    assert!(report::render_text(&sample::broken(), &files, 100, true).contains("\u{1b}["));
}
